// One consumer of a group with Apache Kafka's own client, in a process of its own: a member program of the group suites.
//
// member.py, in the folder above, says what it promises: options, events on standard output, commands on standard input.
// One source for kafka-clients 2.8.2 and 4.3.1 (there the classic protocol, which is the default). Periodic commits are
// asynchronous, those on revocation and at the end synchronous.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public final class Member implements ConsumerRebalanceListener {
    private static final Map<String, Class<?>> ASSIGNORS = Map.of(
            "range", RangeAssignor.class,
            "roundrobin", RoundRobinAssignor.class,
            "sticky", StickyAssignor.class,
            "cooperative-sticky", CooperativeStickyAssignor.class);
    private static final Set<String> OPTIONS = Set.of(
            "bootstrap", "group", "topic", "assignor", "client-id", "instance-id", "session-ms", "max-poll-ms",
            "heartbeat-ms", "commit-ms", "auto-offset-reset");
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final BlockingQueue<String> commands = new ArrayBlockingQueue<>(16);
    /** The next offset of every partition that this member owns, and what of it is committed. */
    private final Map<TopicPartition, Long> next = new HashMap<>();
    private final Map<TopicPartition, Long> committed = new HashMap<>();
    /** One at a time, so that callbacks come in the order of the commits. */
    private boolean commitIsInFlight = false;

    private Member(Properties settings) {
        consumer = new KafkaConsumer<>(settings);
    }

    public static void main(String[] args) {
        Map<String, String> asked = parse(args);
        int outcome = 0;
        try {
            Member member = new Member(settings(asked));
            outcome = member.run(asked.get("topic"), Integer.parseInt(asked.getOrDefault("commit-ms", "200")));
        } catch (KafkaException failed) {
            tellError(failed, true);
            outcome = 1;
        }
        tell("closed", "");
        System.exit(outcome);
    }

    private static Map<String, String> parse(String[] args) {
        Map<String, String> asked = new HashMap<>();
        for (int i = 0; i + 1 < args.length; i += 2) {
            String name = args[i].startsWith("--") ? args[i].substring(2) : "";
            if (!OPTIONS.contains(name)) usage("unknown option " + args[i]);
            asked.put(name, args[i + 1]);
        }
        if (args.length % 2 != 0) usage("an option without its value");
        for (String needed : List.of("bootstrap", "group", "topic")) {
            if (!asked.containsKey(needed)) usage("--" + needed + " is needed");
        }
        if (!ASSIGNORS.containsKey(asked.getOrDefault("assignor", "range"))) usage("unknown assignor");
        return asked;
    }

    private static void usage(String wrong) {
        System.err.println("member: " + wrong + "; options: --" + String.join(" --", OPTIONS));
        System.exit(2);
    }

    private static Properties settings(Map<String, String> asked) {
        String session = asked.getOrDefault("session-ms", "10000");
        String heartbeat = String.valueOf(Math.max(1, Math.min(1000, Integer.parseInt(session) / 3)));
        Properties settings = new Properties();
        settings.put("bootstrap.servers", asked.get("bootstrap"));
        settings.put("group.id", asked.get("group"));
        settings.put("client.id", asked.getOrDefault("client-id", "member-java"));
        if (asked.containsKey("instance-id")) settings.put("group.instance.id", asked.get("instance-id"));
        settings.put("partition.assignment.strategy", ASSIGNORS.get(asked.getOrDefault("assignor", "range")).getName());
        settings.put("session.timeout.ms", session);
        settings.put("max.poll.interval.ms", asked.getOrDefault("max-poll-ms", session));
        settings.put("heartbeat.interval.ms", asked.getOrDefault("heartbeat-ms", heartbeat));
        settings.put("auto.offset.reset", asked.getOrDefault("auto-offset-reset", "earliest"));
        settings.put("enable.auto.commit", "false");
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        return settings;
    }

    private int run(String topic, int commitMs) {
        Thread reader = new Thread(this::readCommands, "commands");
        reader.setDaemon(true);
        reader.start();
        int outcome = 0;
        try {
            consumer.subscribe(List.of(topic), this);
            consume(commitMs);
            long giveUpAtNs = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
            while (!commitNow(next.keySet()) && System.nanoTime() - giveUpAtNs < 0) poll();
        } catch (KafkaException failed) {
            tellError(failed, true);
            outcome = 1;
        }
        try {
            consumer.close(); // revokes what it has: the listener below is called
        } catch (KafkaException failed) {
            tellError(failed, false);
        }
        return outcome;
    }

    private void consume(int commitMs) {
        long commitAtNs = System.nanoTime();
        while (!stopAsked()) {
            poll();
            if (System.nanoTime() - commitAtNs >= 0 && !commitIsInFlight) {
                commitLater();
                commitAtNs = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(commitMs);
            }
        }
    }

    /** Errors that pass are told; others are thrown. */
    private void poll() {
        try {
            ConsumerRecords<byte[], byte[]> polled = consumer.poll(Duration.ofMillis(100));
            for (TopicPartition partition : polled.partitions()) process(partition, polled.records(partition));
        } catch (RetriableException passing) {
            tellError(passing, false);
        }
    }

    private void process(TopicPartition partition, List<ConsumerRecord<byte[], byte[]>> records) {
        long first = records.get(0).offset();
        long last = records.get(records.size() - 1).offset();
        tell("records", String.format(",\"partition\":%d,\"first\":%d,\"last\":%d,\"count\":%d",
                partition.partition(), first, last, records.size()));
        next.put(partition, last + 1);
    }

    private void commitLater() {
        Map<TopicPartition, OffsetAndMetadata> offsets = uncommitted(next.keySet());
        if (offsets.isEmpty()) return;
        commitIsInFlight = true;
        consumer.commitAsync(offsets, (done, failed) -> {
            commitIsInFlight = false;
            if (failed == null) commitSucceeded(done);
            else if (!(failed instanceof RebalanceInProgressException)) tellError(failed, false);
        });
    }

    /** Returns false when it must be tried again after a poll: a cooperative member keeps its partitions while it rejoins. */
    private boolean commitNow(Collection<TopicPartition> partitions) {
        Map<TopicPartition, OffsetAndMetadata> offsets = uncommitted(partitions);
        if (offsets.isEmpty()) return true;
        try {
            consumer.commitSync(offsets);
            commitSucceeded(offsets);
        } catch (RebalanceInProgressException rebalancing) {
            return false;
        } catch (FencedInstanceIdException fenced) {
            throw fenced;
        } catch (KafkaException failed) {
            tellError(failed, false);
        }
        return true;
    }

    private Map<TopicPartition, OffsetAndMetadata> uncommitted(Collection<TopicPartition> partitions) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition partition : partitions) {
            Long offset = next.get(partition);
            if (offset != null && !offset.equals(committed.get(partition))) {
                offsets.put(partition, new OffsetAndMetadata(offset));
            }
        }
        return offsets;
    }

    private void commitSucceeded(Map<TopicPartition, OffsetAndMetadata> offsets) {
        Map<Integer, Long> byNumber = new TreeMap<>();
        offsets.forEach((partition, at) -> {
            byNumber.put(partition.partition(), at.offset());
            // A partition that was given up since is not this member's business any more.
            if (next.containsKey(partition)) committed.merge(partition, at.offset(), Math::max);
        });
        tell("committed", byNumber.entrySet().stream()
                .map(each -> "\"" + each.getKey() + "\":" + each.getValue())
                .collect(Collectors.joining(",", ",\"offsets\":{", "}")));
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
        tellPartitions("assigned", assigned);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
        if (!commitNow(revoked)) tellError(new RebalanceInProgressException("not committed"), false);
        giveUp("revoked", revoked);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> lost) {
        giveUp("lost", lost);
    }

    private void giveUp(String event, Collection<TopicPartition> partitions) {
        next.keySet().removeAll(new HashSet<>(partitions));
        committed.keySet().removeAll(new HashSet<>(partitions));
        if (!partitions.isEmpty()) tellPartitions(event, partitions);
    }

    private void readCommands() {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) commands.put(line.trim());
            commands.put("stop");
        } catch (IOException | InterruptedException ended) {
            commands.clear();
            commands.offer("stop");
        }
    }

    /** Carries out what came; returns whether the member shall leave. A pause ends early when it shall. */
    private boolean stopAsked() {
        long pauseNs = 0;
        long fromNs = System.nanoTime();
        while (true) {
            String command;
            try {
                command = commands.poll(pauseNs - (System.nanoTime() - fromNs), TimeUnit.NANOSECONDS);
            } catch (InterruptedException interrupted) {
                return true;
            }
            if (command == null) return false;
            String[] words = command.split(" +");
            if (words[0].equals("stop")) return true;
            if (words[0].equals("pause") && words.length == 2) {
                fromNs = System.nanoTime();
                pauseNs = TimeUnit.MILLISECONDS.toNanos(Long.parseLong(words[1]));
            } else if (!command.isEmpty()) {
                tellError(new IllegalArgumentException("unknown command: " + command), false);
            }
        }
    }

    private static void tellPartitions(String event, Collection<TopicPartition> partitions) {
        List<Integer> numbers = new ArrayList<>();
        for (TopicPartition partition : partitions) numbers.add(partition.partition());
        numbers.sort(null);
        tell(event, ",\"partitions\":" + numbers.toString().replace(" ", ""));
    }

    private static void tellError(Exception error, boolean fatal) {
        String text = error.getClass().getSimpleName() + ": " + error.getMessage();
        StringBuilder quoted = new StringBuilder();
        for (char each : text.toCharArray()) {
            if (each == '"' || each == '\\') quoted.append('\\').append(each);
            else if (each < ' ') quoted.append(String.format("\\u%04x", (int) each));
            else quoted.append(each);
        }
        tell("error", ",\"message\":\"" + quoted + "\",\"fatal\":" + fatal);
    }

    private static void tell(String event, String fields) {
        Instant now = Instant.now();
        long atUs = now.getEpochSecond() * 1_000_000 + now.getNano() / 1000;
        OUT.println("{\"event\":\"" + event + "\",\"at_us\":" + atUs + fields + "}");
    }
}
