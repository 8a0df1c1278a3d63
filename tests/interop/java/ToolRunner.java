// tests/interop/java/ToolRunner.java: runs Apache Kafka's command line tools, many mains in one JVM.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.common.utils.Exit;

/**
 * A JVM costs seconds of CPU to start, a tool's main milliseconds. One JSON object a line comes in
 * ({tool, args, stdin, seconds}), one goes out ({code, out, err}). The tools leave through Kafka's
 * Exit class, whose procedure is replaced by an exception here.
 */
public final class ToolRunner {
    private static final Map<String, String> CLASSES = Stream.of(
        "topics TopicCommand", "console-producer ConsoleProducer", "get-offsets GetOffsetShell",
        "console-consumer consumer.ConsoleConsumer", "producer-perf-test ProducerPerformance",
        "consumer-perf-test ConsumerPerformance", "log-dirs LogDirsCommand",
        "delete-records DeleteRecordsCommand", "cluster ClusterTool", "dump-log DumpLogSegments",
        "acls AclCommand", "groups GroupsCommand",
        "broker-api-versions BrokerApiVersionsCommand", "metadata-quorum MetadataQuorumCommand",
        "features FeatureCommand", "transactions TransactionsCommand",
        "leader-election LeaderElectionCommand", "consumer-groups consumer.group.ConsumerGroupCommand",
        "reassign-partitions reassign.ReassignPartitionsCommand")
        .map(line -> line.split(" "))
        .collect(Collectors.toMap(pair -> pair[0], pair -> "org.apache.kafka.tools." + pair[1]));

    /** Thrown instead of leaving the JVM. Some tools catch it and exit again: the first code counts. */
    private static final class Left extends RuntimeException {
        Left() {
            super("", null, false, false);
        }

        @Override
        public void printStackTrace() {}
    }

    private static final AtomicReference<Integer> LEFT_WITH = new AtomicReference<>();
    /** The console producer, for one, sends its last batch in its shutdown hook. */
    private static final List<Runnable> HOOKS = new CopyOnWriteArrayList<>();

    private static void leave(int code) {
        LEFT_WITH.compareAndSet(null, code);
        throw new Left();
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        BufferedReader requests =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        ObjectMapper json = new ObjectMapper();
        Exit.setExitProcedure((code, message) -> leave(code));
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        Exit.setHaltProcedure((code, message) -> leave(code));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            ObjectNode answer = run(json, json.readTree(line));
            answers.println(json.writeValueAsString(answer));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static ObjectNode run(ObjectMapper json, JsonNode request) throws Exception {
        List<String> args = json.convertValue(request.get("args"), json.getTypeFactory()
            .constructCollectionType(List.class, String.class));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int[] code = {0};
        LEFT_WITH.set(null);
        PrintStream outStream = new PrintStream(out, true, StandardCharsets.UTF_8);
        PrintStream errStream = new PrintStream(err, true, StandardCharsets.UTF_8);
        System.setIn(new ByteArrayInputStream(
            request.get("stdin").asText().getBytes(StandardCharsets.UTF_8)));
        System.setOut(outStream);
        System.setErr(errStream);
        String tool = request.get("tool").asText();
        Thread thread = new Thread(
            () -> {
                code[0] = call(className(tool), args.toArray(new String[0]), errStream);
                HOOKS.forEach(Runnable::run);
                HOOKS.clear();
            }, tool);
        thread.setDaemon(true);
        thread.start();
        thread.join(TimeUnit.SECONDS.toMillis(request.get("seconds").asLong()));
        if (thread.isAlive()) {
            code[0] = -1;
            errStream.println("the tool was still busy at:");
            for (StackTraceElement frame : thread.getStackTrace()) {
                errStream.println("  " + frame);
            }
            thread.interrupt();
        }
        ObjectNode answer = json.createObjectNode();
        answer.put("code", code[0]);
        answer.put("out", out.toString(StandardCharsets.UTF_8));
        answer.put("err", err.toString(StandardCharsets.UTF_8));
        return answer;
    }

    private static String className(String tool) {
        switch (tool) {
            case "configs":
                return "kafka.admin.ConfigCommand";
            case "storage":
                return "kafka.tools.StorageTool";
            case "metadata-shell":
                return "org.apache.kafka.shell.MetadataShell";
            default:
                return CLASSES.getOrDefault(tool, tool);
        }
    }

    private static int call(String className, String[] args, PrintStream err) {
        try {
            Class.forName(className).getMethod("main", String[].class).invoke(null, (Object) args);
            return LEFT_WITH.get() == null ? 0 : LEFT_WITH.get();
        } catch (InvocationTargetException thrown) {
            if (LEFT_WITH.get() != null) {
                return LEFT_WITH.get();
            }
            thrown.getCause().printStackTrace(err);
            return 1;
        } catch (ReflectiveOperationException wrong) {
            wrong.printStackTrace(err);
            return 1;
        }
    }
}
