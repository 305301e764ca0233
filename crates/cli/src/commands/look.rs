//! Looking: the list, a run, its results.

use wire::{
    call::{ListResults, ListTasks, ShowRun},
    upkeep::MarkSeen,
};

use crate::{
    arguments::Ls,
    clock::now,
    connection::Connection,
    exit::Exit,
    show::{Format, Printer, results, run, tasks},
};

/// `berth ls`
pub(super) async fn ls(connection: &Connection, ls: Ls, printer: Printer) -> anyhow::Result<Exit> {
    let Ls { phase, search, limit } = ls;
    let list = connection.call(ListTasks { phases: phase, search, limit, offset: 0 }).await?;
    printer.reply(&list, |ink| tasks::task_list(&list, now(), ink))?;
    Ok(Exit::Done)
}

/// `berth show RUN`
pub(super) async fn show(connection: &Connection, run: String, printer: Printer) -> anyhow::Result<Exit> {
    let view = connection.call(ShowRun { run }).await?;
    printer.reply(&view, |ink| run::run(&view, now(), ink))?;
    if printer.format == Format::Words && view.summary.phase.is_final() {
        // A person has looked at it. That this was noted is nothing to bother them with.
        let seen = connection.call(MarkSeen { task: view.summary.task.to_string() }).await;
        tracing::debug!(?seen, "the run was looked at");
    }
    Ok(Exit::Done)
}

/// `berth results RUN`
pub(super) async fn results(connection: &Connection, run: String, printer: Printer) -> anyhow::Result<Exit> {
    let list = connection.call(ListResults { run }).await?;
    printer.reply(&list, |ink| results::result_list(&list, ink))?;
    Ok(Exit::Done)
}
