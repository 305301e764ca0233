//! What a person should hear of wherever they are, the window closed or another in front: few things, each once.

use serde::{Deserialize, Serialize};

use crate::ids::TaskId;

/// What is new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsView {
    /// What to ask after the next time.
    pub last_seq: i64,
    /// The news, oldest first; of many the newest.
    pub news: Vec<News>,
}

/// One thing to hear of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The event's place in the order of all events.
    pub seq: i64,
    /// The task it is about.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// What happened, in a few words.
    pub title: String,
    /// What it means, in a sentence or two. Plain text: nothing in it is markup to whoever shows it.
    pub body: String,
}
