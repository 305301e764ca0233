//! The queue: who waits and why, whether it goes on, how many work at once; and a single step's turn, pause and retry.

use wire::{
    Priority,
    call::{ChangeQueue, SetPriority, ShowQueue},
    queue::{QueueState, Slots},
};

use crate::{
    arguments::{PriorityOf, Queue, QueueCommand},
    clock::now,
    connection::Connection,
    exit::Exit,
    show::{Printer, queue},
};

/// `berth queue [pause|resume|slots NUMBER|auto]`
pub(super) async fn queue(connection: &Connection, queue: Queue, printer: Printer) -> anyhow::Result<Exit> {
    let view = match queue.command {
        None | Some(QueueCommand::Show) => connection.call(ShowQueue {}).await?,
        Some(QueueCommand::Pause) => connection.call(change_of(QueueState::Paused)).await?,
        Some(QueueCommand::Resume) => connection.call(change_of(QueueState::Open)).await?,
        Some(QueueCommand::Slots { count }) => {
            connection.call(ChangeQueue { slots: Some(count), ..ChangeQueue::default() }).await?
        }
    };
    printer.reply(&view, |ink| queue::queue(&view, now(), ink))?;
    Ok(Exit::Done)
}

fn change_of(state: QueueState) -> ChangeQueue {
    ChangeQueue { state: Some(state), ..ChangeQueue::default() }
}

/// `berth priority TASK high|normal|low`
pub(super) async fn priority(connection: &Connection, of: PriorityOf, printer: Printer) -> anyhow::Result<Exit> {
    let PriorityOf { task, priority } = of;
    let row = connection.call(SetPriority { task, priority }).await?;
    printer.reply(&row, |ink| queue::priority(&row, ink))?;
    Ok(Exit::Done)
}

/// `auto`, or a number of sandboxes; whether it is in range is the core's to say.
pub(crate) fn slots(text: &str) -> Result<Slots, String> {
    if text == "auto" {
        return Ok(Slots::Auto);
    }
    text.parse().map(|count| Slots::Fixed { count }).map_err(|_| "write a number such as 4, or auto".to_owned())
}

/// The name of a priority.
pub(crate) fn priority_of_name(text: &str) -> Result<Priority, String> {
    Priority::from_name(&text.to_lowercase()).ok_or_else(|| "a priority is high, normal or low".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_priorities_are_typed_as_words() {
        assert_eq!(slots("auto"), Ok(Slots::Auto));
        assert_eq!(slots("4"), Ok(Slots::Fixed { count: 4 }));
        assert!(slots("-1").is_err() && slots("many").is_err());
        assert_eq!(priority_of_name("High"), Ok(Priority::High));
        assert!(priority_of_name("urgent").is_err());
    }
}
