// Says in which versions Apache Kafka's own Java serialiser refuses a message: reads the lines `Name version hex` that
// Golden.java reads, decodes each, tries to encode it in every version there is, and prints `Name version number refused…`: the
// number of the line among those of its message and version, and the versions that refused it, if any.
//
//   java -cp CLASSPATH Refused.java samples.txt > refused.txt
//
// tests/conformance/golden runs it.

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

public class Refused {
    public static void main(String[] args) throws Exception {
        Map<String, Integer> numbers = new HashMap<>();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] parts = line.split(" ");
            short version = Short.parseShort(parts[1]);
            int number = numbers.merge(parts[0] + " " + parts[1], 1, Integer::sum) - 1;
            byte[] bytes = parts.length > 2 ? HexFormat.of().parseHex(parts[2]) : new byte[0];
            String suffix = parts[0].startsWith("ConsumerProtocol") ? "" : "Data";
            String name = "org.apache.kafka.common.message." + parts[0] + suffix;
            Message message;
            try {
                message = (Message) Class.forName(name).getConstructor().newInstance();
            } catch (ClassNotFoundException e) {
                // An API that this Kafka does not have yet.
                continue;
            }
            if (version < message.lowestSupportedVersion() || version > message.highestSupportedVersion()) {
                continue;
            }
            message.read(new ByteBufferAccessor(ByteBuffer.wrap(bytes)), version);
            StringBuilder refused = new StringBuilder();
            for (short to = message.lowestSupportedVersion(); to <= message.highestSupportedVersion(); to++) {
                try {
                    ObjectSerializationCache cache = new ObjectSerializationCache();
                    ByteBuffer out = ByteBuffer.allocate(message.size(cache, to));
                    message.write(new ByteBufferAccessor(out), cache, to);
                } catch (UnsupportedVersionException | NullPointerException e) {
                    // A value the version lacks; a null where it has none.
                    refused.append(' ').append(to);
                }
            }
            System.out.println(parts[0] + " " + version + " " + number + refused);
        }
    }
}
