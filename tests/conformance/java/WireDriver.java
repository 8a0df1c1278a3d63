// tests/conformance/java/WireDriver.java: makes and checks instances of Kafka's own messages.
//
//   WireDriver emit LIBS SEED RANDOM_COUNT OUT   default, all-null and random instances, encoded
//   WireDriver check LIBS IN REPORT              decodes, encodes again and compares
//
// Messages are found by scanning the jars for generated classes, so none can be forgotten here. A
// stream holds entries of: kind byte, name (writeUTF), version short, length int, bytes.
import java.io.*;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import java.util.jar.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.utils.ImplicitLinkedHashCollection;

public final class WireDriver {
    static final byte DEFAULT = 'd';
    static final byte ALL_NULL = 'n';
    static final byte RANDOM = 'r';
    static final String GENERATED = ".*/(common/message|common/metadata|generated)/\\w+\\.class";
    static final List<String> JARS = List.of("kafka-clients", "kafka-metadata", "kafka-raft",
        "kafka-group-coordinator", "kafka-transaction-coordinator", "kafka-share-coordinator");
    // Kept as a JSON file, never on the wire.
    static final Set<String> NOT_WIRE = Set.of("QuorumStateData");

    static Random random;
    static boolean allNull;
    static final Map<String, Boolean> nullable = new HashMap<>();

    public static void main(String[] args) throws Exception {
        TreeMap<String, Class<?>> messages = scan(args[1]);
        if (args[0].equals("emit")) {
            emit(messages, Long.parseLong(args[2]), Integer.parseInt(args[3]), args[4]);
        } else {
            check(messages, args[2], args[3]);
        }
    }

    static TreeMap<String, Class<?>> scan(String libs) throws Exception {
        TreeMap<String, Class<?>> found = new TreeMap<>();
        for (File file : Objects.requireNonNull(new File(libs).listFiles())) {
            String jar = file.getName().replaceFirst("-[0-9.]+\\.jar$", "");
            if (!JARS.contains(jar)) continue;
            try (JarFile entries = new JarFile(file)) {
                for (JarEntry entry : Collections.list(entries.entries())) {
                    String path = entry.getName();
                    if (!path.endsWith(".class") || path.contains("$")) continue;
                    if (!path.matches(GENERATED)) continue;
                    Class<?> c = Class.forName(path.replace(".class", "").replace('/', '.'));
                    if (!ApiMessage.class.isAssignableFrom(c) || c.isInterface()) continue;
                    String name = c.getSimpleName();
                    if (NOT_WIRE.contains(name) || versions(c).isEmpty()) continue;
                    found.put(name.replaceFirst("(Request|Response|Header)Data$", "$1"), c);
                }
            }
        }
        return found;
    }

    static Message fresh(Class<?> c) throws Exception {
        return (Message) c.getConstructor().newInstance();
    }

    static List<Short> versions(Class<?> c) throws Exception {
        Message message = fresh(c);
        List<Short> all = new ArrayList<>();
        int highest = message.highestSupportedVersion();
        for (int v = message.lowestSupportedVersion(); v <= highest; v++) {
            all.add((short) v);
        }
        return all;
    }

    static byte[] encode(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) throw new IllegalStateException("size and bytes differ");
        return buffer.array();
    }

    static void emit(Map<String, Class<?>> messages, long seed, int count, String out)
            throws Exception {
        try (FileOutputStream file = new FileOutputStream(out);
                DataOutputStream stream = new DataOutputStream(new BufferedOutputStream(file))) {
            for (Map.Entry<String, Class<?>> entry : messages.entrySet()) {
                String name = entry.getKey();
                Class<?> c = entry.getValue();
                for (short version : versions(c)) {
                    put(stream, DEFAULT, name, version, fresh(c));
                    random = new Random(seed * 1_000_003 + name.hashCode() * 31L + version);
                    allNull = true;
                    put(stream, ALL_NULL, name, version, (Message) make(c, version));
                    allNull = false;
                    for (int i = 0; i < count; i++) {
                        put(stream, RANDOM, name, version, (Message) make(c, version));
                    }
                }
            }
        }
    }

    static void put(DataOutputStream stream, byte kind, String name, short version, Message message)
            throws IOException {
        byte[] bytes = encode(message, version);
        stream.writeByte(kind);
        stream.writeUTF(name);
        stream.writeShort(version);
        stream.writeInt(bytes.length);
        stream.write(bytes);
    }

    static void check(Map<String, Class<?>> messages, String in, String report) throws Exception {
        Set<String> seen = new TreeSet<>();
        Map<String, String> wrong = new TreeMap<>();
        try (FileInputStream file = new FileInputStream(in);
                DataInputStream stream = new DataInputStream(new BufferedInputStream(file))) {
            int kind;
            while ((kind = stream.read()) >= 0) {
                String name = stream.readUTF();
                short version = stream.readShort();
                byte[] bytes = stream.readNBytes(stream.readInt());
                String id = name + " v" + version;
                seen.add(id);
                String problem = problemOf(messages.get(name), version, bytes);
                if (problem != null) wrong.putIfAbsent(id, "kind " + (char) kind + ": " + problem);
            }
        }
        int all = 0;
        for (Map.Entry<String, Class<?>> entry : messages.entrySet()) {
            for (short version : versions(entry.getValue())) {
                String id = entry.getKey() + " v" + version;
                if (!seen.remove(id)) wrong.putIfAbsent(id, "not in the stream");
                all++;
            }
        }
        for (String id : seen) wrong.putIfAbsent(id, "no such message version in Kafka");
        wrong.forEach((id, problem) -> System.err.println(id + " " + problem));
        Files.writeString(Path.of(report), (all - wrong.size()) + " " + all + "\n");
    }

    static String problemOf(Class<?> c, short version, byte[] bytes) throws Exception {
        if (c == null) return "unknown message";
        try {
            Message message = fresh(c);
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            message.read(new ByteBufferAccessor(buffer), version);
            if (buffer.hasRemaining()) return "bytes left after decoding";
            if (Arrays.equals(encode(message, version), bytes)) return null;
            return "encodes to other bytes: " + message;
        } catch (RuntimeException problem) {
            return problem.toString();
        }
    }

    /** The names (squeezed) of the fields a struct has in a version. */
    static Map<String, Type> fieldsAt(Class<?> c, short version) throws Exception {
        Map<String, Type> names = new HashMap<>();
        Schema schema = ((Schema[]) c.getField("SCHEMAS").get(null))[version];
        if (schema == null) return names;
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields) {
                Field map = TaggedFields.class.getDeclaredField("fields");
                map.setAccessible(true);
                for (Object tagged : ((Map<?, ?>) map.get(field.def.type)).values()) {
                    var f = (org.apache.kafka.common.protocol.types.Field) tagged;
                    names.put(squeeze(f.name), f.type);
                }
                names.put("_tags", Type.INT8);
            } else {
                names.put(squeeze(field.def.name), field.def.type);
            }
        }
        return names;
    }

    static String squeeze(String name) {
        return name.replace("_", "").toLowerCase(Locale.ROOT);
    }

    static Object make(Class<?> c, short version) throws Exception {
        Object made = fresh(c);
        Map<String, Type> present = fieldsAt(c, version);
        for (Field field : c.getDeclaredFields()) {
            if (Modifier.isStatic(field.getModifiers())) continue;
            Type type = present.get(squeeze(field.getName()));
            if (type == null || field.getName().equals("_unknownTaggedFields")) continue;
            if (isLink(c, field)) continue;
            field.setAccessible(true);
            boolean mayBeNull = !field.getType().isPrimitive() && nullableAt(c, field, version);
            if (mayBeNull && (allNull || random.nextInt(4) == 0)) {
                field.set(made, null);
            } else if (!allNull && random.nextInt(8) == 0) {
                continue;  // keeps the default
            } else {
                field.set(made, value(field.getGenericType(), type, version));
            }
        }
        if (present.containsKey("_tags") && random.nextInt(4) == 0) {
            RawTaggedField tag =
                new RawTaggedField(1000 + random.nextInt(500), bytes(random.nextInt(30)));
            ((Message) made).unknownTaggedFields().add(tag);
        }
        for (Field field : c.getDeclaredFields()) {
            field.setAccessible(true);
            if (field.getType().getSimpleName().equals("BaseRecords") && field.get(made) == null
                && !nullableAt(c, field, version)) {
                field.set(made, MemoryRecords.EMPTY);
            }
        }
        return made;
    }

    /** The list links that generated elements of keyed collections carry. */
    static boolean isLink(Class<?> c, Field field) {
        return ImplicitLinkedHashCollection.Element.class.isAssignableFrom(c)
            && (field.getName().equals("next") || field.getName().equals("prev"));
    }

    /** Whether null can be written, found by trying. */
    static boolean nullableAt(Class<?> c, Field field, short version) throws Exception {
        String id = c.getName() + " " + field.getName() + " " + version;
        Boolean known = nullable.get(id);
        if (known != null) return known;
        boolean can = true;
        try {
            Message probe = fresh(c);
            field.setAccessible(true);
            field.set(probe, null);
            encode(probe, version);
        } catch (NullPointerException refused) {
            can = false;
        }
        nullable.put(id, can);
        return can;
    }

    static byte[] bytes(int size) {
        byte[] data = new byte[size];
        random.nextBytes(data);
        return data;
    }

    static long number() {
        return switch (random.nextInt(5)) {
            case 0 -> 0;
            case 1 -> -1;
            case 2 -> random.nextInt(600) - 300;
            default -> random.nextLong();
        };
    }

    static String text() {
        StringBuilder out = new StringBuilder();
        int length = random.nextInt(16) == 0 ? random.nextInt(300) : random.nextInt(12);
        for (int i = 0; i < length; i++) out.append((char) ('a' + random.nextInt(26)));
        if (random.nextInt(8) == 0) out.append("\u00e9\u20ac\ud83d\ude00");
        return out.toString();
    }

    static Object value(java.lang.reflect.Type type, Type wire, short version) throws Exception {
        if (type instanceof ParameterizedType list) {
            return fill(new ArrayList<>(), list.getActualTypeArguments()[0], wire, version);
        }
        Class<?> c = (Class<?>) type;
        if (c == boolean.class) return random.nextBoolean();
        if (c == byte.class || c == Byte.class) return (byte) number();
        if (c == short.class || c == Short.class) return (short) number();
        if (c == int.class || c == Integer.class) {
            return (int) (wire == Type.UINT16 ? number() & 0xffff : number());
        }
        if (c == long.class || c == Long.class) {
            return wire == Type.UNSIGNED_INT32 ? number() & 0xffffffffL : number();
        }
        if (c == double.class) return number() / 8.0;
        if (c == String.class) return text();
        if (c == Uuid.class) return new Uuid(number(), number());
        if (c == byte[].class) return bytes(random.nextInt(16) == 0 ? 3000 : random.nextInt(40));
        if (c == ByteBuffer.class) return ByteBuffer.wrap(bytes(random.nextInt(40)));
        if (c.getSimpleName().equals("BaseRecords")) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes(random.nextInt(90))));
        }
        if (Collection.class.isAssignableFrom(c)) {
            ParameterizedType parent = (ParameterizedType) c.getGenericSuperclass();
            @SuppressWarnings("unchecked")
            Collection<Object> made = (Collection<Object>) c.getConstructor().newInstance();
            return fill(made, parent.getActualTypeArguments()[0], wire, version);
        }
        return make(c, version);
    }

    static Object fill(Collection<Object> out, java.lang.reflect.Type element, Type wire,
            short version) throws Exception {
        Type inner = wire.arrayElementType().orElse(wire);
        int count = random.nextInt(4);
        for (int i = 0; i < count; i++) out.add(value(element, inner, version));
        return out;
    }
}
