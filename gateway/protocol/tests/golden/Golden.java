// Passes encoded messages through Apache Kafka's own Java serialiser: reads lines `Name version hex`, decodes each with the
// generated class of kafka-clients, encodes it again, and prints the line with the bytes that Java wrote. Versions that this
// kafka-clients does not have are left out, and so are those in the second file: so Kafka 2.8 adds what Kafka 4 dropped.
//
// A tagged field in them that Java does not know would come back as it went in: that there is none is checked.
//
//   java -cp CLASSPATH Golden.java samples.txt [written-by-another.txt] > written.txt
//
// tests/conformance/golden runs it.

import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Set;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

public class Golden {
    public static void main(String[] args) throws Exception {
        Set<String> written = new HashSet<>();
        if (args.length > 1) {
            for (String line : Files.readAllLines(Path.of(args[1]))) {
                String[] parts = line.split(" ");
                written.add(parts[0] + " " + parts[1]);
            }
        }
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] parts = line.split(" ");
            short version = Short.parseShort(parts[1]);
            byte[] bytes = parts.length > 2 ? HexFormat.of().parseHex(parts[2]) : new byte[0];
            // Data of requests and responses; the structs of the consumer protocol are named as they are.
            String suffix = parts[0].startsWith("ConsumerProtocol") ? "" : "Data";
            String name = "org.apache.kafka.common.message." + parts[0] + suffix;
            Message message;
            try {
                message = (Message) Class.forName(name).getConstructor().newInstance();
            } catch (ClassNotFoundException e) {
                // An API that this Kafka does not have yet.
                continue;
            }
            boolean has = message.lowestSupportedVersion() <= version && version <= message.highestSupportedVersion();
            if (!has || written.contains(parts[0] + " " + parts[1])) {
                continue;
            }
            ByteBuffer in = ByteBuffer.wrap(bytes);
            message.read(new ByteBufferAccessor(in), version);
            if (in.hasRemaining()) {
                throw new IllegalStateException(line + ": bytes left");
            }
            checkTags(message, line);
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer out = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(out), cache, version);
            System.out.println(parts[0] + " " + version + " " + HexFormat.of().formatHex(out.array()));
        }
    }

    static void checkTags(Object part, String line) throws Exception {
        if (part instanceof Collection) {
            for (Object element : (Collection<?>) part) {
                checkTags(element, line);
            }
        }
        if (part instanceof Message) {
            if (!((Message) part).unknownTaggedFields().isEmpty()) {
                throw new IllegalStateException(line + ": unknown tagged fields in " + part);
            }
            for (Field field : part.getClass().getDeclaredFields()) {
                if (!Modifier.isStatic(field.getModifiers())) {
                    field.setAccessible(true);
                    checkTags(field.get(part), line);
                }
            }
        }
    }
}
