//! A value that is planted where it may be, and looked for everywhere else.

use std::{collections::BTreeMap, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use camino::{Utf8Path, Utf8PathBuf};
use wire::call::TaskCreated;

use crate::TestApp;

/// Every form in which a value may stand somewhere without being the same bytes.
fn forms(value: &str) -> BTreeMap<&'static str, Vec<u8>> {
    let url: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let base64 = STANDARD.encode(value);
    let middle = value.len() / 3..value.len() * 2 / 3;
    BTreeMap::from([
        ("raw", value.as_bytes().to_vec()),
        // Without what depends on where in the text it begins and ends.
        ("base64", base64.as_bytes()[4..base64.len() - 4].to_vec()),
        ("url", url.into_bytes()),
        ("hex", hex::encode(value).into_bytes()),
        ("json", value.replace('/', "\\/").into_bytes()),
        ("the middle", value.as_bytes()[middle].to_vec()),
    ])
}

/// In what form the value is in those bytes, if it is.
pub fn found(value: &str, bytes: &[u8]) -> Option<&'static str> {
    forms(value)
        .into_iter()
        .find(|(_, form)| bytes.windows(form.len()).any(|window| window == form))
        .map(|(name, _)| name)
}

/// Every file below a folder.
fn files(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8().expect("a folder of the test's own can be read") {
            let entry = entry.expect("a folder of the test's own can be read");
            let kind = entry.file_type().expect("a file of the test's own can be looked at");
            if kind.is_dir() {
                folders.push(entry.path().to_owned());
            } else if kind.is_file() {
                all.push(entry.path().to_owned());
            }
        }
    }
    all
}

/// Looks through what the app has, says and has made.
pub async fn is_nowhere(app: &TestApp, created: &TaskCreated, value: &str) {
    let mut looked = 0;
    for file in files(app.home()) {
        looked += 1;
        let bytes = std::fs::read(&file).expect("a file of the test's own can be read");
        assert_eq!(found(value, &bytes), None, "in {file}");
    }
    assert!(looked > 3, "the database, its log, the log and the output are there");
    let run = created.run.to_string();
    let said = [
        vec!["secrets", "--json"],
        vec!["show", &run, "--json"],
        vec!["agents", "--json"],
        vec!["results", &run, "--json"],
        vec!["doctor", "--json"],
    ];
    for arguments in said {
        let ran = app.run(&arguments).await;
        assert_eq!(found(value, ran.text().as_bytes()), None, "`berth {}`", arguments.join(" "));
    }
    for container in app.containers() {
        assert_eq!(found(value, container.to_string().as_bytes()), None, "in a container's configuration");
    }
    for image in app.docker().run(&["image", "ls", "--all", "--quiet", "--no-trunc"]).lines() {
        // Somebody may remove one meanwhile.
        for look in [vec!["history", "--no-trunc", image], vec!["image", "inspect", image]] {
            let said = app.docker().try_run(&look).unwrap_or_default();
            assert_eq!(found(value, said.as_bytes()), None, "`docker {}`", look.join(" "));
        }
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", app.pid())).expect("the app runs");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "a crash leaves nothing to look into: {core}");
    let processes = Command::new("ps").args(["axeww", "-o", "args"]).output().expect("ps runs");
    // A test's own program has it in its text, not in its arguments.
    assert_eq!(found(value, &processes.stdout), None, "in the processes of this machine");
}
