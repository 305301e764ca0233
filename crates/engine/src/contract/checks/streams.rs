//! Standard input, output and error.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ended, kind};
use crate::contract::{Subject, unique};
use crate::{ContainerId, ErrorKind, ExecId, ExecSpec, ExecState, Identity};

/// How many bytes go through `cat`.
const BULK_BYTES: usize = 4 << 20;
/// How often an exec's state is looked at until the engine has taken note of its end.
const LOOKS_MAX: u32 = 200;

/// The first byte of the output is there although nobody waited for the start.
pub async fn attaching_before_start_misses_nothing(subject: &Subject) {
    let id = subject.create(&subject.spec(&["sh", "-c", "echo first"])).await;
    let mut attached = subject.engine.attach(&id).await.unwrap();
    subject.engine.start(&id).await.unwrap();
    let mut text = String::new();
    attached.duplex.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "first\n");
    assert_eq!(ended(subject.engine.wait(&id).await.unwrap()).code, Some(0));
}

/// No byte is an escape, nothing is lost, and closing the input ends the program.
pub async fn every_byte_comes_back_through_cat(subject: &Subject) {
    let id = subject.create(&subject.spec(&["cat"])).await;
    let attached = subject.engine.attach(&id).await.unwrap();
    subject.engine.start(&id).await.unwrap();
    let sent: Vec<u8> =
        (0..BULK_BYTES).map(|n| u8::try_from((n ^ (n >> 8) ^ (n >> 16)) & 0xff).unwrap_or_default()).collect();
    let (mut reader, mut writer) = tokio::io::split(attached.duplex);
    let mut received = Vec::new();
    let write = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let ((), read) = tokio::join!(write, reader.read_to_end(&mut received));
    read.unwrap();
    assert_eq!(received.len(), sent.len());
    assert!(received == sent, "the bytes differ");
    assert_eq!(ended(subject.engine.wait(&id).await.unwrap()).code, Some(0));
}

/// The pipe never sees what a runtime or a linker writes to standard error.
pub async fn standard_error_is_kept_apart(subject: &Subject) {
    let id = subject.create(&subject.spec(&["sh", "-c", "echo trouble >&2"])).await;
    let mut attached = subject.engine.attach(&id).await.unwrap();
    subject.engine.start(&id).await.unwrap();
    let mut text = String::new();
    attached.duplex.read_to_string(&mut text).await.unwrap();
    assert_eq!((text.as_str(), attached.diagnostics.text().as_str()), ("", "trouble\n"));
}

/// A container that is not there has no streams.
pub async fn attaching_to_nothing_is_gone(subject: &Subject) {
    let absent = ContainerId::parse(unique("absent")).unwrap();
    assert_eq!(kind(subject.engine.attach(&absent).await), ErrorKind::Gone);
    assert_eq!(kind(subject.engine.exec(&absent, &ExecSpec::new(["true"])).await), ErrorKind::Gone);
}

/// Output, error, input and code of a second program are its own.
pub async fn an_exec_has_streams_and_an_exit_code(subject: &Subject) {
    let id = subject.start(&["sleep", "600"]).await;
    let mut echo = subject.engine.exec(&id, &ExecSpec::new(["sh", "-c", "echo trouble >&2"])).await.unwrap();
    let mut text = String::new();
    echo.duplex.read_to_string(&mut text).await.unwrap();
    assert_eq!((text.as_str(), echo.diagnostics.text().as_str()), ("", "trouble\n"));

    let mut spec = ExecSpec::new(["cat"]);
    spec.identity = Identity::user(64_000, 64_000);
    let mut cat = subject.engine.exec(&id, &spec).await.unwrap();
    assert_eq!(subject.engine.exec_state(&cat.id).await.unwrap(), ExecState::Running);
    cat.duplex.write_all(b"\0\x01\x02there and back").await.unwrap();
    cat.duplex.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    cat.duplex.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"\0\x01\x02there and back");

    let failing = subject.engine.exec(&id, &ExecSpec::new(["sh", "-c", "exit 9"])).await.unwrap();
    assert_eq!(exit_code(subject, &failing.id).await, 9);
}

/// How an exec ended, once the engine has taken note of it.
async fn exit_code(subject: &Subject, id: &ExecId) -> i64 {
    for _ in 0..LOOKS_MAX {
        match subject.engine.exec_state(id).await.unwrap() {
            ExecState::Exited { code } => return code,
            ExecState::Running => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
    unreachable!("the exec should have ended")
}

/// An engine has opened the stream by then: the code tells, by the shell's rule, and the stream ends.
pub async fn an_exec_of_a_program_that_is_not_there_ends_with_126_or_127(subject: &Subject) {
    let id = subject.start(&["sleep", "600"]).await;
    let mut exec = subject.engine.exec(&id, &ExecSpec::new(["no-such-program"])).await.unwrap();
    let mut bytes = Vec::new();
    exec.duplex.read_to_end(&mut bytes).await.unwrap();
    let code = exit_code(subject, &exec.id).await;
    assert!(matches!(code, 126 | 127), "{code}: {}", String::from_utf8_lossy(&bytes));
}

/// A program needs a running container.
pub async fn an_exec_where_nothing_runs_is_a_conflict(subject: &Subject) {
    let id = subject.create(&subject.spec(&["true"])).await;
    assert_eq!(kind(subject.engine.exec(&id, &ExecSpec::new(["true"])).await), ErrorKind::Conflict);
}
