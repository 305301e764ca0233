//! The arguments of calls about images.

use serde::{Deserialize, Serialize};

/// Arguments of [`Request::ListImages`](super::Request::ListImages).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListImages {}

/// Arguments of [`Request::BuildImage`](super::Request::BuildImage).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildImage {
    /// The image's short name.
    pub name: String,
    /// Whether every step is done anew, with nothing from the engine's cache.
    #[serde(default)]
    pub is_fresh: bool,
}

/// Arguments of [`Request::ShowBuild`](super::Request::ShowBuild).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowBuild {
    /// The image's short name.
    pub name: String,
    /// From which line of the log on, counted from 0.
    #[serde(default)]
    pub from_line: u64,
}

/// Arguments of [`Request::CancelBuild`](super::Request::CancelBuild).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelBuild {
    /// The image's short name.
    pub name: String,
}

/// Arguments of [`Request::SmokeImage`](super::Request::SmokeImage).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeImage {
    /// The image's short name.
    pub name: String,
}

/// Arguments of [`Request::RemoveImage`](super::Request::RemoveImage).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveImage {
    /// The image's short name.
    pub name: String,
}

/// Arguments of [`Request::AddImage`](super::Request::AddImage).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddImage {
    /// The name by which agents will know it: 1 to 40 of `a-z`, `0-9` and `-`, beginning with a letter; none of the Gallery's.
    pub name: String,
    /// Where it comes from.
    pub source: ImageSource,
}

/// Where an image of a person's own comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum ImageSource {
    /// A reference: taken from the engine where it has it, otherwise fetched with the credentials of the person's Docker configuration.
    Reference {
        /// The reference.
        reference: String,
    },
    /// A folder with a Dockerfile, as an absolute path.
    Folder {
        /// The path.
        path: String,
    },
}
