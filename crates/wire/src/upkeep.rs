//! Housekeeping: what lies around without an owner, what could be made again, what is kept of runs, and for how long.
//!
//! Nothing goes that was not named before: a plan lists [`Finding`]s, and whoever wants them gone names their keys.

use serde::{Deserialize, Serialize};

use crate::ids::RunId;

/// Something that could go, or that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Names it in calls: `volume:berth-spool-…`. The same thing has the same key every time.
    pub key: String,
    /// What kind of thing it is.
    pub thing: Thing,
    /// Its name, as it can be shown.
    pub name: String,
    /// What it is and why it is there.
    pub why: String,
    /// What would be done about it.
    pub remedy: Remedy,
    /// The same in words.
    pub then: String,
    /// What it takes in bytes, where that is known.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// For what is kept of a run: which, and whether anybody has looked at it since it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<KeptOf>,
}

/// Whose data a [`Finding`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptOf {
    /// The run.
    pub run: RunId,
    /// Its task's number.
    pub number: i64,
    /// Its task's title.
    pub title: String,
    /// Whether a person has looked at it since it ended.
    pub sight: Sight,
}

/// Whether a person has looked at a run since it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// Opened, reviewed, or stopped by a person.
    Seen,
    /// Nobody has.
    Unseen,
}

/// Kinds of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// A container.
    Container,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// An image.
    Image,
    /// A folder in the data folder.
    Folder,
    /// A file in the data folder.
    File,
    /// What is written down of a run's output.
    Output,
    /// What is kept of a run.
    Run,
}

impl Thing {
    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Image => "image",
            Self::Folder => "folder",
            Self::File => "file",
            Self::Output => "output",
            Self::Run => "run",
        }
    }
}

/// What would be done about a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// It is taken away.
    Remove,
    /// What is written down is brought in line with what is there.
    WriteDown,
    /// Nothing: it is only said.
    Leave,
}

/// What belongs to another Berth on the same engine. It is counted, never touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherInstall {
    /// Its label.
    pub install: String,
    /// Containers that run.
    pub running: u64,
    /// All its containers.
    pub containers: u64,
    /// Volumes.
    pub volumes: u64,
    /// Networks.
    #[serde(default)]
    pub networks: u64,
    /// Images.
    pub images: u64,
}

/// What became of a finding that was to be mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    /// Its key.
    pub key: String,
    /// How it went.
    pub outcome: Outcome,
    /// In words: what was done, or why not.
    pub words: String,
    /// Bytes that are free now, where that is known.
    #[serde(default)]
    pub freed_bytes: u64,
}

/// How mending went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Done,
    /// It was not there any more, or is needed again.
    Moot,
    /// It stays: it is in use, or nobody may take it away so.
    Stays,
    /// It could not be done.
    Failed,
}

/// How much is kept of runs that have ended. What is over a bound goes, the oldest first, once a person has looked at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetentionRules {
    /// No older than that, in seconds since the run's end; `None` for as long as there is room.
    pub age_s: Option<u64>,
    /// No more than that in bytes, outputs and workspaces together; `None` for any size.
    pub total_bytes: Option<u64>,
    /// No more runs than that; `None` for any number.
    pub runs: Option<u64>,
}

impl RetentionRules {
    /// The shortest age: a day, so that nothing goes while it is still being talked about.
    pub const AGE_S_MIN: u64 = 24 * 3600;
    /// The smallest size: 64 MiB.
    pub const TOTAL_BYTES_MIN: u64 = 64 << 20;
}

impl Default for RetentionRules {
    fn default() -> Self {
        Self { age_s: Some(365 * 24 * 3600), total_bytes: Some(100 << 30), runs: Some(20_000) }
    }
}

/// What is kept, under which rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionView {
    /// The rules.
    pub rules: RetentionRules,
    /// Ended runs whose data is kept.
    pub runs: u64,
    /// What they take in bytes, as far as they have been measured.
    pub size_bytes: u64,
    /// Of them, those that are over a bound and stay because nobody has looked at them.
    pub unseen_over: u64,
    /// What those take in bytes.
    pub unseen_over_bytes: u64,
}

/// What could go, in two stages: what can be made again first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReclaimPlan {
    /// What Berth can make again, or has no use for.
    pub caches: Vec<Finding>,
    /// What is kept of runs, oldest first.
    pub kept: Vec<Finding>,
    /// Why the caches are not known, where the engine does not answer.
    #[serde(default)]
    pub engine_error: Option<crate::error::ErrorView>,
    /// What is kept, under which rules.
    pub retention: RetentionView,
}

/// Arguments of [`Request::ShowRetention`](crate::Request::ShowRetention).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowRetention {}

/// Arguments of [`Request::SetRetention`](crate::Request::SetRetention).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRetention {
    /// The rules from now on.
    pub rules: RetentionRules,
}

/// Arguments of [`Request::PlanReclaim`](crate::Request::PlanReclaim).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReclaim {
    /// Kept data of runs that ended longer ago than that, in seconds; what is over the rules where it is `None`.
    #[serde(default)]
    pub older_than_s: Option<u64>,
}

/// Arguments of [`Request::Reclaim`](crate::Request::Reclaim).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reclaim {
    /// What is to go, by its keys from a plan.
    pub keys: Vec<String>,
    /// Runs among them that nobody has looked at: each must be named here as well.
    #[serde(default)]
    pub unseen: Vec<RunId>,
}

/// Arguments of [`Request::Mend`](crate::Request::Mend).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mend {
    /// What is to be mended, by its keys from the doctor's report.
    pub keys: Vec<String>,
}

/// Arguments of [`Request::MarkSeen`](crate::Request::MarkSeen).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkSeen {
    /// The task that a person has opened: as in [`ShowTask`](crate::call::ShowTask).
    pub task: String,
}

/// Reply to [`MarkSeen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Runs that nobody had looked at before.
    pub runs: u64,
}
