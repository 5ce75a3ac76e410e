//! The project's own rules as tests: which crate may know which, how long things may get, what has no place where.
//!
//! Promises: a change that adds an edge between crates, a clock to a pure crate or an ignored test fails here and is told
//! what to do instead. Never: judges a matter of taste. Called by `cargo test`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Crate, and the crates of ours that it may use outside its tests (design section 2).
const EDGES: &[(&str, &[&str])] = &[
    ("sluice-protocol", &[]),
    ("sluice-records", &[]),
    ("sluice-metadata", &["sluice-records"]),
    ("sluice-runtime", &[]),
    ("sluice-store", &["sluice-runtime"]),
    ("sluice-engine", &["sluice-metadata", "sluice-records", "sluice-runtime", "sluice-store"]),
    ("sluice-server", &["sluice-engine", "sluice-protocol", "sluice-runtime"]),
    ("sluice-s3", &["sluice-runtime", "sluice-store"]),
    ("sluice-dynamodb", &["sluice-runtime", "sluice-store"]),
    ("sluice-embedded", &["sluice-runtime", "sluice-store"]),
    ("sluice-group-model", &["sluice-protocol"]),
    ("sluice-differential", &["sluice-protocol", "sluice-records"]),
    ("sluice-benches", &["sluice-protocol", "sluice-records"]),
];

/// Crates of ours that compose, test or measure: they may use any other.
const COMPOSING: &[&str] =
    &["sluice", "sluice-bench-host", "sluice-powercut", "sluice-tests", "sluice-tests-librdkafka"];

const ADAPTERS: &[&str] = &["sluice-dynamodb", "sluice-embedded", "sluice-s3"];
const PURE: &[&str] = &["sluice-metadata", "sluice-protocol", "sluice-records"];

/// What brings IO, a clock, tasks or randomness into a crate.
const IMPURE: &[&str] = &[
    "async-std",
    "chrono",
    "fastrand",
    "getrandom",
    "hyper",
    "mio",
    "rand",
    "reqwest",
    "smol",
    "socket2",
    "time",
    "tokio",
];

/// Longest file and longest function, in lines, tests apart.
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Files that are one long table.
const TABLES: &[&str] = &["gateway/protocol/src/error_code.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(vec!["--offline".to_owned(), "--locked".to_owned()])
        .exec()
        .expect("cargo metadata")
}

fn is_used_outside_tests(kind: DependencyKind) -> bool {
    kind == DependencyKind::Normal || kind == DependencyKind::Build
}

/// The dependencies a package uses outside its tests.
fn dependencies(package: &Package) -> BTreeSet<String> {
    package.dependencies.iter().filter(|d| is_used_outside_tests(d.kind)).map(|d| d.name.clone()).collect()
}

fn members(metadata: &Metadata) -> BTreeMap<String, &Package> {
    metadata.workspace_packages().into_iter().map(|p| (p.name.to_string(), p)).collect()
}

#[test]
fn crates_use_only_the_crates_they_may() {
    let metadata = metadata();
    let members = members(&metadata);
    let mut wrong = Vec::new();
    for (name, package) in &members {
        if COMPOSING.contains(&name.as_str()) {
            continue;
        }
        let allowed = EDGES.iter().find(|(of, _)| of == name).map(|(_, allowed)| *allowed);
        let Some(allowed) = allowed else {
            wrong.push(format!("{name} has no place in EDGES: say in docs/architecture.md what it is for, and add it"));
            continue;
        };
        for used in dependencies(package).iter().filter(|used| members.contains_key(*used)) {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("{name} uses {used}, which design section 2 forbids"));
            }
        }
    }
    for (name, _) in EDGES {
        assert!(members.contains_key(*name), "{name} of EDGES is no member of the workspace");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_composition_root_and_tests_see_an_adapter() {
    let metadata = metadata();
    for (name, package) in members(&metadata) {
        if COMPOSING.contains(&name.as_str()) {
            continue;
        }
        for adapter in ADAPTERS {
            assert!(!dependencies(package).contains(*adapter), "{name} uses the adapter {adapter}");
        }
    }
}

/// Every package that `of` uses outside tests, directly or not.
fn closure(metadata: &Metadata, of: &Package) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|n| (&n.id, n)).collect();
    let names: BTreeMap<_, _> = metadata.packages.iter().map(|p| (&p.id, p.name.to_string())).collect();
    let (mut seen, mut open) = (BTreeSet::new(), vec![&of.id]);
    while let Some(id) = open.pop() {
        if !seen.insert(names[id].clone()) {
            continue;
        }
        // Build scripts run on the developer's machine: what they use is not in the crate.
        let edges = nodes[id].deps.iter();
        open.extend(
            edges
                .filter(|d| d.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal && k.target.is_none()))
                .map(|d| &d.pkg),
        );
    }
    seen
}

#[test]
fn pure_crates_bring_in_no_io_clock_tasks_or_randomness() {
    // Holds: I-13
    let metadata = metadata();
    let members = members(&metadata);
    for name in PURE {
        let all = closure(&metadata, members[*name]);
        assert!(all.len() > 1, "{name} has no dependency at all: the walk is broken");
        for impure in IMPURE {
            assert!(!all.contains(*impure), "{name} brings in {impure}");
        }
    }
    let engine = closure(&metadata, members["sluice-engine"]);
    assert!(engine.contains("tokio"), "the engine brings in no tokio: the walk is broken");
}

#[test]
fn every_member_takes_the_workspace_lints() {
    let metadata = metadata();
    for (name, package) in members(&metadata) {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name}: add [lints] workspace = true");
    }
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""), "the workspace forbids unsafe code");
}

#[test]
fn stricter_crates_have_the_stricter_ban_lists() {
    for (list, crates) in [
        ("gateway/clippy-pure.toml", vec!["protocol", "records", "metadata"]),
        ("gateway/clippy-seeded.toml", vec!["engine", "runtime"]),
    ] {
        let wanted = fs::read_to_string(root().join(list)).unwrap();
        for name in crates {
            let file = root().join("gateway").join(name).join("clippy.toml");
            let found = fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(found, wanted, "{} is a link to {list}", file.display());
        }
        // Clippy reads one file only, so the stricter lists repeat the root's.
        for line in fs::read_to_string(root().join("clippy.toml")).unwrap().lines().filter(|l| l.contains("path = ")) {
            let path = line.split('"').nth(1).unwrap();
            let elsewhere = path.ends_with("spawn_blocking") && list.ends_with("pure.toml");
            assert!(elsewhere || wanted.contains(&format!("\"{path}\"")), "{list} lacks {path}");
        }
    }
}

// ---- source text ----------------------------------------------------------------------------------------------------

struct Source {
    /// Path from the root, with slashes.
    path: String,
    lines: Vec<String>,
    /// How many of the lines come before the tests.
    product_lines: usize,
    /// True for a file that holds tests only.
    is_test: bool,
}

impl Source {
    /// The lines that are in the product: numbered from 1, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let all = if self.is_test { 0 } else { self.product_lines };
        self.lines[..all]
            .iter()
            .enumerate()
            .map(|(at, line)| (at + 1, line.as_str()))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut paths = Vec::new();
    for top in ["gateway", "adapters", "tests", "benches"] {
        collect(&root.join(top), &mut paths);
    }
    assert!(paths.len() > 50, "only {} files found", paths.len());
    paths.iter().map(|path| read_source(&root, path)).collect()
}

fn read_source(root: &Path, path: &Path) -> Source {
    let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    let lines: Vec<String> = fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    // A test module stands at the end of its file; `#[cfg(test)] mod tests;` puts it into a file of its own.
    let product_lines = (0..lines.len())
        .find(|&at| {
            lines[at] == "#[cfg(test)]"
                && lines.get(at + 1).is_some_and(|l| l.trim_start().starts_with("mod ") && l.ends_with('{'))
        })
        .unwrap_or(lines.len());
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let in_suite = name.starts_with("tests/") || name.contains("/tests/") || name.contains("/contract/");
    Source { is_test: in_suite || stem == "tests" || stem.ends_with("_tests"), path: name, lines, product_lines }
}

#[test]
fn files_stay_under_six_hundred_lines() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test && !TABLES.contains(&s.path.as_str())) {
        if source.product_lines > FILE_LINES_MAX {
            wrong.push(format!("{} has {} lines before its tests", source.path, source.product_lines));
        }
    }
    assert!(wrong.is_empty(), "split by what the parts are for:\n{}", wrong.join("\n"));
}

/// Name of the function that a line begins, if it begins one.
fn function_name(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let code = ["pub(crate) ", "pub(super) ", "pub "].iter().fold(code, |c, p| c.strip_prefix(p).unwrap_or(c));
    let code = ["const ", "async "].iter().fold(code, |c, p| c.strip_prefix(p).unwrap_or(c));
    let rest = code.strip_prefix("fn ")?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[test]
fn functions_stay_under_seventy_lines() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for source in sources().iter().filter(|s| !s.is_test) {
        let mut open: Option<(usize, &str, &str)> = None;
        for (number, line) in source.code() {
            let indent = &line[..line.len() - line.trim_start().len()];
            match (open, function_name(line)) {
                (None, Some(name)) if !line.trim_end().ends_with([';', '}']) => open = Some((number, indent, name)),
                (Some((from, at, name)), _) if indent == at && line.trim_start().starts_with(['}', ')']) => {
                    // A signature over several lines closes with `) {` at the same depth: its body is still to come.
                    if line.trim_end().ends_with('{') {
                        continue;
                    }
                    seen += 1;
                    let lines = number - from + 1;
                    if lines > FUNCTION_LINES_MAX {
                        wrong.push(format!("{}:{from} {name} has {lines} lines", source.path));
                    }
                    open = None;
                }
                _ => {}
            }
        }
    }
    assert!(seen > 300, "only {seen} functions found: the scan is broken");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_called_utils_helpers_common_or_manager() {
    let vague = ["util", "utils", "helper", "helpers", "common", "manager", "misc"];
    for source in sources() {
        for part in source.path.trim_end_matches(".rs").split(['/', '_']) {
            assert!(!vague.contains(&part), "{}: name it after what it is for", source.path);
        }
        for (number, line) in source.code() {
            let names_one = ["struct ", "enum ", "trait ", "type "].iter().any(|k| line.contains(k))
                && ["Manager", "Helper", "Utils"].iter().any(|v| line.contains(v));
            assert!(!names_one, "{}:{number}: name it after what it is for", source.path);
        }
    }
}

#[test]
fn no_test_is_ignored() {
    let attribute = concat!("#[", "ignore");
    for source in sources() {
        for (at, line) in source.lines.iter().enumerate() {
            assert!(!line.contains(attribute), "{}:{}: a test that does not run holds nothing", source.path, at + 1);
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut wrong = Vec::new();
    // A module's own tests in a file of their own are for that module.
    for source in sources().into_iter().filter(|s| !s.path.contains("/src/") || !s.is_test) {
        let first = source.lines.iter().find(|l| !l.trim().is_empty()).map_or("", String::as_str);
        if !first.starts_with("//!") {
            wrong.push(source.path);
        }
    }
    assert!(wrong.is_empty(), "begin with a //! comment:\n{}", wrong.join("\n"));
}

#[test]
fn every_select_of_engine_and_runtime_is_biased() {
    // Holds: I-13 (an unbiased select draws a random number of its own)
    for source in sources() {
        if !source.path.starts_with("gateway/engine/src") && !source.path.starts_with("gateway/runtime/src") {
            continue;
        }
        for (at, line) in source.lines.iter().enumerate() {
            let begins = line.contains("select! {") && !line.trim_start().starts_with("//");
            let next = source.lines.get(at + 1).map_or("", |l| l.trim());
            assert!(!begins || next == "biased;", "{}:{}: begin with `biased;`", source.path, at + 1);
        }
    }
}

#[test]
fn clock_entropy_and_sockets_come_from_the_runtime_crate_alone() {
    // Holds: I-13
    let banned = [
        ("SystemTime", "take a runtime::Clock"),
        ("std::time::Instant", "take a runtime::Clock"),
        ("fastrand", "take a runtime::Entropy"),
        ("getrandom", "take a runtime::Entropy"),
        ("new_v4", "take a runtime::Entropy"),
        ("TcpListener", "take a runtime::Listener"),
        ("TcpStream", "take a runtime::Listener"),
    ];
    let mut wrong = Vec::new();
    for source in sources() {
        let given = ["protocol", "records", "metadata", "store", "engine", "server"];
        if !given.iter().any(|c| source.path.starts_with(&format!("gateway/{c}/src"))) {
            continue;
        }
        for (number, line) in source.code() {
            for (word, instead) in banned.iter().filter(|(word, _)| line.contains(word)) {
                wrong.push(format!("{}:{number}: {word}: {instead}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_bounds_of_a_crate_stand_in_its_limits_file() {
    for name in ["gateway/engine", "gateway/metadata", "gateway/server", "adapters/embedded"] {
        let file = root().join(name).join("src/limits.rs");
        assert!(file.is_file(), "{name} keeps its bounds in src/limits.rs (I-14)");
    }
    for source in sources().iter().filter(|s| !s.is_test) {
        for (number, line) in source.code() {
            assert!(!line.contains("unbounded_channel"), "{}:{number}: an unbounded channel (I-14)", source.path);
        }
    }
}
