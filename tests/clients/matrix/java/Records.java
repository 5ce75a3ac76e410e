import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** The records that are written: what `workload.py` and `tests/support/workload.rs` make, and the text records. */
final class Records {
    private static final long FIRST_TIMESTAMP_MS = 1_700_000_000_000L;

    final byte[] key;
    final byte[] value;
    final List<Header> headers = new ArrayList<>();
    final long timestamp;

    /** Record `index` of `seed`. */
    Records(long seed, int index) {
        byte[] digest = digest(seed, index);
        int draw = (digest[0] & 0xff) << 8 | digest[1] & 0xff;
        int kind = digest[2] & 0xff;
        int size = kind < 230 ? draw % 200 : kind < 254 ? draw % 4096 : draw;
        if (index % 1000 == 999) size = 0;
        if (index % 5 == 4) key = null;
        else if (index % 211 == 7) key = new byte[0];
        else key = ("key-" + index % 1000).getBytes(StandardCharsets.UTF_8);
        if (index % 97 == 13 && key != null) {
            value = null;
        } else {
            value = new byte[size];
            for (int i = 0; i < size; i++) value[i] = digest[i % digest.length];
        }
        for (int j = 0; j < index % 3; j++) {
            headers.add(new RecordHeader("h" + j, Arrays.copyOfRange(digest, j, j + 8)));
        }
        timestamp = FIRST_TIMESTAMP_MS + index;
    }

    /** The key and the value of text record `index` of `seed`. */
    static String[] text(long seed, int index) {
        StringBuilder hex = new StringBuilder();
        for (byte each : digest(seed, index)) hex.append(String.format("%02x", each));
        return new String[] {"key-" + index % 50, hex.toString().repeat(1 + index % 7)};
    }

    private static byte[] digest(long seed, int index) {
        return sha256().digest((seed + "/" + index).getBytes(StandardCharsets.UTF_8));
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
