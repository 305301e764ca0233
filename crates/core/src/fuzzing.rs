//! The readers of hostile bytes, for the fuzz targets (`fuzz/`) alone: there is no such module in a program that ships.
//!
//! Each panics where something does not hold that must hold whatever comes.

#![allow(clippy::missing_panics_doc, clippy::panic, reason = "a find is a panic")]

use pipe::ProcessId;
use wire::stream::StreamTarget;
use wire::task::{NewTask, PROMPT_BYTES_MAX, TITLE_CHARS_MAX};

use crate::escape::is_unsafe_to_show;
use crate::workspace::stoppable::StopSign;
use crate::{guest_volume, home, intake, runner, tickets::Tickets};

/// What a person reads steers no screen.
pub(crate) fn shown(text: &str) {
    assert!(!text.chars().any(|c| c != '\n' && is_unsafe_to_show(c)), "not escaped: {text:?}");
}

/// Reads a task file. What a preview made of it is accepted, and no refusal carries what steers a screen.
pub fn task_file(bytes: &[u8]) {
    let draft = match intake::read_bytes(bytes, &StopSign::default()) {
        Ok(draft) => draft,
        Err(view) => {
            shown(&view.message);
            shown(&view.hint);
            return;
        }
    };
    assert!(!draft.title.is_empty() && draft.title.chars().count() <= TITLE_CHARS_MAX);
    assert!(draft.prompt.len() <= PROMPT_BYTES_MAX);
    shown(&draft.title);
    draft.warnings.iter().for_each(|warning| shown(warning));
    let task = NewTask {
        title: Some(draft.title),
        prompt: draft.prompt,
        agent: draft.agent,
        project: draft.project,
        limits: draft.limits,
        review: draft.review,
        priority: draft.priority,
        attachments: draft.attachments,
    };
    let accepted = intake::accept(task);
    assert!(accepted.is_ok(), "a preview of what is refused: {accepted:?}");
}

/// Reads a spool out of a dead container, and says how many bytes of output it holds from `from` on.
pub fn spool(archive: &[u8], process: ProcessId, from: u64) -> usize {
    let recovered = runner::spool::read(archive, process, from);
    let mut next = from;
    for (offset, bytes) in &recovered.pieces {
        assert!(*offset >= next && !bytes.is_empty(), "output out of order");
        next = offset + bytes.len() as u64;
    }
    recovered.pieces.iter().map(|(_, bytes)| bytes.len()).sum()
}

/// Reads back what the guest's volume holds.
pub fn guest_volume(archive: &[u8]) {
    drop(guest_volume::prints_of(archive));
}

/// Carries a home's archive in, out, and out of an image.
pub fn home_archive(archive: &[u8]) {
    home::fuzzing::carry(archive);
}

/// Shows a ticket that was never given out, while one is that was.
pub fn ticket(presented: &str) {
    let tickets = Tickets::default();
    let Some(issued) = tickets.issue(StreamTarget::Updates) else { return };
    if presented != issued {
        assert!(tickets.redeem(presented).is_none());
    }
    assert!(tickets.redeem(&issued).is_some() && tickets.redeem(&issued).is_none());
}
