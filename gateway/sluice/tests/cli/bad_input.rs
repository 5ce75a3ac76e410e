//! Every start that must not succeed: one line that says what to do, exit code not 0, within 10 s.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::client::Client;
use crate::fake_aws;
use crate::process::{Ended, Sluice};

/// The promise of the issue: a start that fails has failed by then.
const FAILS_WITHIN: Duration = Duration::from_secs(10);

const CREDENTIALS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];

/// Runs to its end, which must be a failure in time.
fn fail_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    #[allow(clippy::disallowed_methods, reason = "the time that a person waits is what is judged")]
    let started = Instant::now();
    let ended = Sluice::start_with(arguments, environment).end();
    #[allow(clippy::disallowed_methods, reason = "as above")]
    let took = started.elapsed();
    assert!(took < FAILS_WITHIN, "{arguments:?} took {took:?}");
    assert!(ended.code.is_some_and(|code| code != 0), "{arguments:?}: {:?} {}", ended.code, ended.stderr);
    assert_eq!(ended.stdout, Vec::<String>::new(), "{arguments:?}: stdout is for the ready line");
    ended
}

fn fail(arguments: &[&str]) -> Ended {
    fail_with(arguments, &[])
}

fn assert_says(ended: &Ended, words: &[&str]) {
    let line = ended.error_line();
    for word in words {
        assert!(line.contains(word), "{line:?} does not say {word:?}");
    }
}

fn serve_aws(endpoint: SocketAddr, environment: &[(&str, &str)]) -> Ended {
    let url = format!("http://{endpoint}");
    let free = ["serve", "--listen", "127.0.0.1:0", "--http", "off"];
    let aws = ["--store", "aws", "--bucket", "kafka", "--tables", "kafka", "--aws-endpoint", &url];
    fail_with(&[free.as_slice(), aws.as_slice()].concat(), environment)
}

#[test]
fn an_unknown_flag_is_named_with_the_one_that_was_meant() {
    let ended = fail(&["serve", "--data-dri", "x"]);
    assert_eq!(ended.code, Some(2));
    assert_says(&ended, &["--data-dri", "--data-dir", "--help"]);
}

#[test]
fn an_unknown_key_in_the_file_is_named_with_its_line() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("sluice.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:0\"\ndata_dir = \"x\"\n").unwrap();
    let file = file.to_str().unwrap();
    assert_says(&fail(&["serve", "--config", file]), &[file, "line 2", "`data_dir`", "`data-dir`"]);
    assert_says(&fail_with(&["check"], &[("SLUICE_CONFIG", file)]), &["`data_dir`"]);
}

#[test]
fn a_bad_value_names_where_it_came_from() {
    assert_says(&fail(&["serve", "--node-id", "x"]), &["--node-id", "\"x\""]);
    assert_says(&fail_with(&["serve"], &[("SLUICE_STORE", "s3")]), &["SLUICE_STORE", "memory disk aws"]);
    assert_says(&fail(&["serve", "--store", "aws"]), &["--bucket"]);
    assert_says(&fail(&["serve", "--config", "/nonexistent.toml"]), &["/nonexistent.toml"]);
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    let data_dir = data.to_str().unwrap();
    let ended = fail(&["serve", "--listen", &addr, "--http", "off", "--data-dir", data_dir]);
    assert_says(&ended, &[&addr, "--listen"]);
    let ended = fail(&["serve", "--listen", "127.0.0.1:0", "--http", &addr, "--data-dir", data_dir]);
    assert_says(&ended, &[&addr, "--http"]);
    assert!(!data.exists(), "a start that fails at its sockets leaves nothing behind");
    let port = taken.local_addr().unwrap().port().to_string();
    assert_says(&fail(&["dev", "--port", &port]), &[&addr]);
}

#[test]
fn an_address_nobody_can_connect_to_is_not_advertised() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let ended = fail(&["serve", "--store", "memory", "--http", "off", "--insecure", "--listen", listen]);
        assert_says(&ended, &[listen, "--advertise"]);
    }
    assert_says(&fail(&["serve", "--store", "memory", "--advertise", "0.0.0.0:9092"]), &["advertise"]);
}

#[test]
fn a_listener_that_others_can_reach_needs_insecure() {
    // 192.0.2.1 (RFC 5737) is no address of this machine: the refusal comes before any socket is opened.
    let ended = fail(&["serve", "--store", "memory", "--http", "off", "--listen", "192.0.2.1:9092"]);
    assert_says(&ended, &["192.0.2.1:9092", "--insecure"]);
    let ended = fail(&["serve", "--store", "memory", "--http", "off", "--listen", "192.0.2.1:9092", "--insecure"]);
    assert_says(&ended, &["192.0.2.1:9092", "this machine has no such address"]);
}

/// The lock is the holder's as long as it lives, and no longer, however it ends.
#[test]
fn a_data_directory_of_another_process_is_refused_until_that_one_is_gone() {
    let dir = tempdir().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let second = ["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir", data_dir];
    for ending in ["KILL", "TERM"] {
        let mut first = Sluice::serve(dir.path());
        let (kafka, _) = first.ready();
        for _ in 0..2 {
            let ended = fail(&second);
            assert_eq!(ended.code, Some(1));
            assert_says(&ended, &[&format!("`{data_dir}`"), &format!("pid {}", first.pid()), "stop that one"]);
        }
        assert!(!Client::connect(kafka).api_versions().api_keys.is_empty(), "the first one does not notice");
        first.signal(ending);
        first.end();
        let mut next = Sluice::serve(dir.path());
        next.ready();
        assert_says(&fail(&second), &[&format!("pid {}", next.pid())]);
    }
}

#[test]
fn a_data_directory_of_another_version_is_refused_and_left_alone() {
    let dir = tempdir().unwrap();
    let mut first = Sluice::serve(dir.path());
    first.ready();
    first.kill();
    let format = dir.path().join("FORMAT");
    let foreign = std::fs::read_to_string(&format).unwrap().replace('1', "9");
    std::fs::write(&format, &foreign).unwrap();
    let ended = Sluice::serve(dir.path()).end();
    assert_eq!(ended.code, Some(1));
    assert_says(&ended, &[dir.path().to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&format).unwrap(), foreign);
}

#[test]
fn a_data_directory_that_is_something_else_is_refused_and_left_alone() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("letter.txt");
    std::fs::write(&file, "not ours").unwrap();
    let ended = Sluice::serve(&file).end();
    assert_eq!(ended.code, Some(1));
    assert_says(&ended, &[file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not ours");
}

#[test]
fn an_endpoint_that_refuses_connections_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_says(&serve_aws(closed, &CREDENTIALS), &[&closed.to_string()]);
}

#[test]
fn an_endpoint_that_never_answers_is_named() {
    // The kernel completes connections to it, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap();
    assert_says(&serve_aws(addr, &CREDENTIALS), &[&addr.to_string()]);
}

#[test]
fn a_missing_bucket_or_table_is_named_with_the_flag_that_makes_it() {
    let ended = serve_aws(fake_aws::start_without_bucket_or_table(), &CREDENTIALS);
    assert_says(&ended, &["kafka", "--create"]);
}

#[test]
fn missing_credentials_are_one_line() {
    let closed = fake_aws::start_without_bucket_or_table();
    let ended = serve_aws(closed, &[("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nonexistent")]);
    assert_says(&ended, &["redentials"]);
}

#[test]
fn credentials_that_cannot_be_had_are_one_line_that_does_not_blame_the_endpoint() {
    // As on a machine without a role, where the metadata service refuses: the SDK would say so again and again.
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let metadata = format!("http://{}", service.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in service.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let environment = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.as_str()), ("HOME", "/nonexistent")];
    let ended = serve_aws(fake_aws::start_without_bucket_or_table(), &environment);
    assert_says(&ended, &["AWS_ACCESS_KEY_ID"]);
    assert!(!ended.stderr.contains("check --aws-endpoint"), "{}", ended.stderr);
}
