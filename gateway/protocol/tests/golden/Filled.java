// Fills every message of Apache Kafka's own classes with values that follow from the names of the fields alone, in every
// version that this kafka-clients has, and prints what Java's serialiser makes of it: `Name version fill hex`. No byte of ours
// goes in, so a field that we lack or call by another name shows. The fills are those of `sample::Fill`; one that gives the
// same bytes as an earlier one of its version is left out. Versions in the second file are left out too: so Kafka 2.8 adds what
// Kafka 4 dropped.
//
//   java -cp CLASSPATH Filled.java names.txt [filled-by-another.txt] > filled.txt
//
// tests/conformance/golden runs it.

import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;

public class Filled {
    enum Fill { VALUES, NULL_LEAVES, NULL_CONTAINERS, DEFAULTS }

    // Arrays within arrays within arrays: none lie deeper.
    static final int DEPTHS = 4;

    // What differs between Kafka 2.8 and 4.3, whose names and defaults ours are; looked at only when 2.8 is asked.
    static final Map<String, String> RENAMED = Map.of(
        "DescribableLogDirTopic.partition_index", "partitions",
        "FetchablePartitionResponse.partition", "partition_index",
        "FetchablePartitionResponse.record_set", "records",
        "FetchableTopicResponse.partition_responses", "partitions",
        "OffsetCommitRequestData.generation_id", "generation_id_or_member_epoch");
    static final Map<String, Object> NEW_DEFAULTS = Map.of("FetchRequestData.replica_id", -1);
    static boolean isOld = false;

    final Fill fill;
    final int filledDepth;
    final short version;

    Filled(Fill fill, int filledDepth, short version) {
        this.fill = fill;
        this.filledDepth = filledDepth;
        this.version = version;
    }

    public static void main(String[] args) throws Exception {
        Set<String> written = new HashSet<>();
        if (args.length > 1) {
            isOld = true;
            for (String line : Files.readAllLines(Path.of(args[1]))) {
                String[] parts = line.split(" ");
                written.add(parts[0] + " " + parts[1]);
            }
        }
        StringBuilder out = new StringBuilder();
        for (String name : Files.readAllLines(Path.of(args[0]))) {
            Class<?> type;
            try {
                String suffix = name.startsWith("ConsumerProtocol") ? "" : "Data";
                type = Class.forName("org.apache.kafka.common.message." + name + suffix);
            } catch (ClassNotFoundException e) {
                continue;
            }
            Message empty = (Message) type.getConstructor().newInstance();
            for (short version = empty.lowestSupportedVersion(); version <= empty.highestSupportedVersion(); version++) {
                if (!written.contains(name + " " + version)) {
                    Set<String> seen = new HashSet<>();
                    add(out, seen, name, "values", new Filled(Fill.VALUES, 0, version), type);
                    add(out, seen, name, "null-leaves", new Filled(Fill.NULL_LEAVES, 0, version), type);
                    add(out, seen, name, "null-containers", new Filled(Fill.NULL_CONTAINERS, 0, version), type);
                    for (int depth = 0; depth < DEPTHS; depth++) {
                        add(out, seen, name, "defaults-" + depth, new Filled(Fill.DEFAULTS, depth, version), type);
                    }
                }
            }
        }
        System.out.print(out);
    }

    static void add(StringBuilder out, Set<String> seen, String name, String how, Filled filled, Class<?> type)
            throws Exception {
        Message message = filled.message(type, name, 0);
        if (filled.fill == Fill.NULL_LEAVES || filled.fill == Fill.NULL_CONTAINERS) {
            filled.setNulls(message, message);
        }
        String hex = HexFormat.of().formatHex(filled.write(message));
        if (seen.add(hex)) {
            out.append(name).append(' ').append(filled.version).append(' ').append(how).append(' ').append(hex).append('\n');
        }
    }

    byte[] write(Message message) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer out = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(out), cache, version);
        if (out.hasRemaining()) {
            throw new IllegalStateException(message + " is shorter than it said");
        }
        return out.array();
    }

    // The fields of a struct that the version has, tagged ones too, by their names in Kafka's schemas.
    Map<String, Field> fields(Class<?> type) throws Exception {
        Map<String, Field> byName = new LinkedHashMap<>();
        for (Field field : type.getDeclaredFields()) {
            field.setAccessible(true);
            byName.put(toSnakeCase(field.getName()), field);
        }
        List<String> names = new ArrayList<>();
        Schema schema = ((Schema[]) type.getField("SCHEMAS").get(null))[version];
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields) {
                Field tagged = TaggedFields.class.getDeclaredField("fields");
                tagged.setAccessible(true);
                for (Object one : ((Map<?, ?>) tagged.get(field.def.type)).values()) {
                    names.add(((org.apache.kafka.common.protocol.types.Field) one).name);
                }
            } else {
                names.add(field.def.name);
            }
        }
        Map<String, Field> found = new LinkedHashMap<>();
        for (String name : names) {
            String ours = isOld ? RENAMED.getOrDefault(type.getSimpleName() + "." + name, name) : name;
            found.put(ours, Objects.requireNonNull(byName.get(name), () -> type + " has no " + name));
        }
        return found;
    }

    static String toSnakeCase(String camelCase) {
        return camelCase.replaceAll("([A-Z])", "_$1").toLowerCase();
    }

    Message message(Class<?> type, String path, int depth) throws Exception {
        Message message = (Message) type.getConstructor().newInstance();
        for (Map.Entry<String, Field> entry : fields(type).entrySet()) {
            Field field = entry.getValue();
            Object byDefault = field.get(message);
            if (isOld) {
                byDefault = NEW_DEFAULTS.getOrDefault(type.getSimpleName() + "." + entry.getKey(), byDefault);
            }
            String fieldPath = path + "." + entry.getKey();
            Object value = byDefault;
            if (!isLeaf(field.getType())) {
                boolean mayKeep = byDefault == null || byDefault instanceof Collection;
                if (fill != Fill.DEFAULTS || !mayKeep || depth < filledDepth) {
                    value = container(field.getGenericType(), fieldPath, depth);
                }
            } else if (fill != Fill.DEFAULTS) {
                value = leaf(field.getType(), fieldPath);
                if (fill == Fill.VALUES && field.getType() != boolean.class && value.equals(byDefault)) {
                    throw new IllegalStateException(fieldPath + " would get its default, which proves nothing");
                }
            }
            field.set(message, value);
        }
        return message;
    }

    static boolean isLeaf(Class<?> type) {
        return !Message.class.isAssignableFrom(type) && !Collection.class.isAssignableFrom(type);
    }

    // A struct, or an array.
    Object container(Type type, String path, int depth) throws Exception {
        if (type instanceof Class<?> struct && Message.class.isAssignableFrom(struct)) {
            return message(struct, path, depth);
        }
        Collection<Object> elements;
        Type of;
        if (type instanceof ParameterizedType list) {
            elements = new ArrayList<>();
            of = list.getActualTypeArguments()[0];
        } else {
            @SuppressWarnings("unchecked")
            Collection<Object> empty = (Collection<Object>) ((Class<?>) type).getConstructor().newInstance();
            elements = empty;
            of = ((ParameterizedType) ((Class<?>) type).getGenericSuperclass()).getActualTypeArguments()[0];
        }
        int count = fill == Fill.DEFAULTS || (hash(path) >> 8 & 1) == 0 ? 1 : 2;
        for (int index = 0; index < count; index++) {
            String at = path + "." + index;
            Class<?> element = (Class<?>) of;
            elements.add(isLeaf(element) ? leaf(element, at) : message(element, at, depth + 1));
        }
        return elements;
    }

    Object leaf(Class<?> type, String path) {
        long hash = fill == Fill.DEFAULTS ? 0 : hash(path);
        byte[] bytes = fill == Fill.DEFAULTS ? new byte[0] : new byte[] {(byte) (hash >> 8), (byte) hash};
        switch (type.getSimpleName()) {
            case "boolean": return fill != Fill.DEFAULTS && ((hash & 1) == 1) == (fill == Fill.VALUES);
            case "byte": case "Byte": return (byte) hash;
            case "short": case "Short": return (short) hash;
            case "int": case "Integer": return (int) hash;
            case "long": case "Long": return hash;
            case "Uuid": return new Uuid(hash, hash);
            case "String": return fill == Fill.DEFAULTS ? "" : Long.toHexString(hash & 0xffff);
            case "byte[]": return bytes;
            case "ByteBuffer": return ByteBuffer.wrap(bytes);
            case "BaseRecords": return records(ByteBuffer.wrap(bytes));
            default: throw new IllegalStateException(path + " is of an unknown type " + type);
        }
    }

    // The class has moved between the two versions.
    static Object records(ByteBuffer bytes) {
        for (String in : List.of("record", "record.internal")) {
            try {
                Class<?> type = Class.forName("org.apache.kafka.common." + in + ".MemoryRecords");
                return type.getMethod("readableRecords", ByteBuffer.class).invoke(null, bytes);
            } catch (ReflectiveOperationException e) {
                // The other one.
            }
        }
        throw new IllegalStateException("no class of records");
    }

    // Which fields may be null is asked of the serialiser: it refuses the others.
    void setNulls(Message root, Object at) throws Exception {
        for (Field field : fields(at.getClass()).values()) {
            Object value = field.get(at);
            boolean wanted = isLeaf(field.getType()) == (fill == Fill.NULL_LEAVES);
            if (wanted && !field.getType().isPrimitive()) {
                field.set(at, null);
                try {
                    write(root);
                    continue;
                } catch (NullPointerException refused) {
                    field.set(at, value);
                }
            }
            Collection<?> parts = value instanceof Collection ? (Collection<?>) value : Arrays.asList(value);
            for (Object part : parts) {
                if (part instanceof Message) {
                    setNulls(root, part);
                }
            }
        }
    }

    // FNV-1a, folded so that its low bits depend on all of it.
    static long hash(String path) {
        long hash = 0xcbf29ce484222325L;
        for (byte next : path.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ (next & 0xff)) * 0x100000001b3L;
        }
        return hash ^ hash >>> 32;
    }
}
