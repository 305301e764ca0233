//! Secrets for hosts of a person's own, and secrets as files: what is sent has the value, and the sandbox has it only where that was
//! agreed to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_tests::{OwnImage, TestApp, binaries::repository, canary, docker::image_of};
use camino::Utf8PathBuf;
use camino_tempfile::Utf8TempDir;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wire::{
    Phase,
    call::{CreateAgent, CreateTask, GrantSecret, RevokeSecret, SetSecret, TaskCreated},
    network::{RequestKind, RequestOutcome},
    secret::{SecretBinding, SecretPlace, SecretText, SecretWay},
    task::{Launch, NewTask, ReviewGate},
};

/// What is looked for everywhere. Nothing else on this machine has it.
const TOKEN: &str = "ghx-canary-5Kd8/Qm+Vt2=ZrY7nHs";
/// Of this machine, and not what programs reach without a proxy.
const ADDRESS: &str = "127.0.0.2";

/// A host with a certificate of an authority that nobody trusts but who is told to.
struct SecureHost {
    process: Child,
    port: u16,
    folder: Utf8TempDir,
}

impl SecureHost {
    fn start() -> Self {
        let folder = camino_tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([ADDRESS.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let file = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        file("authority.pem", authority.pem());
        let (certificate, key) = (file("certificate.pem", certificate.pem()), file("key.pem", key.serialize_pem()));
        let program = repository().join("tests/tests/data/secure_host.py");
        let mut process = Command::new("python3")
            .args([program.as_str(), ADDRESS, certificate.as_str(), key.as_str()])
            .arg(folder.path().join("requests"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { process, port: port.trim().parse().unwrap(), folder }
    }

    fn authority(&self) -> Utf8PathBuf {
        self.folder.path().join("authority.pem")
    }

    fn seen(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("requests")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for SecureHost {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// An image with curl and Python, whose own environment names the authorities of the public: as Berth builds it for itself. An app that
/// trusts another authority would build it anew.
async fn image(name: &str) -> OwnImage {
    let app = TestApp::start().await;
    let created = app.create("```sh\ntrue\n```\n").await;
    app.reaches(&created, Phase::Completed).await;
    OwnImage::build(name, &format!("FROM {}\nLABEL of={name}\n", image_of("berth/script")))
}

/// An app, and an agent `coder` that carries out what its task says.
async fn app_with_agent(image: &OwnImage, environment: &[(&str, &str)]) -> TestApp {
    let app = TestApp::start_with(environment).await;
    let agent = CreateAgent {
        name: "coder".to_owned(),
        image: image.tag.clone(),
        launch: Launch::Command { argv: vec!["berth-script".to_owned()] },
        limits: wire::Limits::default(),
        review: ReviewGate::Skip,
        ..CreateAgent::default()
    };
    app.call(agent).await.unwrap();
    app
}

async fn keep(app: &TestApp, value: &str, binding: Option<SecretBinding>) {
    let (name, value) = ("api-token".to_owned(), SecretText::new(value.to_owned()));
    app.call(SetSecret { name, value, binding }).await.unwrap();
}

async fn give(app: &TestApp, way: SecretWay) {
    let (secret, agent) = ("api-token".to_owned(), "coder".to_owned());
    app.call(GrantSecret { secret, agent, way: Some(way), variable: None }).await.unwrap();
}

async fn ask(app: &TestApp, prompt: String) -> TaskCreated {
    let task = NewTask { prompt, agent: Some("coder".to_owned()), ..NewTask::default() };
    app.call(CreateTask { task }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_ones_own_host_is_put_into_what_ordinary_programs_send_there_and_is_found_nowhere_else() {
    let host = SecureHost::start();
    let image = image("inspected").await;
    let app =
        app_with_agent(&image, &[("BERTH_LOG", "trace"), ("BERTH_EXTRA_CERTIFICATES", host.authority().as_str())])
            .await;
    let place = SecretPlace::Header { name: "Authorization".to_owned(), format: "token {}".to_owned() };
    let bound = SecretBinding::Host { host: ADDRESS.to_owned(), port: Some(host.port), place };
    keep(&app, TOKEN, Some(bound)).await;
    give(&app, SecretWay::Brokered).await;
    let prompt = format!(
        "```bash\n\
         url=https://{ADDRESS}:{port}\n\
         curl -sS -H \"Authorization: token $API_TOKEN\" \"$url/curl?a=b\"\n\
         curl -sS -H \"X-Other: token $API_TOKEN\" \"$url/elsewhere?key=$API_TOKEN\"\n\
         curl -sS \"$url/without\"\n\
         env > look.txt; cat \"$CURL_CA_BUNDLE\" >> look.txt\n\
         touch ready; while [ ! -e go ]; do sleep 0.05; done\n\
         ```\n\
         ```python\n\
         import os, urllib.request, urllib.error\n\
         def ask(path):\n    \
             request = urllib.request.Request('https://{ADDRESS}:{port}' + path, headers={{'Authorization': 'token ' + os.environ['API_TOKEN']}})\n    \
             print(urllib.request.urlopen(request).read().decode(), flush=True)\n\
         ask('/python')\n\
         ```\n",
        port = host.port
    );
    let created = ask(&app, prompt).await;
    let workspace = app.leaves_file(&created, "ready").await;
    assert_eq!(app.containers().len(), 1);
    canary::is_nowhere(&app, &created, TOKEN).await;
    // Another value reaches the sandbox's next request.
    let another = format!("{TOKEN}-another");
    keep(&app, &another, None).await;
    std::fs::write(workspace.join("go"), b"").unwrap();
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    canary::is_nowhere(&app, &created, TOKEN).await;
    assert_eq!(canary::found(TOKEN, printed.as_bytes()), None, "what the host said back was cleaned: {printed}");

    let seen = host.seen();
    let carried: Vec<_> =
        seen.iter().map(|one| (one["path"].as_str().unwrap(), one["headers"]["authorization"].as_str())).collect();
    let (first, second) = (format!("token {TOKEN}"), format!("token {another}"));
    assert_eq!(carried[0], ("/curl?a=b", Some(first.as_str())));
    assert!(carried[1].0.starts_with("/elsewhere?key=berth-") && carried[1].1.is_none(), "{carried:?}");
    assert!(seen[1]["headers"]["x-other"].as_str().unwrap().starts_with("token berth-"), "{seen:?}");
    assert_eq!(carried[2..], [("/without", None), ("/python", Some(second.as_str()))]);

    let listed = app.requests(&created).await;
    let lines: Vec<_> = listed
        .iter()
        .map(|one| (one.kind, one.method.as_str(), one.path.as_str(), one.status, one.secret.as_deref()))
        .collect();
    let token = Some("api-token");
    assert_eq!(
        lines,
        [
            (RequestKind::Inspected, "GET", "/curl", Some(200), token),
            (RequestKind::Inspected, "GET", "/elsewhere", Some(200), None),
            (RequestKind::Inspected, "GET", "/without", Some(200), None),
            (RequestKind::Inspected, "GET", "/python", Some(200), token),
        ]
    );
    assert!(
        listed.iter().all(|one| one.host == ADDRESS && one.port == host.port && one.outcome == RequestOutcome::Done)
    );
    let look = std::fs::read_to_string(workspace.join("look.txt")).unwrap();
    assert!(look.contains("CURL_CA_BUNDLE=/run/berth/"), "its own bundle, in memory: {look}");
    assert!(!look.contains("PRIVATE KEY"), "only certificates");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_sandbox_with_such_a_secret_believes_berth_and_only_while_it_has_it() {
    let host = SecureHost::start();
    let image = image("believing").await;
    let authority = host.authority();
    let environment = [("BERTH_LOG", "trace"), ("BERTH_EXTRA_CERTIFICATES", authority.as_str())];
    let app = app_with_agent(&image, &environment).await;
    let place = SecretPlace::Query { name: "key".to_owned() };
    let bound = SecretBinding::Host { host: ADDRESS.to_owned(), port: Some(host.port), place };
    keep(&app, TOKEN, Some(bound)).await;
    // Without the secret there is neither a file nor a way to the host.
    let asks = |more: &str| {
        format!(
            "```bash\n\
             echo \"bundle: $CURL_CA_BUNDLE\"; ls /run/berth\n\
             curl -sS -o /dev/null -w 'status: %{{http_code}} %{{http_connect}}\\n' \"https://{ADDRESS}:{}/?key=$API_TOKEN\" || true\n\
             {more}\n\
             ```\n",
            host.port
        )
    };
    let (_, printed) = app.ends(&ask(&app, asks("")).await).await;
    assert!(!printed.contains(".given") && printed.contains("status: 000 403"), "{printed}");
    assert!(host.seen().is_empty());

    give(&app, SecretWay::Brokered).await;
    let again = format!(
        "touch ready; while [ ! -e go ]; do sleep 0.05; done\n\
         curl -sS -o /dev/null -w 'then: %{{http_code}} %{{http_connect}}\\n' \"https://{ADDRESS}:{}/?key=$API_TOKEN\" || true",
        host.port
    );
    let created = ask(&app, asks(&again)).await;
    let workspace = app.leaves_file(&created, "ready").await;
    app.call(RevokeSecret { secret: "api-token".to_owned(), agent: "coder".to_owned() }).await.unwrap();
    std::fs::write(workspace.join("go"), b"").unwrap();
    let (_, printed) = app.ends(&created).await;
    assert!(printed.contains("bundle: /run/berth/") && printed.contains("status: 200 200"), "{printed}");
    assert!(printed.contains("then: 000 403"), "taken back, it opens nothing: {printed}");
    let paths: Vec<_> = host.seen().iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect();
    let escaped: String = url::form_urlencoded::byte_serialize(TOKEN.as_bytes()).collect();
    assert_eq!(paths, [format!("/?key={escaped}")]);
    canary::is_nowhere(&app, &created, TOKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_as_a_file_is_in_the_sandboxs_memory_alone() {
    let image = image("file").await;
    let app = app_with_agent(&image, &[("BERTH_LOG", "trace")]).await;
    keep(&app, TOKEN, None).await;
    give(&app, SecretWay::File).await;
    // The task is kept, so it has the value's hash alone.
    let prompt = "```bash\n\
                  printf 'hash %s\\n' \"$(sha256sum < \"$API_TOKEN_FILE\" | cut -d' ' -f1)\"\n\
                  stat -c 'mode %a %U' \"$API_TOKEN_FILE\"; stat -f -c 'on %T' \"$API_TOKEN_FILE\"\n\
                  echo \"path $API_TOKEN_FILE\"; env | grep -c canary || true\n\
                  touch ready; while [ ! -e go ]; do sleep 0.05; done\n\
                  ```\n";
    let created = ask(&app, prompt.to_owned()).await;
    let workspace = app.leaves_file(&created, "ready").await;
    canary::is_nowhere(&app, &created, TOKEN).await;
    let containers = app.containers();
    let container = containers[0]["Id"].as_str().unwrap();
    // What the engine keeps of it: its layer, its home, its spool.
    for folder in ["/home/agent", "/berth/run", "/etc", "/var"] {
        let copied = app.docker().command(&["cp", &format!("{container}:{folder}"), "-"]).output().unwrap();
        assert!(copied.status.success() && !copied.stdout.is_empty(), "{folder}");
        assert_eq!(canary::found(TOKEN, &copied.stdout), None, "in {folder}");
    }
    std::fs::write(workspace.join("go"), b"").unwrap();
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    let hash = hex::encode(Sha256::digest(TOKEN));
    for line in
        [format!("hash {hash}"), "mode 400 agent".to_owned(), "on tmpfs".to_owned(), "path /run/berth/".to_owned()]
    {
        assert!(printed.contains(&line), "{line}: {printed}");
    }
    canary::is_nowhere(&app, &created, TOKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn git_sends_a_token_as_a_password_and_the_host_gets_the_real_one() {
    let host = SecureHost::start();
    let authority = host.authority();
    let app = TestApp::start_with(&[("BERTH_LOG", "trace"), ("BERTH_EXTRA_CERTIFICATES", authority.as_str())]).await;
    let shell = ["/bin/bash", "-c", "cat >/tmp/task && exec bash /tmp/task"];
    let agent = CreateAgent {
        name: "coder".to_owned(),
        // `./dev setup` makes it.
        image: "berth-test/tools".to_owned(),
        launch: Launch::Command { argv: shell.map(str::to_owned).to_vec() },
        limits: wire::Limits::default(),
        review: ReviewGate::Skip,
        ..CreateAgent::default()
    };
    app.call(agent).await.unwrap();
    let place = SecretPlace::Header { name: "Authorization".to_owned(), format: "Basic git:{}".to_owned() };
    let bound = SecretBinding::Host { host: ADDRESS.to_owned(), port: Some(host.port), place };
    keep(&app, TOKEN, Some(bound)).await;
    give(&app, SecretWay::Brokered).await;
    let prompt = format!(
        "export GIT_TERMINAL_PROMPT=0\n\
         git ls-remote \"https://git:$API_TOKEN@{ADDRESS}:{port}/git/repository.git\"\n\
         git ls-remote \"https://other:$API_TOKEN@{ADDRESS}:{port}/git/repository.git\"\n",
        port = host.port
    );
    let created = ask(&app, prompt).await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    assert!(printed.contains("refs/heads/main"), "{printed}");
    let basic = |pair: String| format!("Basic {}", STANDARD.encode(pair));
    let seen = host.seen();
    let carried: Vec<_> = seen.iter().filter_map(|one| one["headers"]["authorization"].as_str()).collect();
    assert!(carried.contains(&basic(format!("git:{TOKEN}")).as_str()), "{carried:?}");
    let others: Vec<_> = carried.iter().filter(|one| **one != basic(format!("git:{TOKEN}"))).collect();
    assert!(!others.is_empty(), "the other name's went as it was");
    for other in others {
        let pair = STANDARD.decode(other.strip_prefix("Basic ").unwrap()).unwrap();
        assert!(pair.starts_with(b"other:berth-"), "under another name nothing is put in: {other}");
    }
    canary::is_nowhere(&app, &created, TOKEN).await;
}
