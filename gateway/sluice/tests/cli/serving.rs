//! `serve` and `dev` while they run, and how they stop.

use tempfile::tempdir;

use crate::client::{Client, get};
use crate::process::Sluice;

#[test]
fn dev_says_where_it_is_and_answers() {
    let mut dev = Sluice::start(&["dev", "--port", "0"]);
    let addr = dev.bootstrap();
    assert!(addr.ip().is_loopback() && addr.port() != 0);
    let mut client = Client::connect(addr);
    assert!(!client.api_versions().api_keys.is_empty());
    assert_eq!(client.produce("made-by-produce", b"value"), 0);
    assert!(client.fetch("made-by-produce", 0).windows(5).any(|part| part == b"value"));
    dev.signal("INT");
    assert_eq!(dev.end().code, Some(0));
}

#[test]
fn dev_serves_http_only_when_asked() {
    let mut dev = Sluice::start(&["dev", "--port", "0", "--http-port", "0"]);
    dev.bootstrap();
    let http = dev.line();
    let http = http.strip_prefix("http: ").unwrap().parse().unwrap();
    assert_eq!(get(http, "/readyz").0, 200);
    let mut without = Sluice::start(&["dev", "--port", "0"]);
    without.bootstrap();
    without.signal("TERM");
    assert_eq!(without.end().stdout, Vec::<String>::new());
}

#[test]
fn clients_are_told_the_port_that_was_taken_or_the_address_that_was_given() {
    let broker = |sluice: &mut Sluice| {
        let (addr, _) = sluice.ready();
        let brokers = Client::connect(addr).metadata("t").brokers;
        assert_eq!(brokers.len(), 1);
        (addr, brokers[0].node_id, format!("{}:{}", brokers[0].host.as_str(), brokers[0].port))
    };
    let serve = ["serve", "--store", "memory", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let mut plain = Sluice::start(&serve);
    let (addr, node_id, told) = broker(&mut plain);
    assert_eq!((node_id, told), (1, addr.to_string()));
    let more = ["--advertise", "kafka.example.com:19092", "--node-id", "7"];
    let mut behind = Sluice::start(&[serve.as_slice(), more.as_slice()].concat());
    let (_, node_id, told) = broker(&mut behind);
    assert_eq!((node_id, told.as_str()), (7, "kafka.example.com:19092"));
}

#[test]
fn topics_are_not_made_when_they_must_not_be() {
    let mut strict = Sluice::start(&[
        "serve",
        "--store",
        "memory",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--auto-create-topics",
        "false",
    ]);
    let (addr, _) = strict.ready();
    let topics = Client::connect(addr).metadata("never-made").topics;
    assert_eq!(i16::from(topics[0].error_code), 3, "UNKNOWN_TOPIC_OR_PARTITION");
    let mut open = Sluice::start_with(
        &["serve", "--store", "memory", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"],
        &[("SLUICE_NUM_PARTITIONS", "3")],
    );
    let (addr, _) = open.ready();
    let topics = Client::connect(addr).metadata("made").topics;
    assert_eq!((i16::from(topics[0].error_code), topics[0].partitions.len()), (0, 3));
}

#[test]
fn http_says_alive_ready_and_how_much() {
    let dir = tempdir().unwrap();
    let mut sluice = Sluice::serve(dir.path());
    let (kafka, http) = sluice.ready();
    Client::connect(kafka).api_versions();
    assert_eq!(get(http, "/livez").0, 200);
    assert_eq!(get(http, "/readyz").0, 200);
    let (status, metrics) = get(http, "/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("# EOF"), "not OpenMetrics text: {metrics}");
    assert_eq!(get(http, "/").0, 404);
}

/// Holds: I-01
#[test]
fn sigterm_ends_in_zero_and_the_record_is_there_after_a_restart() {
    let parent = tempdir().unwrap();
    // Missing, with a missing parent: a fresh machine.
    let dir = parent.path().join("new").join("data");
    let mut first = Sluice::serve(&dir);
    let (kafka, _) = first.ready();
    assert_eq!(Client::connect(kafka).produce("kept", b"the record"), 0);
    first.signal("TERM");
    let ended = first.end();
    assert_eq!((ended.code, ended.stdout.len()), (Some(0), 0), "{}", ended.stderr);

    let mut second = Sluice::serve(&dir);
    let (kafka, _) = second.ready();
    let mut client = Client::connect(kafka);
    assert!(client.fetch("kept", 0).windows(10).any(|part| part == b"the record"));
    assert_eq!(client.produce("kept", b"another"), 1);
}

/// Holds: I-01
#[test]
fn an_acknowledged_record_survives_kill_nine() {
    let dir = tempdir().unwrap();
    let mut first = Sluice::serve(dir.path());
    let (kafka, _) = first.ready();
    let mut client = Client::connect(kafka);
    for n in 0..20 {
        assert_eq!(client.produce("kept", format!("record {n};").as_bytes()), n);
    }
    first.kill();
    let mut second = Sluice::serve(dir.path());
    let (kafka, _) = second.ready();
    let mut client = Client::connect(kafka);
    for n in 0..20 {
        let wanted = format!("record {n};");
        let found = client.fetch("kept", n);
        assert!(found.windows(wanted.len()).any(|part| part == wanted.as_bytes()), "{wanted}");
    }
    assert_eq!(client.produce("kept", b"next"), 20);
}

#[test]
fn a_second_signal_does_not_wait_for_the_first() {
    let mut sluice = Sluice::start(&[
        "serve",
        "--store",
        "memory",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--drain-delay-ms",
        "10000",
    ]);
    let (_, http) = sluice.ready();
    sluice.signal("TERM");
    // The drain has begun, and still serves.
    while get(http, "/readyz").0 == 200 {}
    assert_eq!(get(http, "/livez").0, 200);
    sluice.signal("INT");
    assert_eq!(sluice.end().code, Some(130));
}

#[test]
fn the_printed_configuration_gives_itself() {
    let dir = tempdir().unwrap();
    let print = |arguments: &[&str], environment: &[(&str, &str)]| {
        let all = [&["serve", "--print-config"], arguments].concat();
        let ended = Sluice::start_with(&all, environment).end();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        ended.stdout.join("\n")
    };
    let arguments = ["--store", "aws", "--bucket", "b", "--advertise", "h:1", "--drain-delay-ms", "7"];
    let first = print(&arguments, &[("SLUICE_NODE_ID", "3"), ("AWS_SECRET_ACCESS_KEY", "hidden")]);
    assert!(first.contains("node-id = 3") && first.contains("bucket = \"b\"") && !first.contains("hidden"), "{first}");
    let file = dir.path().join("sluice.toml");
    std::fs::write(&file, &first).unwrap();
    assert_eq!(print(&["--config", file.to_str().unwrap()], &[]), first);
}

#[test]
fn log_lines_go_to_stderr_as_json_when_asked() {
    let mut sluice = Sluice::start(&[
        "serve",
        "--store",
        "memory",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ]);
    sluice.ready();
    sluice.signal("TERM");
    let ended = sluice.end();
    assert!(ended.stderr.lines().count() > 0 && ended.stdout.is_empty());
    for line in ended.stderr.lines() {
        assert!(line.starts_with('{') && line.ends_with('}') && line.contains("\"level\":"), "{line}");
    }
}
