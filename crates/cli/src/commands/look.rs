//! Looking: the list, a run, its results.

use jiff::SignedDuration;
use wire::{
    call::{ListResults, ListTasks, ShowCosts, ShowRun},
    cost::{CostKey, Spent},
    upkeep::MarkSeen,
    view::RunView,
};

use crate::{
    arguments::Ls,
    clock::now,
    connection::Connection,
    exit::Exit,
    show::{Format, Printer, results, run, tasks},
};

/// How long after a run's end something of it may still be written down: a reply that was on its way.
const AFTER_END: SignedDuration = SignedDuration::from_mins(1);

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
    let spent = match printer.format {
        Format::Words => spent_in(connection, &view).await,
        Format::Json => None,
    };
    printer.reply(&view, |ink| run::run(&view, spent.as_ref(), now(), ink))?;
    if printer.format == Format::Words && view.summary.phase.is_final() {
        // A person has looked at it. That this was noted is nothing to bother them with.
        let seen = connection.call(MarkSeen { task: view.summary.task.to_string() }).await;
        tracing::debug!(?seen, "the run was looked at");
    }
    Ok(Exit::Done)
}

/// What a run has cost; `None` where it asked no model. A run is shown without it rather than not at all.
async fn spent_in(connection: &Connection, view: &RunView) -> Option<Spent> {
    // The span is the run's own, since the lines are bounded: others that were at work meanwhile are all that is in the way.
    let until = view.ended_at.and_then(|ended_at| ended_at.checked_add(AFTER_END).ok());
    let costs = connection.call(ShowCosts { from: Some(view.created_at), until, by: CostKey::Run }).await;
    let costs = costs.inspect_err(|error| tracing::warn!(%error, "it is not known what the run has cost")).ok()?;
    costs.lines.into_iter().find(|line| line.run == Some(view.summary.run)).map(|line| line.spent)
}

/// `berth results RUN`
pub(super) async fn results(connection: &Connection, run: String, printer: Printer) -> anyhow::Result<Exit> {
    let list = connection.call(ListResults { run }).await?;
    printer.reply(&list, |ink| results::result_list(&list, ink))?;
    Ok(Exit::Done)
}
