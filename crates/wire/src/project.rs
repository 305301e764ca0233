//! Projects: what groups tasks, has a budget, and says what its runs may reach beside what their agents may.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ids::ProjectId, network::HostGrant};

/// The longest name of a project, in characters.
pub const PROJECT_NAME_CHARS_MAX: usize = 60;

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectView {
    /// Which.
    pub project: ProjectId,
    /// Its name; no two have the same.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many tasks are in it.
    pub tasks: u64,
    /// How many of them have not ended.
    pub tasks_open: u64,
    /// What its runs may reach beside what their agents may.
    #[serde(default)]
    pub hosts: Vec<HostGrant>,
    /// Why it cannot be deleted now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_denied: Option<String>,
}

/// Whether there can be a project of that name: 1 to [`PROJECT_NAME_CHARS_MAX`] letters, digits, `-`, `_`, `.` and single spaces,
/// beginning and ending with a letter or a digit.
pub fn is_project_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    name.chars().count() <= PROJECT_NAME_CHARS_MAX
        && name.starts_with(char::is_alphanumeric)
        && name.ends_with(char::is_alphanumeric)
        && name.chars().all(is_inner)
        && !name.contains("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_typed_and_read() {
        for name in ["site", "a", "2026", "Große Reise", "v1.2_beta-3", &"a".repeat(60)] {
            assert!(is_project_name(name), "{name:?}");
        }
        for name in ["", " a", "a ", "a  b", "-a", "a.", "a/b", "a\nb", "a\u{202E}b", "a`b", &"a".repeat(61)] {
            assert!(!is_project_name(name), "{name:?}");
        }
    }
}
