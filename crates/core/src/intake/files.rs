//! The files that come with a task: found, named and counted, but not read.

use std::{fs, io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{Mode, OFlags};
use wire::task::{Attachment, AttachmentContent};

use super::{
    ATTACHMENTS_BYTES_MAX, ATTACHMENTS_MAX, IntakeError,
    name::{self, Names},
};
use crate::{
    escape::visible,
    workspace::{path::DEPTH_MAX, stoppable::StopSign},
};

/// Names looked at in attached folders together, so that a folder of empty folders has an end, too.
const NAMES_SEEN_MAX: usize = 100_000;

/// Warnings at most; the rest is counted.
const WARNINGS_MAX: usize = 20;

/// Gathers attachments.
pub(crate) struct Collector<'stop> {
    stop_sign: &'stop StopSign,
    names: Names<Utf8PathBuf>,
    attachments: Vec<Attachment>,
    bytes: u64,
    names_seen: usize,
    warnings: Vec<String>,
    warnings_left_out: usize,
}

impl<'stop> Collector<'stop> {
    pub(crate) fn new(stop_sign: &'stop StopSign) -> Self {
        Self {
            stop_sign,
            names: Names::new(),
            attachments: Vec::new(),
            bytes: 0,
            names_seen: 0,
            warnings: Vec::new(),
            warnings_left_out: 0,
        }
    }

    /// What was gathered, and what was passed over.
    pub(crate) fn finish(mut self) -> (Vec<Attachment>, Vec<String>) {
        if self.warnings_left_out > 0 {
            self.warnings.push(format!("{} more files are not attached.", self.warnings_left_out));
        }
        (self.attachments, self.warnings)
    }

    /// Attaches one file. A file that has that name already is no error if it is the same.
    pub(crate) fn add_file(&mut self, name: &str, path: &Utf8Path) -> Result<(), IntakeError> {
        self.stop_sign.check()?;
        let unreadable = |error| IntakeError::Unreadable(path.to_string(), error);
        name::check(name).map_err(|problem| IntakeError::Name(name.to_owned(), problem))?;
        let path = path.canonicalize_utf8().map_err(unreadable)?;
        let metadata = open(&path).and_then(|file| file.metadata()).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(IntakeError::WrongKind { path: path.into_string(), kind: describe(metadata.file_type()) });
        }
        if !self.names.take(name, path.clone())? {
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.attachments.len() >= ATTACHMENTS_MAX {
            return Err(IntakeError::TooManyFiles);
        }
        if self.bytes > ATTACHMENTS_BYTES_MAX {
            return Err(IntakeError::TooManyBytes);
        }
        self.attachments.push(Attachment {
            name: name.to_owned(),
            size_bytes: metadata.len(),
            content: AttachmentContent::Path { path: path.into_string() },
        });
        Ok(())
    }

    /// Attaches everything in a folder under `prefix` (empty for none), but for the file `but`. Links that lead out of it,
    /// FIFOs and the like, and `.git` are passed over with a warning.
    pub(crate) fn add_folder(
        &mut self,
        prefix: &str,
        folder: &Utf8Path,
        but: Option<&Utf8Path>,
    ) -> Result<(), IntakeError> {
        let unreadable = |path: &Utf8Path, error| IntakeError::Unreadable(path.to_string(), error);
        let root = folder.canonicalize_utf8().map_err(|error| unreadable(folder, error))?;
        let but = but.and_then(|but| but.canonicalize_utf8().ok());
        let mut folders = vec![(prefix.to_owned(), root.clone(), 0)];
        while let Some((prefix, folder, depth)) = folders.pop() {
            let mut entries = Vec::new();
            for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
                self.stop_sign.check()?;
                self.names_seen += 1;
                if self.names_seen > NAMES_SEEN_MAX {
                    return Err(IntakeError::TooManyFiles);
                }
                entries.push(entry.map_err(|error| unreadable(&folder, error))?);
            }
            // The same folder gives the same draft, and the same warnings.
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let file_name = entry.file_name();
                let Some(file_name) = file_name.to_str() else {
                    self.pass_over(&prefix, file_name.as_encoded_bytes(), "its name is not UTF-8");
                    continue;
                };
                let name = if prefix.is_empty() { file_name.to_owned() } else { format!("{prefix}/{file_name}") };
                let path = folder.join(file_name);
                let file_type = entry.file_type().map_err(|error| unreadable(&path, error))?;
                if file_name == ".git" {
                    self.pass_over(&prefix, b".git", "a repository is not attached with its history");
                } else if let Err(problem) = name::check(&name) {
                    self.pass_over(&prefix, file_name.as_bytes(), &problem.to_string());
                } else if file_type.is_dir() {
                    if depth >= DEPTH_MAX {
                        self.pass_over(&prefix, file_name.as_bytes(), "it is too deep down");
                    } else {
                        folders.push((name, path, depth + 1));
                    }
                } else if but.as_deref() == Some(&path) {
                } else if file_type.is_file() {
                    self.add_file(&name, &path)?;
                } else if file_type.is_symlink() {
                    self.add_link(&prefix, &name, file_name, &path, &root)?;
                } else {
                    self.pass_over(&prefix, file_name.as_bytes(), &format!("it is {}", describe(file_type)));
                }
            }
        }
        Ok(())
    }

    fn add_link(
        &mut self,
        prefix: &str,
        name: &str,
        file_name: &str,
        path: &Utf8Path,
        root: &Utf8Path,
    ) -> Result<(), IntakeError> {
        let target = path.canonicalize_utf8();
        match target {
            Ok(target) if !target.starts_with(root) => {
                self.pass_over(prefix, file_name.as_bytes(), "it is a link that leads out of the folder");
            }
            Ok(target) if target.is_file() => self.add_file(name, &target)?,
            Ok(_) => self.pass_over(prefix, file_name.as_bytes(), "it is a link, and not to a file"),
            Err(_) => self.pass_over(prefix, file_name.as_bytes(), "it is a link that leads nowhere"),
        }
        Ok(())
    }

    fn pass_over(&mut self, prefix: &str, file_name: &[u8], reason: &str) {
        if self.warnings.len() >= WARNINGS_MAX {
            self.warnings_left_out += 1;
            return;
        }
        let slash = if prefix.is_empty() { "" } else { "/" };
        self.warnings.push(format!(
            "{}{slash}{} is not attached: {reason}.",
            visible(prefix.as_bytes()),
            visible(file_name)
        ));
    }
}

/// Checks attachments as they are asked for, and fills in the size of those that are in the call.
pub(crate) fn check(attachments: &mut [Attachment]) -> Result<(), IntakeError> {
    if attachments.len() > ATTACHMENTS_MAX {
        return Err(IntakeError::TooManyFiles);
    }
    let mut names = Names::new();
    let mut bytes = 0_u64;
    for (place, attachment) in attachments.iter_mut().enumerate() {
        let name = &attachment.name;
        name::check(name).map_err(|problem| IntakeError::Name(name.clone(), problem))?;
        // Every one is another here: the same name twice is an error whatever is in them.
        names.take(name, place)?;
        match &attachment.content {
            AttachmentContent::Path { path } if !Path::new(path).is_absolute() => {
                return Err(IntakeError::RelativePath(path.clone()));
            }
            AttachmentContent::Path { .. } => {}
            AttachmentContent::Inline { base64 } => {
                let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
                attachment.size_bytes = (base64.len() / 4 * 3).saturating_sub(padding) as u64;
            }
        }
        bytes = bytes.saturating_add(attachment.size_bytes);
        if bytes > ATTACHMENTS_BYTES_MAX {
            return Err(IntakeError::TooManyBytes);
        }
    }
    Ok(())
}

/// Decodes content that came in the call.
pub(crate) fn decode(name: &str, base64: &str) -> Result<Vec<u8>, IntakeError> {
    STANDARD.decode(base64).map_err(|_| IntakeError::NoBase64(name.to_owned()))
}

/// Opens a file of the person's own without waiting for it, should it be a FIFO.
pub(crate) fn open(path: &Utf8Path) -> io::Result<fs::File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(fs::File::from(rustix::fs::open(path.as_std_path(), flags, Mode::empty())?))
}

/// What a person calls that kind of file.
pub(crate) fn describe(file_type: fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if file_type.is_dir() {
        "a folder"
    } else if file_type.is_symlink() {
        "a link"
    } else if file_type.is_fifo() {
        "a FIFO (named pipe)"
    } else if file_type.is_socket() {
        "a socket"
    } else if file_type.is_file() {
        "a file"
    } else {
        "a device"
    }
}
