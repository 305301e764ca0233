//! The engine's own disk is full: what could not be made there says so, and nothing of it stays.

use berth_tests::{
    TestApp,
    docker::image_of,
    own_engine::{DataRoot, LiveRestore, OwnEngine},
    until,
};
use wire::{
    ErrorCode, LimitsPatch, Phase,
    call::{ChangeQueue, TaskCreated},
    queue::Slots,
};

use crate::support::{BOUND, agent, start};

/// Enough for the image of the agent `script`, and little more.
const DISK_BYTES: u64 = 600 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_engine_is_named_nothing_is_orphaned_and_retrying_works_once_there_is_room() {
    // The image is built on this machine's engine, where the base image is.
    {
        let app = TestApp::start().await;
        let created = app.create(&berth_tests::sample::script(&["true"])).await;
        app.reaches(&created, Phase::Completed).await;
        app.is_swept().await;
    }
    let engine = OwnEngine::start_on(LiveRestore::Off, DataRoot::InMemory { size_bytes: DISK_BYTES }).await;
    engine.load(&image_of("berth/script"));
    let app = TestApp::start_on(&engine).await;
    app.call(ChangeQueue { slots: Some(Slots::Fixed { count: 3 }), state: None }).await.unwrap();
    agent(&app, "quick", &["sh", "-c", "echo done"]).await;
    agent(&app, "printer", &["sh", "-c", "echo begun; while [ ! -e go ]; do sleep 0.1; done; seq 1 3000000; echo end"])
        .await;
    // What it prints at last fits into the pipe that it prints to: it ends without waiting for anybody to read it.
    agent(&app, "brief", &["sh", "-c", "while [ ! -e go ]; do sleep 0.1; done; seq 1 9000; touch ended"]).await;
    let first = start(&app, "quick", LimitsPatch::default()).await;
    app.reaches(&first, Phase::Completed).await;
    let printing = start(&app, "printer", LimitsPatch::default()).await;
    app.reaches(&printing, Phase::Executing).await;
    let workspace = app.workspace(&printing).await;
    let brief = start(&app, "brief", LimitsPatch::default()).await;
    app.reaches(&brief, Phase::Executing).await;
    let brief_workspace = app.workspace(&brief).await;

    let root = engine_root(&engine);
    let fill = format!(
        "dd if=/dev/zero of={root}/filler bs=64k 2>/dev/null; dd if=/dev/zero of={root}/rest bs=512 2>/dev/null; true"
    );
    assert!(engine.inside(["sh", "-c", &fill]).status().await.unwrap().success());

    // What prints there prints on: its output goes to the data folder as it comes, and waits inside where it has to.
    std::fs::write(workspace.join("go"), "").unwrap();
    std::fs::write(brief_workspace.join("go"), "").unwrap();
    until("the brief one to have printed all", BOUND, async || brief_workspace.join("ended").exists().then_some(()))
        .await;
    // A new one cannot be made.
    let failed = start(&app, "quick", LimitsPatch::default()).await;
    let error = app.reaches(&failed, Phase::Failed).await.summary.error.unwrap();
    assert_eq!(error.code, ErrorCode::EngineFailed, "{error:?}");
    assert!(error.message.starts_with("The engine's disk is full"), "{error:?}");
    assert!(error.hint.contains("docker system df"), "{error:?}");

    assert!(engine.inside(["sh", "-c", &format!("rm {root}/filler {root}/rest")]).status().await.unwrap().success());
    let view = until("the printer to end", BOUND, async || {
        let view = app.show(&printing).await;
        view.summary.phase.is_final().then_some(view)
    })
    .await;
    eprintln!("a step that printed while the engine's disk was full: {:?}", view.summary.error);
    assert_eq!(view.summary.phase, Phase::Completed, "{view:#?}");
    app.reaches(&brief, Phase::Completed).await;
    let numbers = |last: u32| {
        let mut lines: Vec<_> = (1..=last).map(|number| number.to_string()).collect();
        // For the last line's end.
        lines.push(String::new());
        lines.join("\n")
    };
    let printed = async |created: &TaskCreated| app.run(["logs", &created.run.to_string()]).await.good().text();
    // Not as an assertion of equality: it would print it all.
    assert!(printed(&brief).await == numbers(9_000), "what an agent printed last on a full disk is kept");
    assert!(
        printed(&printing).await == format!("begun\n{}end\n", numbers(3_000_000)),
        "nothing is missing of a long one"
    );
    let again = start(&app, "quick", LimitsPatch::default()).await;
    app.reaches(&again, Phase::Completed).await;
    app.is_swept().await;
}

fn engine_root(engine: &OwnEngine) -> String {
    engine.docker().run(&["info", "--format", "{{.DockerRootDir}}"]).trim().to_owned()
}
