//! What the core shows of its state. A view holds everything a skin needs to draw it: nothing is derived outside.
//!
//! Text that came out of a sandbox is already escaped here: control characters are shown, never sent.

mod home;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    action::ActionView,
    cost::Spent,
    error::ErrorView,
    ids::{AgentId, RunId, SandboxId, StepId, TaskId},
    image::Tools,
    limits::Limits,
    network::NetworkPolicy,
    phase::{Hold, Phase},
    queue::{Priority, QueueState, Wait},
    secret::InsideLogin,
    task::{Launch, ReviewGate},
    upkeep::{Finding, OtherInstall},
};

pub use crate::secret::AgentSecretView;
pub use home::{
    EntryKind, FolderEntry, FolderView, HomeAction, HomeActionView, HomeSizeView, HomeTask, HomeView, HomeWorkKind,
    HomeWorkView,
};

/// The whole app at a glance: status bar, tray, `berth doctor`'s first lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// The engine.
    pub engine: EngineView,
    /// Slots taken.
    pub slots_used: u32,
    /// Slots there are.
    pub slots_max: u32,
    /// Whether queued steps may start.
    #[serde(default)]
    pub queue: QueueState,
    /// Memory that live sandboxes may take, in bytes.
    pub memory_used_bytes: u64,
    /// Memory of the engine's machine, in bytes; 0 where unknown.
    pub memory_bytes: u64,
    /// Tasks by phase, every phase once.
    pub tasks: Vec<PhaseCount>,
    /// Live steps, longest first; at most 20.
    pub live: Vec<LiveStep>,
    /// Spent today (UTC); `None` where nothing was ever metered.
    #[serde(default)]
    pub cost_today: Option<Spent>,
    /// The folder that holds everything.
    pub data_folder: String,
    /// Things a person should know, a sentence each (a full disk, a lost watcher).
    #[serde(default)]
    pub notices: Vec<String>,
    /// The app's version.
    pub version: String,
}

/// How many tasks are in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseCount {
    /// Which.
    pub phase: Phase,
    /// How many.
    pub count: u64,
}

/// A step that has a sandbox now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveStep {
    /// Its task.
    pub task: TaskId,
    /// The task's number.
    pub number: i64,
    /// The task's title.
    pub title: String,
    /// Provisioning or Executing.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
}

/// What is known of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EngineView {
    /// Not yet asked.
    Unknown,
    /// It answers.
    Up {
        /// Docker, Podman, …
        product: String,
        /// Its version.
        version: String,
        /// The API version that was agreed on.
        api_version: String,
        /// Where it was found.
        found: String,
    },
    /// It does not.
    Down {
        /// Why, and what to do.
        error: ErrorView,
        /// Since when.
        since: Timestamp,
    },
}

/// One row of the task list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Which.
    pub task: TaskId,
    /// The number a person says: `#12`.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// The agent's name.
    pub agent: String,
    /// Two letters for the agent's image.
    pub call_sign: String,
    /// The project's name.
    #[serde(default)]
    pub project: Option<String>,
    /// The latest run.
    pub run: RunId,
    /// Its phase.
    pub phase: Phase,
    /// Why it is held, if it is.
    #[serde(default)]
    pub holds: Vec<Hold>,
    /// The attempt of the step that is on, from 1.
    pub attempt: u32,
    /// Its turn in the queue.
    #[serde(default)]
    pub priority: Priority,
    /// Why it does not start, while it is queued.
    #[serde(default)]
    pub wait: Option<Wait>,
    /// One line on how it stands: the last line of output, the error, the reason to wait.
    pub note: String,
    /// When the task was taken in.
    pub created_at: Timestamp,
    /// When the phase was entered.
    pub since: Timestamp,
    /// When output came last.
    #[serde(default)]
    pub output_at: Option<Timestamp>,
    /// Results so far.
    pub results: u64,
    /// What the run has cost; `None` where it asked no model.
    #[serde(default)]
    pub cost: Option<Spent>,
}

/// Some rows of the task list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskList {
    /// The rows, newest first.
    pub rows: Vec<TaskRow>,
    /// How many there are in all under this filter.
    pub total: u64,
}

/// A task with all its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// The row of the list.
    pub row: TaskRow,
    /// What was asked for.
    pub prompt: String,
    /// Its runs, oldest first.
    pub runs: Vec<RunView>,
}

/// What `berth run --json` prints, and the head of what `berth show --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Which.
    pub run: RunId,
    /// Of which task.
    pub task: TaskId,
    /// The task's number.
    pub number: i64,
    /// The run's phase.
    pub phase: Phase,
    /// The folder with its results, once there is one.
    pub workspace: Option<String>,
    /// Why it failed.
    pub error: Option<ErrorView>,
}

/// A run with its steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// The summary.
    #[serde(flatten)]
    pub summary: RunSummary,
    /// Which run of the task, from 1.
    pub ordinal: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its steps, in order.
    pub steps: Vec<StepView>,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// Which.
    pub step: StepId,
    /// Its place in the run, from 1.
    pub ordinal: u32,
    /// Its name.
    pub name: String,
    /// The agent that does it.
    pub agent: String,
    /// What the agent runs in.
    pub image: String,
    /// Whether its image says how a person speaks with the agent in a terminal, which can be done while it executes.
    #[serde(default)]
    pub is_interactive: bool,
    /// Its phase.
    pub phase: Phase,
    /// Why it is held, if it is.
    pub holds: Vec<Hold>,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Whether a person is asked at the end.
    pub review: ReviewGate,
    /// Why it does not start, while it is queued.
    #[serde(default)]
    pub wait: Option<Wait>,
    /// How long holds have kept its agent stopped in this attempt, in milliseconds; the one that lasts is not counted in. This time
    /// does not count towards its limit of time.
    #[serde(default)]
    pub held_ms: u64,
    /// Since when its agent is stopped, while a hold lasts.
    #[serde(default)]
    pub held_since: Option<Timestamp>,
    /// The stages it went through, oldest first.
    pub timeline: Vec<PhaseSpan>,
    /// While provisioning: how far.
    #[serde(default)]
    pub progress: Option<StageView>,
    /// Its sandbox, once there is one.
    #[serde(default)]
    pub sandbox: Option<SandboxView>,
    /// The folder with its results, once there is one.
    #[serde(default)]
    pub workspace: Option<String>,
    /// What it may use.
    pub limits: Limits,
    /// Bytes of output so far.
    pub output_bytes: u64,
    /// Bytes of disk that count towards the limit, when it was last looked at.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
    /// What its sandboxes used of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute: Option<crate::compute::ComputeView>,
    /// When output came last.
    #[serde(default)]
    pub output_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<ErrorView>,
    /// What a person can do now, and why not the rest.
    pub actions: Vec<ActionView>,
}

/// One phase of a step, with when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// The attempt it belongs to.
    pub attempt: u32,
    /// When it began.
    pub entered_at: Timestamp,
    /// When it ended; `None` while it lasts.
    pub left_at: Option<Timestamp>,
}

/// How far the making of a sandbox is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageView {
    /// The stage at work.
    pub stage: String,
    /// Its number, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

/// A sandbox, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxView {
    /// Which.
    pub sandbox: SandboxId,
    /// The container's name in the engine.
    pub container: String,
    /// Since when.
    pub created_at: Timestamp,
    /// The network policy in a word: `closed`.
    pub network: String,
    /// The user and group that the agent runs as: `1000:1000`.
    pub user: String,
    /// Whether the app is connected to its guest now.
    pub connected: bool,
}

/// A file that a step left, changed or took away in its workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultView {
    /// The path below the workspace as it can be shown: control characters and invalid UTF-8 are escaped.
    pub path: String,
    /// The same path for calls: percent-encoded bytes (RFC 3986), so that every file name can be asked for.
    pub key: String,
    /// New, changed or deleted.
    pub change: ResultChange,
    /// Size in bytes; 0 where deleted.
    pub size_bytes: u64,
    /// SHA-256 in hex; `None` where deleted, not yet computed, or no regular file.
    pub sha256: Option<String>,
    /// The media type (RFC 6838), guessed from name and first bytes.
    pub media_type: String,
    /// When the file was changed, by its own word.
    pub modified_at: Option<Timestamp>,
    /// Whether the step has ended, so that this stays as it is.
    pub is_final: bool,
    /// Why there is no content to read: a link, a FIFO, too large.
    #[serde(default)]
    pub unreadable: Option<String>,
}

/// What happened to a file since the step began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultChange {
    /// It was not there.
    New,
    /// Its content is another.
    Changed,
    /// It is gone.
    Deleted,
}

/// The results of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultList {
    /// The files, by path.
    pub results: Vec<ResultView>,
    /// How many were left out because there are too many.
    pub left_out: u64,
    /// The folder.
    pub workspace: Option<String>,
}

/// A piece of a result's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentView {
    /// The bytes, in base64.
    pub base64: String,
    /// Where the piece begins.
    pub offset: u64,
    /// How long the whole file is now.
    pub size_bytes: u64,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentView {
    /// Which.
    pub agent: AgentId,
    /// Its name: 1 to 40 of `a-z`, `0-9` and `-`, beginning with a letter.
    pub name: String,
    /// The image by its short name or reference.
    pub image: String,
    /// What is started in it.
    #[serde(default)]
    pub launch: Launch,
    /// Two letters for the image.
    pub call_sign: String,
    /// What the image does, in a line.
    pub description: String,
    /// What its steps may use.
    pub limits: Limits,
    /// Whether a person is asked at the end of its steps.
    pub review: ReviewGate,
    /// The volume that is its home.
    pub home: String,
    /// The task that uses its home now.
    #[serde(default)]
    pub busy: Option<TaskId>,
    /// The colour of its plate.
    #[serde(default)]
    pub colour: AgentColour,
    /// What its sandboxes may reach.
    #[serde(default)]
    pub network: NetworkPolicy,
    /// The secrets that it has.
    #[serde(default)]
    pub secrets: Vec<AgentSecretView>,
    /// The model that it uses; `None` for the image's own choice.
    #[serde(default)]
    pub model: Option<String>,
    /// Its standing instructions.
    #[serde(default)]
    pub persona: Vec<PersonaFile>,
    /// Whether it has a memory that it reads and writes.
    #[serde(default)]
    pub has_memory: bool,
    /// Packages on top of its image.
    #[serde(default)]
    pub tools: Tools,
    /// To what its programs are signed in inside, as its home was found when it was looked at last.
    #[serde(default)]
    pub logins: Vec<InsideLogin>,
    /// What a person can do to it now, and why not the rest.
    #[serde(default)]
    pub actions: Vec<AgentActionView>,
}

/// A file of an agent's standing instructions. It is given all of them, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonaFile {
    /// Its name, such as `style.md`: 1 to 40 of the letters a to z, digits, dashes, underscores and dots.
    pub name: String,
    /// Its text, in Markdown; 64 KiB at most, and 256 KiB for all of an agent.
    pub text: String,
}

/// The colour of an agent's plate, so that several of one image are told apart at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentColour {
    /// That of every plate.
    #[default]
    None,
    /// Blue.
    Blue,
    /// Cyan.
    Cyan,
    /// Green.
    Green,
    /// Amber.
    Amber,
    /// Red.
    Red,
}

impl AgentColour {
    /// Every colour, in the order in which they are offered.
    pub const ALL: [Self; 6] = [Self::None, Self::Blue, Self::Cyan, Self::Green, Self::Amber, Self::Red];

    /// Its name in data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Blue => "blue",
            Self::Cyan => "cyan",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
        }
    }

    /// The colour of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|colour| colour.name() == name)
    }
}

/// Something a person can do to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentAction {
    /// Give it another image, command, limits, review or colour.
    Edit,
    /// Give it another name.
    Rename,
    /// Make another like it.
    Duplicate,
    /// Remove it.
    Delete,
}

impl AgentAction {
    /// Every action, in the order in which they are drawn.
    pub const ALL: [Self; 4] = [Self::Edit, Self::Rename, Self::Duplicate, Self::Delete];

    /// The label of its button.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Edit => "Edit",
            Self::Rename => "Rename",
            Self::Duplicate => "Duplicate",
            Self::Delete => "Delete",
        }
    }

    /// The key that does the same.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Edit => "E",
            Self::Rename => "R",
            Self::Duplicate => "D",
            Self::Delete => "⇧X",
        }
    }
}

/// An action as it stands now for one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentActionView {
    /// Which.
    pub action: AgentAction,
    /// Why it cannot be done now; `None` where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<String>,
}

/// What `berth doctor` finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorReport {
    /// The checks, in the order they were made.
    pub checks: Vec<CheckView>,
    /// What lies around, or is not as it should be. `Mend` brings it in order.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Other Berths on the same engine.
    #[serde(default)]
    pub others: Vec<OtherInstall>,
}

/// One check of the doctor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// What was looked at.
    pub name: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Fine.
    Good,
    /// Works, but a person should know.
    Warning,
    /// Does not work.
    Bad,
}
