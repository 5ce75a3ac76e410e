//! The model itself: what it lets survive, and what it does not.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use sluice_powercut::machine::{Inode, Machine, Op, SyncKind};
use sluice_powercut::survival::{SECTOR_BYTES, Survival};

struct Rig(Machine);

impl Rig {
    fn new() -> Self {
        let mut rig = Self(Machine::default());
        rig.folder("/d");
        rig.sync("/");
        rig
    }

    fn make(&mut self, op: Op) -> Inode {
        self.0.apply(&op).unwrap()
    }

    fn create(&mut self, path: &str) -> Inode {
        self.make(Op::Create(path.into()))
    }

    fn folder(&mut self, path: &str) {
        self.make(Op::CreateFolder(path.into()));
    }

    fn rename(&mut self, from: &str, to: &str) {
        self.make(Op::Rename(from.into(), to.into()));
    }

    fn write(&mut self, file: Inode, at: u64, bytes: Vec<u8>) {
        self.make(Op::Write { file, at, bytes: Bytes::from(bytes) });
    }

    fn sync(&mut self, path: &str) {
        self.sync_ends(path, true);
    }

    fn sync_ends(&mut self, path: &str, ok: bool) {
        let of = self.0.find(Path::new(path)).unwrap().node;
        self.make(Op::SyncBegin { token: 1, of, kind: SyncKind::File });
        self.make(Op::SyncEnd { token: 1, ok });
    }

    /// The paths and bytes that many losses of power leave.
    fn outcomes(&self) -> BTreeSet<Vec<(String, Vec<u8>)>> {
        let plain = [Survival::nothing(), Survival::names_only()];
        let survivals = plain.into_iter().chain((0..600).map(Survival::drawn));
        survivals.map(|mut survival| files(&self.0.after_power_cut(&mut survival))).collect()
    }

    /// The bytes of the one file at a path that losses of power leave; none where it is not there.
    fn contents(&self, path: &str) -> BTreeSet<Option<Vec<u8>>> {
        let of = |files: Vec<(String, Vec<u8>)>| files.into_iter().find(|(at, _)| at == path).map(|(_, bytes)| bytes);
        self.outcomes().into_iter().map(of).collect()
    }
}

fn files(machine: &Machine) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = machine.files().into_iter().map(|(path, bytes)| (path, bytes.to_vec())).collect();
    files.sort();
    files
}

fn sectors(fill: &[u8]) -> Vec<u8> {
    fill.iter().flat_map(|byte| vec![*byte; SECTOR_BYTES]).collect()
}

#[test]
fn what_is_synced_with_its_name_is_all_that_is_certain() {
    let mut rig = Rig::new();
    let file = rig.create("/d/f");
    rig.write(file, 0, sectors(b"ab"));
    assert!(rig.contents("/d/f").contains(&None), "neither is synced");
    rig.sync("/d/f");
    let contents = rig.contents("/d/f");
    assert_eq!(contents, BTreeSet::from([None, Some(sectors(b"ab"))]), "a synced file may have no name");
    rig.sync("/d");
    assert_eq!(rig.contents("/d/f"), BTreeSet::from([Some(sectors(b"ab"))]));
}

#[test]
fn writes_that_were_not_synced_are_torn_at_sectors_in_any_subset_and_order() {
    let mut rig = Rig::new();
    let file = rig.create("/d/f");
    rig.write(file, 0, sectors(b"aaa"));
    rig.sync("/d/f");
    rig.sync("/d");
    rig.write(file, 0, sectors(b"bbb"));
    rig.write(file, SECTOR_BYTES as u64, sectors(b"c"));
    let contents = rig.contents("/d/f");
    for wanted in [b"aaa", b"bbb", b"bcb", b"aca", b"baa", b"aab", b"bab"] {
        assert!(contents.contains(&Some(sectors(wanted))), "{:?} may be left", String::from_utf8_lossy(wanted));
    }
    for found in &contents {
        let found = found.as_ref().expect("its name is certain");
        let whole = found.chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|byte| *byte == sector[0]));
        assert!(found.len() == 3 * SECTOR_BYTES && whole, "a sector is written in one step");
    }
}

#[test]
fn a_length_that_was_not_synced_is_any_that_the_file_has_had() {
    let mut rig = Rig::new();
    let file = rig.create("/d/f");
    rig.write(file, 0, sectors(b"a"));
    rig.sync("/d/f");
    rig.sync("/d");
    rig.write(file, SECTOR_BYTES as u64, sectors(b"bc"));
    rig.make(Op::SetLen { file, len: 10 });
    rig.make(Op::SetLen { file, len: 2 * SECTOR_BYTES as u64 });
    let lengths: BTreeSet<usize> = rig.contents("/d/f").into_iter().map(|bytes| bytes.unwrap().len()).collect();
    assert_eq!(lengths, BTreeSet::from([10, SECTOR_BYTES, 2 * SECTOR_BYTES, 3 * SECTOR_BYTES]));
    let mut cut = sectors(b"a");
    cut[10..].fill(0);
    cut.extend(sectors(&[0]));
    let contents = rig.contents("/d/f");
    assert!(contents.contains(&Some(cut)), "what was cut off and grew again is zeros");
    assert!(contents.contains(&Some([sectors(b"a"), sectors(&[0, 0])].concat())), "a length without its bytes");
}

#[test]
fn a_sync_covers_what_came_before_its_beginning_and_only_once_it_has_ended() {
    let mut rig = Rig::new();
    let file = rig.create("/d/f");
    rig.sync("/d");
    rig.write(file, 0, sectors(b"a"));
    rig.make(Op::SyncBegin { token: 9, of: file, kind: SyncKind::File });
    assert!(rig.contents("/d/f").contains(&Some(Vec::new())), "it has not ended");
    rig.write(file, 0, sectors(b"b"));
    rig.make(Op::SyncEnd { token: 9, ok: true });
    assert_eq!(rig.contents("/d/f"), BTreeSet::from([Some(sectors(b"a")), Some(sectors(b"b"))]));
}

#[test]
fn a_failed_sync_leaves_pages_that_no_later_one_writes() {
    let mut rig = Rig::new();
    let file = rig.create("/d/f");
    rig.sync("/d");
    rig.write(file, 0, sectors(b"a"));
    rig.sync_ends("/d/f", false);
    rig.sync("/d/f");
    assert_eq!(rig.0.bytes(file).unwrap(), sectors(b"a"), "it reads as it was written");
    assert_eq!(rig.contents("/d/f"), BTreeSet::from([Some(Vec::new())]), "and is not there");
    rig.write(file, 0, sectors(b"a"));
    rig.sync("/d/f");
    assert_eq!(rig.contents("/d/f"), BTreeSet::from([Some(sectors(b"a"))]), "until it is written again");
}

#[test]
fn names_that_were_not_synced_are_there_or_not_each_by_itself() {
    let mut rig = Rig::new();
    rig.create("/d/kept");
    rig.create("/d/removed");
    rig.sync("/d");
    rig.create("/d/new");
    rig.make(Op::Remove("/d/removed".into()));
    let names: BTreeSet<Vec<String>> =
        rig.outcomes().into_iter().map(|files| files.into_iter().map(|(path, _)| path).collect()).collect();
    let wanted = [
        vec!["/d/kept"],
        vec!["/d/kept", "/d/new"],
        vec!["/d/kept", "/d/removed"],
        vec!["/d/kept", "/d/new", "/d/removed"],
    ];
    assert_eq!(names, wanted.map(|names| names.into_iter().map(str::to_owned).collect()).into());
}

#[test]
fn a_rename_is_one_step_whose_old_name_may_linger() {
    let mut rig = Rig::new();
    rig.folder("/e");
    rig.sync("/");
    for (path, byte) in [("/d/from", b'n'), ("/e/to", b'o')] {
        let file = rig.create(path);
        rig.write(file, 0, vec![byte]);
        rig.sync(path);
    }
    rig.sync("/d");
    rig.sync("/e");
    rig.rename("/d/from", "/e/to");
    let of = |from: Option<u8>, to: u8| {
        let from = from.map(|byte| ("/d/from".to_owned(), vec![byte]));
        from.into_iter().chain([("/e/to".to_owned(), vec![to])]).collect::<Vec<_>>()
    };
    let (not, both, done) = (of(Some(b'n'), b'o'), of(Some(b'n'), b'n'), of(None, b'n'));
    assert_eq!(rig.outcomes(), BTreeSet::from([not, both.clone(), done.clone()]), "never without both, never half");
    let mut new_synced = Rig(rig.0.clone());
    new_synced.sync("/e");
    assert_eq!(new_synced.outcomes(), BTreeSet::from([both, done.clone()]));
    rig.sync("/d");
    assert_eq!(rig.outcomes(), BTreeSet::from([done]), "the old name is gone for certain, so the new one is there");
}

#[test]
fn what_is_in_a_folder_without_a_certain_name_is_not_certain() {
    let mut rig = Rig::new();
    rig.folder("/d/sub");
    rig.create("/d/sub/f");
    rig.sync("/d/sub/f");
    rig.sync("/d/sub");
    assert!(rig.outcomes().contains(&Vec::new()), "the folder's own name was never synced");
    rig.sync("/d");
    assert_eq!(rig.outcomes(), BTreeSet::from([vec![("/d/sub/f".to_owned(), Vec::new())]]));
}
