import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.BytesDeserializer;

/** The console producer and the console consumer: text records in; everything that they print, out. */
final class Console implements MatrixProgram.Client {
    /** Between the headers of a record: nothing that a byte is printed as. */
    private static final String HEADER_SEPARATOR = "\u0001";
    private static final String NULL = "<null>";

    private final Tools tools;
    private final int major;
    private final int minor;

    Console(Tools tools, String version) {
        this.tools = tools;
        String[] words = version.split("\\.");
        major = Integer.parseInt(words[0]);
        minor = Integer.parseInt(words[1]);
    }

    private boolean isSince(int otherMajor, int otherMinor) {
        return major > otherMajor || major == otherMajor && minor >= otherMinor;
    }

    @Override
    public int write(String bootstrap, String topic, long seed, int records, int partitions, String codec) throws Exception {
        if (partitions != 1) throw new IllegalArgumentException("the console producer cannot choose partitions");
        List<String> args = new ArrayList<>(List.of(
                isSince(2, 5) ? "--bootstrap-server" : "--broker-list", bootstrap, "--topic", topic, "--compression-codec", codec));
        boolean hasHeaders = isSince(3, 2);
        String property = isSince(4, 2) ? "--reader-property" : "--property";
        property(args, property, "parse.key", "true");
        if (hasHeaders) property(args, property, "parse.headers", "true");
        StringBuilder typed = new StringBuilder();
        for (int index = 0; index < records; index++) {
            String[] record = Records.text(seed, index);
            if (hasHeaders) typed.append("origin:matrix\t");
            typed.append(record[0]).append('\t').append(record[1]).append('\n');
        }
        run("kafka-console-producer", args, typed.toString());
        return records;
    }

    @Override
    public void read(String bootstrap, MatrixProgram.Wanted wanted) throws Exception {
        boolean showsPlace = isSince(2, 7);
        for (var each : wanted.topics.entrySet()) {
            MatrixProgram.Wanted.Topic topic = each.getValue();
            if (!showsPlace) topic.fields.show("kevwt");
            for (int partition = 0; partition < topic.partitions; partition++) {
                // Record i is in partition i modulo their number.
                int records = (topic.records - partition + topic.partitions - 1) / topic.partitions;
                if (records > 0) readPartition(bootstrap, each.getKey(), partition, records, wanted.patienceMs, topic.fields);
            }
        }
    }

    private void readPartition(String bootstrap, String topic, int partition, int records, long patienceMs, Fields into) throws Exception {
        List<String> args = new ArrayList<>(List.of(
                "--bootstrap-server", bootstrap, "--topic", topic, "--partition", String.valueOf(partition),
                "--offset", "earliest", "--max-messages", String.valueOf(records),
                "--timeout-ms", String.valueOf(patienceMs),
                // Newer consumers close only when their last fetch was answered.
                isSince(4, 2) ? "--command-property" : "--consumer-property", "fetch.max.wait.ms=20"));
        boolean showsPlace = isSince(2, 7);
        String property = isSince(4, 2) ? "--formatter-property" : "--property";
        property(args, property, "print.key", "true");
        property(args, property, "print.timestamp", "true");
        property(args, property, "key.separator", "\t");
        property(args, property, "key.deserializer", BytesDeserializer.class.getName());
        property(args, property, "value.deserializer", BytesDeserializer.class.getName());
        if (showsPlace) {
            property(args, property, "print.partition", "true");
            property(args, property, "print.offset", "true");
            property(args, property, "print.headers", "true");
            property(args, property, "headers.separator", HEADER_SEPARATOR);
            property(args, property, "headers.deserializer", BytesDeserializer.class.getName());
            property(args, property, "null.literal", NULL);
        }
        long offset = 0;
        for (String line : run("kafka-console-consumer", args, "").split("\n")) {
            String[] words = line.split("\t", -1);
            long timestamp = Long.parseLong(after("CreateTime:", words[0]));
            if (showsPlace) {
                int found = Integer.parseInt(after("Partition:", words[1]));
                into.add(found, Long.parseLong(after("Offset:", words[2])), bytes(words[4]), bytes(words[5]), headers(words[3]), timestamp);
            } else {
                into.add(partition, offset, bytes(words[1]), bytes(words[2]), List.of(), timestamp);
            }
            offset++;
        }
    }

    private static void property(List<String> args, String option, String name, String value) {
        args.add(option);
        args.add(name + "=" + value);
    }

    private String run(String name, List<String> args, String typed) throws Exception {
        Tools.Outcome outcome = tools.run(name, args.toArray(new String[0]), typed);
        if (outcome.code != 0) throw new IllegalStateException(name + ": exit " + outcome.code + ": " + outcome.err);
        System.err.print(outcome.err);
        return outcome.out;
    }

    private static String after(String prefix, String word) {
        if (!word.startsWith(prefix)) throw new IllegalStateException("\"" + word + "\" where " + prefix + " was expected");
        return word.substring(prefix.length());
    }

    /** Undoes `Bytes.toString`, which writes what is not printable ASCII as \xHH. */
    private static byte[] bytes(String printed) {
        if (printed.equals(NULL) || printed.equals("null")) return null;
        byte[] bytes = new byte[printed.length()];
        int count = 0;
        for (int at = 0; at < printed.length(); at++) {
            if (printed.charAt(at) == '\\') {
                bytes[count++] = (byte) Integer.parseInt(printed.substring(at + 2, at + 4), 16);
                at += 3;
            } else {
                bytes[count++] = (byte) printed.charAt(at);
            }
        }
        return java.util.Arrays.copyOf(bytes, count);
    }

    private static List<Header> headers(String printed) {
        List<Header> headers = new ArrayList<>();
        if (printed.equals("NO_HEADERS")) return headers;
        for (String each : printed.split(HEADER_SEPARATOR)) {
            int colon = each.indexOf(':');
            headers.add(new RecordHeader(each.substring(0, colon), bytes(each.substring(colon + 1))));
        }
        return headers;
    }
}
