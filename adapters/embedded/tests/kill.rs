//! kill −9 of a process that writes to a data directory: what it was told is there when the directory is opened again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use sluice_embedded::{DiskConfig, DiskStores, open_disk};
use sluice_runtime::{OsEntropy, SystemClock};
use sluice_store::{
    ByteRange, Consistency, LogPosition, MetadataLog, ObjectKey, ObjectStore, PutOptions, Sealed, TailRead,
};

/// Tells the child's half of the test where to write.
const CHILD_DIR: &str = "SLUICE_TEST_KILL_DIR";
/// What `Child::kill` sends.
const SIGKILL: i32 = 9;
/// How often the writer is killed.
const KILLS: usize = 4;
/// What it has been told of before each kill.
const WRITES_BEFORE_KILL: usize = 25;

fn open(dir: &Path) -> DiskStores {
    open_disk(DiskConfig::new(dir, true), Arc::new(SystemClock), Arc::new(OsEntropy)).unwrap()
}

fn key(n: u64) -> ObjectKey {
    ObjectKey::new(format!("session/{}/{n}", n % 3)).unwrap()
}

fn object(n: u64) -> Bytes {
    Bytes::from(n.to_be_bytes().repeat(2_000))
}

/// The child: for n = 1, 2, …, puts object n, appends element n from where the log ends, and says so.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let stores = open(Path::new(&dir));
    let mut known = LogPosition(elements(&stores).await.len() as u64);
    loop {
        let n = known.next().0;
        // A put that the last kill cut short may be there whole.
        let replaced = PutOptions { create_only: false, crc32c: None };
        stores.objects.put(&key(n), object(n).into(), replaced).await.unwrap();
        let entry = Sealed { session: 1, sequence: n, bytes: Bytes::from(format!("entry {n}")) };
        let staged = stores.log.stage(&entry).await.unwrap();
        stores.log.append(&[staged], known).await.unwrap();
        known = known.next();
        println!("\ntold {n}");
    }
}

async fn elements(stores: &DiskStores) -> Vec<u64> {
    match stores.log.read(LogPosition::ZERO, Consistency::Strong).await.unwrap() {
        TailRead::Tail(tail) => tail.elements.iter().map(|element| element.sequence).collect(),
        TailRead::Trimmed => panic!("nothing was trimmed"),
    }
}

fn start(dir: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["child_that_writes_until_it_is_killed", "--exact", "--nocapture", "--test-threads=1"]);
    child.env(CHILD_DIR, dir).stdout(Stdio::piped()).stderr(Stdio::null());
    child.spawn().unwrap()
}

/// The last n that the child was told of, of `count`.
fn wait_for_writes(stdout: &mut impl BufRead, count: usize) -> u64 {
    let mut told = stdout.lines().filter_map(|line| line.unwrap().strip_prefix("told ")?.parse().ok());
    told.nth(count - 1).expect("the child writes until it is killed")
}

/// I-01, L6: nothing that was acknowledged is missing, and the log has no gap.
#[tokio::test]
async fn what_was_told_survives_kill_minus_nine() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..KILLS {
        let mut child = start(dir.path());
        // Held open until the child is dead: with its output closed it would end by itself, and in good order.
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let told = wait_for_writes(&mut stdout, WRITES_BEFORE_KILL);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL), "killed while it wrote");
        let stores = open(dir.path());
        let found = elements(&stores).await;
        assert!(found.len() as u64 >= told, "element {told} was told, and {} are there", found.len());
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>(), "no gap, none twice");
        for n in 1..=found.len() as u64 {
            let got = stores.objects.get(&key(n), ByteRange::Full).await.unwrap().to_bytes();
            assert!(got == object(n), "object {n} is whole");
        }
    }
}
