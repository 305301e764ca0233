//! A person's decisions. Each prints how the run stands afterwards.

use wire::{
    Action,
    call::{Act, CancelRun, ShowRun},
    view::{RunView, StepView},
};

use crate::{
    arguments::{Changes, Reject},
    connection::Connection,
    exit::Exit,
    show::{Printer, run},
};

/// `berth cancel RUN`
pub(super) async fn cancel(connection: &Connection, run: String, printer: Printer) -> anyhow::Result<Exit> {
    let summary = connection.call(CancelRun { run }).await?;
    printer.reply(&summary, |ink| run::summary(&summary, ink))?;
    Ok(Exit::Done)
}

/// `berth pause RUN`
pub(super) async fn pause(connection: &Connection, run: String, printer: Printer) -> anyhow::Result<Exit> {
    act(connection, run, Action::Pause, String::new(), printer).await
}

/// `berth resume RUN`
pub(super) async fn resume(connection: &Connection, run: String, printer: Printer) -> anyhow::Result<Exit> {
    act(connection, run, Action::Resume, String::new(), printer).await
}

/// `berth retry RUN`: prints the new run.
pub(super) async fn retry(connection: &Connection, run: String, printer: Printer) -> anyhow::Result<Exit> {
    let view = connection.call(ShowRun { run }).await?;
    if let Some(step) = step_for(&view, Action::Retry) {
        connection.call(Act { step: step.step, action: Action::Retry, comment: String::new() }).await?;
    }
    let latest = view.summary.number.to_string();
    let summary = connection.call(ShowRun { run: latest }).await?.summary;
    printer.reply(&summary, |ink| run::summary(&summary, ink))?;
    Ok(Exit::Done)
}

/// `berth approve RUN`
pub(super) async fn approve(connection: &Connection, run: String, printer: Printer) -> anyhow::Result<Exit> {
    act(connection, run, Action::Approve, String::new(), printer).await
}

/// `berth changes RUN WHAT`
pub(super) async fn changes(connection: &Connection, changes: Changes, printer: Printer) -> anyhow::Result<Exit> {
    let Changes { run, comment } = changes;
    act(connection, run.run, Action::RequestChanges, comment.join(" "), printer).await
}

/// `berth reject RUN [WHY]`
pub(super) async fn reject(connection: &Connection, reject: Reject, printer: Printer) -> anyhow::Result<Exit> {
    let Reject { run, comment } = reject;
    act(connection, run.run, Action::Reject, comment.join(" "), printer).await
}

async fn act(
    connection: &Connection,
    run: String,
    action: Action,
    comment: String,
    printer: Printer,
) -> anyhow::Result<Exit> {
    let view = connection.call(ShowRun { run }).await?;
    if let Some(step) = step_for(&view, action) {
        connection.call(Act { step: step.step, action, comment }).await?;
    }
    let summary = connection.call(ShowRun { run: view.summary.run.to_string() }).await?.summary;
    printer.reply(&summary, |ink| run::summary(&summary, ink))?;
    Ok(Exit::Done)
}

/// The step that the action is possible for; where there is none, the last one, so that the core says why not.
fn step_for(view: &RunView, action: Action) -> Option<&StepView> {
    let is_possible =
        |step: &&StepView| step.actions.iter().any(|possible| possible.action == action && possible.denied.is_none());
    view.steps.iter().find(is_possible).or(view.steps.last())
}
