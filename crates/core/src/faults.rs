//! What went wrong below, in words for a person: what happened, what it means, what to press next.

use engine::{EngineError, ErrorKind};
use pipe::PipeError;
use wire::{ErrorCode, ErrorView};

use crate::escape;

/// An engine's error.
pub(crate) fn of_engine(error: &EngineError) -> ErrorView {
    let detail = chain(error);
    match error.kind() {
        ErrorKind::Unreachable => ErrorView::new(ErrorCode::EngineUnreachable, "No container engine answers.")
            .hint("Start Docker (or another Docker-compatible engine), or set `DOCKER_HOST` to where it is; Berth goes on by itself once it answers.")
            .detail(detail),
        ErrorKind::TooOld { found, needed } => ErrorView::new(
            ErrorCode::EngineTooOld,
            format!("The container engine is too old: it speaks API {found}, and Berth needs {needed} or newer."),
        )
        .hint("Update the engine (Docker Engine 20.10 and newer will do) and start Berth again.")
        .detail(detail),
        ErrorKind::Gone => ErrorView::new(ErrorCode::EngineFailed, format!("The engine does not have it: {}.", words(error)))
            .hint("Something outside Berth may have removed it. Retry the task.")
            .detail(detail),
        ErrorKind::Exhausted => ErrorView::new(
            ErrorCode::EngineFailed,
            format!("The engine has no more addresses for networks, so the sandbox cannot get one of its own: {}.", words(error)),
        )
        .hint("`docker network ls` shows who has them; `docker network prune` gives back those of networks on which nothing runs. \
               Then retry the task. `default-address-pools` in the engine's settings gives it more.")
        .detail(detail),
        ErrorKind::ProfileRefused => ErrorView::new(
            ErrorCode::EngineFailed,
            format!("The engine refuses the profile of system calls that the sandbox is to have: {}.", words(error)),
        )
        .hint("Give the agent an image without a profile of its own, or use an engine with seccomp, such as Docker Engine.")
        .detail(detail),
        ErrorKind::Denied | ErrorKind::Conflict => {
            ErrorView::new(ErrorCode::EngineFailed, format!("The engine refused: {}.", words(error)))
                .hint("`berth doctor` looks at the engine; Retry runs the task again.")
                .detail(detail)
        }
        ErrorKind::Transient | ErrorKind::Broken if is_out_of_space(&detail) => {
            ErrorView::new(ErrorCode::EngineFailed, format!("The engine's disk is full: {}.", words(error)))
                .hint("`docker system df` shows what takes the space. Free some, then retry the task.")
                .detail(detail)
        }
        ErrorKind::Transient | ErrorKind::Broken => {
            ErrorView::new(ErrorCode::EngineFailed, format!("The engine failed: {}.", words(error)))
                .hint("Look at the engine's own log, then retry the task.")
                .detail(detail)
        }
    }
}

/// What engines pass on of ENOSPC and EDQUOT.
fn is_out_of_space(detail: &str) -> bool {
    let detail = detail.to_lowercase();
    detail.contains("no space left on device") || detail.contains("disk quota exceeded")
}

/// Reading or writing the data folder failed.
pub(crate) fn of_storage(doing: &str, error: &(dyn std::error::Error + 'static)) -> ErrorView {
    ErrorView::new(ErrorCode::Storage, format!("Berth could not {doing}."))
        .hint("Look whether the disk is full or the data folder is read-only; nothing that was stored is lost.")
        .detail(chain(error))
}

/// The guest does not do as a guest does.
pub(crate) fn of_pipe(error: &PipeError) -> ErrorView {
    ErrorView::new(
        ErrorCode::GuestBroken,
        "The sandbox broke the protocol that Berth speaks with it, so the step was ended.",
    )
    .hint("What it printed until then is kept. Retry the task; if it happens again, the image is not one to trust.")
    .detail(chain(error))
}

/// A fault of Berth's own.
pub(crate) fn internal(doing: &str, error: &(dyn std::error::Error + 'static)) -> ErrorView {
    ErrorView::new(ErrorCode::Internal, format!("Berth could not {doing}. This is a fault of Berth's."))
        .hint("Retry; the log in the data folder says more.")
        .detail(chain(error))
}

fn words(error: &EngineError) -> String {
    const CHARS_MAX: usize = 300;
    escape::visible(format!("{}: {}", error.doing(), error.detail()).as_bytes()).chars().take(CHARS_MAX).collect()
}

/// The error and all that caused it, a line each, made safe to show.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    const LINES_MAX: usize = 8;
    let mut lines = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.take_if(|_| lines.len() < LINES_MAX) {
        let line = escape::visible(error.to_string().as_bytes());
        if lines.last() != Some(&line) {
            lines.push(line);
        }
        next = error.source();
    }
    lines.join("\n")
}
