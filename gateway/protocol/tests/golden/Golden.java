// Passes encoded messages through Apache Kafka's own Java serialiser: reads lines `Name version hex`, decodes each with the
// generated class of kafka-clients, encodes it again, and prints the line with the bytes that Java wrote.
//
//   SLUICE_PRINT_SAMPLES=1 cargo test -p sluice-protocol --test golden_java -- --nocapture | grep '^sample ' | cut -d' ' -f2- > samples.txt
//   java -cp kafka-clients-4.3.1.jar Golden.java samples.txt > kafka-clients-4.3.1.txt

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

public class Golden {
    public static void main(String[] args) throws Exception {
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] parts = line.split(" ");
            short version = Short.parseShort(parts[1]);
            byte[] bytes = parts.length > 2 ? HexFormat.of().parseHex(parts[2]) : new byte[0];
            String name = "org.apache.kafka.common.message." + parts[0] + "Data";
            Message message = (Message) Class.forName(name).getConstructor().newInstance();
            ByteBuffer in = ByteBuffer.wrap(bytes);
            message.read(new ByteBufferAccessor(in), version);
            if (in.hasRemaining()) {
                throw new IllegalStateException(line + ": bytes left");
            }
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer out = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(out), cache, version);
            System.out.println(parts[0] + " " + version + " " + HexFormat.of().formatHex(out.array()));
        }
    }
}
