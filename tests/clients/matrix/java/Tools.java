import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Modifier;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
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
            super(ENDED + code, null, false, false);
        }
    }

    /** Goes where it is told at the time: what asks for `System.out` once and keeps it, as Scala does, is redirected too. */
    private static final class Switch extends OutputStream {
        private final OutputStream usual;
        private OutputStream now;

        Switch(OutputStream usual) {
            this.usual = usual;
            now = usual;
        }

        ByteArrayOutputStream begin() {
            ByteArrayOutputStream caught = new ByteArrayOutputStream();
            now = caught;
            return caught;
        }

        void end() {
            now = usual;
        }

        @Override
        public synchronized void write(int each) throws IOException {
            now.write(each);
        }

        @Override
        public synchronized void write(byte[] bytes, int from, int count) throws IOException {
            now.write(bytes, from, count);
        }

        @Override
        public synchronized void flush() throws IOException {
            now.flush();
        }
    }

    /** What some tools print of our exit. */
    private static final String ENDED = "the tool exits with ";

    private final Switch out = new Switch(System.err); // what a client prints outside a run is no answer
    private final Switch err = new Switch(System.err);
    /** Main class by tool, as `scripts/kafka classes` prints them. */
    private final Map<String, String> classes = new HashMap<>();
    /** What the tool that runs would do at the end of its process. */
    private final List<Runnable> atEnd = new ArrayList<>();
    private final boolean handsOverHooks;
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
        handsOverHooks = takeShutdownHooks();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
    }

    /** Whether the tools of this version hand us what they want done at the end of their process. */
    private boolean takeShutdownHooks() {
        try { // since 2.5
            Class<?> adder = Class.forName("org.apache.kafka.common.utils.Exit$ShutdownHookAdder");
            Object mine = Proxy.newProxyInstance(adder.getClassLoader(), new Class<?>[] {adder}, (proxy, method, args) -> {
                atEnd.add((Runnable) args[1]);
                return null;
            });
            Exit.class.getMethod("setShutdownHookAdder", adder).invoke(null, mine);
            return true;
        } catch (ReflectiveOperationException older) {
            return false;
        }
    }

    /** Those of older versions tell the JVM: a console producer sends the end of what it was given only there. */
    @SuppressWarnings("unchecked")
    private static Map<Thread, Thread> hooksOfTheJvm() throws ReflectiveOperationException {
        Field hooks = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
        hooks.setAccessible(true); // by --add-opens
        return (Map<Thread, Thread>) hooks.get(null);
    }

    private void end(Set<Thread> before) throws ReflectiveOperationException {
        for (Runnable each : atEnd) each.run();
        if (handsOverHooks) return;
        Map<Thread, Thread> hooks = hooksOfTheJvm();
        for (Thread each : List.copyOf(hooks.keySet())) {
            if (!before.contains(each)) {
                hooks.remove(each);
                each.run();
            }
        }
    }

    /** Runs a tool with this typed into it. */
    Outcome run(String name, String[] args, String typed) throws Exception {
        String main = classes.get(name);
        if (main == null) throw new IllegalArgumentException("this version has no " + name);
        forgetCount(main);
        InputStream inBefore = System.in;
        ByteArrayOutputStream outCaught = out.begin();
        ByteArrayOutputStream errCaught = err.begin();
        Set<Thread> before = handsOverHooks ? Set.of() : Set.copyOf(hooksOfTheJvm().keySet());
        Outcome outcome = new Outcome();
        try {
            System.setIn(new ByteArrayInputStream(typed.getBytes(StandardCharsets.UTF_8)));
            outcome.code = call(main, args);
            end(before);
            System.out.flush();
            System.err.flush();
        } finally {
            atEnd.clear();
            out.end();
            err.end();
            System.setIn(inBefore);
        }
        outcome.out = outCaught.toString(StandardCharsets.UTF_8);
        outcome.err = Arrays.stream(errCaught.toString(StandardCharsets.UTF_8).split("\n"))
                .filter(line -> !line.contains(ENDED))
                .collect(Collectors.joining("\n"));
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
