//! What is asked of agents.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Request;
use crate::{
    image::Tools,
    limits::{Limits, LimitsPatch},
    network::{HostsPatch, NetworkMode, NetworkPolicy},
    task::{Launch, ReviewGate},
    view::{AgentColour, PersonaFile},
};

/// Arguments of [`Request::ListAgents`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAgents {}

/// Arguments of [`Request::CreateAgent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateAgent {
    /// Its name: 1 to 40 of `a-z`, `0-9` and `-`, beginning with a letter; no other agent has it.
    pub name: String,
    /// The short name of an image of the Gallery, or any reference that the engine has.
    pub image: String,
    /// What is started in it.
    #[serde(default)]
    pub launch: Launch,
    /// What its steps may use.
    #[serde(default)]
    pub limits: Limits,
    /// Whether a person is asked at the end of its steps.
    #[serde(default = "ask")]
    pub review: ReviewGate,
    /// The colour of its plate.
    #[serde(default)]
    pub colour: AgentColour,
    /// What its sandboxes may reach.
    #[serde(default)]
    pub network: NetworkPolicy,
    /// The model that it uses; `None` for the image's own choice.
    #[serde(default)]
    pub model: Option<String>,
    /// Its standing instructions, in Markdown.
    #[serde(default)]
    pub persona: Vec<PersonaFile>,
    /// Whether it has a memory that it reads and writes.
    #[serde(default = "yes")]
    pub has_memory: bool,
    /// Packages on top of its image.
    #[serde(default)]
    pub tools: Tools,
}

impl Default for CreateAgent {
    fn default() -> Self {
        Self {
            name: String::new(),
            image: String::new(),
            launch: Launch::default(),
            limits: Limits::default(),
            review: ReviewGate::Ask,
            colour: AgentColour::default(),
            network: NetworkPolicy::default(),
            model: None,
            persona: Vec::new(),
            has_memory: true,
            tools: Tools::default(),
        }
    }
}

fn ask() -> ReviewGate {
    ReviewGate::Ask
}

const fn yes() -> bool {
    true
}

/// Arguments of [`Request::UpdateAgent`]. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateAgent {
    /// The agent by name.
    pub agent: String,
    /// Another name, as in [`CreateAgent`]. The home stays, and the folder of its memory goes along.
    #[serde(default)]
    pub name: Option<String>,
    /// Another image. The home stays as it is.
    #[serde(default)]
    pub image: Option<String>,
    /// Another program.
    #[serde(default)]
    pub launch: Option<Launch>,
    /// Other limits.
    #[serde(default)]
    pub limits: LimitsPatch,
    /// Another review gate.
    #[serde(default)]
    pub review: Option<ReviewGate>,
    /// Another colour.
    #[serde(default)]
    pub colour: Option<AgentColour>,
    /// Another policy. It holds from the next request on, in sandboxes that are at work too; but one that began without a gateway
    /// has none until the next attempt.
    #[serde(default)]
    pub network: Option<NetworkPolicy>,
    /// Another model; an empty one for the image's own choice.
    #[serde(default)]
    pub model: Option<String>,
    /// Other standing instructions, all of them.
    #[serde(default)]
    pub persona: Option<Vec<PersonaFile>>,
    /// Whether it has a memory.
    #[serde(default)]
    pub has_memory: Option<bool>,
    /// Other packages on top of its image, all of them.
    #[serde(default)]
    pub tools: Option<Tools>,
    /// Another policy with the list that there is, where there is one and no [`network`](Self::network) is given.
    #[serde(default)]
    pub mode: Option<NetworkMode>,
    /// What is changed of its list, where no [`network`](Self::network) is given.
    #[serde(default)]
    pub hosts: HostsPatch,
}

/// Arguments of [`Request::DuplicateAgent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateAgent {
    /// The agent by name.
    pub agent: String,
    /// The new one's name, as in [`CreateAgent`].
    pub name: String,
}

/// What becomes of the home of an agent that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HomeFate {
    /// It stays, as the home of a deleted agent, until it is deleted by itself.
    Keep,
    /// It is deleted too.
    Delete,
}

/// Arguments of [`Request::DeleteAgent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteAgent {
    /// The agent by name.
    pub agent: String,
    /// The name once more, as the person typed it.
    pub confirm: String,
    /// What becomes of its home.
    pub home: HomeFate,
}
