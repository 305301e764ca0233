//! What is asked of projects.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Request;
use crate::network::{HostGrant, HostsPatch};

/// Arguments of [`Request::ListProjects`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListProjects {}

/// Arguments of [`Request::CreateProject`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateProject {
    /// Its name, as [`is_project_name`](crate::project::is_project_name) has it; no other project has it.
    pub name: String,
}

/// Arguments of [`Request::UpdateProject`]. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateProject {
    /// The project by name.
    pub project: String,
    /// Another name, as in [`CreateProject`]. Its tasks and its budget stay with it.
    #[serde(default)]
    pub name: Option<String>,
    /// Another list of hosts: at most [`HOSTS_MAX`](crate::network::HOSTS_MAX). It holds from the next request on, in sandboxes that
    /// are at work too.
    #[serde(default)]
    pub hosts: Option<Vec<HostGrant>>,
    /// What is changed of that list, where no other is given.
    #[serde(default)]
    pub patch: HostsPatch,
}

/// Arguments of [`Request::DeleteProject`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteProject {
    /// The project by name.
    pub project: String,
    /// The name once more, as the person typed it.
    pub confirm: String,
}
