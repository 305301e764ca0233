//! Names of attachments: paths below the workspace that any person can read and any system can hold.

use std::collections::BTreeMap;

use super::IntakeError;
use crate::{
    escape::is_unsafe_to_show,
    workspace::path::{BeneathPath, PathProblem},
};

/// Why a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameProblem {
    /// It is no path that stays in a folder.
    #[error(transparent)]
    Path(#[from] PathProblem),
    /// Control characters, or characters that hide or turn text.
    #[error("it has control characters or invisible ones")]
    Unsafe,
}

/// Checks a name: relative, `/` between folders, no `..`, nothing that hides.
pub(crate) fn check(name: &str) -> Result<BeneathPath, NameProblem> {
    let path = BeneathPath::parse(name.as_bytes())?;
    if name.chars().any(is_unsafe_to_show) { Err(NameProblem::Unsafe) } else { Ok(path) }
}

/// Names given so far, each once, and none a folder of another.
#[derive(Debug, Default)]
pub(crate) struct Names<T> {
    files: BTreeMap<String, T>,
}

impl<T: PartialEq> Names<T> {
    pub(crate) fn new() -> Self {
        Self { files: BTreeMap::new() }
    }

    /// Takes a name for a content; `false` where that content has it already.
    pub(crate) fn take(&mut self, name: &str, content: T) -> Result<bool, IntakeError> {
        match self.files.get(name) {
            Some(before) if *before == content => return Ok(false),
            Some(_) => return Err(IntakeError::DuplicateName(name.to_owned())),
            None => {}
        }
        let is_folder_of_another = {
            let prefix = format!("{name}/");
            self.files.range(prefix.clone()..).next().is_some_and(|(other, _)| other.starts_with(&prefix))
        };
        let is_below_a_file = name.match_indices('/').any(|(at, _)| self.files.contains_key(&name[..at]));
        if is_folder_of_another || is_below_a_file {
            return Err(IntakeError::FileAndFolder(name.to_owned()));
        }
        self.files.insert(name.to_owned(), content);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_workspace_or_hide_are_none() {
        for name in ["", "/etc/passwd", "../a", "a/../b", "a//b", "a\nb", "a\u{202E}b", "a\u{200B}", "a\0b", "."] {
            assert!(check(name).is_err(), "{name:?}");
        }
        assert!(check("Bilder/Größe 1.png").is_ok());
    }

    #[test]
    fn a_name_is_given_once() {
        let mut names = Names::new();
        assert!(names.take("a/b", 1).unwrap());
        assert!(!names.take("a/b", 1).unwrap());
        assert!(matches!(names.take("a/b", 2), Err(IntakeError::DuplicateName(_))));
        assert!(matches!(names.take("a", 3), Err(IntakeError::FileAndFolder(_))));
        assert!(matches!(names.take("a/b/c", 3), Err(IntakeError::FileAndFolder(_))));
        assert!(names.take("a-b", 3).unwrap());
        assert!(names.take("a/c", 3).unwrap());
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_answered_and_what_passes_stays_inside(name in "(\\.\\.|[a-z/.\\\\\u{0}-\u{1F}é]){0,12}") {
            if check(&name).is_ok() {
                let path = std::path::Path::new(&name);
                proptest::prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }
    }
}
