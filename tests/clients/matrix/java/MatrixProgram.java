// The program of the client matrix for one version of Apache Kafka's own client, its console tools and its other tools.
//
// README.md, in the folder above, says what it promises. One source for kafka-clients from 2.1.1 to 4.3.1. Tools run
// inside this process, by their main class and with the arguments that people type: a JVM of its own for each would take
// longer than all they do.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.utils.AppInfoParser;

public final class MatrixProgram {
    /** Longest that a client may take for a job. */
    static final long PATIENCE_MS = TimeUnit.SECONDS.toMillis(30);

    /** The program's own output: the tools are given others. */
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    /** One of the clients in this program. */
    interface Client {
        int write(String bootstrap, String topic, long seed, int records, int partitions, String codec) throws Exception;

        void read(String bootstrap, Wanted wanted) throws Exception;
    }

    /** What a read job asks for, and how much of it is there. */
    static final class Wanted {
        static final class Topic {
            final int partitions;
            final int records;
            final Fields fields = new Fields();

            Topic(int partitions, int records) {
                this.partitions = partitions;
                this.records = records;
            }
        }

        final Map<String, Topic> topics = new LinkedHashMap<>();
        final long patienceMs;
        private final long untilNs;

        Wanted(long patienceMs, String text) {
            this.patienceMs = patienceMs;
            untilNs = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(patienceMs);
            for (String each : text.split(",")) {
                String[] words = each.split(":");
                topics.put(words[0], new Topic(Integer.parseInt(words[1]), Integer.parseInt(words[2])));
            }
        }

        /** Whether to go on; throws when it takes too long. */
        boolean isMissing() {
            StringBuilder missing = new StringBuilder();
            topics.forEach((name, topic) -> {
                if (topic.fields.count() < topic.records) {
                    missing.append(String.format(" %s: %d of %d", name, topic.fields.count(), topic.records));
                }
            });
            if (missing.length() > 0 && System.nanoTime() - untilNs > 0) {
                throw new IllegalStateException("after " + patienceMs + " ms:" + missing);
            }
            return missing.length() > 0;
        }
    }

    private final Map<String, Client> clients = new LinkedHashMap<>();
    private final Tools tools;

    private MatrixProgram(Path home) throws Exception {
        tools = new Tools(home.resolve("tools"));
        String version = AppInfoParser.getVersion();
        clients.put("java-" + version, new Library());
        clients.put("console-" + version, new Console(tools, version));
        for (String name : clients.keySet()) tell("client", name, version);
        tell("ready");
    }

    public static void main(String[] args) throws Exception {
        MatrixProgram program = new MatrixProgram(Path.of(args[0]));
        BufferedReader jobs = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = jobs.readLine(); line != null; line = jobs.readLine()) {
            try {
                program.run(line.split("\t", -1));
            } catch (Exception | LinkageError failed) {
                failed.printStackTrace();
                tell("error", failed.toString());
            }
            tell("done");
        }
        Runtime.getRuntime().halt(0); // the tools have left shutdown hooks, which have no business here
    }

    private void run(String[] job) throws Exception {
        if (job[0].equals("tool")) {
            Tools.Outcome outcome = tools.run(job[2], Arrays.copyOfRange(job, 3, job.length), "");
            for (String line : outcome.out.split("\n")) if (!line.isEmpty()) tell("out", line);
            for (String line : outcome.err.split("\n")) if (!line.isEmpty()) tell("err", line);
            tell("exit", String.valueOf(outcome.code));
            return;
        }
        Client client = clients.get(job[1]);
        if (client == null) throw new IllegalArgumentException("no such client: " + job[1]);
        if (job[0].equals("write")) {
            long seed = Long.parseLong(job[4]);
            int count = client.write(job[2], job[3], seed, Integer.parseInt(job[5]), Integer.parseInt(job[6]), job[7]);
            tell("wrote", String.valueOf(count));
        } else if (job[0].equals("read")) {
            Wanted wanted = new Wanted(Long.parseLong(job[3]), job[4]);
            try {
                client.read(job[2], wanted);
            } finally {
                wanted.topics.forEach((name, topic) -> {
                    if (topic.fields.count() >= topic.records) tell("read", name, topic.fields.toString());
                });
            }
        } else {
            throw new IllegalArgumentException("unknown job: " + job[0]);
        }
    }

    private static void tell(String... words) {
        List<String> clean = Arrays.asList(words);
        clean.replaceAll(word -> word.replace("\n", " | "));
        synchronized (OUT) {
            OUT.println(String.join("\t", clean));
        }
    }
}
