//! The calls. [`Request`] is closed and every call has a typed reply; `core::dispatch` answers it, and the Tauri command,
//! `POST /api/call` and the command line are thin over it.
//!
//! In JSON a request is `{"call": "show_task", "args": {…}}`; a reply is the call's reply type itself.

mod access;
mod agent;
mod image;
mod project;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    action::Action,
    compute::ComputeCosts,
    cost::{CostRuns, CostsView, PriceView},
    event::EventView,
    ids::{RunId, StepId, TaskId},
    image::{BuildView, ImageView},
    network::{ReachView, RequestView},
    news::{NewsKind, NewsSettings, NewsView},
    phase::Phase,
    project::ProjectView,
    queue::{Priority, QueueState, QueueView, Slots},
    secret::{EnvEntry, SecretView, SecretsView},
    stream::StreamTarget,
    task::{NewTask, TaskDraft, TaskSource},
    upkeep::{
        MarkSeen, Mend, Mended, PlanReclaim, Reclaim, ReclaimPlan, RetentionView, Seen, SetRetention, ShowRetention,
    },
    view::{
        AgentView, ContentView, DoctorReport, FolderView, HomeView, ResultList, RunSummary, RunView, StatusView,
        StepView, TaskList, TaskRow, TaskView,
    },
};

pub use access::{
    AllowHost, DeleteSecret, GrantSecret, ImportEnvFile, ListCostRuns, ListPrices, ListRequests, ListSecrets,
    PreviewEnvFile, RenameSecret, RevokeSecret, SetBudget, SetComputeRates, SetPrice, SetSecret, ShowCompute,
    ShowCosts, ShowReach,
};
pub use agent::{CreateAgent, DeleteAgent, DuplicateAgent, HomeFate, ListAgents, UpdateAgent};
pub use image::{AddImage, BuildImage, CancelBuild, ImageSource, ListImages, RemoveImage, ShowBuild, SmokeImage};
pub use project::{CreateProject, DeleteProject, ListProjects, UpdateProject};

/// A call: its arguments, and the type of its reply.
pub trait Call: Serialize + DeserializeOwned + Into<Request> {
    /// What it is answered with.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

macro_rules! calls {
    ($($(#[$doc:meta])* $call:ident => $reply:ty;)*) => {
        /// Everything that can be asked of a Berth.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "call", content = "args", rename_all = "snake_case")]
        pub enum Request {
            $($(#[$doc])* $call($call),)*
        }

        $(
            impl Call for $call {
                type Reply = $reply;
            }

            impl From<$call> for Request {
                fn from(call: $call) -> Self {
                    Self::$call(call)
                }
            }
        )*
    };
}

calls! {
    /// Who is there, and where its streams are.
    Hello => HelloReply;
    /// The whole app at a glance.
    Status => StatusView;
    /// What Berth would make of a task file, without starting anything.
    PreviewTask => TaskDraft;
    /// Take a task in and queue its first run.
    CreateTask => TaskCreated;
    /// The task list.
    ListTasks => TaskList;
    /// One task with its runs.
    ShowTask => TaskView;
    /// One run with its steps.
    ShowRun => RunView;
    /// Something a person does to a step.
    Act => StepView;
    /// End whatever of a run is not ended.
    CancelRun => RunSummary;
    /// The queue: how many work at once, who waits and why.
    ShowQueue => QueueView;
    /// Pause the queue, let it go on, or change how many work at once. It stays so over a restart.
    ChangeQueue => QueueView;
    /// Change a task's turn in the queue.
    SetPriority => TaskRow;
    /// The files that a run left.
    ListResults => ResultList;
    /// A piece of a result.
    ReadResult => ContentView;
    /// What a person should hear of wherever they are.
    ListNews => NewsView;
    /// Of what a person is told by their desktop.
    ShowNewsSettings => NewsSettings;
    /// Be told of something by the desktop, or no longer. It stays so over a restart.
    SetNews => NewsSettings;
    /// What happened.
    ListEvents => Vec<EventView>;
    /// The agents.
    ListAgents => Vec<AgentView>;
    /// Make an agent.
    CreateAgent => AgentView;
    /// The images of the Gallery, and those of a person's own.
    ListImages => Vec<ImageView>;
    /// Build or fetch an image; returns when it is there.
    BuildImage => ImageView;
    /// A build as it goes on, or the last one: its steps and its log.
    ShowBuild => BuildView;
    /// End a build.
    CancelBuild => ImageView;
    /// Try an image in a sandbox without a network card; returns when that is done.
    SmokeImage => ImageView;
    /// Take an image off the engine; one of a person's own goes from the list, too.
    RemoveImage => Deleted;
    /// Add an image of a person's own.
    AddImage => ImageView;
    /// Look at everything that a Berth needs.
    Doctor => DoctorReport;
    /// A ticket for one stream.
    OpenStream => StreamTicket;
    /// Bring findings of the doctor in order.
    Mend => Vec<Mended>;
    /// How much is kept of runs that have ended, and for how long.
    ShowRetention => RetentionView;
    /// Change that.
    SetRetention => RetentionView;
    /// What could go to make room, and why.
    PlanReclaim => ReclaimPlan;
    /// Let some of it go.
    Reclaim => Vec<Mended>;
    /// A person has opened a task.
    MarkSeen => Seen;
    /// Change an agent, its name included.
    UpdateAgent => AgentView;
    /// Make another agent like one, with a home of its own.
    DuplicateAgent => AgentView;
    /// Remove an agent.
    DeleteAgent => Deleted;
    /// The homes.
    ListHomes => Vec<HomeView>;
    /// Put a new home in the place of an agent's.
    ResetHome => HomeView;
    /// Remove the home of a deleted agent.
    DeleteHome => Deleted;
    /// Find out how large a home is; returns when that is known.
    MeasureHome => HomeView;
    /// End what is being done to a home; what was there before stays.
    CancelHomeWork => HomeView;
    /// What a folder of a home holds.
    BrowseHome => FolderView;
    /// A piece of a file in a home.
    ReadHome => ContentView;
    /// The secrets by name, and who has them.
    ListSecrets => SecretsView;
    /// Keep a secret, or put another value in the place of the one it has.
    SetSecret => SecretView;
    /// Change a secret's name.
    RenameSecret => SecretView;
    /// Forget a secret, its value and its grants.
    DeleteSecret => Deleted;
    /// Give a secret to an agent.
    GrantSecret => SecretView;
    /// Take a secret from an agent.
    RevokeSecret => SecretView;
    /// What an `.env` file would bring in, without its values.
    PreviewEnvFile => Vec<EnvEntry>;
    /// Keep some of an `.env` file as secrets.
    ImportEnvFile => SecretsView;
    /// What sandboxes asked the gateway for.
    ListRequests => Vec<RequestView>;
    /// Allow a host to an agent, to the runs of a project or to one run, from the next request on.
    AllowHost => AgentView;
    /// What a run may reach, and where that comes from.
    ShowReach => ReachView;
    /// What was spent.
    ShowCosts => CostsView;
    /// The runs behind a sum.
    ListCostRuns => CostRuns;
    /// What sandboxes used of the machine.
    ShowCompute => ComputeCosts;
    /// Set the rates of compute time, or take them away.
    SetComputeRates => ComputeCosts;
    /// Set a budget, or take one away.
    SetBudget => CostsView;
    /// The prices of a person's own.
    ListPrices => Vec<PriceView>;
    /// Set a price, or take one away.
    SetPrice => Vec<PriceView>;
    /// The projects.
    ListProjects => Vec<ProjectView>;
    /// Make a project.
    CreateProject => ProjectView;
    /// Change a project, its name included.
    UpdateProject => ProjectView;
    /// Remove a project; its tasks and what they cost go on naming it.
    DeleteProject => Deleted;
}

/// Arguments of [`Request::Hello`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {}

/// Reply to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloReply {
    /// The app's version.
    pub version: String,
    /// Scheme, host and port of the WebSockets (`ws://127.0.0.1:4242`), for a skin that is not served from there.
    pub stream_origin: Option<String>,
    /// A task file that shows Berth at work and needs no key.
    pub sample: String,
}

/// Arguments of [`Request::Status`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {}

/// Arguments of [`Request::PreviewTask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewTask {
    /// Where the text is.
    pub source: TaskSource,
}

/// Arguments of [`Request::CreateTask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTask {
    /// The task.
    pub task: NewTask,
}

/// Reply to [`CreateTask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCreated {
    /// The task.
    pub task: TaskId,
    /// Its number.
    pub number: i64,
    /// Its first run.
    pub run: RunId,
}

/// Arguments of [`Request::ListTasks`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListTasks {
    /// Only tasks in these phases; all where it is empty.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// Only tasks whose title, prompt or agent has these words.
    #[serde(default)]
    pub search: String,
    /// How many rows at most: 1 to 1,000; 0 for 200.
    #[serde(default)]
    pub limit: u32,
    /// How many to pass over.
    #[serde(default)]
    pub offset: u64,
}

/// Arguments of [`Request::ShowTask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowTask {
    /// Its id, number (`12`, `#12`), or the beginning of its id.
    pub task: String,
}

/// Arguments of [`Request::ShowRun`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowRun {
    /// Its id, the beginning of it (6 digits and more), or a task's number (`12`, `#12`) for that task's latest run.
    pub run: String,
}

/// Arguments of [`Request::Act`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// The step.
    pub step: StepId,
    /// What to do.
    pub action: Action,
    /// What the agent is told, where changes are requested; why, where the work is rejected.
    #[serde(default)]
    pub comment: String,
}

/// Arguments of [`Request::CancelRun`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRun {
    /// As in [`ShowRun`].
    pub run: String,
}

/// Arguments of [`Request::ShowQueue`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowQueue {}

/// Arguments of [`Request::ChangeQueue`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeQueue {
    /// Whether queued steps may start; stays as it is where it is `None`.
    #[serde(default)]
    pub state: Option<QueueState>,
    /// How many sandboxes work at once; stays as it is where it is `None`. Fewer than are at work end none of them.
    #[serde(default)]
    pub slots: Option<Slots>,
}

/// Arguments of [`Request::SetPriority`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPriority {
    /// As in [`ShowTask`].
    pub task: String,
    /// The priority. It counts whenever the task waits: now, after changes were requested, or at a retry.
    pub priority: Priority,
}

/// Arguments of [`Request::ListResults`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListResults {
    /// As in [`ShowRun`].
    pub run: String,
}

/// Arguments of [`Request::ReadResult`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadResult {
    /// As in [`ShowRun`].
    pub run: String,
    /// The `key` of the result.
    pub key: String,
    /// Where to begin.
    #[serde(default)]
    pub offset: u64,
    /// How many bytes at most: 1 to 1 MiB; 0 for 256 KiB.
    #[serde(default)]
    pub length: u32,
}

/// Arguments of [`Request::ListEvents`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEvents {
    /// Only those of this task.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// Only those after this one.
    #[serde(default)]
    pub after_seq: i64,
    /// How many at most: 1 to 1,000; 0 for 200.
    #[serde(default)]
    pub limit: u32,
}

/// Arguments of [`Request::ListNews`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListNews {
    /// Only what came after this event; nothing, where it is `None`, but from where to ask the next time.
    #[serde(default)]
    pub after_seq: Option<i64>,
}

/// Arguments of [`Request::ShowNewsSettings`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowNewsSettings {}

/// Arguments of [`Request::SetNews`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetNews {
    /// Which kinds.
    pub kinds: Vec<NewsKind>,
    /// Whether the desktop is silent about them from now on.
    pub is_silent: bool,
}

/// Arguments of [`Request::Doctor`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {}

/// Arguments of [`Request::OpenStream`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenStream {
    /// What to stream.
    pub target: StreamTarget,
}

/// Reply to [`OpenStream`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTicket {
    /// Good for one WebSocket at `/api/stream?ticket=…`, or for an archive's one transfer at `/api/archive?ticket=…`, within ten
    /// seconds.
    pub ticket: String,
}

/// Reply to what deletes something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {}

/// Arguments of [`Request::ListHomes`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListHomes {}

/// Arguments of [`Request::ResetHome`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetHome {
    /// The home: its agent's name, or its volume.
    pub home: String,
    /// Its name as the person typed it.
    pub confirm: String,
}

/// Arguments of [`Request::DeleteHome`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteHome {
    /// As in [`ResetHome`].
    pub home: String,
    /// Its name as the person typed it.
    pub confirm: String,
}

/// What an import came to: the answer of `POST /api/archive`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeImported {
    /// The home as it is now.
    pub home: HomeView,
    /// How many files, folders and links were taken in.
    pub entries: u64,
    /// How many bytes they hold.
    pub size_bytes: u64,
    /// What was left out, by name and why; the first few.
    pub left_out: Vec<String>,
    /// How much was left out in all.
    pub left_out_total: u64,
}

/// Arguments of [`Request::MeasureHome`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureHome {
    /// As in [`ResetHome`].
    pub home: String,
}

/// Arguments of [`Request::CancelHomeWork`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelHomeWork {
    /// As in [`ResetHome`].
    pub home: String,
}

/// Arguments of [`Request::BrowseHome`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowseHome {
    /// As in [`ResetHome`].
    pub home: String,
    /// The `key` of a folder; empty for the home itself.
    #[serde(default)]
    pub key: String,
    /// The `next` of the page before; empty for the first.
    #[serde(default)]
    pub after: String,
    /// How many entries at most: 1 to 1,000; 0 for 500.
    #[serde(default)]
    pub limit: u32,
}

/// Arguments of [`Request::ReadHome`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadHome {
    /// As in [`ResetHome`].
    pub home: String,
    /// The `key` of a file.
    pub key: String,
    /// Where to begin.
    #[serde(default)]
    pub offset: u64,
    /// How many bytes at most: 1 to 1 MiB; 0 for 256 KiB.
    #[serde(default)]
    pub length: u32,
}

/// How a call is answered over HTTP and the Tauri command: with its reply, or with an error.
pub type Answer<T> = Result<T, crate::error::ErrorView>;
