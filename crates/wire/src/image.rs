//! Images: what agents run in, and how they are built.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ErrorView, secret::Provider};

/// An image: of the Gallery, or of a person's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageView {
    /// Its short name, by which an agent names it. One of a person's own that was not given a name has its reference.
    pub name: String,
    /// Two letters.
    pub call_sign: String,
    /// What it is, in a line.
    pub title: String,
    /// What it does.
    pub description: String,
    /// The version of what is in it.
    pub version: String,
    /// Where it comes from.
    #[serde(default)]
    pub origin: ImageOrigin,
    /// What it starts from: another image's name, or a reference.
    #[serde(default)]
    pub base: String,
    /// The providers that it can work with, best first; it needs the key of one. Empty where it needs none.
    #[serde(default)]
    pub providers: Vec<Provider>,
    /// Hosts that it needs beside its model.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// What it can do beyond working on a prompt.
    #[serde(default)]
    pub can: ImageAbilities,
    /// What of its sandboxes is less strict than usual, in words; empty where nothing is.
    #[serde(default)]
    pub weaker: Vec<String>,
    /// How many agents run in it.
    #[serde(default)]
    pub agents: u32,
    /// How it stands.
    pub state: ImageState,
    /// How its last smoke test went.
    #[serde(default)]
    pub smoke: Option<SmokeView>,
    /// What a person can do with it now, and why not the rest.
    #[serde(default)]
    pub actions: Vec<ImageActionView>,
}

/// Where an image comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "origin", rename_all = "snake_case")]
pub enum ImageOrigin {
    /// Berth brings it, for agents.
    #[default]
    Gallery,
    /// Berth brings it, for other images to start from.
    Part,
    /// A reference that a person added: on the engine, or fetched from a registry.
    Reference {
        /// The reference.
        reference: String,
    },
    /// A folder with a Dockerfile on this machine.
    Folder {
        /// Its path.
        path: String,
    },
}

/// What an image can do beyond working on a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageAbilities {
    /// A person can speak with it in a terminal.
    #[serde(default)]
    pub interactive: bool,
    /// It goes on with a conversation when changes are asked for.
    #[serde(default)]
    pub resume: bool,
    /// It has a desktop.
    #[serde(default)]
    pub desktop: bool,
    /// Ports on which it usually serves something.
    #[serde(default)]
    pub ports: Vec<u16>,
}

/// How an image stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ImageState {
    /// Nobody knows: the engine does not answer.
    Unknown,
    /// It has not been built, or fetched.
    NotBuilt,
    /// An older build of it is there: from other files, an older version or another base. Tasks build it anew first.
    Outdated {
        /// The version of what is there.
        version: String,
        /// Its size in bytes.
        size_bytes: u64,
    },
    /// It is being built, or fetched.
    Building {
        /// The line of the build that came last.
        line: String,
        /// The step of the build, from 1; 0 before the first.
        number: u32,
        /// Of how many; 0 where that is not known yet.
        of: u32,
        /// Since when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        began_at: Option<Timestamp>,
    },
    /// It is there.
    Ready {
        /// Its size in bytes.
        size_bytes: u64,
        /// When it was built; `None` where Berth did not build it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        built_at: Option<Timestamp>,
    },
    /// The last build failed.
    Failed {
        /// Why.
        error: ErrorView,
    },
}

/// How a smoke test went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeView {
    /// Whether everything that was tried worked.
    pub passed: bool,
    /// How many things were tried.
    pub tried: u32,
    /// What did not work, a line each.
    #[serde(default)]
    pub failed: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// What a person can do with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageAction {
    /// Build it, or fetch it.
    Build,
    /// Build it from the first step on, with nothing from the engine's cache.
    BuildFresh,
    /// End a build that goes on.
    Cancel,
    /// Run its smoke test.
    Smoke,
    /// Take it off the engine; it can be built again. One of a person's own goes from the list, too.
    Remove,
}

/// Whether something can be done with an image now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageActionView {
    /// What.
    pub action: ImageAction,
    /// Why not now; `None` where it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<String>,
}

/// A build as it goes on, or the last one as it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildView {
    /// The image by its short name.
    pub image: String,
    /// Of which version.
    pub version: String,
    /// When it began.
    pub began_at: Timestamp,
    /// How it ended; `None` while it goes on.
    #[serde(default)]
    pub ended: Option<BuildEnd>,
    /// How long the last one that was good took, in milliseconds.
    #[serde(default)]
    pub last_took_ms: Option<u64>,
    /// Its steps in order, those to come too, as far as they are known.
    pub steps: Vec<BuildStepView>,
    /// Layers on their way now.
    #[serde(default)]
    pub layers: Vec<LayerView>,
    /// Lines of its log from the `from_line` that was asked for; a bounded number of them.
    pub log: Vec<LogLineView>,
    /// The number of the first of these; more than was asked for where earlier ones are no longer kept.
    pub from_line: u64,
    /// How many lines there were in all.
    pub lines: u64,
}

/// How a build ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildEnd {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: BuildOutcome,
}

/// How a build went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum BuildOutcome {
    /// The image is there.
    Built {
        /// Its size in bytes.
        size_bytes: u64,
    },
    /// It failed.
    Failed {
        /// Why; it names the step.
        error: ErrorView,
    },
    /// A person ended it.
    Cancelled,
}

/// A step of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildStepView {
    /// What is done: an instruction of the Dockerfile, fetching the base, the smoke test.
    pub text: String,
    /// How it stands.
    pub state: BuildStepState,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// How long it took, in milliseconds, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Whether the engine had its result already.
    #[serde(default)]
    pub is_cached: bool,
}

/// How a step of a build stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildStepState {
    /// To come.
    Waiting,
    /// Now.
    Running,
    /// Done.
    Done,
    /// It failed.
    Failed,
}

/// A layer that is being fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerView {
    /// Its short id.
    pub id: String,
    /// What happens to it.
    pub status: String,
    /// Bytes so far.
    pub done_bytes: u64,
    /// Bytes in all; 0 where unknown.
    pub total_bytes: u64,
}

/// A line of a build's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLineView {
    /// When it came.
    pub at: Timestamp,
    /// The line, made safe to show.
    pub text: String,
}

/// Packages that are put on top of an agent's image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// Packages of Debian, `name` or `name=version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apt: Vec<String>,
    /// Packages of npm, `name` or `name@version`, installed for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub npm: Vec<String>,
    /// Packages of PyPI, `name` or `name==version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pip: Vec<String>,
}

impl Tools {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.apt.is_empty() && self.npm.is_empty() && self.pip.is_empty()
    }
}
