//! The cheap handle that every skin calls.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};
use wire::{
    Call, ErrorCode, ErrorView, Request,
    stream::{StreamTarget, Update},
};

use crate::house::House;
use crate::terminal::{self, Terminal};
use crate::{Download, Upload, dispatch, faults, home, retention, shell};

/// Updates that may wait for a skin.
const UPDATES_MAX: usize = 64;

/// Everything that can be asked of a running [`App`](crate::App).
#[derive(Clone)]
pub struct Api {
    house: Arc<House>,
}

/// An open stream.
pub enum Stream {
    /// What changed, as it changes. Ends when the app does.
    Updates(mpsc::Receiver<Update>),
    /// A terminal.
    Terminal(Terminal),
    /// A home on its way out.
    Download(Download),
    /// A home on its way in.
    Upload(Upload),
}

impl Api {
    pub(crate) fn new(house: Arc<House>) -> Self {
        Self { house }
    }

    /// Answers one request with its reply as JSON.
    ///
    /// # Errors
    /// An error for a person, as for every call.
    pub async fn dispatch(&self, request: Request) -> Result<serde_json::Value, ErrorView> {
        Box::pin(dispatch::answer(&self.house, request)).await
    }

    /// Answers one call with its typed reply.
    ///
    /// # Errors
    /// An error for a person, as for every call.
    pub async fn call<C: Call>(&self, call: C) -> Result<C::Reply, ErrorView> {
        let reply = self.dispatch(call.into()).await?;
        serde_json::from_value(reply).map_err(|error| faults::internal("read its own reply", &error))
    }

    /// Takes a ticket, which is good once and for ten seconds; `None` where it is neither.
    pub fn redeem(&self, ticket: &str) -> Option<StreamTarget> {
        self.house.tickets.redeem(ticket)
    }

    /// Opens a stream. A skin that is reached over the network calls it only with a redeemed ticket.
    ///
    /// # Errors
    /// Where the step is not known, or has no sandbox that a shell could run in.
    pub async fn open_stream(&self, target: StreamTarget) -> Result<Stream, ErrorView> {
        if self.house.stop.is_cancelled() {
            return Err(ErrorView::new(ErrorCode::NotNow, "Berth is being closed."));
        }
        match target {
            StreamTarget::Updates => Ok(Stream::Updates(self.updates())),
            StreamTarget::Output { step, from } => {
                let record = self.house.store.step(step).await.map_err(|error| dispatch::of_store(&error))?;
                let progress = self.house.step(step).map(|handle| handle.progress);
                let (terminal, end) = terminal::pair(from);
                if let Some(taken) =
                    self.house.store.taken_of(step).await.map_err(|error| dispatch::of_store(&error))?
                {
                    let words = retention::taken_words("output", &taken);
                    self.house.tasks.spawn(async move { end.end(&words).await });
                    return Ok(Stream::Terminal(terminal));
                }
                self.house.tasks.spawn(terminal::stream_output(
                    self.house.outputs.clone(),
                    step,
                    record.state.attempt(),
                    from,
                    progress,
                    end,
                    self.house.stop.clone(),
                ));
                Ok(Stream::Terminal(terminal))
            }
            StreamTarget::Shell { step, columns, rows, program } => {
                shell::open(&self.house, step, program, shell::Size { columns, rows }).await.map(Stream::Terminal)
            }
            StreamTarget::ExportHome { home } => {
                self.house.link.looked_for().await;
                home::export(&self.house, &home).await.map(Stream::Download)
            }
            StreamTarget::ImportHome { home, confirm, size_bytes } => {
                self.house.link.looked_for().await;
                home::import(&self.house, &home, &confirm, size_bytes).await.map(Stream::Upload)
            }
        }
    }

    /// Says where WebSockets are served, for `Hello`. Only the first one counts.
    pub fn set_stream_origin(&self, origin: String) {
        // A second server on one app would be the same app anyway.
        let _ = self.house.stream_origin.set(origin);
    }

    /// What changed, repeats of the same left out where the listener is slow.
    fn updates(&self) -> mpsc::Receiver<Update> {
        let (sender, receiver) = mpsc::channel(UPDATES_MAX);
        let mut updates = self.house.updates.subscribe();
        let stop = self.house.stop.clone();
        self.house.tasks.spawn(async move {
            if sender.send(Update::All).await.is_err() {
                return;
            }
            loop {
                let update = tokio::select! {
                    () = stop.cancelled() => return,
                    () = sender.closed() => return,
                    update = updates.recv() => update,
                };
                let mut batch = vec![match update {
                    Ok(update) => update,
                    Err(broadcast::error::RecvError::Lagged(_)) => Update::All,
                    Err(broadcast::error::RecvError::Closed) => return,
                }];
                // What waits already is told once.
                while let Ok(update) = updates.try_recv() {
                    if !batch.contains(&update) {
                        batch.push(update);
                    }
                }
                for update in batch {
                    // A skin that takes nothing keeps no app from ending.
                    let sent = tokio::select! {
                        () = stop.cancelled() => return,
                        sent = sender.send(update) => sent,
                    };
                    if sent.is_err() {
                        return;
                    }
                }
            }
        });
        receiver
    }
}
