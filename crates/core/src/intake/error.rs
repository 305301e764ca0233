//! Why a task does not come in, and how a person is told.

use std::io;

use bytesize::ByteSize;
use camino::Utf8PathBuf;
use wire::{ErrorCode, ErrorView, task::PROMPT_BYTES_MAX};

use super::{ATTACHMENTS_BYTES_MAX, ATTACHMENTS_MAX, name::NameProblem};
use crate::{
    escape::visible,
    workspace::{stoppable::Stopped, with_causes},
};

/// Why a task does not come in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    /// No prompt.
    #[error("there is nothing to do in it: the prompt is empty")]
    Empty,
    /// More than [`PROMPT_BYTES_MAX`].
    #[error(
        "the prompt is too large{}: it may have {}",
        size_bytes.map_or(String::new(), |size_bytes| format!(" ({})", ByteSize(size_bytes).display().iec())),
        ByteSize(PROMPT_BYTES_MAX as u64).display().iec()
    )]
    TooLarge {
        /// Its size, where it is known.
        size_bytes: Option<u64>,
    },
    /// Not text.
    #[error("it is no text but binary ({what})")]
    Binary {
        /// What kind, or what gave it away.
        what: String,
    },
    /// Text in another encoding.
    #[error("it is not UTF-8: byte {at} is not valid")]
    NotUtf8 {
        /// The first byte that is not valid, counted from 0.
        at: usize,
    },
    /// Text in UTF-16.
    #[error("it is UTF-16, not UTF-8")]
    Utf16,
    /// `---` without an end.
    #[error("the front matter that begins with \"---\" in line 1 has no end")]
    FrontMatterUnclosed,
    /// Front matter beyond its bound.
    #[error("the front matter is longer than {0} bytes")]
    FrontMatterTooLong(usize),
    /// Front matter that is no YAML, or says something that it cannot say.
    #[error("line {line}: {message}")]
    FrontMatter {
        /// The line in the file, from 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// A limit out of its range.
    #[error("{0}")]
    Limit(String),
    /// No path at all.
    #[error("no file was given")]
    NoPath,
    /// A relative path, which means something else to the app than to whoever gave it.
    #[error("{} is not an absolute path", visible(.0.as_bytes()))]
    RelativePath(String),
    /// A path that is neither a file nor a folder.
    #[error("{} is {kind}, neither a file nor a folder", visible(path.as_bytes()))]
    WrongKind {
        /// The path.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A file that cannot be read.
    #[error("{} cannot be read", visible(.0.as_bytes()))]
    Unreadable(String, #[source] io::Error),
    /// A folder without a task file.
    #[error("there is no task file in the folder {}", visible(.0.as_bytes()))]
    NoTaskFile(String),
    /// A folder with several, or paths with none that is clearly it.
    #[error("it is not clear which file is the task: {}", list(.0))]
    WhichTaskFile(Vec<String>),
    /// A wrong source, with where.
    #[error("{}", visible(path.as_bytes()))]
    In {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: Box<IntakeError>,
    },
    /// An attachment with a name that it cannot have.
    #[error("{} cannot be attached under that name", visible(.0.as_bytes()))]
    Name(String, #[source] NameProblem),
    /// Two attachments with one name.
    #[error("two files would be attached as {}", visible(.0.as_bytes()))]
    DuplicateName(String),
    /// An attachment named as a folder of another.
    #[error("{} would be both a file and a folder", visible(.0.as_bytes()))]
    FileAndFolder(String),
    /// `files` of a task that came as text.
    #[error("a task without a file has no folder that \"files\" could be in")]
    FilesWithoutFolder,
    /// `files` with something outside the folder.
    #[error("{} is not in the folder of the task file", visible(.0.as_bytes()))]
    FileOutside(String),
    /// Too many files.
    #[error("more than {ATTACHMENTS_MAX} files would be attached")]
    TooManyFiles,
    /// Too many bytes.
    #[error("the attached files are larger than {} together", ByteSize(ATTACHMENTS_BYTES_MAX).display().iec())]
    TooManyBytes,
    /// Content in the call that is no Base64.
    #[error("the content of {} is no Base64", visible(.0.as_bytes()))]
    NoBase64(String),
    /// The staging folder cannot be written.
    #[error("{0} cannot be written")]
    Staging(Utf8PathBuf, #[source] io::Error),
    /// Nobody waits any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl IntakeError {
    /// The error, with the file that it is about.
    pub(super) fn within(self, path: &str) -> Self {
        if matches!(self, Self::In { .. } | Self::Unreadable(..) | Self::WrongKind { .. } | Self::Stopped(_)) {
            return self;
        }
        Self::In { path: path.to_owned(), source: Box::new(self) }
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::In { source, .. } => source.code(),
            Self::Staging(..) => ErrorCode::Storage,
            Self::Stopped(_) => ErrorCode::Internal,
            Self::Limit(_)
            | Self::NoPath
            | Self::RelativePath(_)
            | Self::Name(..)
            | Self::DuplicateName(_)
            | Self::FileAndFolder(_)
            | Self::NoBase64(_)
            | Self::TooManyFiles
            | Self::TooManyBytes => ErrorCode::InvalidArgument,
            Self::Unreadable(_, error) if error.kind() == io::ErrorKind::NotFound => ErrorCode::NotFound,
            Self::Empty
            | Self::TooLarge { .. }
            | Self::Binary { .. }
            | Self::NotUtf8 { .. }
            | Self::Utf16
            | Self::FrontMatterUnclosed
            | Self::FrontMatterTooLong(_)
            | Self::FrontMatter { .. }
            | Self::WrongKind { .. }
            | Self::Unreadable(..)
            | Self::NoTaskFile(_)
            | Self::WhichTaskFile(_)
            | Self::FilesWithoutFolder
            | Self::FileOutside(_) => ErrorCode::TaskInvalid,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::In { source, .. } => source.hint(),
            Self::Empty => "write below the front matter what the agent is to do",
            Self::TooLarge { .. } => {
                "put the material into a file, attach it, and say in the prompt what to do with it"
            }
            Self::Binary { .. } => "attach it, and say in a text what to do with it",
            Self::NotUtf8 { .. } | Self::Utf16 => "save it as UTF-8 in your editor",
            Self::FrontMatterUnclosed | Self::FrontMatterTooLong(_) => {
                "end the front matter with a line \"---\"; if it is meant as a rule, leave line 1 empty"
            }
            Self::FrontMatter { .. } => "if the lines between \"---\" are no front matter, leave line 1 empty",
            Self::Limit(_) => "choose a value within the range",
            Self::NoPath | Self::RelativePath(_) => "give the absolute path of a file or folder",
            Self::WrongKind { .. } => "give a file or a folder",
            Self::Unreadable(..) => "see that it is there and that you may read it",
            Self::NoTaskFile(_) => "put a task.md into it that says what to do",
            Self::WhichTaskFile(_) => {
                "name one of them task.md, or give that file alone and list the others under \"files\""
            }
            Self::Name(..) => "rename it",
            Self::DuplicateName(_) | Self::FileAndFolder(_) => "rename one of them, or attach their folder",
            Self::FilesWithoutFolder => "attach the files yourself, or save the text as a task file beside them",
            Self::FileOutside(_) => {
                "copy it into that folder, or attach it yourself: a task file cannot reach beyond its folder"
            }
            Self::TooManyFiles | Self::TooManyBytes => "pack them into an archive, or attach less",
            Self::NoBase64(_) => "encode it as RFC 4648 says, section 4, with padding",
            Self::Staging(..) => "see that the data folder is writable and its disk is not full, then try again",
            Self::Stopped(_) => "try again",
        }
    }
}

impl From<IntakeError> for ErrorView {
    fn from(error: IntakeError) -> Self {
        Self::new(error.code(), with_causes(&error)).hint(error.hint())
    }
}

/// Names shown to choose from at most.
const LISTED_MAX: usize = 10;

fn list(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(LISTED_MAX).map(|name| visible(name.as_bytes())).collect();
    if names.len() > LISTED_MAX {
        shown.push(format!("and {} more", names.len() - LISTED_MAX));
    }
    shown.join(", ")
}
