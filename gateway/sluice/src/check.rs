//! `sluice check`: would `serve` work with these settings, and if not, why?
//!
//! Promises: a line for each thing looked at, `ok   …` or `FAIL … — …` with what to do; everything that can be judged is
//! judged, whatever failed before. Never: creates a directory, a bucket or a table; writes anything but one small object
//! that it deletes again; opens a port. Called by [`crate::run`].

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sluice_runtime::{Entropy, OsEntropy, SharedClock, SharedEntropy, SystemClock};
use sluice_store::{ByteRange, MetadataLog, ObjectKey, ObjectStore, PutOptions, StoreResult};

use crate::config::Config;
use crate::listeners::{resolve, resolve_listen};
use crate::stores::{AwsStore, StoreConfig, open_bucket, open_dir, open_offsets_table, open_table};

/// Writes the lines, and remembers whether all was well.
struct Report<'a> {
    write: &'a mut dyn FnMut(&str),
    passed: bool,
}

impl Report<'_> {
    fn ok(&mut self, what: &str) {
        (self.write)(&format!("ok   {what}"));
    }

    fn fail(&mut self, what: &str, advice: &str) {
        self.passed = false;
        // One line each, whatever a library put into its message.
        let line = format!("FAIL {what} — {advice}").replace('\n', " ");
        (self.write)(&line);
    }
}

/// Looks at everything `serve` would need; true when nothing is wrong.
pub async fn check(config: &Config, write: &mut dyn FnMut(&str)) -> bool {
    let mut report = Report { write, passed: true };
    report.ok("configuration: every setting is legal");
    check_listeners(config, &mut report).await;
    let (clock, entropy): (SharedClock, SharedEntropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    match &config.store {
        StoreConfig::Memory => report.ok("store: memory, which needs nothing and keeps nothing"),
        StoreConfig::Disk { dir, .. } => check_disk(dir, &clock, &entropy, &mut report).await,
        StoreConfig::Aws(aws) => check_aws(aws, &clock, &entropy, &mut report).await,
    }
    report.passed
}

async fn check_aws(aws: &AwsStore, clock: &SharedClock, entropy: &SharedEntropy, report: &mut Report<'_>) {
    // Never creates, whatever --create says for `serve`.
    let aws = AwsStore { create: false, ..aws.clone() };
    let (bucket, table, offsets) =
        tokio::join!(open_bucket(&aws, clock), open_table(&aws, entropy), open_offsets_table(&aws));
    match bucket {
        Ok(objects) => {
            report.ok(&format!("bucket {}: reachable", aws.bucket));
            check_objects(&format!("bucket {}", aws.bucket), objects.as_ref(), report).await;
        }
        Err(error) => report.fail(&format!("bucket {}", aws.bucket), &format!("{error:#}")),
    }
    let name = aws.dynamodb().metadata_table();
    match table {
        Ok(log) => check_log(&format!("table {name}"), log.as_ref(), report),
        Err(error) => report.fail(&format!("table {name}"), &format!("{error:#}")),
    }
    let name = aws.dynamodb().offsets_table();
    match offsets {
        Ok(_) => report.ok(&format!("table {name}: committed offsets can be written")),
        Err(error) => report.fail(&format!("table {name}"), &format!("{error:#}")),
    }
}

async fn check_listeners(config: &Config, report: &mut Report<'_>) {
    match resolve_listen(config).await {
        Ok(addr) => {
            let advertised = config.gateway.advertise.as_ref().map_or_else(|| addr.to_string(), ToString::to_string);
            report.ok(&format!("listener {addr}: clients are told {advertised}"));
        }
        Err(error) => report.fail(&format!("listener {}", config.listen), &format!("{error:#}")),
    }
    if let Some(http) = &config.http {
        match resolve("http", http).await {
            Ok(addr) => report.ok(&format!("http {addr}")),
            Err(error) => report.fail(&format!("http {http}"), &format!("{error:#}")),
        }
    }
}

async fn check_disk(dir: &Path, clock: &SharedClock, entropy: &SharedEntropy, report: &mut Report<'_>) {
    let name = format!("data directory {}", dir.display());
    if is_missing_or_empty(dir) {
        return report.ok(&format!("{name}: nothing there yet, `serve` makes it"));
    }
    // Opening would leave a lock file in a folder that is something else.
    if dir.is_dir() && !dir.join("LOCK").exists() {
        return report.fail(&name, "it holds something else than a store: use an empty directory, or another");
    }
    match open_dir(dir, false, clock, entropy).await {
        Ok(opened) => {
            check_objects(&name, opened.objects.as_ref(), report).await;
            check_log(&name, opened.log.as_ref(), report);
        }
        Err(error) => report.fail(&name, &format!("{error:#}")),
    }
}

/// True also where a component of the path is missing; false where something else is in the way, which opening reports.
fn is_missing_or_empty(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// That the log could be opened says that its format is ours.
fn check_log(name: &str, log: &dyn MetadataLog, report: &mut Report<'_>) {
    report.ok(&format!("{name}: format known, incarnation {}", log.incarnation()));
}

/// Writes, lists, reads and deletes one object under a name that no segment has.
async fn check_objects(name: &str, objects: &dyn ObjectStore, report: &mut Report<'_>) {
    let key = match ObjectKey::new(format!("check-{:032x}", OsEntropy.next_u128())) {
        Ok(key) => key,
        Err(error) => return report.fail(name, &error.to_string()),
    };
    let written = write_and_read(objects, &key).await;
    let deleted = objects.delete(std::slice::from_ref(&key)).await.into_iter().collect::<StoreResult<Vec<()>>>();
    match written.and_then(|same| deleted.map(|_| same)) {
        Ok(true) => report.ok(&format!("{name}: objects can be written, listed, read and deleted")),
        Ok(false) => {
            report.fail(name, "an object that was written is not listed, or reads differently: use another store")
        }
        Err(error) => report.fail(name, &format!("{error}: permit what docs/configuration.md lists")),
    }
}

async fn write_and_read(objects: &dyn ObjectStore, key: &ObjectKey) -> StoreResult<bool> {
    let bytes = Bytes::from_static(b"written by `sluice check`, may be deleted");
    let options = PutOptions { create_only: true, ..PutOptions::default() };
    objects.put(key, bytes.clone().into(), options).await?;
    let listed = objects.list(key.as_str(), None, 1).await?;
    let read = objects.get(key, ByteRange::Full).await?;
    Ok(listed.iter().any(|found| found.key == *key) && read.chunks().concat() == bytes)
}
