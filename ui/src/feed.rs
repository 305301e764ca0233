//! The stream of updates, as the face keeps it: for each topic a revision that grows when there is a reason to look again, and how
//! the link stands. Pure; `app.rs` holds the socket.
//!
//! ```text
//! Connecting ──open──▶ Live ──closed──▶ Lost ──open──▶ Live
//!      └─────────────closed────────────▶ Lost ──closed──▶ Lost (attempt + 1)
//! ```

use std::{collections::HashMap, rc::Rc};

use jiff::{SignedDuration, Timestamp};
use wire::{ids::TaskId, stream::Update};
use yew::Reducible;

/// For how many tasks a revision of their own is kept; past it everything counts as changed and counting begins anew.
const TASKS_MAX: usize = 4_096;
/// A link that breaks sooner than this has failed once more, as if it had never been open.
const STEADY: SignedDuration = SignedDuration::from_secs(5);
/// The first pause before connecting again.
const BACKOFF_MS_MIN: u32 = 250;
/// The longest.
const BACKOFF_MS_MAX: u32 = 10_000;

/// How the link to the core stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// It was never open.
    #[default]
    Connecting,
    /// It is open: what is shown is how things are.
    Live,
    /// It broke: what is shown is how things were.
    Lost {
        /// When.
        since: Timestamp,
        /// How often connecting again has failed.
        attempt: u32,
    },
}

/// The revisions and the link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    /// The link.
    pub link: Link,
    opened_at: Option<Timestamp>,
    failures: u32,
    all: u64,
    status: u64,
    images: u64,
    agents: u64,
    homes: u64,
    secrets: u64,
    budgets: u64,
    projects: u64,
    any_task: u64,
    any_request: u64,
    tasks: HashMap<TaskId, Revisions>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Revisions {
    task: u64,
    results: u64,
    requests: u64,
}

/// What happens to a [`Feed`].
#[derive(Clone, Debug)]
pub enum FeedAction {
    /// The stream is open.
    Opened(Timestamp),
    /// The stream is over.
    Closed(Timestamp),
    /// Updates came.
    Updates(Vec<Update>),
}

impl Feed {
    /// Grows with everything that the status view shows.
    pub fn status(&self) -> u64 {
        self.all + self.status + self.any_task
    }

    /// Grows with every task.
    pub fn tasks(&self) -> u64 {
        self.all + self.any_task
    }

    /// Grows with one task.
    pub fn task(&self, task: Option<TaskId>) -> u64 {
        match task {
            Some(task) => self.all + self.of(task).task,
            None => self.tasks(),
        }
    }

    /// Grows with one task's results.
    pub fn results(&self, task: TaskId) -> u64 {
        let revisions = self.of(task);
        self.all + revisions.task + revisions.results
    }

    /// Grows with the images.
    pub fn images(&self) -> u64 {
        self.all + self.images
    }

    /// Grows with the agents, and with the secrets that they have.
    pub fn agents(&self) -> u64 {
        self.all + self.agents + self.secrets
    }

    /// Grows with the secrets, and with the names of who has them.
    pub fn secrets(&self) -> u64 {
        self.all + self.secrets + self.agents
    }

    /// Grows with what one task's sandboxes asked for.
    pub fn requests(&self, task: TaskId) -> u64 {
        self.all + self.of(task).requests
    }

    /// Grows with every request, so with whatever was spent: as often as an agent likes, so look through
    /// [`use_calm`](crate::query::use_calm).
    pub fn spending(&self) -> u64 {
        self.any_request
    }

    /// Grows with budgets and prices.
    pub fn budgets(&self) -> u64 {
        self.all + self.budgets
    }

    /// Grows with the projects, and with the tasks that are in them.
    pub fn projects(&self) -> u64 {
        self.all + self.projects + self.any_task
    }

    /// Grows with the homes, and with the tasks that use them.
    pub fn homes(&self) -> u64 {
        self.all + self.homes + self.any_task
    }

    /// Since when nothing new is known, once that is more than a flicker.
    pub const fn lost_since(&self) -> Option<Timestamp> {
        match self.link {
            Link::Lost { since, attempt } if attempt > 1 => Some(since),
            Link::Lost { .. } | Link::Connecting | Link::Live => None,
        }
    }

    /// How long to wait before connecting again, in milliseconds.
    pub fn backoff_ms(&self) -> u32 {
        match self.link {
            Link::Connecting | Link::Live => BACKOFF_MS_MIN,
            Link::Lost { attempt, .. } => (BACKOFF_MS_MIN << attempt.min(8)).min(BACKOFF_MS_MAX),
        }
    }

    fn of(&self, task: TaskId) -> Revisions {
        self.tasks.get(&task).copied().unwrap_or_default()
    }

    fn take(&mut self, update: &Update) {
        match *update {
            Update::All => self.all += 1,
            Update::Status => self.status += 1,
            Update::Task { task } => {
                self.any_task += 1;
                self.revisions(task).task += 1;
            }
            Update::Results { task } => self.revisions(task).results += 1,
            Update::Images => self.images += 1,
            Update::Agents => self.agents += 1,
            Update::Homes => self.homes += 1,
            Update::Secrets => self.secrets += 1,
            Update::Requests { task } => {
                self.any_request += 1;
                self.revisions(task).requests += 1;
            }
            Update::Costs => self.budgets += 1,
            Update::Projects => self.projects += 1,
        }
    }

    fn revisions(&mut self, task: TaskId) -> &mut Revisions {
        if self.tasks.len() >= TASKS_MAX && !self.tasks.contains_key(&task) {
            // No revision may go back: what all of them grew by goes into the one for everything.
            let grown = |revisions: &Revisions| revisions.task + revisions.results + revisions.requests;
            self.all += 1 + self.tasks.values().map(grown).max().unwrap_or(0);
            self.tasks.clear();
        }
        self.tasks.entry(task).or_default()
    }
}

impl Reducible for Feed {
    type Action = FeedAction;

    fn reduce(self: Rc<Self>, action: FeedAction) -> Rc<Self> {
        let mut feed = Self::clone(&self);
        match action {
            FeedAction::Opened(at) => {
                feed.link = Link::Live;
                feed.opened_at = Some(at);
                // Whatever happened while nobody listened is looked at now.
                feed.take(&Update::All);
            }
            FeedAction::Closed(at) => {
                let was_steady = feed.opened_at.take().is_some_and(|opened_at| at.duration_since(opened_at) >= STEADY);
                let attempt = if was_steady { 0 } else { feed.failures };
                feed.failures = attempt.saturating_add(1);
                let since = match feed.link {
                    Link::Connecting | Link::Live => at,
                    Link::Lost { since, .. } => since,
                };
                feed.link = Link::Lost { since, attempt };
            }
            FeedAction::Updates(updates) => updates.iter().for_each(|update| feed.take(update)),
        }
        Rc::new(feed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u128) -> TaskId {
        serde_json::from_value(format!("{number:032x}").into()).unwrap()
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn fed(updates: impl IntoIterator<Item = Update>) -> Feed {
        let feed = Rc::new(Feed::default()).reduce(FeedAction::Updates(updates.into_iter().collect()));
        Rc::unwrap_or_clone(feed)
    }

    #[test]
    fn an_update_concerns_its_own_topic_alone() {
        let feed = fed([Update::Results { task: task(1) }, Update::Images, Update::Projects]);
        assert_eq!((feed.results(task(1)), feed.results(task(2))), (1, 0));
        assert_eq!((feed.task(Some(task(1))), feed.tasks(), feed.status()), (0, 0, 0));
        assert_eq!((feed.images(), feed.agents(), feed.projects()), (1, 0, 1));
    }

    #[test]
    fn a_request_concerns_its_own_task_and_what_was_spent() {
        let feed = fed([Update::Requests { task: task(1) }, Update::Requests { task: task(1) }]);
        assert_eq!((feed.requests(task(1)), feed.requests(task(2)), feed.spending()), (2, 0, 2));
        // An agent asks as often as it likes: that alone reloads no list.
        assert_eq!((feed.tasks(), feed.status(), feed.task(Some(task(1))), feed.budgets()), (0, 0, 0, 0));
    }

    #[test]
    fn a_secret_that_changed_changes_whoever_has_it() {
        let feed = fed([Update::Secrets, Update::Costs]);
        assert_eq!((feed.secrets(), feed.agents(), feed.budgets(), feed.homes()), (1, 1, 1, 0));
    }

    #[test]
    fn a_task_that_changed_changes_the_lists_it_stands_in() {
        let feed = fed([Update::Task { task: task(1) }]);
        assert_eq!((feed.tasks(), feed.status()), (1, 1));
        assert_eq!((feed.task(Some(task(1))), feed.task(Some(task(2)))), (1, 0));
        assert_eq!(feed.results(task(1)), 1);
    }

    #[test]
    fn opening_is_a_reason_to_look_at_everything() {
        let feed = Rc::new(Feed::default()).reduce(FeedAction::Opened(second(1)));
        assert_eq!(feed.link, Link::Live);
        assert_eq!((feed.tasks(), feed.images(), feed.agents(), feed.results(task(9))), (1, 1, 1, 1));
    }

    #[test]
    fn a_lost_link_says_since_when_and_waits_longer_each_time() {
        let mut feed = Rc::new(Feed::default()).reduce(FeedAction::Opened(second(1)));
        let mut pauses = Vec::new();
        for at in 10..=17 {
            feed = feed.reduce(FeedAction::Closed(second(at)));
            pauses.push(feed.backoff_ms());
        }
        assert_eq!(feed.link, Link::Lost { since: second(10), attempt: 7 });
        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    }

    #[test]
    fn a_link_that_opens_and_breaks_at_once_waits_longer_each_time_too() {
        let mut feed = Rc::new(Feed::default());
        let mut pauses = Vec::new();
        for at in 1..=3 {
            feed = feed.reduce(FeedAction::Opened(second(at))).reduce(FeedAction::Closed(second(at)));
            pauses.push(feed.backoff_ms());
        }
        assert_eq!(pauses, [250, 500, 1_000]);
        feed = feed.reduce(FeedAction::Opened(second(10))).reduce(FeedAction::Closed(second(60)));
        assert_eq!(feed.backoff_ms(), 250);
    }

    #[test]
    fn no_revision_goes_back_when_counting_begins_anew() {
        let first = Update::Task { task: task(1) };
        let many = (2..=TASKS_MAX as u128).map(|number| Update::Results { task: task(number) });
        let asked = std::iter::repeat_n(Update::Requests { task: task(77) }, 5);
        let before = fed([first.clone(), first].into_iter().chain(many).chain(asked));
        assert_eq!(before.tasks.len(), TASKS_MAX);
        let after = Rc::new(before.clone()).reduce(FeedAction::Updates(vec![Update::Results { task: task(0) }]));
        assert_eq!(after.tasks.len(), 1);
        for number in [1, 2, 77] {
            assert!(after.task(Some(task(number))) > before.task(Some(task(number))), "{number}");
            assert!(after.results(task(number)) > before.results(task(number)), "{number}");
            assert!(after.requests(task(number)) > before.requests(task(number)), "{number}");
        }
    }
}
