//! `sluice check`: a line for each thing looked at, and nothing changed.

use std::net::TcpListener;

use tempfile::tempdir;

use crate::fake_aws;
use crate::process::{Ended, Sluice};

fn check(arguments: &[&str]) -> Ended {
    let credentials = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
    let ended = Sluice::start_with(&[&["check"], arguments].concat(), &credentials).end();
    for line in &ended.stdout {
        assert!(line.starts_with("ok   ") || (line.starts_with("FAIL ") && line.contains(" — ")), "{line:?}");
    }
    ended
}

fn failures(ended: &Ended) -> Vec<&str> {
    ended.stdout.iter().map(String::as_str).filter(|line| line.starts_with("FAIL")).collect()
}

#[test]
fn memory_is_fine() {
    let ended = check(&["--store", "memory"]);
    assert_eq!((ended.code, failures(&ended)), (Some(0), vec![]));
    assert!(ended.stdout.len() >= 2, "{:?}", ended.stdout);
}

#[test]
fn a_missing_directory_is_fine_and_stays_missing() {
    let parent = tempdir().unwrap();
    let dir = parent.path().join("data");
    let ended = check(&["--data-dir", dir.to_str().unwrap()]);
    assert_eq!((ended.code, failures(&ended)), (Some(0), vec![]));
    assert!(!dir.exists());
}

#[test]
fn a_directory_tells_its_format_and_incarnation_unless_a_process_holds_it() {
    let dir = tempdir().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let mut serving = Sluice::serve(dir.path());
    serving.ready();
    let held = check(&["--data-dir", data_dir]);
    assert_eq!(held.code, Some(1));
    assert!(failures(&held)[0].contains("process"), "{:?}", held.stdout);
    serving.kill();
    let free = check(&["--data-dir", data_dir]);
    assert_eq!((free.code, failures(&free)), (Some(0), vec![]));
    assert!(free.stdout.iter().any(|line| line.contains("incarnation")), "{:?}", free.stdout);
}

#[test]
fn a_listener_that_would_be_refused_is_reported() {
    let ended = check(&["--store", "memory", "--listen", "0.0.0.0:9092"]);
    assert_eq!(ended.code, Some(1));
    assert!(failures(&ended)[0].contains("--advertise"), "{:?}", ended.stdout);
}

#[test]
fn everything_wrong_with_aws_is_reported_not_only_the_first() {
    let url = format!("http://{}", fake_aws::start_without_bucket_or_table());
    let ended = check(&["--store", "aws", "--bucket", "kafka", "--aws-endpoint", &url]);
    assert_eq!((ended.code, failures(&ended).len()), (Some(1), 3), "{:?}", ended.stdout);
    for line in failures(&ended) {
        assert!(line.contains("--create"), "{line:?}");
    }
}

#[test]
fn an_endpoint_out_of_reach_is_reported() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = check(&["--store", "aws", "--bucket", "kafka", "--aws-endpoint", &format!("http://{closed}")]);
    assert_eq!((ended.code, failures(&ended).len()), (Some(1), 3), "{:?}", ended.stdout);
}
