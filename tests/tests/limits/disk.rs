//! The data folder's disk: full, nearly full, and with room again.

use std::time::Duration;

use berth_tests::{TestApp, docker, until};
use tokio::time::timeout;
use wire::{
    EventKind, Hold, LimitsPatch, Phase,
    call::{CancelRun, Doctor, ListTasks, TaskCreated},
    view::{CheckView, Verdict},
};

use crate::support::{
    BOUND, Calls, SmallDisk, agent, assert_same_bytes, events, is_held, no_notice, notice, output_file, start,
};

/// Prints 168,888,897 bytes: more than the small disk holds, and what a guest keeps besides.
const PRINTS: &str = "seq 1 20000000";
/// How long an app without any room may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// An app whose data folder is a disk of its own.
async fn on_a_small_disk(mebibytes: u32, floor: &str) -> (TestApp, SmallDisk) {
    let mut app = TestApp::unstarted(&[("BERTH_FREE_BYTES_MIN", floor)]).await;
    let disk = SmallDisk::over(app.home(), mebibytes);
    app.restart().await;
    // Asked while the folder is there to ask.
    assert!(app.install().is_some());
    (app, disk)
}

async fn check(app: &TestApp, name: &str) -> CheckView {
    let report = app.call(Doctor {}).await.unwrap();
    report.checks.into_iter().find(|check| check.name == name).unwrap()
}

/// The states of the processes in the only sandbox, as the kernel has them, but for the guest and what watches the agent.
fn states(app: &TestApp) -> Vec<String> {
    let containers = app.containers();
    let [container] = containers.as_slice() else { return Vec::new() };
    let shown = docker::docker(&["top", docker::name(container), "-o", "pid,stat,args"]);
    let processes = shown.lines().skip(1).filter(|line| !line.contains("berth-guest"));
    processes.filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}

async fn are_stopped(app: &TestApp) {
    until("an agent that is stopped", BOUND, async || {
        let states = states(app);
        (!states.is_empty() && states.iter().all(|state| state.starts_with('T'))).then_some(())
    })
    .await;
}

async fn note_of(app: &TestApp, created: &TaskCreated) -> String {
    let list = app.call(ListTasks::default()).await.unwrap();
    list.rows.into_iter().find(|row| row.task == created.task).unwrap().note
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fills_the_data_folder_is_held_and_goes_on_byte_for_byte_once_there_is_room() {
    let (app, disk) = on_a_small_disk(48, "0").await;
    agent(&app, "printer", &["sh", "-c", PRINTS]).await;
    let created = start(&app, "printer", LimitsPatch::default()).await;
    is_held(&app, &created, true).await;

    let calls = Calls::begin(&app);
    let said = notice(&app, "full").await;
    assert!(said.contains(app.home().as_str()) && said.contains("Free some space"), "{said}");
    are_stopped(&app).await;
    let listed = app.run(["ls"]).await.good().text();
    assert!(listed.contains(Hold::DiskSpace.word()), "{listed}");
    assert_eq!(note_of(&app, &created).await, format!("Held: {}", Hold::DiskSpace.word()));
    let data_folder = check(&app, "Data folder").await;
    assert_eq!(data_folder.verdict, Verdict::Bad, "{data_folder:?}");
    assert!(data_folder.hint.contains("Free some space"), "{data_folder:?}");
    // What a person asks for is taken in all the same, and waits.
    agent(&app, "second", &["sh", "-c", "echo second"]).await;
    let second = timeout(ANSWER_TIME_MAX, start(&app, "second", LimitsPatch::default())).await.unwrap();
    is_held(&app, &second, true).await;
    assert_eq!(app.show(&second).await.summary.phase, Phase::Queued);
    calls.end("with the data folder full").await;

    disk.resize(512);
    is_held(&app, &created, false).await;
    app.reaches(&created, Phase::Completed).await;
    app.reaches(&second, Phase::Completed).await;
    assert_same_bytes(&output_file(&app, &created).await, PRINTS).await;
    let events = events(&app, &created).await;
    let count = |event: &EventKind| events.iter().filter(|found| *found == event).count();
    let (held, released) = (EventKind::Held { hold: Hold::DiskSpace }, EventKind::Released { hold: Hold::DiskSpace });
    assert_eq!((count(&held), count(&released)), (1, 1), "{events:#?}");
    no_notice(&app, "disk").await;
    app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_on_a_full_disk_can_be_cancelled_and_keeps_what_fitted() {
    let (app, disk) = on_a_small_disk(48, "0").await;
    agent(&app, "printer", &["sh", "-c", PRINTS]).await;
    let created = start(&app, "printer", LimitsPatch::default()).await;
    is_held(&app, &created, true).await;
    app.call(CancelRun { run: created.run.to_string() }).await.unwrap();
    let view = app.reaches(&created, Phase::Cancelled).await;
    let kept = std::fs::metadata(output_file(&app, &created).await).unwrap().len();
    assert!(kept > 1 << 20 && kept >= view.steps[0].output_bytes, "{kept} bytes are kept");
    assert_same_bytes(&output_file(&app, &created).await, &format!("{PRINTS} | head -c {kept}")).await;
    let said: Vec<_> = events(&app, &created).await.iter().map(EventKind::sentence).collect();
    assert!(said.iter().any(|text| text.starts_with("The disk was full, so only the first")), "{said:#?}");
    app.is_swept().await;
    disk.resize(256);
    no_notice(&app, "disk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_floor_nothing_new_starts_and_what_runs_is_held_until_there_is_clearly_enough_again() {
    let (app, disk) = on_a_small_disk(400, "100MiB").await;
    let ticks = "i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i; sleep 0.1; done; echo end";
    agent(&app, "ticker", &["sh", "-c", ticks]).await;
    agent(&app, "second", &["sh", "-c", "echo second"]).await;
    let created = start(&app, "ticker", LimitsPatch::default()).await;
    app.reaches(&created, Phase::Executing).await;

    // 400 MiB less these and what Berth has: some 70 are free.
    disk.filler(300);
    is_held(&app, &created, true).await;
    are_stopped(&app).await;
    let said = notice(&app, "the floor is 100").await;
    assert!(said.contains("BERTH_FREE_BYTES_MIN"), "{said}");
    let second = start(&app, "second", LimitsPatch::default()).await;
    is_held(&app, &second, true).await;
    assert!(app.show(&second).await.steps[0].sandbox.is_none(), "nothing of it was made");

    // Past the floor, but not by a quarter of it: looked at three times and more, everything stays held.
    disk.filler(262);
    let mut looks = 0;
    until("three looks at the disk", BOUND, async || {
        let free = nix::sys::statvfs::statvfs(app.home().as_std_path()).unwrap();
        let free_mebibytes = (free.blocks_available() * free.fragment_size()) >> 20;
        assert!((100..125).contains(&free_mebibytes), "{free_mebibytes} MiB are free: the test's sums are wrong");
        assert!(app.show(&created).await.steps[0].holds.contains(&Hold::DiskSpace));
        looks += 1;
        (looks > 120).then_some(())
    })
    .await;

    disk.filler(0);
    is_held(&app, &created, false).await;
    let view = app.show(&created).await;
    std::fs::write(format!("{}/stop", view.steps[0].workspace.as_ref().unwrap()), "").unwrap();
    app.reaches(&created, Phase::Completed).await;
    app.reaches(&second, Phase::Completed).await;
    let printed = std::fs::read_to_string(output_file(&app, &created).await).unwrap();
    let ticks = printed.lines().count() - 1;
    let expected: String = (1..=ticks).map(|tick| format!("{tick}\n")).chain(["end\n".to_owned()]).collect();
    assert_eq!(printed, expected);
    app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn berth_starts_on_a_disk_that_is_full_and_says_so_where_it_cannot() {
    let (mut app, disk) = on_a_small_disk(48, "0").await;
    app.stop().await;
    disk.fill_up();
    app.restart().await;
    let said = notice(&app, "full").await;
    assert!(said.contains("Free some space"), "{said}");
    app.stop().await;

    // Without what it keeps for that.
    let _gone = std::fs::remove_file(app.home().join("reserve"));
    for leftover in ["berth.db-wal", "berth.db-shm"] {
        assert!(!app.home().join(leftover).exists(), "it stopped in order");
    }
    disk.fill_up();
    let before = std::fs::read(app.home().join("berth.db")).unwrap();
    let refused = app.run(["serve"]).await.bad().complaint();
    assert!(refused.contains("full") && refused.contains("Free some space"), "{refused}");
    assert!(std::fs::read(app.home().join("berth.db")).unwrap() == before, "the database was changed");
    disk.filler(0);
    app.restart().await;
}
