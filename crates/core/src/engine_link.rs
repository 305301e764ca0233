//! The app's link to the engine: found, watched, found again.
//!
//! ```text
//! Unknown ──▶ Up ⇄ Down
//! ```
//!
//! Whoever needs the engine asks for it as it is now ([`EngineLink::up`]) or waits for it ([`EngineLink::wait_up`]). A call
//! that fails with `Unreachable` is a reason to look again at once ([`EngineLink::suspect`]).

use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, EngineError, EngineFacts, VolumeName};
use futures::future::BoxFuture;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wire::{ErrorCode, ErrorView, view::EngineView};

use crate::clock::Time;
use crate::faults;

/// How often an engine that answers is asked whether it still does.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a person who asks for it waits for the first look.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(5);
/// How long to wait before looking for one again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// An engine with the words for where it was found.
pub struct Connected {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Where it was found, for a person.
    pub found: String,
}

/// Finds the engine. Called again after each loss.
pub type Connector = Arc<dyn Fn() -> BoxFuture<'static, Result<Connected, EngineError>> + Send + Sync>;

/// An engine that answers.
pub(crate) struct Up {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) facts: EngineFacts,
    pub(crate) found: String,
    /// The volume with the guest, made sure of once per connection.
    pub(crate) guest_volume: Mutex<Option<VolumeName>>,
}

#[derive(Clone)]
pub(crate) enum Link {
    Unknown,
    Up(Arc<Up>),
    Down { error: ErrorView, since: jiff::Timestamp },
}

/// The link itself.
pub(crate) struct EngineLink {
    connector: Connector,
    time: Time,
    link: watch::Sender<Link>,
    suspect: Notify,
}

impl EngineLink {
    pub(crate) fn new(connector: Connector, time: Time) -> Self {
        Self { connector, time, link: watch::channel(Link::Unknown).0, suspect: Notify::new() }
    }

    /// Tells of every change.
    pub(crate) fn follow(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// The engine, if it answers as far as is known.
    pub(crate) fn up(&self) -> Result<Arc<Up>, ErrorView> {
        match &*self.link.borrow() {
            Link::Up(up) => Ok(up.clone()),
            Link::Down { error, .. } => Err(error.clone()),
            Link::Unknown => Err(ErrorView::new(ErrorCode::EngineUnreachable, "The engine was not asked yet.")
                .hint("Try again in a moment.")),
        }
    }

    /// The engine, as soon as it answers.
    ///
    /// # Cancel safety
    /// Safe: it only waits.
    pub(crate) async fn wait_up(&self) -> Arc<Up> {
        let mut follow = self.link.subscribe();
        loop {
            if let Link::Up(up) = &*follow.borrow_and_update() {
                return up.clone();
            }
            // The sender lives in `self`.
            let _ = follow.changed().await;
        }
    }

    /// The link once it was looked for, or as it is after [`FIRST_LOOK_MAX`]: right after the start nobody knows yet.
    pub(crate) async fn looked_for(&self) {
        let mut follow = self.link.subscribe();
        let known = follow.wait_for(|link| !matches!(link, Link::Unknown));
        // Not known in time is an answer, too; the sender lives in `self`.
        let _ = tokio::time::timeout(FIRST_LOOK_MAX, known).await;
    }

    /// Whether it was looked for and did not answer.
    pub(crate) fn is_down(&self) -> bool {
        matches!(*self.link.borrow(), Link::Down { .. })
    }

    /// Returns once it does not answer, as far as is known.
    ///
    /// # Cancel safety
    /// Safe: it only waits.
    pub(crate) async fn wait_down(&self) {
        // The sender lives in `self`.
        let _ = self.link.subscribe().wait_for(|link| matches!(link, Link::Down { .. })).await;
    }

    /// Something did not answer: look again now.
    pub(crate) fn suspect(&self) {
        self.suspect.notify_one();
    }

    /// What a person sees of it.
    pub(crate) fn view(&self) -> EngineView {
        match &*self.link.borrow() {
            Link::Unknown => EngineView::Unknown,
            Link::Up(up) => EngineView::Up {
                product: match &up.facts.product {
                    engine::Product::Docker => "Docker".to_owned(),
                    engine::Product::Podman => "Podman".to_owned(),
                    engine::Product::Other(name) => name.clone(),
                },
                version: up.facts.version.clone(),
                api_version: up.facts.api_version.to_string(),
                found: up.found.clone(),
            },
            Link::Down { error, since } => EngineView::Down { error: error.clone(), since: *since },
        }
    }

    /// Finds the engine and watches it until `stop`.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => return,
                next = self.look() => next,
            };
            let wait = if matches!(next, Link::Up(_)) { LOOK_EVERY } else { RETRY_EVERY };
            self.become_(next);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.suspect.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn look(&self) -> Link {
        let known = self.up().ok();
        if let Some(up) = known {
            return match up.engine.ping().await {
                Ok(()) => Link::Up(up),
                Err(error) => self.down(&error),
            };
        }
        let connected = match (self.connector)().await {
            Ok(connected) => connected,
            Err(error) => return self.down(&error),
        };
        match connected.engine.facts().await {
            Ok(facts) => Link::Up(Arc::new(Up {
                engine: connected.engine,
                facts,
                found: connected.found,
                guest_volume: Mutex::default(),
            })),
            Err(error) => self.down(&error),
        }
    }

    fn down(&self, error: &EngineError) -> Link {
        let since = match &*self.link.borrow() {
            Link::Down { since, .. } => *since,
            Link::Unknown | Link::Up(_) => self.time.now(),
        };
        Link::Down { error: faults::of_engine(error), since }
    }

    fn become_(&self, next: Link) {
        self.link.send_if_modified(|link| {
            let is_same = match (&*link, &next) {
                (Link::Up(one), Link::Up(other)) => Arc::ptr_eq(one, other),
                (Link::Down { error: one, .. }, Link::Down { error: other, .. }) => one == other,
                (Link::Unknown | Link::Up(_) | Link::Down { .. }, _) => false,
            };
            if !is_same {
                match &next {
                    Link::Up(up) => info!(version = %up.facts.version, found = %up.found, "the engine answers"),
                    Link::Down { error, .. } => {
                        warn!(error = %error.message, detail = %error.detail, "the engine does not answer");
                    }
                    Link::Unknown => {}
                }
                *link = next;
            }
            !is_same
        });
    }
}
