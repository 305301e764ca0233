//! The house keeps its shape: who may depend on whom (DESIGN §3), and a few rules that no compiler knows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use berth_tests::binaries::repository;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

/// Who may depend on whom at run or build time. What is not here is forbidden.
const EDGES: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("pipe", &[]),
    ("lifecycle", &["wire"]),
    ("store", &["wire"]),
    ("engine", &["wire"]),
    ("gateway", &["wire"]),
    ("vault", &["wire"]),
    ("guest", &["pipe"]),
    ("berth-core", &["wire", "lifecycle", "store", "engine", "pipe", "gateway", "vault"]),
    ("server", &["wire", "berth-core"]),
    ("cli", &["wire", "berth-core", "server"]),
    ("berth-desktop", &["wire", "berth-core", "server"]),
    ("ui", &["wire"]),
    // For tests only: neither ships. `testkit` has the scripted engine, whose trait it needs.
    ("testkit", &["wire", "engine"]),
    ("berth-tests", &["wire", "engine", "testkit"]),
    ("berth-fuzz", &["pipe", "berth-core", "server"]),
];

/// Edges that were decided on later, each with the note that says why.
const DECIDED: &[(&str, &str, &str)] = &[("store", "lifecycle", "docs/decisions/0002-store-asks-lifecycle.md")];

/// What any crate may use in its tests beside its own edges.
const FOR_TESTS: &[&str] = &["testkit", "engine"];

/// Crates from outside that one crate of ours alone may name.
const SOLE_OWNERS: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("bollard", &["engine"]),
    ("axum", &["server"]),
    ("hyper", &["server", "gateway", "berth-tests", "testkit", "engine"]),
    ("tokio-rustls", &["gateway", "berth-tests"]),
    ("tauri", &["berth-desktop"]),
    ("tauri-build", &["berth-desktop"]),
    ("yamux", &["pipe"]),
    ("yew", &["ui"]),
    ("keyring", &["vault"]),
    ("fantoccini", &["berth-tests"]),
];

/// What the crates that must do no I/O and know no clock may not name.
const IMPURE: &[&str] =
    &["tokio", "tokio-util", "futures", "async-trait", "reqwest", "rand", "getrandom", "nix", "notify"];

/// A file is one idea; past this many lines, tests aside, there are two.
const FILE_LINES_MAX: usize = 600;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<Utf8PathBuf>,
    features: Vec<String>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: Utf8PathBuf,
}

fn metadata() -> Metadata {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON")
}

/// A build for tests can be told to die at any effect (`core`'s fault points). A release has neither the switch nor the names.
#[test]
fn a_release_cannot_be_told_to_die() {
    let source = repository().join("crates/core/src/fault_points.rs");
    let words = ["BERTH_FAULT", "container-start"];
    let text = std::fs::read_to_string(&source).unwrap();
    assert!(words.iter().all(|word| text.contains(word)), "the check looks for the wrong words");

    let folder = camino_tempfile::tempdir().unwrap();
    let object = folder.path().join("fault_points.o");
    let mut rustc = Command::new(Utf8Path::new(env!("CARGO")).with_file_name("rustc"));
    rustc.args(["--edition=2024", "--crate-type=lib", "--emit=obj", "--cap-lints=allow", "-Cdebug-assertions=no"]);
    let output = rustc.arg("-o").arg(&object).arg(&source).output().expect("rustc runs");
    // The crates that the switch is made of are not there: it compiles because it is left out.
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let object = std::fs::read(object).unwrap();
    for word in words {
        assert!(!object.windows(word.len()).any(|window| window == word.as_bytes()), "a release has {word}");
    }

    let manifest = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let release = manifest.split("[profile.").find(|profile| profile.starts_with("release]")).unwrap();
    assert!(!release.contains("debug-assertions"), "a release must not have what only tests need");
}

/// Edges from crates of the house to others of it that nothing allows.
fn forbidden(packages: &[Package], edges: &[(&str, &[&str])], decided: &[(&str, &str, &str)]) -> Vec<String> {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        edges.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    let mut found = Vec::new();
    for package in packages {
        let Some(may) = allowed.get(package.name.as_str()) else {
            found.push(format!("{} is no crate of the design", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let (from, to) = (package.name.as_str(), dependency.name.as_str());
            let for_tests = dependency.kind.as_deref() == Some("dev") && (to == from || FOR_TESTS.contains(&to));
            let was_decided = decided.iter().any(|(one, other, _)| (*one, *other) == (from, to));
            if !may.contains(to) && !for_tests && !was_decided {
                found.push(format!("{from} → {to}"));
            }
        }
    }
    found
}

#[test]
fn crates_depend_only_on_what_the_design_allows() {
    assert_eq!(forbidden(&metadata().packages, EDGES, DECIDED), Vec::<String>::new());
}

#[test]
fn the_rule_of_the_edges_can_fail() {
    let packages = metadata().packages;
    let without_one: Vec<(&str, &[&str])> = EDGES
        .iter()
        .map(|&(from, to)| if from == "server" { (from, &["wire"] as &[&str]) } else { (from, to) })
        .collect();
    assert_eq!(forbidden(&packages, &without_one, DECIDED), ["server → berth-core"]);
    let without_cli: Vec<(&str, &[&str])> = EDGES.iter().copied().filter(|(from, _)| *from != "cli").collect();
    assert_eq!(forbidden(&packages, &without_cli, DECIDED), ["cli is no crate of the design"]);
}

/// Every crate from outside that is compiled here, with its features. `edges` are those that cargo is to follow.
fn compiled(edges: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--prefix=none", "--format={p} [{f}]", "--edges", edges])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // What was listed before is marked.
    let crates = text.lines().map(|line| line.trim_end_matches(" (*)"));
    crates.filter(|line| !line.contains("(/")).map(str::to_owned).collect()
}

/// One feature of one crate far down that tests alone ask for, and all above it is compiled twice: minutes of every build from nothing.
#[test]
fn the_programs_are_made_of_the_very_crates_that_their_tests_are() {
    let with_tests = compiled("normal,build,dev");
    assert!(with_tests.iter().any(|line| line.starts_with("tokio v") && line.contains("test-util")), "{with_tests:?}");
    let others: Vec<String> = compiled("normal,build").difference(&with_tests).cloned().collect();
    assert_eq!(others, Vec::<String>::new(), "tests/Cargo.toml is to name what tests alone want of these");
}

#[test]
fn every_edge_beyond_the_design_has_its_decision_note() {
    for (from, to, note) in DECIDED {
        let text = std::fs::read_to_string(repository().join(note)).unwrap_or_default();
        assert!(text.contains(from) && text.contains(to), "{from} → {to}: {note} does not speak of it");
    }
}

#[test]
fn what_one_crate_alone_may_name_no_other_names() {
    let mut found = Vec::new();
    for package in metadata().packages {
        for dependency in &package.dependencies {
            let owners = SOLE_OWNERS.iter().find(|(name, _)| *name == dependency.name).map(|(_, owners)| *owners);
            if owners.is_some_and(|owners| !owners.contains(&package.name.as_str())) {
                found.push(format!("{} names {}", package.name, dependency.name));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn wire_and_lifecycle_do_no_io_and_know_no_clock() {
    let mut found = Vec::new();
    for package in metadata().packages.iter().filter(|package| matches!(package.name.as_str(), "wire" | "lifecycle")) {
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.is_none()) {
            let random = dependency.name == "uuid"
                && dependency.features.iter().any(|name| matches!(name.as_str(), "v4" | "v7"));
            if IMPURE.contains(&dependency.name.as_str()) || random {
                found.push(format!("{} names {}", package.name, dependency.name));
            }
        }
    }
    for name in ["wire", "lifecycle"] {
        for (path, text) in sources(&repository().join("crates").join(name).join("src")) {
            for impure in ["std::fs", "std::net", "std::env", "Instant::now", "Timestamp::now", "async fn"] {
                if shipped(&text).contains(impure) {
                    found.push(format!("{path} says {impure}"));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_guest_is_made_of_little() {
    let packages = metadata().packages;
    let normal = |name: &str| -> BTreeSet<String> {
        let package = packages.iter().find(|package| package.name == name).expect("the crate is there");
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind.is_none());
        normal.map(|dependency| dependency.name.clone()).collect()
    };
    // What `pipe` brings along anyway makes the guest no larger.
    let mut may: BTreeSet<String> = normal("pipe");
    may.extend(["pipe", "tokio", "nix"].map(str::to_owned));
    let beyond: Vec<String> = normal("guest").difference(&may).cloned().collect();
    assert_eq!(beyond, Vec::<String>::new());
    for (path, text) in sources(&repository().join("crates/guest/src")) {
        let code = shipped(&text);
        assert!(!uses(code, "tokio::process"), "{path}: one reaper owns waitpid(-1)");
        assert!(path.ends_with("spawn.rs") || !code.contains("unsafe "), "{path}: unsafe stays in spawn.rs");
    }
}

#[test]
fn every_crate_says_what_it_is() {
    for package in metadata().packages {
        for target in package.targets.iter().filter(|target| !target.kind.iter().any(|kind| kind == "test")) {
            let text = std::fs::read_to_string(&target.src_path).unwrap_or_default();
            assert!(text.trim_start().starts_with("//!"), "{} does not begin with //!", target.src_path);
        }
    }
}

#[test]
fn files_are_named_after_their_module_and_hold_one_idea() {
    let mut found = Vec::new();
    for (path, text) in all_sources() {
        if path.file_name() == Some("mod.rs") {
            found.push(format!("{path}: say foo.rs + foo/"));
        }
        let is_test = path.components().any(|part| part.as_str() == "tests");
        let lines = shipped(&text).lines().count();
        if !is_test && lines > FILE_LINES_MAX {
            found.push(format!("{path}: {lines} lines"));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words =
        [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["todo", "!("].concat(), ["unimplemented", "!("].concat()];
    let mut found = Vec::new();
    for (path, text) in all_sources() {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn no_test_is_switched_off() {
    let marks = [["#[ig", "nore"].concat(), ["#[should", "_panic"].concat()];
    for (path, text) in all_sources() {
        let off = text.lines().find(|line| marks.iter().any(|mark| line.trim_start().starts_with(mark.as_str())));
        assert!(off.is_none(), "{path}: {off:?}");
    }
}

#[test]
fn only_the_backend_of_the_interface_knows_tauri_or_http() {
    for (path, text) in sources(&repository().join("ui/src")) {
        let backend = path.as_str().contains("/backend/") || path.ends_with("backend.rs");
        let code = shipped(&text);
        for word in ["/generated/desktop.js", "/api/call", "/api/session", "/api/stream", "WebSocket::new"] {
            assert!(backend || !code.contains(word), "{path} says {word}");
        }
    }
}

/// The part of a file that ships: what comes before its tests, comments left out.
fn shipped(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn uses(code: &str, path: &str) -> bool {
    code.lines().any(|line| line.contains(path) && !line.trim_start().starts_with("//"))
}

fn all_sources() -> Vec<(Utf8PathBuf, String)> {
    ["crates", "src-tauri", "ui/src", "tests", "fuzz"]
        .iter()
        .flat_map(|folder| sources(&repository().join(folder)))
        .collect()
}

/// Every Rust file below a folder.
fn sources(folder: &Utf8Path) -> Vec<(Utf8PathBuf, String)> {
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8().unwrap_or_else(|error| panic!("`{folder}` cannot be read: {error}")) {
        let path = entry.expect("the checkout can be read").into_path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension() == Some("rs") {
            let text = std::fs::read_to_string(&path).expect("the checkout can be read");
            found.push((path, text));
        }
    }
    found
}
