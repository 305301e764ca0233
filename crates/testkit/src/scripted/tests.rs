//! The contract, and what only a scripted engine can do.

use bytes::Bytes;
use engine::archive::empty_image_tar;
use engine::contract::{Subject, base_image_tar, unique};
use engine::{ContainerName, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::until;

/// Bound on what happens in memory.
const SOON: Duration = Duration::from_secs(20);

fn base() -> Bytes {
    base_image_tar(b"a program")
}

async fn scripted() -> Subject {
    Subject::new(ScriptedEngine::new(), base()).await
}

engine::contract_tests!(scripted);

async fn taught() -> (Arc<ScriptedEngine>, Subject) {
    let engine = ScriptedEngine::new();
    let subject = Subject::new(engine.clone(), base()).await;
    (engine, subject)
}

#[tokio::test]
async fn a_program_that_was_taught_speaks_over_attach_and_exec() {
    let (engine, subject) = taught().await;
    engine.program("guest", async |mut process: Process| {
        let mut byte = [0];
        while process.stdio.read_exact(&mut byte).await.is_ok() {
            if process.stdio.write_all(&[byte[0] + 1]).await.is_err() {
                return 1;
            }
        }
        i64::from(byte[0])
    });
    let id = engine.create(&subject.spec(&["guest", "init"])).await.unwrap();
    let mut attached = engine.attach(&id).await.unwrap().duplex;
    engine.start(&id).await.unwrap();
    let mut connected = engine.exec(&id, &ExecSpec::new(["guest", "connect"])).await.unwrap().duplex;
    for (stream, sent) in [(&mut attached, 7), (&mut connected, 40)] {
        stream.write_all(&[sent]).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), sent + 1);
    }
    attached.shutdown().await.unwrap();
    let ContainerState::Exited(exit) = engine.wait(&id).await.unwrap() else { panic!("its input has ended") };
    assert_eq!(exit.code, Some(7));
    let mut rest = Vec::new();
    connected.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "an exec ends with its container");
}

#[tokio::test]
async fn a_signal_reaches_a_process_that_listens() {
    let (engine, subject) = taught().await;
    engine.program("polite", async |mut process: Process| match process.signals.recv().await {
        Some(Signal::Term) => 0,
        Some(Signal::Kill | Signal::Hangup | Signal::Interrupt) | None => 1,
    });
    let id = engine.create(&subject.spec(&["polite"])).await.unwrap();
    engine.start(&id).await.unwrap();
    engine.stop(&id, SOON).await.unwrap();
    let ContainerState::Exited(exit) = subject.container(&id).await.state else { panic!("it was stopped") };
    assert_eq!(exit.code, Some(0));
}

#[tokio::test]
async fn the_nth_call_fails_and_the_next_does_not() {
    let (engine, subject) = taught().await;
    engine.fault(Op::Create, 2, Fault::Fail(ErrorKind::Transient));
    let mut spec = subject.spec(&["true"]);
    engine.create(&spec).await.unwrap();
    spec.name = ContainerName::parse(unique("second")).unwrap();
    assert_eq!(engine.create(&spec).await.unwrap_err().kind(), ErrorKind::Transient);
    assert_eq!(engine.inspect(&spec.name.clone().into()).await.unwrap(), None, "nothing was done");
    engine.create(&spec).await.unwrap();
    assert_eq!(engine.count(Op::Create), 3);
    let last = Call { op: Op::Create, about: spec.name.to_string() };
    assert_eq!(engine.calls().last(), Some(&last));
}

#[tokio::test]
async fn a_lost_answer_leaves_the_work_done() {
    let (engine, subject) = taught().await;
    engine.fault(Op::Create, 1, Fault::AnswerLost(ErrorKind::Transient));
    let spec = subject.spec(&["true"]);
    assert_eq!(engine.create(&spec).await.unwrap_err().kind(), ErrorKind::Transient);
    assert!(engine.inspect(&spec.name.into()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_call_that_is_done_twice_shows_the_second_answer() {
    let (engine, subject) = taught().await;
    engine.fault(Op::Create, 1, Fault::Twice);
    let spec = subject.spec(&["true"]);
    assert_eq!(engine.create(&spec).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert!(engine.inspect(&spec.name.into()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_stalled_call_waits_at_its_gate() {
    let (engine, subject) = taught().await;
    let gate = Gate::default();
    engine.fault(Op::Create, 1, Fault::Stall(gate.clone()));
    let spec = subject.spec(&["true"]);
    let look_and_open = async {
        until("the call waits", SOON, async || gate.is_awaited()).await;
        let before = engine.inspect(&spec.name.clone().into()).await.unwrap();
        gate.open();
        before
    };
    let (created, before) = tokio::join!(engine.create(&spec), look_and_open);
    created.unwrap();
    assert_eq!(before, None);
}

#[tokio::test]
async fn a_container_may_run_out_of_memory_by_itself() {
    let (engine, subject) = taught().await;
    let id = engine.create(&subject.spec(&["sleep", "600"])).await.unwrap();
    let mut attached = engine.attach(&id).await.unwrap().duplex;
    engine.start(&id).await.unwrap();
    engine.end(&id, Exit { code: Some(137), oom_killed: true, finished_at: None, error: String::new() });
    let ContainerState::Exited(exit) = engine.wait(&id).await.unwrap() else { panic!("it ended") };
    assert_eq!((exit.code, exit.oom_killed), (Some(137), true));
    let mut rest = Vec::new();
    attached.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn an_engine_that_went_away_comes_back_with_what_ran() {
    let (engine, subject) = taught().await;
    let id = engine.create(&subject.spec(&["sleep", "600"])).await.unwrap();
    engine.start(&id).await.unwrap();
    engine.go_away();
    assert_eq!(engine.ping().await.unwrap_err().kind(), ErrorKind::Unreachable);
    engine.come_back();
    assert_eq!(subject.container(&id).await.state, ContainerState::Running);
    engine.end_all();
    assert!(!subject.container(&id).await.state.is_alive());
}

#[tokio::test]
async fn containers_that_break_the_rules_are_remembered_after_they_are_gone() {
    let (engine, subject) = taught().await;
    let mut spec = subject.spec(&["true"]);
    engine.create(&spec).await.unwrap();
    assert_eq!(engine.violations(), Vec::<String>::new());
    spec.name = ContainerName::parse(unique("writable")).unwrap();
    spec.root_filesystem = engine::RootFilesystem::Writable { reason: "a test".into() };
    let id = engine.create(&spec).await.unwrap();
    engine.remove(&id).await.unwrap();
    assert_eq!(engine.violations(), ["the root file system is writable"]);
}

#[tokio::test]
async fn an_import_of_nothing_is_an_image_of_nothing() {
    let (engine, subject) = taught().await;
    let tag = ImageRef::parse("berth/empty:1").unwrap();
    let ownership = subject.ownership(Role::Image);
    let labels = std::collections::BTreeMap::new();
    let request = ImportRequest { root: empty_image_tar(), tag: tag.clone(), ownership, labels, changes: Vec::new() };
    let id = engine.import(request).await.unwrap();
    assert_eq!(engine.image(&tag).await.unwrap().map(|image| image.id), Some(id));
}
