//! A task on its way in: what a person wrote, what Berth made of it, what is asked for in the end.

use serde::{Deserialize, Serialize};

use crate::{limits::LimitsPatch, queue::Priority};

/// Whether a person looks at the finished work before it counts as completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewGate {
    /// The step waits in the Inbox.
    Ask,
    /// The step completes by itself.
    Skip,
}

/// What is started in an agent's image. The prompt comes on its standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Launch {
    /// What the image of the Gallery says; not possible for an image of one's own.
    #[default]
    Image,
    /// The image's own entrypoint and command.
    Entrypoint,
    /// This program with these arguments.
    Command {
        /// Both.
        argv: Vec<String>,
    },
}

/// Where a task's text comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TaskSource {
    /// Typed or piped in.
    Text {
        /// The text itself.
        text: String,
    },
    /// Files or a folder of the person's own, by absolute path; the first that is a task file is the task and the others
    /// are attached.
    Paths {
        /// The paths.
        paths: Vec<String>,
    },
}

/// A file that goes into the workspace with the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its name in the workspace: relative, with `/` between folders, never leaving it.
    pub name: String,
    /// Its size in bytes when it was looked at; 0 where not yet known.
    #[serde(default)]
    pub size_bytes: u64,
    /// Where its bytes are.
    pub content: AttachmentContent,
}

/// Where an attachment's bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AttachmentContent {
    /// In a file of the person's own, by absolute path; copied when the task is taken in.
    Path {
        /// The path.
        path: String,
    },
    /// In the call itself.
    Inline {
        /// Base64 (RFC 4648, standard alphabet, padded).
        base64: String,
    },
}

/// What a task file says, with what was noticed on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDraft {
    /// The title: from the front matter, else the first heading or line of the prompt.
    pub title: String,
    /// The prompt, without front matter.
    pub prompt: String,
    /// The agent's name, where the file names one.
    #[serde(default)]
    pub agent: Option<String>,
    /// The project's name, where the file names one.
    #[serde(default)]
    pub project: Option<String>,
    /// The limits, where the file sets any.
    #[serde(default)]
    pub limits: Option<LimitsPatch>,
    /// Whether a person is asked, where the file says so.
    #[serde(default)]
    pub review: Option<ReviewGate>,
    /// Its turn in the queue, where the file says so.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// The files that come along.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// What a person should know before starting it, a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A task as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTask {
    /// The title; made from the prompt where it is `None`.
    #[serde(default)]
    pub title: Option<String>,
    /// What the agent is to do. At most [`PROMPT_BYTES_MAX`] bytes.
    pub prompt: String,
    /// The agent by name; the default agent where it is `None`.
    #[serde(default)]
    pub agent: Option<String>,
    /// The project by name.
    #[serde(default)]
    pub project: Option<String>,
    /// Limits other than the agent's.
    #[serde(default)]
    pub limits: Option<LimitsPatch>,
    /// A review gate other than the agent's.
    #[serde(default)]
    pub review: Option<ReviewGate>,
    /// Its turn in the queue; normal where it is `None`.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// Files for the workspace.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
}

/// The longest prompt: 1 MiB, what the pipe takes with one start.
pub const PROMPT_BYTES_MAX: usize = 1 << 20;

/// The longest title in characters; a longer one is cut with an ellipsis.
pub const TITLE_CHARS_MAX: usize = 120;
