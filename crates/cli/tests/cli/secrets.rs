//! Secrets: what is asked, what is shown, and that a value is nowhere but in its call.

use camino::Utf8PathBuf;
use serde_json::Value;
use wire::{
    ErrorCode, ErrorView, Request,
    call::Deleted,
    secret::{
        CredentialKind, EnvEntry, Provider, SecretBinding, SecretPlace, SecretView, SecretWay, SecretsView, VaultPlace,
    },
};

use crate::scripted::{Berth, Ended, LOCKED, berth};

/// A value that nothing may show.
const PLANTED: &str = "sk-planted-hunter2";

impl Berth {
    /// Runs `berth` with that on its standard input.
    async fn fed(&self, arguments: &[&str], input: &str) -> Ended {
        berth(self.folder.path(), arguments, input.as_bytes()).await
    }

    fn env_file(&self) -> Utf8PathBuf {
        let path = self.folder.path().join("keys.env");
        std::fs::write(&path, format!("OPENAI_API_KEY={PLANTED}\n")).unwrap();
        path
    }

    fn asked(&self) -> Vec<Request> {
        self.script.asked.lock().unwrap().clone()
    }

    fn kept(&self) -> Vec<(String, String, Option<SecretBinding>)> {
        let kept = |request| match request {
            Request::SetSecret(set) => Some((set.name, set.value.into_inner(), set.binding)),
            _ => None,
        };
        self.asked().into_iter().filter_map(kept).collect()
    }

    fn imported(&self) -> Vec<Vec<String>> {
        let imported = |request| match request {
            Request::ImportEnvFile(import) => {
                assert!(import.text.expose().contains(PLANTED));
                Some(import.names)
            }
            _ => None,
        };
        self.asked().into_iter().filter_map(imported).collect()
    }
}

fn in_memory() -> VaultPlace {
    VaultPlace::Session { reason: "This machine has no keyring.".to_owned(), hint: "Start one.".to_owned() }
}

#[tokio::test]
async fn the_list_says_who_has_what_and_how() {
    let berth = Berth::start_lately().await;
    insta::assert_snapshot!("words_secrets", berth.berth(&["secrets"]).await.well().text());
    *berth.script.place.lock().unwrap() = in_memory();
    let ended = berth.berth(&["secrets"]).await.well();
    assert!(ended.text().ends_with("note: This machine has no keyring. Start one.\n"), "{}", ended.text());
}

#[tokio::test]
async fn the_list_in_json_is_the_view() {
    let berth = Berth::start().await;
    let ended = berth.berth(&["secrets", "--json"]).await.well();
    let _view: SecretsView = ended.json();
    insta::assert_json_snapshot!("json_secrets", ended.json::<Value>());
}

#[tokio::test]
async fn a_value_is_the_first_line_of_standard_input() {
    let berth = Berth::start().await;
    for input in ["v 1\n", "v 1", "v 1\r\n", "v 1\nsecond\n"] {
        let ended = berth.fed(&["secrets", "set", "ANTHROPIC_API_KEY"], input).await.well();
        assert_eq!(ended.stderr.contains("Only the first line"), input.contains("second"), "{}", ended.stderr);
    }
    assert_eq!(berth.kept(), vec![("ANTHROPIC_API_KEY".to_owned(), "v 1".to_owned(), None); 4]);
}

#[tokio::test]
async fn what_is_no_value_is_refused() {
    let berth = Berth::start().await;
    let long = "x".repeat((64 << 10) + 1);
    for input in ["", "\n", "  \n", "\nv\n", long.as_str()] {
        let ended = berth.fed(&["secrets", "set", "KEY"], input).await;
        assert_eq!(ended.status, 1, "{input:.10}");
        assert!(ended.stderr.contains("hint:"), "{}", ended.stderr);
    }
    let ended = crate::scripted::berth(berth.folder.path(), &["secrets", "set", "KEY"], b"\xff\xfe\n").await;
    assert_eq!(ended.status, 1);
    assert_eq!(berth.kept(), []);
}

#[tokio::test]
async fn what_a_secret_opens_reaches_the_call() {
    let berth = Berth::start().await;
    let arguments = ["secrets", "set", "local", "--provider", "OpenAI", "--base-url", "http://127.0.0.1:8080/v1"];
    berth.fed(&arguments, "v\n").await.well();
    let base_url = Some("http://127.0.0.1:8080/v1".to_owned());
    let binding = SecretBinding::Provider { provider: Provider::Openai, base_url, credential: CredentialKind::Key };
    assert_eq!(berth.kept(), [("local".to_owned(), "v".to_owned(), Some(binding))]);
    for arguments in
        [["secrets", "set", "k", "--provider", "nobody"].as_slice(), &["secrets", "set", "k", "--base-url", "http://a"]]
    {
        assert_eq!(berth.fed(arguments, "v\n").await.status, 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_host_of_ones_own_reaches_the_call_with_its_place() {
    let berth = Berth::start().await;
    let header = |name: &str, format: &str| SecretPlace::Header { name: name.to_owned(), format: format.to_owned() };
    let bound = |host: &str, port, place| SecretBinding::Host { host: host.to_owned(), port, place };
    for (arguments, expected) in [
        (
            &["--host", "api.example.com", "--header", "Authorization", "--format", "token {}"][..],
            bound("api.example.com", None, header("Authorization", "token {}")),
        ),
        (
            &["--host", "api.example.com:8443", "--header", "X-Key"],
            bound("api.example.com", Some(8443), header("X-Key", "{}")),
        ),
        (
            &["--host", "[fd00::1]:8443", "--query", "key"],
            bound("fd00::1", Some(8443), SecretPlace::Query { name: "key".to_owned() }),
        ),
        (
            &["--host", "fd00::1", "--query", "key"],
            bound("fd00::1", None, SecretPlace::Query { name: "key".to_owned() }),
        ),
    ] {
        berth.fed(&[&["secrets", "set", "token"][..], arguments].concat(), "v\n").await.well();
        assert_eq!(berth.kept().pop().unwrap().2, Some(expected), "{arguments:?}");
    }
    for arguments in [
        &["--host", "api.example.com"][..],
        &["--header", "X-Key"],
        &["--query", "key"],
        &["--format", "token {}"],
        &["--host", "a.example", "--header", "X-Key", "--query", "key"],
        &["--host", "a.example", "--header", "X-Key", "--provider", "openai"],
        &["--host", "a.example:port", "--query", "key"],
        &["--host", "[fd00::1", "--query", "key"],
    ] {
        let ended = berth.fed(&[&["secrets", "set", "token"][..], arguments].concat(), "v\n").await;
        assert_eq!(ended.status, 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn what_would_not_outlive_the_command_is_refused_before_it_is_typed() {
    let folder = camino_tempfile::tempdir().unwrap();
    let ended = berth(folder.path(), &["secrets", "set", "KEY", "--json"], b"v\n").await;
    assert_eq!(ended.status, 1);
    let error: ErrorView = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(error.code, ErrorCode::NotNow, "{error:?}");
    assert!(error.hint.contains("berth serve"), "{error:?}");
    let listed: SecretsView = berth(folder.path(), &["secrets", "--json"], b"").await.well().json();
    assert_eq!(listed.secrets, []);
}

#[tokio::test]
async fn kept_in_memory_alone_is_said() {
    let berth = Berth::start().await;
    *berth.script.place.lock().unwrap() = in_memory();
    let ended = berth.fed(&["secrets", "set", "KEY"], "v\n").await.well();
    assert!(ended.stderr.contains("This machine has no keyring. Start one."), "{}", ended.stderr);
    let _view: SecretView = berth.fed(&["secrets", "set", "KEY", "--json"], "v\n").await.well().json();
}

#[tokio::test]
async fn a_secret_goes_only_when_its_name_is_typed_once_more() {
    let berth = Berth::start().await;
    assert_eq!(berth.berth(&["secrets", "delete", "KEY"]).await.status, 2);
    let ended = berth.berth(&["secrets", "delete", "KEY", "--confirm", "KEX"]).await;
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("was not deleted") && ended.stderr.contains("hint:"), "{}", ended.stderr);
    let ended = berth.berth(&["secrets", "delete", "KEY", "--confirm", "KEY"]).await.well();
    assert_eq!(ended.text(), "Deleted the secret KEY.\n");
    let _deleted: Deleted = berth.berth(&["secrets", "delete", "K", "--confirm", "K", "--json"]).await.well().json();
}

#[tokio::test]
async fn a_secret_is_injected_only_where_that_is_asked_for() {
    let berth = Berth::start().await;
    berth.berth(&["secrets", "rename", "KEY", "KEY2"]).await.well();
    berth.berth(&["secrets", "grant", "KEY", "coder"]).await.well();
    berth.berth(&["secrets", "grant", "KEY", "coder", "--inject", "--variable", "TOKEN"]).await.well();
    berth.berth(&["secrets", "grant", "KEY", "coder", "--file"]).await.well();
    assert_eq!(berth.berth(&["secrets", "grant", "KEY", "coder", "--file", "--inject"]).await.status, 2);
    berth.berth(&["secrets", "revoke", "KEY", "coder"]).await.well();
    let asked = berth.asked();
    let [
        Request::RenameSecret(rename),
        Request::GrantSecret(first),
        Request::GrantSecret(second),
        Request::GrantSecret(third),
        Request::RevokeSecret(revoke),
    ] = asked.as_slice()
    else {
        panic!("{asked:?}")
    };
    assert_eq!((rename.secret.as_str(), rename.name.as_str()), ("KEY", "KEY2"));
    assert_eq!((first.secret.as_str(), first.agent.as_str()), ("KEY", "coder"));
    assert_eq!((first.way, &first.variable), (Some(SecretWay::Brokered), &None));
    assert_eq!((second.way, second.variable.as_deref()), (Some(SecretWay::Injected), Some("TOKEN")));
    assert_eq!((third.way, &third.variable), (Some(SecretWay::File), &None));
    assert_eq!((revoke.secret.as_str(), revoke.agent.as_str()), ("KEY", "coder"));
}

#[tokio::test]
async fn an_env_file_is_shown_before_anything_is_kept() {
    let berth = Berth::start().await;
    let file = berth.env_file();
    let ended = berth.berth(&["secrets", "import", file.as_str()]).await.well();
    insta::assert_snapshot!("words_import", ended.text());
    assert!(ended.stderr.contains("Nothing was kept"), "{}", ended.stderr);
    let entries: Vec<EnvEntry> = berth.berth(&["secrets", "import", file.as_str(), "--json"]).await.well().json();
    assert_eq!(entries.len(), 4);
    assert_eq!(berth.imported(), Vec::<Vec<String>>::new());
}

#[tokio::test]
async fn an_import_keeps_what_is_named_or_nothing() {
    let berth = Berth::start().await;
    let file = berth.env_file();
    for (names, why) in [
        (["GITHUB_TOKEN", "BROKEN"], "Line 4 (`BROKEN`) cannot be kept"),
        (["GITHUB_TOKEN", "ABSENT"], "no line for `ABSENT`"),
    ] {
        let ended = berth.berth(&["secrets", "import", file.as_str(), names[0], names[1]]).await;
        assert_eq!(ended.status, 1);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
    assert_eq!(berth.imported(), Vec::<Vec<String>>::new());
    let twice = ["secrets", "import", file.as_str(), "GITHUB_TOKEN", "GITHUB_TOKEN"];
    let ended = berth.berth(&twice).await.well();
    assert!(ended.text().ends_with("Kept GITHUB_TOKEN.\n"), "{}", ended.text());
    let _view: SecretsView =
        berth.berth(&["secrets", "import", file.as_str(), "GITHUB_TOKEN", "--json"]).await.well().json();
    assert_eq!(berth.imported(), [["GITHUB_TOKEN"], ["GITHUB_TOKEN"]]);
}

#[tokio::test]
async fn an_import_of_all_says_what_it_left_out_and_ends_with_1() {
    let berth = Berth::start().await;
    let file = berth.env_file();
    let ended = berth.berth(&["secrets", "import", file.as_str(), "--all", "--json"]).await;
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("Line 4 is left out.") && ended.stderr.contains("Line 5"), "{}", ended.stderr);
    let _view: SecretsView = ended.json();
    assert_eq!(berth.imported(), [["OPENAI_API_KEY", "GITHUB_TOKEN"]]);
}

#[tokio::test]
async fn a_file_that_is_no_env_file_is_refused() {
    let berth = Berth::start().await;
    let path = berth.folder.path().join("file");
    for bytes in [b"A=\xff\n".to_vec(), vec![b'a'; (256 << 10) + 1]] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(berth.berth(&["secrets", "import", path.as_str()]).await.status, 1);
    }
    assert_eq!(berth.berth(&["secrets", "import", "not-there.env"]).await.status, 1);
    assert_eq!(berth.asked(), []);
}

#[tokio::test]
async fn a_value_is_in_no_output() {
    let scripted = Berth::start().await;
    let file = scripted.env_file();
    let file = file.as_str();
    let assignment = format!("KEY={PLANTED}");
    let option = format!("--value={PLANTED}");
    let input = format!("{PLANTED}\n{PLANTED}\n");
    let home = camino_tempfile::tempdir().unwrap();
    let mut shown = String::new();
    for arguments in [
        ["secrets", "set", "KEY"].as_slice(),
        &["secrets", "set", LOCKED],
        &["secrets", "set", "KEY", PLANTED],
        &["secrets", "set", "KEY", PLANTED, PLANTED],
        &["secrets", "set", &assignment],
        &["secrets", "set", "KEY", &option],
        &["secrets", "import", file],
        &["secrets", "import", file, "OPENAI_API_KEY"],
        &["secrets", "import", file, "ABSENT"],
        &["secrets", "import", file, "--all"],
        &["secrets"],
    ] {
        for more in [[].as_slice(), &["--json"], &["-vvv"]] {
            let arguments = [arguments, more].concat();
            for folder in [scripted.folder.path(), home.path()] {
                let Ended { stdout, stderr, .. } = berth(folder, &arguments, input.as_bytes()).await;
                shown.push_str(&String::from_utf8(stdout).unwrap());
                shown.push_str(&stderr);
                assert!(!shown.contains(PLANTED), "{arguments:?}: {shown}");
            }
        }
    }
    assert!(shown.contains("A value is never an argument"), "{shown}");
    assert!(scripted.kept().iter().any(|(_, value, _)| value == PLANTED));
    assert!(!scripted.imported().is_empty());
    for entry in std::fs::read_dir(home.path().join("logs")).unwrap() {
        let log = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&log).contains(PLANTED));
    }
}
