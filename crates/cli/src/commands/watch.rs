//! Watches a run until it is as wanted. An update is a reason to look again; so is time.

use std::time::Duration;

use tokio::time::sleep;
use wire::{
    ErrorView, Phase,
    call::ShowRun,
    ids::{RunId, TaskId},
    stream::Update,
    view::RunView,
};

use crate::{
    connection::{Connection, Updates},
    show::{Printer, words},
};

/// How long nothing may be heard before it is looked at all the same.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A run that is watched.
pub(super) struct Watch<'watch> {
    connection: &'watch Connection,
    /// Who is told how it goes.
    printer: Option<Printer>,
    /// `None` while there is no stream of updates; then only time tells.
    updates: Option<Updates>,
    run: RunId,
    task: TaskId,
    /// What was said of it last.
    said: String,
}

impl<'watch> Watch<'watch> {
    /// Begins to watch, and says on stderr how it goes.
    pub(super) async fn new(connection: &'watch Connection, printer: Printer, run: RunId, task: TaskId) -> Self {
        Self { printer: Some(printer), ..Self::quiet(connection, run, task).await }
    }

    /// Begins to watch, and keeps it to itself.
    pub(super) async fn quiet(connection: &'watch Connection, run: RunId, task: TaskId) -> Self {
        let updates = connection.updates().await.ok();
        Self { connection, printer: None, updates, run, task, said: String::new() }
    }

    /// The connection that it watches over.
    pub(super) fn connection(&self) -> &'watch Connection {
        self.connection
    }

    /// The run once it is as wanted.
    pub(super) async fn until(&mut self, mut wanted: impl FnMut(&RunView) -> bool) -> Result<RunView, ErrorView> {
        loop {
            let view = self.connection.call(ShowRun { run: self.run.to_string() }).await?;
            self.say(&view);
            if wanted(&view) {
                return Ok(view);
            }
            self.changed().await;
        }
    }

    /// Says on stderr what is new about it.
    fn say(&mut self, view: &RunView) {
        let Some(printer) = self.printer else { return };
        let step = view.steps.iter().find(|step| !step.phase.is_final()).or(view.steps.last());
        let now = match step {
            Some(step) => words::phase(step.phase, &step.holds, step.attempt),
            None => view.summary.phase.word().to_owned(),
        };
        if now != self.said {
            printer.aside(&format!("#{} {now}", view.summary.number));
            self.said = now;
        }
    }

    async fn changed(&mut self) {
        let heard = async {
            match &mut self.updates {
                None => std::future::pending().await,
                Some(updates) => loop {
                    match updates.next().await {
                        None => return None,
                        Some(Update::All) => return Some(()),
                        Some(Update::Task { task } | Update::Results { task }) if task == self.task => return Some(()),
                        Some(
                            Update::Task { .. }
                            | Update::Results { .. }
                            | Update::Status
                            | Update::Images
                            | Update::Agents
                            | Update::Homes
                            | Update::Secrets
                            | Update::Requests { .. }
                            | Update::Costs
                            | Update::Projects,
                        ) => {}
                    }
                },
            }
        };
        tokio::select! {
            heard = heard => if heard.is_none() { self.updates = None },
            () = sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Nothing more happens to it until a person does something.
pub(super) const fn is_settled(phase: Phase) -> bool {
    phase.is_final() || matches!(phase, Phase::AwaitingReview)
}
