//! What runs printed and left is kept, bounded, and goes only when it may; what lies around is found, explained, and taken away
//! only once that was agreed to. Another installation's things are never touched.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::time::Duration;

use berth_tests::{
    TestApp,
    app::Leftovers,
    command,
    docker::{self, Docker, Kind},
    sample, until,
};
use camino::{Utf8Path, Utf8PathBuf};
use engine::contract::hardening::ON_PURPOSE;
use wire::{
    ErrorCode, Phase,
    call::{Doctor, ListEvents, ListResults, ReadResult, ShowRun, Status, TaskCreated, UpdateAgent},
    network::NetworkPolicy,
    upkeep::{
        Finding, MarkSeen, Mended, Outcome, PlanReclaim, Reclaim, Remedy, RetentionRules, SetRetention, ShowRetention,
        Sight, Thing,
    },
    view::{DoctorReport, RunView, TaskList},
};

/// How long something may take that Berth does by itself, in the background.
const BACKGROUND_TIME_MAX: Duration = Duration::from_mins(2);
/// No bound at all.
const UNBOUND: RetentionRules = RetentionRules { age_s: None, total_bytes: None, runs: None };

/// A task that printed and left something, at its end.
async fn ended(app: &TestApp, word: &str) -> (TaskCreated, RunView) {
    let created = app.create(&sample::script(&[&format!("echo printed {word}; echo left {word} > left")])).await;
    let view = app.reaches(&created, Phase::Completed).await;
    app.is_swept().await;
    (created, view)
}

async fn content(app: &TestApp, created: &TaskCreated) -> Result<String, ErrorCode> {
    let read = ReadResult { run: created.run.to_string(), key: "left".to_owned(), offset: 0, length: 0 };
    let content = app.call(read).await.map_err(|error| error.code)?;
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &content.base64).unwrap();
    Ok(String::from_utf8(bytes).unwrap())
}

async fn output(app: &TestApp, created: &TaskCreated) -> String {
    app.run(["logs", &created.run.to_string()]).await.text()
}

/// Where the data of a run lies: its outputs and its workspace.
fn places(app: &TestApp, view: &RunView) -> [Utf8PathBuf; 2] {
    let outputs = app.home().join("outputs").join(view.steps[0].step.to_string());
    [outputs, Utf8PathBuf::from(view.summary.workspace.clone().unwrap())]
}

async fn is_deleted(app: &TestApp, view: &RunView) {
    until("the data of a run to go", BACKGROUND_TIME_MAX, async || {
        places(app, view).iter().all(|place| !place.exists()).then_some(())
    })
    .await;
}

fn assert_is_kept(app: &TestApp, view: &RunView) {
    for place in places(app, view) {
        assert!(place.exists(), "{place} is gone");
    }
}

async fn set(app: &TestApp, rules: RetentionRules) {
    app.call(SetRetention { rules }).await.unwrap();
}

async fn see(app: &TestApp, created: &TaskCreated) -> u64 {
    app.call(MarkSeen { task: created.task.to_string() }).await.unwrap().runs
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_printed_and_left_outlives_its_sandbox_and_the_app() {
    let mut app = TestApp::start().await;
    let (created, _) = ended(&app, "one").await;
    let events = ListEvents { task: Some(created.task), after_seq: 0, limit: 1_000 };
    let before = app.call(events.clone()).await.unwrap();
    app.kill().await;
    app.restart().await;
    assert!(output(&app, &created).await.contains("printed one"));
    assert_eq!(content(&app, &created).await.unwrap(), "left one\n");
    assert_eq!(app.call(events).await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_a_bound_goes_oldest_first_and_never_before_a_person_has_seen_it() {
    let mut app = TestApp::start().await;
    let (first, first_view) = ended(&app, "first").await;
    let (second, second_view) = ended(&app, "second").await;
    let (third, third_view) = ended(&app, "third").await;
    set(&app, RetentionRules { runs: Some(1), ..UNBOUND }).await;
    // The bound is durable, and what nobody has seen is said, not taken: before and after a restart.
    app.stop().await;
    app.restart().await;
    let view = app.call(ShowRetention {}).await.unwrap();
    assert_eq!((view.rules.runs, view.runs, view.unseen_over), (Some(1), 3, 2), "{view:?}");
    until("a notice of what stays", BACKGROUND_TIME_MAX, async || {
        let notices = app.call(Status {}).await.unwrap().notices;
        notices.iter().any(|notice| notice.contains("nobody has looked at")).then_some(())
    })
    .await;
    for view in [&first_view, &second_view, &third_view] {
        assert_is_kept(&app, view);
    }

    // The second is seen: it goes, although the first is older and stays unseen. The third fits.
    assert_eq!(see(&app, &second).await, 1);
    assert_eq!(see(&app, &second).await, 0, "seen already");
    is_deleted(&app, &second_view).await;
    assert_is_kept(&app, &first_view);
    assert_eq!(see(&app, &third).await, 1);
    assert_eq!(see(&app, &first).await, 1);
    is_deleted(&app, &first_view).await;
    assert_is_kept(&app, &third_view);

    // What was taken says so wherever one looks; the task is still known.
    let list: TaskList = app.run(["ls", "--json"]).await.good().json();
    assert_eq!(list.total, 3);
    assert_eq!(content(&app, &first).await, Err(ErrorCode::NotFound));
    let results = app.call(ListResults { run: first.run.to_string() }).await.unwrap();
    assert!(
        results.results.iter().all(|result| result.unreadable.as_ref().unwrap().contains("deleted")),
        "{results:?}"
    );
    assert_eq!(results.workspace, None);
    let events = app.call(ListEvents { task: Some(first.task), after_seq: 0, limit: 1_000 }).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.text.contains("was deleted")).count(), 1, "{events:?}");
    assert_eq!(content(&app, &third).await.unwrap(), "left third\n");
    let report = app.call(Doctor {}).await.unwrap();
    assert_eq!(report.findings, [], "what was taken is no leftover");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_deleted_when_the_app_is_killed_is_deleted_by_the_next() {
    let mut app = TestApp::start().await;
    // One process makes them all: three thousand would take longer than the rest of the test.
    let many = "python3 -c 'import pathlib
for number in range(1500):
    folder = pathlib.Path(\"d\", str(number))
    folder.mkdir(parents=True)
    (folder / \"f\").write_text(\"x\")'
echo left > left";
    let large = app.create(&sample::script(&[many])).await;
    let large_view = app.reaches(&large, Phase::Completed).await;
    app.is_swept().await;
    let (kept, kept_view) = ended(&app, "kept").await;
    see(&app, &large).await;
    see(&app, &kept).await;
    set(&app, RetentionRules { runs: Some(1), ..UNBOUND }).await;
    let workspace = places(&app, &large_view)[1].clone();
    // As soon as it begins.
    until("the deletion to begin", BACKGROUND_TIME_MAX, async || (!workspace.exists()).then_some(())).await;
    app.kill().await;
    app.restart().await;
    is_deleted(&app, &large_view).await;
    let workspaces = app.home().join("workspaces");
    until("nothing half-deleted to be left", BACKGROUND_TIME_MAX, async || {
        (workspaces.read_dir_utf8().unwrap().count() == 1).then_some(())
    })
    .await;
    assert_is_kept(&app, &kept_view);
    assert_eq!(content(&app, &kept).await.unwrap(), "left kept\n");
    assert_eq!(app.call(ShowRun { run: large.run.to_string() }).await.unwrap().summary.workspace, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn reclaim_names_what_goes_and_takes_what_is_unseen_only_when_that_is_named_too() {
    let app = TestApp::start().await;
    let (seen, seen_view) = ended(&app, "seen").await;
    let (unseen, unseen_view) = ended(&app, "unseen").await;
    // Looking at it as a person does is what makes it seen; as a script does, not.
    app.run(["show", &unseen.number.to_string(), "--json"]).await.good();
    app.run(["show", &seen.number.to_string()]).await.good();
    let plan = until("both to be measured and old enough", BACKGROUND_TIME_MAX, async || {
        let plan = app.call(PlanReclaim { older_than_s: Some(1) }).await.unwrap();
        let is_measured = |finding: &Finding| finding.size_bytes.is_some_and(|bytes| bytes > 0);
        (plan.kept.len() == 2 && plan.kept.iter().all(is_measured)).then_some(plan)
    })
    .await;
    let sight = |number: i64| {
        let of = plan.kept.iter().filter_map(|finding| finding.run.as_ref());
        of.filter(|run| run.number == number).map(|run| run.sight).next().unwrap()
    };
    assert_eq!((sight(seen.number), sight(unseen.number)), (Sight::Seen, Sight::Unseen));

    let shown = app.run(["reclaim", "--kept", "--older-than", "1s"]).await.good().text();
    assert!(shown.contains("Stays: nobody has looked at it") && shown.contains("--unseen"), "{shown}");
    assert_is_kept(&app, &seen_view);
    // Named by its key alone, what is unseen stays.
    let keys: Vec<_> = plan.kept.iter().map(|finding| finding.key.clone()).collect();
    let mended = app.call(Reclaim { keys, unseen: Vec::new() }).await.unwrap();
    let outcomes: Vec<_> = mended.iter().map(|mended| mended.outcome).collect();
    assert_eq!(outcomes, [Outcome::Done, Outcome::Stays], "{mended:?}");
    is_deleted(&app, &seen_view).await;
    assert_is_kept(&app, &unseen_view);
    let number = unseen.number.to_string();
    app.run(["reclaim", "--kept", "--older-than", "1s", "--unseen", &number, "--yes"]).await.good();
    is_deleted(&app, &unseen_view).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_set_and_shown_and_nonsense_is_refused() {
    let app = TestApp::unstarted(&[]).await;
    let shown = app.run(["retention"]).await.good().text();
    assert!(shown.contains("365 days") && shown.contains("100.0 GiB") && shown.contains("20000"), "{shown}");
    let set = app.run(["retention", "--age", "30d", "--size", "off", "--json"]).await.good();
    let rules = set.json::<wire::upkeep::RetentionView>().rules;
    assert_eq!(rules, RetentionRules { age_s: Some(30 * 86_400), total_bytes: None, runs: Some(20_000) });
    app.run(["retention", "--age", "1h"]).await.bad();
    app.run(["retention", "--size", "1M"]).await.bad();
    let again: wire::upkeep::RetentionView = app.run(["retention", "--json"]).await.good().json();
    assert_eq!(again.rules, rules);
}

/// The labels of an object that belongs to an installation and to nothing in it.
fn labels(install: &str, role: &str) -> Vec<String> {
    ["install", "sandbox", "run", "agent", "role"]
        .map(|name| {
            let value = match name {
                "install" => install,
                "role" => role,
                _ => "",
            };
            format!("--label=berth.{name}={value}")
        })
        .to_vec()
}

fn make_volume(install: &str, role: &str, name: &str) {
    let mut arguments = vec!["volume".to_owned(), "create".to_owned()];
    arguments.extend(labels(install, role));
    arguments.push(name.to_owned());
    docker::docker(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A container that was never started and has a volume.
fn make_user_of(install: &str, volume: &str) -> String {
    let mount = format!("{volume}:/berth");
    let mut arguments = vec!["container".to_owned(), "create".to_owned(), "--volume".to_owned(), mount];
    arguments.extend(labels(install, "sandbox").into_iter().filter(|label| !label.contains("berth.agent")));
    // The later label wins: Docker makes it with nothing that Berth's have.
    arguments.push(format!("--label=berth.run={ON_PURPOSE}"));
    arguments.extend([docker::image_of("berth/empty"), "/none".to_owned()]);
    docker::docker(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).trim().to_owned()
}

/// An image that an installation built long ago of what the script image was then.
fn make_old_image(install: &str) -> String {
    let mut change = String::from("LABEL");
    for (name, value) in
        [("install", install), ("sandbox", ""), ("run", ""), ("agent", ""), ("role", "image"), ("image", "script")]
    {
        change.extend([" berth.", name, "=\"", value, "\""]);
    }
    let tag = format!("berth/script:0-{}", &install[install.len() - 12..]);
    let folder = camino_tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), format!("FROM scratch\nCOPY Dockerfile /\n{change}\n")).unwrap();
    docker::docker(&["build", "--quiet", "--tag", &tag, folder.path().as_str()]);
    tag
}

fn has(kind: Kind, name: &str) -> bool {
    docker::inspect(kind, name).is_some()
}

fn has_image(tag: &str) -> bool {
    Docker::of_this_machine().try_run(&["image", "inspect", tag]).is_ok()
}

/// Makes what lies there look as if it had for an hour.
fn age(path: &Utf8Path) {
    let ran = std::process::Command::new("touch").args(["--date", "1 hour ago", path.as_str()]).status().unwrap();
    assert!(ran.success());
}

fn find<'report>(report: &'report DoctorReport, name: &str) -> &'report Finding {
    let found = report.findings.iter().find(|finding| finding.name.contains(name));
    found.unwrap_or_else(|| panic!("{name} was not found: {:#?}", report.findings))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_explains_every_leftover_and_mends_only_what_it_named() {
    let app = TestApp::start().await;
    let (created, view) = ended(&app, "one").await;
    let install = app.install().unwrap().to_owned();
    assert_eq!(app.call(Doctor {}).await.unwrap().findings, []);

    let old_guest = format!("berth-guest-0123456789ab-{}", &install[install.len() - 8..]);
    make_volume(&install, "guest", &old_guest);
    let used_guest = format!("berth-guest-ba9876543210-{}", &install[install.len() - 8..]);
    make_volume(&install, "guest", &used_guest);
    let user = make_user_of(&install, &used_guest);
    let lost_home = "berth-home-0195510f-5a00-7000-8000-00000000000a";
    make_volume(&install, "home", lost_home);
    let old_image = make_old_image(&install);
    let orphan = app.home().join("workspaces/0195510f-5a00-7000-8000-00000000000b");
    std::fs::create_dir_all(orphan.join("deep")).unwrap();
    std::fs::write(orphan.join("deep/file"), "x").unwrap();
    age(&orphan);
    let young = app.home().join("attachments/0195510f-5a00-7000-8000-00000000000c");
    std::fs::create_dir_all(&young).unwrap();
    let stranger = app.home().join("outputs/holiday.jpg");
    std::fs::write(&stranger, "x").unwrap();
    let log = places(&app, &view)[0].join("1.log");
    let bytes = std::fs::read(&log).unwrap();
    std::fs::write(&log, &bytes[..bytes.len() - 4]).unwrap();

    let report: DoctorReport = app.run(["doctor", "--json"]).await.good().json();
    let of = |name: &str| {
        let finding = find(&report, name);
        assert!(!finding.why.is_empty() && !finding.then.is_empty(), "{finding:?}");
        (finding.thing, finding.remedy)
    };
    assert_eq!(of(&old_guest), (Thing::Volume, Remedy::Remove));
    assert_eq!(of(&used_guest), (Thing::Volume, Remedy::Remove));
    assert_eq!(of(lost_home), (Thing::Volume, Remedy::Leave));
    assert_eq!(of(&old_image), (Thing::Image, Remedy::Remove));
    assert_eq!(of(orphan.file_name().unwrap()), (Thing::Folder, Remedy::Remove));
    assert_eq!(of("holiday.jpg"), (Thing::File, Remedy::Leave));
    assert_eq!(of(&view.steps[0].step.to_string()), (Thing::Output, Remedy::WriteDown));
    assert!(
        !report.findings.iter().any(|finding| finding.name.contains(young.file_name().unwrap())),
        "it may be on its way"
    );

    // Shown, and asked for; without an answer nothing happens.
    let ran = command::run(&mut app.berth(["doctor", "--mend"]), b"no\n").await.bad();
    assert!(ran.text().contains("would: ") && ran.complaint().contains("Nothing was done"), "{ran}");
    assert!(has(Kind::Volume, &old_guest) && orphan.exists());

    let mended: Vec<Mended> = app.run(["doctor", "--mend", "--yes", "--json"]).await.good().json();
    let outcome = |key: &str| mended.iter().find(|mended| mended.key.contains(key)).map(|mended| mended.outcome);
    assert_eq!(outcome(&old_guest), Some(Outcome::Done), "{mended:#?}");
    assert_eq!(outcome(&used_guest), Some(Outcome::Stays), "what is in use stays");
    assert_eq!(outcome(lost_home), None, "a home is not even tried");
    assert!(!has(Kind::Volume, &old_guest) && has(Kind::Volume, &used_guest) && has(Kind::Volume, lost_home));
    assert!(!has_image(&old_image) && !orphan.exists() && stranger.exists() && young.exists());
    let events = app.call(ListEvents { task: Some(created.task), after_seq: 0, limit: 1_000 }).await.unwrap();
    assert!(events.iter().any(|event| event.text.contains("bytes of output were noted")), "{events:?}");

    docker::docker(&["container", "rm", &user]);
    app.run(["doctor", "--mend", "--yes"]).await.good();
    assert!(!has(Kind::Volume, &used_guest));
    let report = app.call(Doctor {}).await.unwrap();
    let left: Vec<_> = report.findings.iter().map(|finding| finding.remedy).collect();
    assert_eq!(left, [Remedy::Leave, Remedy::Leave], "{:#?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_berths_things_are_counted_and_never_touched_though_it_is_dead() {
    let mut dead = TestApp::start().await;
    let network = Some(NetworkPolicy::Bridge);
    dead.call(UpdateAgent { agent: "script".to_owned(), network, ..UpdateAgent::default() }).await.unwrap();
    let created =
        dead.create(&sample::script(&["echo at work > at-work", "while [ ! -e go ]; do sleep 0.05; done"])).await;
    let workspace = dead.leaves_file(&created, "at-work").await;
    let dead_install = dead.install().unwrap().to_owned();
    let old_guest = format!("berth-guest-0123456789ab-{}", &dead_install[dead_install.len() - 8..]);
    make_volume(&dead_install, "guest", &old_guest);
    let old_image = make_old_image(&dead_install);
    dead.kill().await;
    let names = |app: &TestApp| {
        let mut names: Vec<_> = [app.containers(), app.volumes(), app.networks()]
            .concat()
            .iter()
            .map(|object| docker::name(object).to_owned())
            .collect();
        names.sort();
        names
    };
    let before = names(&dead);

    let home = camino_tempfile::tempdir().unwrap();
    let alive = |arguments: &'static [&'static str]| {
        let mut command = command::berth(home.path(), arguments);
        async move { command::run(&mut command, b"").await }
    };
    let report: DoctorReport = alive(&["doctor", "--json"]).await.good().json();
    let other = report.others.iter().find(|other| other.install == dead_install).unwrap();
    assert_eq!((other.containers, other.running, other.networks, other.images), (1, 1, 1, 1), "{other:?}");
    assert!(other.volumes >= 3, "guest, old guest, home, spool: {other:?}");
    assert_eq!(report.findings, [], "nothing of it is ours");
    alive(&["doctor", "--mend", "--yes"]).await.good();
    alive(&["reclaim", "--yes"]).await.good();
    assert_eq!(names(&dead), before);
    assert!(has_image(&old_image));

    // The dead one comes back, finds its own, and everything goes on.
    dead.restart().await;
    sample::write(&workspace, "go", "");
    dead.reaches(&created, Phase::Completed).await;
    let mended: Vec<Mended> = dead.run(["reclaim", "--caches", "--yes", "--json"]).await.good().json();
    assert!(
        mended.iter().any(|mended| mended.key.contains(&old_guest) && mended.outcome == Outcome::Done),
        "{mended:?}"
    );
    assert!(!has_image(&old_image));
    dead.leaves(Leftovers::None);
}
