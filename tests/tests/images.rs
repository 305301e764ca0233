//! Images of a person's own: what they bring cannot change what Berth does, and what they lack is not needed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use berth_tests::{OwnImage, TestApp, docker::docker, own_image::user, until};
use camino::Utf8PathBuf;
use wire::{
    Phase,
    call::{CreateAgent, CreateTask, ShowRun},
    task::{Launch, NewTask, ReviewGate},
    view::RunSummary,
};

/// Far more than a run of these takes.
const RUN_TIME_MAX: Duration = Duration::from_mins(1);

/// Counts the agents.
static RUNS: AtomicU32 = AtomicU32::new(0);

async fn run(app: &TestApp, image: &str, launch: Launch) -> (RunSummary, String) {
    // An agent of its own each time: what it runs in cannot be changed.
    let name = format!("own-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let limits = wire::Limits::default();
    let agent = CreateAgent {
        name: name.clone(),
        image: image.to_owned(),
        launch,
        limits,
        review: ReviewGate::Skip,
        ..CreateAgent::default()
    };
    app.call(agent).await.unwrap();
    let task = NewTask {
        title: None,
        prompt: "anything".to_owned(),
        agent: Some(name),
        project: None,
        limits: None,
        review: None,
        priority: None,
        attachments: Vec::new(),
    };
    let run = app.call(CreateTask { task }).await.unwrap().run.to_string();
    let summary = until("the run to end", RUN_TIME_MAX, async || {
        let summary = app.call(ShowRun { run: run.clone() }).await.unwrap().summary;
        summary.phase.is_final().then_some(summary)
    })
    .await;
    let printed = app.run(["logs", &run]).await.good().text();
    (summary, printed)
}

fn command(argv: &[&str]) -> Launch {
    Launch::Command { argv: argv.iter().map(|&argument| argument.to_owned()).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_its_own_berth_folder_cannot_replace_the_guest() {
    let app = TestApp::start().await;
    let hostile = OwnImage::build(
        "hostile",
        "FROM debian:bookworm-slim\n\
         RUN mkdir -p /berth/run && printf '#!/bin/sh\\necho gotcha\\n' > /berth/berth-guest && chmod 0777 /berth/berth-guest && touch /berth/trap\n\
         ENTRYPOINT [\"/bin/sh\", \"-c\", \"echo gotcha\"]\n",
    );
    let (summary, printed) = run(&app, &hostile.tag, command(&["/bin/ls", "-ln", "/berth"])).await;
    assert_eq!(summary.phase, Phase::Completed, "{summary:#?}");
    assert!(!printed.contains("gotcha") && !printed.contains("trap"), "{printed}");
    // Execute-only, and root's: the guest and not the image's script.
    let guest: Vec<_> =
        printed.lines().find(|line| line.ends_with("berth-guest")).unwrap().split_whitespace().collect();
    assert_eq!(guest[..4], ["---x--x--x", "1", "0", "0"], "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_shell_or_any_other_file_is_a_sandbox_too() {
    let app = TestApp::start().await;
    let (summary, printed) = run(&app, "berth/empty:1", command(&["/berth/berth-guest", "version"])).await;
    assert_eq!(summary.phase, Phase::Completed, "{summary:#?}");
    assert!(printed.starts_with("berth-guest "), "{printed}");
}

/// A static program, and nothing else that runs.
const BUSYBOX: &str = "/bin/busybox";

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_a_single_static_program_and_no_shell_runs_by_entrypoint_and_by_command() {
    let app = TestApp::start().await;
    let dockerfile =
        "FROM scratch\nCOPY busybox /busybox\nENTRYPOINT [\"/busybox\", \"echo\"]\nCMD [\"from\", \"scratch\"]\n";
    let image = OwnImage::build_with("static", dockerfile, &[("busybox", BUSYBOX)]);
    let (summary, printed) = run(&app, &image.tag, Launch::Entrypoint).await;
    assert_eq!((summary.phase, printed.as_str()), (Phase::Completed, "from scratch\n"), "{summary:#?}");
    let (summary, printed) = run(&app, &image.tag, command(&["/busybox", "id", "-u"])).await;
    assert_eq!((summary.phase, printed.trim()), (Phase::Completed, user().as_str()), "{summary:#?}");
    let error = {
        let (summary, _) = run(&app, &image.tag, command(&["/bin/sh", "-c", "true"])).await;
        assert_eq!(summary.phase, Phase::Failed);
        summary.error.unwrap()
    };
    assert_eq!(error.code, wire::ErrorCode::AgentNotStarted, "{error:?}");
    assert!(error.message.contains("/bin/sh"), "{error:?}");
}

/// What Alpine is made of, as far as it can be had without a registry: a static busybox with `/bin/sh` and all its other names, a
/// user of its own, a home of that user's, and an entrypoint script.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_busybox_with_a_user_of_its_own_runs_its_entrypoint() {
    let app = TestApp::start().await;
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY entry /entry\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
        RUN mkdir -p /etc /tmp /home/guest && echo root:x:0:0::/root:/bin/sh >/etc/passwd && echo guest:x:405:100::/home/guest:/bin/sh >>/etc/passwd && chown 405:100 /home/guest\n\
        USER guest\nWORKDIR /home/guest\nENTRYPOINT [\"/entry\"]\nCMD [\"one\", \"two\"]\n";
    let folder = camino_tempfile::tempdir().unwrap();
    let entry = folder.path().join("entry");
    std::fs::write(&entry, "#!/bin/sh\necho \"$(id -u) $(whoami) $HOME $PWD $*\"\ncat\n").unwrap();
    std::fs::set_permissions(&entry, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let image = OwnImage::build_with("busybox", dockerfile, &[("busybox", BUSYBOX), ("entry", entry.as_str())]);
    let (summary, printed) = run(&app, &image.tag, Launch::Entrypoint).await;
    assert_eq!(summary.phase, Phase::Completed, "{summary:#?}");
    // The prompt comes on standard input.
    let expected = format!("{} agent /home/agent /workspace one two\nanything", user());
    assert_eq!(printed.trim_end(), expected, "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_whose_declarations_are_odd_runs_as_any_other() {
    // What the image says, and what comes out of its entrypoint or of the command.
    let says_who = "echo $(id -u) $(whoami) $HOME $PWD";
    let who = format!("{} agent /home/agent /workspace", user());
    let app = TestApp::start().await;
    for (name, more, launch, expected) in [
        ("user-name", "USER nobody", command(&["/bin/sh", "-c", says_who]), who.as_str()),
        ("user-ghost", "USER ghost", command(&["/bin/sh", "-c", says_who]), &who),
        ("user-number", "USER 12345", command(&["/bin/sh", "-c", says_who]), &who),
        ("user-pair", "USER 12345:23456", command(&["/bin/sh", "-c", "id -g"]), &user()),
        ("user-root", "USER 0:0", command(&["/bin/sh", "-c", says_who]), &who),
        (
            "volumes",
            "VOLUME [\"/workspace\", \"/home/agent\", \"/berth\", \"/berth/run\", \"/tmp\", \"/data\", \"/workspace/inner\"]",
            command(&[
                "/bin/sh",
                "-c",
                "cp /dev/null kept && echo x >/tmp/x && echo x >~/x && test -x /berth/berth-guest && ! touch /berth/x 2>&1",
            ]),
            "touch: cannot touch '/berth/x': Read-only file system",
        ),
        ("workdir", "RUN mkdir /gone\nWORKDIR /gone\nRUN rmdir /gone", command(&["/bin/pwd"]), "/workspace"),
        ("health", "HEALTHCHECK --interval=1s CMD exit 1", command(&["/bin/echo", "well"]), "well"),
        ("shell-form", "ENTRYPOINT exec echo \"in $0 of $PWD\"", Launch::Entrypoint, "in /bin/sh of /workspace"),
        (
            "exec-form",
            "ENTRYPOINT [\"/bin/echo\", \"$HOME\"]\nCMD [\"as\", \"it\", \"is\"]",
            Launch::Entrypoint,
            "$HOME as it is",
        ),
        (
            "environment",
            "ENV PATH=/odd:/bin HOME=/root LD_PRELOAD=/evil.so USER=root BERTH_RUN=mine",
            command(&["/bin/sh", "-c", "echo $HOME $USER $PATH ${#BERTH_RUN} 2>/dev/null"]),
            "/home/agent agent /odd:/bin 36",
        ),
        ("stop-signal", "STOPSIGNAL SIGUSR1", command(&["/bin/echo", "never told"]), "never told"),
        ("on-build", "ONBUILD RUN exit 1", command(&["/bin/echo", "not built upon"]), "not built upon"),
        (
            "labels",
            "LABEL berth.install=somebody berth.sandbox=x berth.run=y berth.agent=z berth.role=home",
            command(&["/bin/echo", "no other's"]),
            "no other's",
        ),
    ] {
        let image = OwnImage::build(&format!("odd-{name}"), &format!("FROM debian:bookworm-slim\n{more}\n"));
        let (summary, printed) = run(&app, &image.tag, launch).await;
        assert_eq!(summary.phase, Phase::Completed, "{name}: {summary:#?}\n{printed}");
        // What the dynamic linker says of LD_PRELOAD comes before.
        assert_eq!(printed.trim_end().lines().last(), Some(expected), "{name}: {printed}");
        if name == "volumes" {
            let workspace = Utf8PathBuf::from(summary.workspace.unwrap());
            assert!(workspace.join("kept").exists(), "the host's folder, not the image's volume");
        }
        app.is_swept().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_would_move_the_guest_is_refused_by_what_it_has_and_where() {
    let app = TestApp::start().await;
    for (name, more, what) in [
        ("link", "RUN ln -s /workspace /berth", "a link at `/berth`"),
        ("file", "RUN touch /berth", "a file at `/berth`"),
        ("home", "RUN rm -rf /home && ln -s /workspace /home", "a link at `/home`"),
    ] {
        let image = OwnImage::build(&format!("way-{name}"), &format!("FROM debian:bookworm-slim\n{more}\n"));
        let (summary, _) = run(&app, &image.tag, command(&["/bin/true"])).await;
        assert_eq!(summary.phase, Phase::Failed);
        let error = summary.error.unwrap();
        assert_eq!(error.code, wire::ErrorCode::ImageUnusable, "{error:?}");
        assert!(error.message.contains(what), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_know_the_user_is_adapted_once_and_reclaimed_with_its_base() {
    let app = TestApp::start().await;
    let base = OwnImage::build(
        "stranger",
        "FROM debian:bookworm-slim\nLABEL berth.test=stranger\nENTRYPOINT [\"/usr/bin/whoami\"]\n",
    );
    for _ in 0..2 {
        let (summary, printed) = run(&app, &base.tag, Launch::Entrypoint).await;
        assert_eq!((summary.phase, printed.trim()), (Phase::Completed, "agent"), "{summary:#?}");
    }
    let install = format!("label=berth.install={}", app.install().unwrap());
    let adapted =
        || docker(&["image", "ls", "--filter", &install, "--format", "{{.Repository}}:{{.Tag}}", "berth/adapted"]);
    let id = docker(&["image", "inspect", "--format", "{{.Id}}", &base.tag]);
    let digest = id.trim().trim_start_matches("sha256:").to_owned();
    assert_eq!(adapted().trim(), format!("berth/adapted:{digest}-{}", user()));
    assert_eq!(
        docker(&["image", "inspect", "--format", "{{.Config.Entrypoint}}", adapted().trim()]).trim(),
        "[/usr/bin/whoami]"
    );
    docker(&["rmi", &base.tag]);
    // The end of any step is a reason to look.
    run(&app, "debian:bookworm-slim", command(&["/bin/true"])).await;
    until("the adapted image to go", RUN_TIME_MAX, async || (!adapted().contains(&digest)).then_some(())).await;
}

/// A certificate made for this test alone.
const AUTHORITY: &str = include_str!("data/authority.pem");

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_authority_reaches_sandboxes_of_any_image() {
    let folder = camino_tempfile::tempdir().unwrap();
    let path: Utf8PathBuf = folder.path().join("authority.pem");
    std::fs::write(&path, AUTHORITY).unwrap();
    let app = TestApp::start_with(&[("BERTH_EXTRA_CERTIFICATES", path.as_str())]).await;
    let (summary, printed) = run(
        &app,
        "debian:bookworm-slim",
        command(&["/bin/sh", "-c", "cat \"$SSL_CERT_FILE\" && test -r \"$NODE_EXTRA_CA_CERTS\""]),
    )
    .await;
    assert_eq!(summary.phase, Phase::Completed, "{summary:#?}");
    let body = |pem: &str| pem.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
    let trusted: Vec<String> = printed.split("-----BEGIN CERTIFICATE-----").map(body).collect();
    assert!(trusted.contains(&body(AUTHORITY)), "{} certificates, ours is none of them", trusted.len());
}
