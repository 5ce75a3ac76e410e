//! A disk that is full, and one that fails a sync: what is refused, what is said, what goes on, what is there afterwards.

use sluice_powercut::disk::{Disk, Trouble};
use sluice_powercut::machine::{Machine, SyncKind};
use sluice_store::{StoreError, StoreErrorKind};

use super::requests::{Known, REQUESTS, Request, ask, check, cut, filled, open, try_open};

const NO_SPACE: &str = "No space left on device";
const IO_ERROR: &str = "Input/output error";

fn assert_says(error: &StoreError, wanted: &[&str], when: &str) {
    let message = error.to_string();
    assert!(wanted.iter().any(|wanted| message.contains(wanted)), "{when}: {message:?} does not say {wanted:?}");
}

/// Holds: I-01, I-11 (whatever finds the disk full fails and says so; nothing acknowledged is lost, reads go on, and
/// when there is room again so do writes)
#[tokio::test]
async fn a_full_disk_refuses_what_it_has_no_room_for_and_nothing_else() {
    fill_up(Trouble::FullAfter).await;
}

/// Holds: I-01, I-11 (the same where the database can be opened again, and fails again, while the disk is full)
#[tokio::test]
async fn a_full_disk_that_overwrites_in_place_refuses_no_more() {
    fill_up(Trouble::FullButInPlaceAfter).await;
}

/// Holds: I-11 (what is told not to have happened did not, whatever the file system says)
#[tokio::test]
async fn a_disk_that_says_it_is_full_and_writes_all_the_same_is_not_believed() {
    fill_up(Trouble::FullInWordOnlyAfter).await;
}

async fn fill_up(full_after: fn(u64) -> Trouble) {
    let mut refused = 0;
    for room in 0.. {
        let mut known = Known::default();
        let (disk, stores) = filled(&mut known).await;
        disk.set_trouble(full_after(room));
        for request in REQUESTS {
            if let Err(error) = ask(&stores, request, &mut known).await {
                assert_says(&error, &[NO_SPACE], &format!("room for {room}, {request:?}"));
                refused += 1;
            }
            let when = format!("room for {room}, after {request:?}");
            check(&stores, &known, &when).await;
            // What a restart would find, had the process been killed, or the power been lost, by now.
            check(&open(&Disk::of(disk.machine())), &known, &format!("{when}, killed")).await;
            check(&open(&cut(&disk)), &known, &format!("{when}, power lost")).await;
        }
        let was_full = disk.refusals() > 0;
        disk.set_trouble(Trouble::None);
        // The same process goes on by itself.
        for request in [Request::Put(200), Request::Append(201, 70_000), Request::Show(202), Request::Delete(200)] {
            let answer = ask(&stores, request, &mut known).await;
            answer.unwrap_or_else(|error| panic!("room for {room}, and now for more: {request:?}: {error}"));
        }
        check(&stores, &known, &format!("room for {room}, and now for more")).await;
        let cut = cut(&disk);
        check(&open(&cut), &known, &format!("room for {room}, then the power was lost")).await;
        if !was_full {
            assert!(room > 10 && refused > 10, "{room} operations want space, {refused} requests were refused");
            return;
        }
    }
}

/// Design section 10: after an fsync error the store refuses writes until it is restarted; what was acknowledged before
/// is there then. And then for good: a second sync of the same pages would succeed without them.
/// Holds: I-01, I-11
#[tokio::test]
async fn after_any_failed_sync_writes_are_refused_and_a_restart_goes_on() {
    for kind in [SyncKind::Folder, SyncKind::File, SyncKind::Database] {
        let mut failed = 0;
        for after in 0.. {
            let when = format!("{kind:?} sync {after}");
            let mut known = Known::default();
            let (disk, stores) = filled(&mut known).await;
            disk.set_trouble(Trouble::SyncFails(kind, after));
            let mut is_refused = false;
            for request in REQUESTS {
                match ask(&stores, request, &mut known).await {
                    Ok(()) => assert!(!is_refused, "{when}: {request:?} was taken after a failed sync"),
                    Err(error) if is_refused => {
                        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{when}: {request:?}: {error}");
                        assert_says(&error, &["check the disk and restart sluice"], &when);
                    }
                    Err(error) => {
                        assert_says(&error, &[IO_ERROR], &when);
                        is_refused = true;
                    }
                }
            }
            if disk.refusals() == 0 {
                break;
            }
            assert!(is_refused, "{when}: nobody was told");
            failed += 1;
            drop(stores);
            // The process is started again, over the same kernel.
            let stores = open(&disk);
            check(&stores, &known, &format!("{when}, started again")).await;
            for request in
                [Request::Put(200), Request::Append(201, 70_000), Request::Append(202, 10), Request::Show(203)]
            {
                ask(&stores, request, &mut known).await.unwrap_or_else(|error| panic!("{when}: {request:?}: {error}"));
            }
            let cut = cut(&disk);
            check(&open(&cut), &known, &format!("{when}, started again, and then the power was lost")).await;
        }
        assert!(failed >= 2, "{failed} {kind:?} syncs failed");
    }
}

/// Holds: I-01 (a start that finds the disk full, or meets a failed sync, says so, and the next one goes on)
#[tokio::test]
async fn a_start_over_a_full_or_failing_disk_says_so_and_harms_nothing() {
    let kinds = [SyncKind::Folder, SyncKind::File, SyncKind::Database];
    let mut troubles: Vec<(Trouble, &str)> = (0..40).map(|room| (Trouble::FullAfter(room), NO_SPACE)).collect();
    troubles.extend(kinds.into_iter().flat_map(|kind| (0..12).map(move |n| (Trouble::SyncFails(kind, n), IO_ERROR))));
    let mut known = Known::default();
    let (filled, stores) = filled(&mut known).await;
    // As after kill −9: the kernel has it all, and the database was not closed.
    let killed = filled.machine();
    drop(stores);
    let mut refused = 0;
    for (start, known) in [(Machine::default(), Known::default()), (killed, known)] {
        for &(trouble, wanted) in &troubles {
            let when = format!("{trouble:?}");
            let (disk, mut known) = (Disk::of(start.clone()), known.clone());
            disk.set_trouble(trouble);
            if let Err(error) = try_open(&disk) {
                assert_says(&error, &[wanted], &when);
                refused += 1;
            }
            disk.set_trouble(Trouble::None);
            let stores = open(&disk);
            check(&stores, &known, &format!("{when}, started again")).await;
            for request in REQUESTS {
                ask(&stores, request, &mut known).await.unwrap_or_else(|error| panic!("{when}: {request:?}: {error}"));
            }
            check(&open(&cut(&disk)), &known, &format!("{when}, started again, and then the power was lost")).await;
        }
    }
    assert!(refused > 40, "{refused} starts were refused");
}
