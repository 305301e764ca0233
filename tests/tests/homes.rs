//! Homes and their agents: what is in one survives whatever a person does but what they said, and nobody else's files are touched.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::process::Command;
use std::time::Duration;

use berth_tests::{TestApp, docker, docker::docker, until};
use camino::Utf8PathBuf;
use camino_tempfile::Utf8TempDir;
use futures::StreamExt as _;
use tokio::task::JoinSet;
use wire::{
    ErrorCode, ErrorView, Phase,
    call::{
        BrowseHome, CancelHomeWork, CreateAgent, CreateTask, DeleteAgent, DeleteHome, DuplicateAgent, HomeFate,
        ListAgents, ListHomes, MeasureHome, OpenStream, ReadHome, ResetHome, ShowRun, TaskCreated, UpdateAgent,
    },
    stream::StreamTarget,
    task::{Launch, NewTask, ReviewGate},
    view::{EntryKind, HomeAction, HomeView, HomeWorkKind},
};

/// Far more than a run of these takes, on a machine that has much else to do.
const BOUND: Duration = Duration::from_mins(3);
const PLAIN_IMAGE: &str = "debian:bookworm-slim";

/// An image that is made for one test and removed with it.
struct OwnImage {
    tag: String,
    _context: Utf8TempDir,
}

impl OwnImage {
    fn build(name: &str, lines: &str) -> Self {
        let context = camino_tempfile::tempdir().unwrap();
        std::fs::write(context.path().join("Dockerfile"), format!("FROM {PLAIN_IMAGE}\n{lines}\n")).unwrap();
        let tag = format!("berth-test/home-{name}:{}", std::process::id());
        docker(&["build", "--quiet", "--network", "none", "--tag", &tag, context.path().as_str()]);
        Self { tag, _context: context }
    }
}

impl Drop for OwnImage {
    fn drop(&mut self) {
        docker(&["rmi", "--force", &self.tag]);
    }
}

/// Makes an agent whose tasks are scripts of a shell.
async fn agent(app: &TestApp, name: &str, image: &str) {
    let launch = Launch::Command { argv: vec!["sh".to_owned()] };
    let limits = wire::Limits { memory_bytes: 128 << 20, ..wire::Limits::default() };
    let (name, image) = (name.to_owned(), image.to_owned());
    app.call(CreateAgent { name, image, launch, limits, review: ReviewGate::Skip, ..CreateAgent::default() })
        .await
        .unwrap();
}

async fn begin(app: &TestApp, agent: &str, script: &str) -> TaskCreated {
    let task = NewTask {
        title: Some("A script".to_owned()),
        prompt: format!("{script}\n"),
        agent: Some(agent.to_owned()),
        project: None,
        limits: None,
        review: None,
        priority: None,
        attachments: Vec::new(),
    };
    app.call(CreateTask { task }).await.unwrap()
}

/// Lets an agent carry out a script, and returns what it printed.
async fn run(app: &TestApp, agent: &str, script: &str) -> String {
    let run = begin(app, agent, script).await.run.to_string();
    until("the run to complete", BOUND, async || {
        let summary = app.call(ShowRun { run: run.clone() }).await.unwrap().summary;
        assert!(
            summary.phase == Phase::Completed || !summary.phase.is_final(),
            "it ended otherwise: {summary:?}\n{}",
            app.log()
        );
        (summary.phase == Phase::Completed).then_some(())
    })
    .await;
    app.run(["logs", &run]).await.good().text().replace('\r', "")
}

async fn home(app: &TestApp, name: &str) -> HomeView {
    let homes = app.call(ListHomes {}).await.unwrap();
    homes.into_iter().find(|home| home.name == name).unwrap_or_else(|| panic!("no home of {name}"))
}

fn denied(home: &HomeView, action: HomeAction) -> Option<&str> {
    home.actions.iter().find(|one| one.action == action).unwrap().denied.as_deref()
}

/// The volumes of homes that the engine has for this app.
fn volumes(app: &TestApp) -> Vec<String> {
    let volumes = app.volumes();
    volumes
        .iter()
        .filter(|volume| docker::role(volume) == "home")
        .map(|volume| docker::name(volume).to_owned())
        .collect()
}

async fn is_gone_from_the_engine(app: &TestApp, volume: &str) {
    until("the old volume to go", BOUND, async || (!volumes(app).iter().any(|one| one == volume)).then_some(())).await;
}

fn path(folder: &Utf8TempDir, name: &str) -> Utf8PathBuf {
    folder.path().join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_is_made_of_what_the_image_has_whoever_owns_it_there() {
    let app = TestApp::start().await;
    let image = OwnImage::build(
        "owned",
        "RUN mkdir -p /home/agent/.config/tool && echo seeded > /home/agent/.config/tool/rc \
         && ln -s tool/rc /home/agent/.config/link && printf x > /home/agent/setuid && chmod 4755 /home/agent/setuid \
         && chown -R 4242:4243 /home/agent && chmod 700 /home/agent",
    );
    agent(&app, "mason", &image.tag).await;
    assert!(home(&app, "mason").await.is_new);
    let said = run(
        &app,
        "mason",
        "cd && id -u && stat -c '%u %a' . .config/tool/rc setuid && cat .config/link && echo more >> .config/tool/rc \
         && ls -d clawvault/mason clawvault/shared project-workspace task-workspaces && readlink run-workspace",
    )
    .await;
    let lines: Vec<_> = said.lines().collect();
    let uid = lines[0];
    let expected = [format!("{uid} 700"), format!("{uid} 644"), format!("{uid} 755"), "seeded".to_owned()];
    assert_eq!(lines[1..5], expected, "{said}");
    let layout = ["clawvault/mason", "clawvault/shared", "project-workspace", "task-workspaces", "/workspace"];
    assert_eq!(lines[5..], layout, "{said}");
    let home = home(&app, "mason").await;
    assert_eq!((home.is_new, home.image.as_deref()), (false, Some(image.tag.as_str())));
    assert!(home.used_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_under_a_home_changes_nothing_in_it() {
    let app = TestApp::start().await;
    let old = OwnImage::build(
        "older",
        "RUN mkdir -p /home/agent && echo one > /home/agent/.rc && echo one > /home/agent/.mine",
    );
    let new = OwnImage::build(
        "newer",
        "RUN mkdir -p /home/agent && echo two > /home/agent/.rc && echo two > /home/agent/.mine && echo two > /home/agent/.new",
    );
    agent(&app, "mason", &old.tag).await;
    run(&app, "mason", "cd && echo of the person > .mine && echo kept > notes").await;
    let before = home(&app, "mason").await;
    let image = Some(new.tag.clone());
    app.call(UpdateAgent { agent: "mason".to_owned(), image, ..UpdateAgent::default() }).await.unwrap();
    let said = run(&app, "mason", "cd && cat .rc .mine notes; ls .new 2>&1; cat /home/agent/.rc").await;
    // A file that the person never changed stays as well: nobody knows what they have come to rely on.
    assert!(said.starts_with("one\nof the person\nkept\n"), "{said}");
    assert!(said.contains("No such file"), "{said}");
    let after = home(&app, "mason").await;
    assert_eq!((&after.home, after.image.as_deref()), (&before.home, Some(old.tag.as_str())));
    // What the newer image brings comes with a reset.
    app.call(ResetHome { home: "mason".to_owned(), confirm: "mason".to_owned() }).await.unwrap();
    assert_eq!(run(&app, "mason", "cd && cat .rc .mine .new; ls notes 2>/dev/null; true").await, "two\ntwo\ntwo\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_needs_the_name_and_leaves_a_new_home_whatever_happens_next() {
    let mut app = TestApp::start().await;
    agent(&app, "mason", PLAIN_IMAGE).await;
    run(&app, "mason", "echo mine > ~/mine").await;
    let before = home(&app, "mason").await.home;
    for typed in ["", "Mason", "berth"] {
        let reset = ResetHome { home: "mason".to_owned(), confirm: typed.to_owned() };
        let refused = app.call(reset).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidArgument, "{typed:?}");
    }
    app.run(["homes", "reset", "mason"]).await.bad();
    assert_eq!(run(&app, "mason", "cat ~/mine").await, "mine\n", "nothing was reset");

    let view: HomeView = app.run(["homes", "reset", "mason", "--confirm", "mason", "--json"]).await.good().json();
    // Killed before it could act on what it wrote down.
    app.kill().await;
    assert!(view.is_new && view.home != before);
    app.restart().await;
    is_gone_from_the_engine(&app, &before).await;
    assert_eq!(
        run(&app, "mason", "ls ~/mine 2>/dev/null; ls ~ | tr '\\n' ' '").await.trim(),
        "clawvault project-workspace run-workspace task-workspaces"
    );
    assert_eq!(home(&app, "mason").await.home, view.home);
    let again = ResetHome { home: view.home.clone(), confirm: "mason".to_owned() };
    app.call(again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_in_use_is_shown_and_nothing_else_is_done_to_it() {
    let app = TestApp::start().await;
    agent(&app, "mason", PLAIN_IMAGE).await;
    let created = begin(
        &app,
        "mason",
        "echo mine > ~/mine; echo > /workspace/up; while [ ! -e /workspace/go ]; do sleep 0.1; done",
    )
    .await;
    let workspace = app.leaves_file(&created, "up").await;
    let view = home(&app, "mason").await;
    assert_eq!(view.task.as_ref().map(|task| task.number), Some(created.number));
    for action in [HomeAction::Export, HomeAction::Import, HomeAction::Reset] {
        assert_eq!(denied(&view, action), Some(format!("In use by #{}.", created.number).as_str()), "{action:?}");
    }
    assert_eq!(denied(&view, HomeAction::Browse), None);
    let read =
        app.call(ReadHome { home: "mason".to_owned(), key: "mine".to_owned(), offset: 0, length: 0 }).await.unwrap();
    assert_eq!(read.size_bytes, 5, "it is shown while it is in use");

    let refused = app.call(ResetHome { home: "mason".to_owned(), confirm: "mason".to_owned() }).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotNow);
    assert!(refused.message.contains(&format!("#{}", created.number)), "{refused:?}");
    let out = app.home().join("out.tar");
    let refused = app.run(["homes", "export", "mason", "-o", out.as_str()]).await.bad();
    assert!(refused.complaint().contains("in use by"), "{refused}");
    assert!(!out.exists() && !app.home().join("out.tar.part").exists());
    let delete = DeleteAgent { agent: "mason".to_owned(), confirm: "mason".to_owned(), home: HomeFate::Delete };
    assert_eq!(app.call(delete).await.unwrap_err().code, ErrorCode::NotNow);

    std::fs::write(workspace.join("go"), "").unwrap();
    app.reaches(&created, Phase::Completed).await;
    app.call(ResetHome { home: "mason".to_owned(), confirm: "mason".to_owned() }).await.unwrap();
}

/// Fills a home with what is hard to carry.
const MANY_KINDS: &str = "cd && mkdir -p deep/er clawvault/mason && echo note > clawvault/mason/notes.md && head -c 3000000 /dev/urandom > big \
     && ln -s /etc/passwd out && ln -s deep in && ln big deep/er/same && mkfifo fifo && touch \"$(printf 'odd\\033[2J\\nname')\" \
     && chmod 750 deep && chmod 600 big && sha256sum big | cut -c1-64";

#[tokio::test(flavor = "multi_thread")]
async fn an_export_comes_back_as_it_was_with_or_without_a_running_app() {
    let mut app = TestApp::start().await;
    let folder = camino_tempfile::tempdir().unwrap();
    agent(&app, "mason", PLAIN_IMAGE).await;
    agent(&app, "quill", PLAIN_IMAGE).await;
    let sum = run(&app, "mason", MANY_KINDS).await;
    let (first, second) = (path(&folder, "first.tar"), path(&folder, "second.tar"));
    app.run(["homes", "export", "mason", "-o", first.as_str()]).await.good();
    let again = app.run(["homes", "export", "mason", "-o", first.as_str()]).await.bad();
    assert!(again.complaint().contains("is there already"), "{again}");
    // Any tar reads it.
    let listed = Command::new("tar").args(["-tf", first.as_str()]).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in ["./\n", "clawvault/mason/notes.md\n", "deep/er/same\n", "out\n", "run-workspace\n"] {
        assert!(names.contains(name), "{name}: {names}");
    }
    assert!(!names.contains("fifo"), "{names}");
    app.stop().await;

    // Without a running app, by the command alone.
    app.run(["homes", "export", "mason", "-o", second.as_str()]).await.good();
    assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
    app.restart().await;

    run(&app, "quill", "echo before > ~/before").await;
    let old = home(&app, "quill").await.home;
    let wrong = app.run(["homes", "import", "quill", first.as_str(), "--confirm", "mason"]).await.bad();
    assert!(wrong.complaint().contains("nothing was replaced"), "{wrong}");
    app.run(["homes", "import", "quill", first.as_str(), "--confirm", "quill"]).await.good();
    let said = run(
        &app,
        "quill",
        "cd && ls before 2>/dev/null; sha256sum deep/er/same | cut -c1-64; stat -c %h big; stat -c '%u %a' big; id -u; \
         readlink out in; cat clawvault/quill/notes.md; ls -d clawvault/mason 2>/dev/null; stat -c %a deep",
    )
    .await;
    let lines: Vec<_> = said.lines().collect();
    let owner = format!("{} 600", lines[3]);
    assert_eq!(lines, [sum.trim(), "2", &owner, lines[3], "/etc/passwd", "deep", "note", "750"], "{said}");
    is_gone_from_the_engine(&app, &old).await;
    assert_eq!(
        run(&app, "mason", "cat ~/clawvault/mason/notes.md").await,
        "note\n",
        "the one it came from is as it was"
    );
}

/// Writes an archive with entries that the usual tools refuse to make.
fn hostile(folder: &Utf8TempDir, name: &str, entries: &str) -> Utf8PathBuf {
    let path = path(folder, name);
    let program = format!(
        "import io, sys, tarfile\nwith tarfile.open(sys.argv[1], 'w') as tar:\n    def add(name, type=tarfile.REGTYPE, link='', size=0):\n        entry = tarfile.TarInfo(name)\n        entry.type, entry.linkname, entry.size, entry.uid, entry.mode = type, link, size, 0, 0o4777\n        tar.addfile(entry, io.BytesIO(b'x' * size))\n    add('good', size=5)\n    {entries}\n"
    );
    let output = Command::new("python3").args(["-c", &program, path.as_str()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_or_broken_import_loses_nothing_of_the_old_home() {
    let app = TestApp::start().await;
    let folder = camino_tempfile::tempdir().unwrap();
    agent(&app, "mason", PLAIN_IMAGE).await;
    run(&app, "mason", "echo mine > ~/mine").await;
    let before = home(&app, "mason").await.home;
    let whole = hostile(&folder, "whole.tar", "add('late', size=700000)");
    let cut = path(&folder, "cut.tar");
    std::fs::write(&cut, &std::fs::read(&whole).unwrap()[..400_000]).unwrap();
    let text = path(&folder, "text.tar");
    std::fs::write(&text, "This is no archive.\n".repeat(100)).unwrap();
    let archives = [
        (hostile(&folder, "dots.tar", "add('../../etc/passwd', size=1)"), "lead out"),
        (hostile(&folder, "absolute.tar", "add('/etc/passwd', size=1)"), "absolute"),
        (
            hostile(&folder, "through.tar", "add('a', tarfile.SYMTYPE, '/berth'); add('a/planted', size=1)"),
            "beneath a link",
        ),
        (hostile(&folder, "hard.tar", "add('a', tarfile.LNKTYPE, '/etc/shadow')"), "absolute path"),
        (cut, "breaks off"),
        (text, "no tar"),
    ];
    for (archive, words) in &archives {
        let refused = app.run(["homes", "import", "mason", archive.as_str(), "--confirm", "mason"]).await.bad();
        assert!(refused.complaint().contains(words), "{words}: {refused}");
    }
    assert_eq!(home(&app, "mason").await.home, before);
    assert_eq!(run(&app, "mason", "ls ~/good 2>/dev/null; cat ~/mine").await, "mine\n");
    until("nothing else to be left", BOUND, async || (volumes(&app) == [before.clone()]).then_some(())).await;

    // Devices are left out and told; what is left is the home's, without any special permission.
    let devices = hostile(&folder, "devices.tar", "add('disk', tarfile.BLKTYPE); add('pipe', tarfile.FIFOTYPE)");
    let taken = app.run(["homes", "import", "mason", devices.as_str(), "--confirm", "mason"]).await.good();
    assert!(taken.text().contains("2 left out") && taken.text().contains("disk"), "{taken}");
    assert_eq!(
        run(&app, "mason", "cd && stat -c '%a' good; cat good; ls disk pipe mine 2>/dev/null; true").await,
        "777\nxxxxx"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_cancelled_or_killed_half_way_leaves_the_old_home() {
    let mut app = TestApp::start().await;
    agent(&app, "mason", PLAIN_IMAGE).await;
    run(&app, "mason", "echo mine > ~/mine").await;
    let before = home(&app, "mason").await.home;
    for ending in ["cancelled", "killed"] {
        let target =
            StreamTarget::ImportHome { home: "mason".to_owned(), confirm: "mason".to_owned(), size_bytes: None };
        let ticket = app.call(OpenStream { target }).await.unwrap().ticket;
        let url = format!("{}/api/archive?ticket={ticket}", app.client().address);
        // A header of a file of 1 GiB and a part of it; then nothing comes.
        let mut header = vec![0_u8; 512];
        header[..3].copy_from_slice(b"big");
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(b"10000000000");
        header[156] = b'0';
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let begun = futures::stream::iter([header, vec![7; 1 << 20]].map(Ok::<_, std::io::Error>));
        let body = reqwest::Body::wrap_stream(begun.chain(futures::stream::pending()));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut sending = JoinSet::from_iter([http.post(url).body(body).send()]);
        let view = until("the import to be on its way", BOUND, async || {
            let view = home(&app, "mason").await;
            (view.work.is_some_and(|work| work.done_bytes > 1 << 20) && volumes(&app).len() == 2).then_some(view)
        })
        .await;
        assert_eq!(view.home, before);
        assert_eq!(view.work.unwrap().kind, HomeWorkKind::Import);
        // A step waits for it, and does not see half of it.
        let waiting = begin(&app, "mason", "ls ~/big 2>/dev/null; cat ~/mine").await;
        if ending == "cancelled" {
            app.call(CancelHomeWork { home: "mason".to_owned() }).await.unwrap();
            let refused: ErrorView = sending.join_next().await.unwrap().unwrap().unwrap().json().await.unwrap();
            assert!(refused.message.contains("cancelled"), "{refused:?}");
        } else {
            app.kill().await;
            sending.abort_all();
            app.restart().await;
        }
        app.reaches(&waiting, Phase::Completed).await;
        let said = app.run(["logs", &waiting.run.to_string()]).await.good().text();
        assert_eq!(said.trim(), "mine", "{ending}");
        assert_eq!(home(&app, "mason").await.home, before, "{ending}");
        until("nothing else to be left", BOUND, async || (volumes(&app) == [before.clone()]).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_is_looked_into_and_nothing_leads_out_of_it() {
    let app = TestApp::start().await;
    agent(&app, "mason", PLAIN_IMAGE).await;
    let new = app.call(BrowseHome { home: "mason".to_owned(), ..BrowseHome::default() }).await.unwrap_err();
    assert_eq!(new.code, ErrorCode::NotNow, "there is nothing to show yet");
    run(&app, "mason", MANY_KINDS).await;
    let browse = async |key: &str, after: &str, limit| {
        let (key, after) = (key.to_owned(), after.to_owned());
        app.call(BrowseHome { home: "mason".to_owned(), key, after, limit }).await
    };
    let whole = browse("", "", 0).await.unwrap();
    let kinds: Vec<_> = whole.entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("big", EntryKind::File),
            ("clawvault", EntryKind::Folder),
            ("deep", EntryKind::Folder),
            ("fifo", EntryKind::Special),
            ("in", EntryKind::Link),
            ("odd\\u{1b}[2J\\u{a}name", EntryKind::File),
            ("out", EntryKind::Link),
            ("project-workspace", EntryKind::Folder),
            ("run-workspace", EntryKind::Link),
            ("task-workspaces", EntryKind::Folder),
        ]
    );
    assert_eq!(whole.entries[6].target.as_deref(), Some("/etc/passwd"));
    assert_eq!((whole.entries[0].size_bytes, whole.entries[0].mode), (3_000_000, 0o600));
    let first = browse("", "", 3).await.unwrap();
    let second = browse("", first.next.as_deref().unwrap(), 100).await.unwrap();
    assert_eq!([first.entries, second.entries].concat(), whole.entries);
    assert_eq!(second.next, None);

    let read = async |key: &str| {
        app.call(ReadHome { home: "mason".to_owned(), key: key.to_owned(), offset: 2_999_990, length: 100 }).await
    };
    let piece = read("deep/er/same").await.unwrap();
    assert_eq!((piece.size_bytes, piece.offset), (3_000_000, 2_999_990));
    let odd = &whole.entries[5].key;
    assert_eq!(read(odd).await.unwrap().size_bytes, 0, "an odd name can be asked for");
    for key in ["out", "in/er/same", "fifo", "deep", "../../etc/passwd", "%2e%2e/x", "run-workspace/x", "nowhere"] {
        assert!(read(key).await.is_err(), "{key}");
        assert!(key == "deep" || browse(key, "", 0).await.is_err(), "{key}");
    }
    let shown = app.run(["homes", "ls", "mason"]).await.good().text();
    assert!(shown.contains("out -> /etc/passwd") && !shown.contains('\u{1b}'), "{shown}");
    assert_eq!(app.run(["homes", "cat", "mason", "clawvault/mason/notes.md"]).await.good().text(), "note\n");

    let measured = app.call(MeasureHome { home: "mason".to_owned() }).await.unwrap().size.unwrap();
    // Two names of one file count once.
    assert!((3_000_000..3_500_000).contains(&measured.size_bytes), "{measured:?}");
    assert!(measured.files >= 15, "{measured:?}");
    // Who looks costs nothing for long: the container goes by itself.
    app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_agent_keeps_its_home_and_its_memory() {
    let app = TestApp::start().await;
    agent(&app, "mason", PLAIN_IMAGE).await;
    agent(&app, "quill", PLAIN_IMAGE).await;
    run(&app, "mason", "echo learnt > ~/clawvault/mason/notes.md").await;
    let before = home(&app, "mason").await.home;
    let taken = app.run(["agents", "rename", "mason", "quill"]).await.bad();
    assert!(taken.complaint().contains("already"), "{taken}");
    app.run(["agents", "rename", "mason", "carver"]).await.good();
    assert_eq!(home(&app, "carver").await.home, before);
    let said = run(
        &app,
        "carver",
        "cd ~/clawvault && cat carver/notes.md mason/notes.md && readlink mason && echo more >> carver/notes.md",
    )
    .await;
    assert_eq!(said, "learnt\nlearnt\ncarver\n");
    // And back: the link gives way.
    app.run(["agents", "rename", "carver", "mason"]).await.good();
    assert_eq!(
        run(&app, "mason", "cd ~/clawvault && cat mason/notes.md && readlink carver").await,
        "learnt\nmore\nmason\n"
    );
    let kept = app.run(["agents", "rename", "script", "other"]).await.bad();
    assert!(kept.complaint().contains("Tasks that name no agent"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_agent_works_on_whatever_it_has_made_of_its_memory() {
    let app = TestApp::start().await;
    agent(&app, "mason", PLAIN_IMAGE).await;
    run(
        &app,
        "mason",
        "cd && mv clawvault elsewhere && ln -s elsewhere clawvault && echo learnt > elsewhere/mason/notes.md",
    )
    .await;
    app.run(["agents", "rename", "mason", "carver"]).await.good();
    assert_eq!(run(&app, "carver", "cat ~/clawvault/mason/notes.md").await, "learnt\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_agent_leaves_its_home_only_where_that_was_said() {
    let app = TestApp::start().await;
    agent(&app, "mason", PLAIN_IMAGE).await;
    run(&app, "mason", "echo mine > ~/mine").await;
    app.call(DuplicateAgent { agent: "mason".to_owned(), name: "twin".to_owned() }).await.unwrap();
    let agents = app.call(ListAgents {}).await.unwrap();
    let of = |name: &str| agents.iter().find(|agent| agent.name == name).unwrap();
    assert_eq!(
        (&of("twin").image, &of("twin").launch, of("twin").limits),
        (&of("mason").image, &of("mason").launch, of("mason").limits)
    );
    assert_ne!(of("twin").home, of("mason").home);
    run(&app, "twin", "ls ~/mine 2>/dev/null; echo mine > ~/twin").await;

    let wrong = app.run(["agents", "delete", "mason", "--confirm", "masn"]).await.bad();
    assert!(wrong.complaint().contains("was not deleted"), "{wrong}");
    app.run(["agents", "delete", "mason", "--confirm", "mason"]).await.good();
    assert!(app.call(ListAgents {}).await.unwrap().iter().all(|agent| agent.name != "mason"));
    let orphan = home(&app, "mason").await;
    assert!(orphan.is_orphan);
    assert_eq!(denied(&orphan, HomeAction::Delete), None);
    assert!(denied(&orphan, HomeAction::Reset).is_some());
    let read = ReadHome { home: "mason".to_owned(), key: "mine".to_owned(), offset: 0, length: 0 };
    assert_eq!(app.call(read).await.unwrap().size_bytes, 5, "it can still be looked into");
    // Its name is free again, and the living agent's home goes before the deleted one's.
    agent(&app, "mason", PLAIN_IMAGE).await;
    assert_eq!(run(&app, "mason", "ls ~/mine 2>/dev/null; echo new").await, "new\n");
    let delete = |home: &str| DeleteHome { home: home.to_owned(), confirm: "mason".to_owned() };
    assert_eq!(app.call(delete("mason")).await.unwrap_err().code, ErrorCode::NotNow, "the living one's home stays");
    app.call(delete(&orphan.home)).await.unwrap();
    is_gone_from_the_engine(&app, &orphan.home).await;

    let twin = home(&app, "twin").await.home;
    app.run(["agents", "delete", "twin", "--confirm", "twin", "--with-home"]).await.good();
    is_gone_from_the_engine(&app, &twin).await;
    assert!(app.call(ListHomes {}).await.unwrap().iter().all(|home| home.home != twin));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_holds_for_the_next_task_and_not_for_one_that_waits() {
    let app = TestApp::start().await;
    agent(&app, "mason", PLAIN_IMAGE).await;
    let working = begin(&app, "mason", "echo > /workspace/up; while [ ! -e /workspace/go ]; do sleep 0.1; done").await;
    let workspace = app.leaves_file(&working, "up").await;
    let waiting = begin(&app, "mason", "echo by a shell").await;
    app.run(["agents", "edit", "mason", "--colour", "green", "--time", "10m", "--", "echo", "by echo"]).await.good();
    let agents = app.call(ListAgents {}).await.unwrap();
    let mason = agents.iter().find(|agent| agent.name == "mason").unwrap();
    assert_eq!((mason.colour.name(), mason.limits.wall_clock_s, mason.limits.memory_bytes), ("green", 600, 128 << 20));
    let nonsense = app.run(["agents", "edit", "mason", "--image", "no such image"]).await.bad();
    assert!(nonsense.complaint().contains("not the name of an image"), "{nonsense}");
    std::fs::write(workspace.join("go"), "").unwrap();
    app.reaches(&waiting, Phase::Completed).await;
    assert_eq!(app.run(["logs", &waiting.run.to_string()]).await.good().text().trim(), "by a shell");
    assert_eq!(run(&app, "mason", "ignored").await.trim(), "by echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_something_else_removed_is_made_anew_and_said_so() {
    let app = TestApp::start().await;
    agent(&app, "mason", PLAIN_IMAGE).await;
    run(&app, "mason", "echo mine > ~/mine").await;
    let volume = home(&app, "mason").await.home;
    // Whoever measures it lets go of it in a moment.
    until("the volume to be removed", BOUND, async || {
        docker::Docker::of_this_machine().try_run(&["volume", "rm", &volume]).ok()
    })
    .await;
    assert_eq!(
        run(&app, "mason", "ls ~/mine 2>/dev/null; ls -d ~/clawvault/mason").await,
        "/home/agent/clawvault/mason\n"
    );
    let events = app.call(wire::call::ListEvents::default()).await.unwrap();
    assert!(events.iter().any(|event| event.text.contains("no longer in the engine")), "{events:#?}");
}
