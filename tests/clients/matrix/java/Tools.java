import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.utils.Exit;

/** Kafka's command-line tools, run by their main class in this process, one at a time. */
final class Tools {
    /** What a run has left. */
    static final class Outcome {
        int code;
        String out;
        String err;
    }

    /** What a tool's call of `exit` becomes: an error, because they catch exceptions, and then exit with 1. */
    private static final class Ended extends Error {
        private static final long serialVersionUID = 1;

        Ended(int code) {
            super("exit " + code, null, false, false);
        }
    }

    /** Main class by tool, as `scripts/kafka classes` prints them. */
    private final Map<String, String> classes = new HashMap<>();
    /** What the tool that runs would do at the end of its process. */
    private final List<Runnable> atEnd = new ArrayList<>();
    private final boolean endsTools;
    /** The code of the first call of `exit`, which in a process of its own would have been the last. */
    private Integer exitCode;

    Tools(Path list) throws IOException {
        for (String line : Files.readAllLines(list)) {
            String[] words = line.trim().split(" +");
            if (words.length == 2) classes.put(words[0], words[1]);
        }
        Exit.setExitProcedure((code, message) -> {
            if (exitCode == null) exitCode = code;
            throw new Ended(code);
        });
        endsTools = takeShutdownHooks();
    }

    /** Whether what a tool does when its process ends, such as sending what it has buffered, is done after each run. */
    boolean endsTools() {
        return endsTools;
    }

    private boolean takeShutdownHooks() {
        try { // since 2.5
            Class<?> adder = Class.forName("org.apache.kafka.common.utils.Exit$ShutdownHookAdder");
            Object mine = java.lang.reflect.Proxy.newProxyInstance(adder.getClassLoader(), new Class<?>[] {adder}, (p, m, args) -> {
                atEnd.add((Runnable) args[1]);
                return null;
            });
            Exit.class.getMethod("setShutdownHookAdder", adder).invoke(null, mine);
            return true;
        } catch (ReflectiveOperationException older) {
            return false;
        }
    }

    /** Runs a tool with this typed into it. */
    Outcome run(String name, String[] args, String typed) throws Exception {
        String main = classes.get(name);
        if (main == null) throw new IllegalArgumentException("this version has no " + name);
        forgetCount(main);
        PrintStream outBefore = System.out;
        PrintStream errBefore = System.err;
        InputStream inBefore = System.in;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Outcome outcome = new Outcome();
        try {
            System.setOut(new PrintStream(out, false, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(err, false, StandardCharsets.UTF_8));
            System.setIn(new ByteArrayInputStream(typed.getBytes(StandardCharsets.UTF_8)));
            outcome.code = call(main, args);
            for (Runnable each : atEnd) each.run();
            System.out.flush();
            System.err.flush();
        } finally {
            atEnd.clear();
            System.setOut(outBefore);
            System.setErr(errBefore);
            System.setIn(inBefore);
        }
        outcome.out = out.toString(StandardCharsets.UTF_8);
        outcome.err = err.toString(StandardCharsets.UTF_8);
        return outcome;
    }

    private int call(String main, String[] args) throws Exception {
        exitCode = null;
        try {
            Class.forName(main).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException wrapped) {
            if (exitCode == null) {
                wrapped.getCause().printStackTrace();
                return 1;
            }
        }
        return exitCode == null ? 0 : exitCode;
    }

    /** The console consumer counts what it has printed over all its runs in one process. */
    private static void forgetCount(String main) {
        for (String name : new String[] {main, main + "$"}) {
            try {
                Class<?> holder = Class.forName(name);
                Field count = holder.getDeclaredField("messageCount");
                count.setAccessible(true);
                count.setInt(Modifier.isStatic(count.getModifiers()) ? null : holder.getField("MODULE$").get(null), 0);
            } catch (ReflectiveOperationException none) {
                continue;
            }
        }
    }
}
