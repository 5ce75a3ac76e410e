// Message sets of magic 0 and 1 and batches of magic 2 as Apache Kafka 2.8.2 writes them, and what it makes of one from the
// other. Prints lines `name hex`, to be kept in message-sets-2.8.2.txt:
//
//   L=$(scripts/kafka classpath 2.8.2); java -cp "$L" MessageSets.java > message-sets-2.8.2.txt
//
// With a file of such lines as its argument it reads them as Kafka does, checks every CRC, and prints the records.

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.Time;

public class MessageSets {
    static final long NOON = 1_700_000_000_000L;
    static final CompressionType[] CODECS = {
        CompressionType.NONE, CompressionType.GZIP, CompressionType.SNAPPY, CompressionType.LZ4
    };

    static byte[] bytes(String text) {
        return text == null ? null : text.getBytes();
    }

    // Four records: with a key, without one, a tombstone, and one with a long value of few bytes.
    static MemoryRecords records(byte magic, CompressionType codec, TimestampType type, long baseOffset) {
        MemoryRecordsBuilder builder =
            MemoryRecords.builder(ByteBuffer.allocate(100), magic, codec, type, baseOffset, NOON + 5000);
        // Over a block of snappy-java's framing, where that does not make this file long.
        int length = codec == CompressionType.NONE ? 40 : 40_000;
        String[][] rows = {{"key", "value"}, {null, "only a value"}, {"tombstone", null}, {"long", "x".repeat(length)}};
        long[] times = {NOON, NOON + 100, NOON - 1, NOON + 50};
        Header[] headers = {new RecordHeader("h", bytes("dropped"))};
        for (int i = 0; i < rows.length; i++) {
            long offset = baseOffset + i;
            if (magic == RecordBatch.MAGIC_VALUE_V2) {
                builder.appendWithOffset(offset, times[i], bytes(rows[i][0]), bytes(rows[i][1]), headers);
            } else {
                long time = magic == 0 ? RecordBatch.NO_TIMESTAMP : times[i];
                builder.appendWithOffset(offset, time, bytes(rows[i][0]), bytes(rows[i][1]));
            }
        }
        return builder.build();
    }

    static void print(String name, MemoryRecords records) {
        ByteBuffer buffer = records.buffer().duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        System.out.println(name + " " + HexFormat.of().formatHex(bytes));
    }

    static void write() {
        for (CompressionType codec : CODECS) {
            for (byte magic = 0; magic < 2; magic++) {
                print("set-" + magic + "-" + codec.name, records(magic, codec, TimestampType.CREATE_TIME, 0));
            }
            print("stamped-1-" + codec.name, records((byte) 1, codec, TimestampType.LOG_APPEND_TIME, 0));
            for (TimestampType type : new TimestampType[] {TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME}) {
                MemoryRecords batch = records((byte) 2, codec, type, 100);
                print("batch-" + type.name + "-" + codec.name, batch);
                for (byte magic = 0; magic < 2; magic++) {
                    print("down-" + magic + "-" + type.name + "-" + codec.name,
                        batch.downConvert(magic, 101, Time.SYSTEM).records());
                }
            }
        }
    }

    static String show(ByteBuffer field) {
        if (field == null) {
            return "null";
        }
        byte[] bytes = new byte[field.remaining()];
        field.duplicate().get(bytes);
        return bytes.length > 100 ? bytes.length + " bytes" : new String(bytes);
    }

    static void read(Path file) throws Exception {
        for (String line : Files.readAllLines(file)) {
            String[] parts = line.split(" ");
            MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(HexFormat.of().parseHex(parts[1])));
            for (MutableRecordBatch batch : records.batches()) {
                batch.ensureValid();
                for (Record record : batch) {
                    record.ensureValid();
                    System.out.println(parts[0] + " magic=" + batch.magic() + " " + batch.compressionType().name + " "
                        + record.offset() + " " + batch.timestampType() + " " + record.timestamp() + " "
                        + show(record.key()) + " " + show(record.value()));
                }
            }
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length > 0) {
            read(Path.of(args[0]));
        } else {
            write();
        }
    }
}
