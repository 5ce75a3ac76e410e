import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.header.Header;

/** The digests of a topic, field by field. */
final class Fields {
    private static final String KINDS = "kevwht";

    private final TreeMap<Integer, Map<Character, MessageDigest>> digests = new TreeMap<>();
    private String shown = KINDS;
    private int count = 0;

    int count() {
        return count;
    }

    /** Says which fields the client can show. */
    void show(String kinds) {
        shown = kinds;
    }

    void add(int partition, long offset, byte[] key, byte[] value, Iterable<Header> headers, long timestamp) {
        count++;
        Map<Character, MessageDigest> into = digests.computeIfAbsent(partition, ignored -> new HashMap<>());
        byte[] place = ByteBuffer.allocate(12).putInt(partition).putLong(offset).array();
        for (char kind : KINDS.toCharArray()) into.computeIfAbsent(kind, ignored -> Records.sha256()).update(place);
        add(into.get('k'), key);
        add(into.get('e'), orNull(key));
        add(into.get('v'), value);
        add(into.get('w'), orNull(value));
        int headerCount = 0;
        for (Header ignored : headers) headerCount++;
        into.get('h').update(ByteBuffer.allocate(4).putInt(headerCount).array());
        for (Header header : headers) {
            add(into.get('h'), header.key().getBytes(StandardCharsets.UTF_8));
            add(into.get('h'), header.value());
        }
        into.get('t').update(ByteBuffer.allocate(8).putLong(timestamp).array());
    }

    /** For clients that cannot tell the empty from null. */
    private static byte[] orNull(byte[] bytes) {
        return bytes == null || bytes.length == 0 ? null : bytes;
    }

    private static void add(MessageDigest into, byte[] bytes) {
        into.update(ByteBuffer.allocate(4).putInt(bytes == null ? -1 : bytes.length).array());
        if (bytes != null) into.update(bytes);
    }

    /** As the program tells it: the count, and each field's digest. */
    @Override
    public String toString() {
        StringBuilder line = new StringBuilder(String.valueOf(count));
        for (char kind : KINDS.toCharArray()) {
            line.append('\t').append(kind).append('=').append(shown.indexOf(kind) < 0 ? "-" : hex(kind));
        }
        return line.toString();
    }

    private String hex(char kind) {
        MessageDigest whole = Records.sha256();
        // A copy: a digest that was asked for begins anew.
        digests.forEach((partition, of) -> whole.update(finished(of.get(kind))));
        StringBuilder hex = new StringBuilder();
        for (byte each : whole.digest()) hex.append(String.format("%02x", each));
        return hex.substring(0, 16);
    }

    private static byte[] finished(MessageDigest digest) {
        try {
            return ((MessageDigest) digest.clone()).digest();
        } catch (CloneNotSupportedException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
