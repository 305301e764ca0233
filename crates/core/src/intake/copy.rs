//! Takes attachments into a folder of Berth's own, so that the task has them as they were when it was asked for.

use std::{
    collections::BTreeSet,
    fs::{DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::DirBuilderExt,
};

use camino::Utf8Path;
use rustix::fs::Mode;
use sha2::{Digest, Sha256};
use wire::task::{Attachment, AttachmentContent};

use super::{ATTACHMENTS_BYTES_MAX, ATTACHMENTS_MAX, IntakeError, files, name};
use crate::workspace::{
    beneath::{Folder, Made},
    path::BeneathPath,
    stoppable::StopSign,
};

/// Bytes copied at once.
const BLOCK_BYTES: usize = 128 << 10;

/// An attachment that lies in the staging folder, whole and on disk.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct StagedFile {
    /// Its name below the staging folder and later below the workspace: relative, `/` between folders.
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) size_bytes: u64,
    /// SHA-256 of its content in hex.
    pub(crate) sha256: String,
}

/// Copies attachments into `staging`, which is made if it is missing.
pub(crate) fn copy(
    attachments: &[Attachment],
    staging: &Utf8Path,
    stop_sign: &StopSign,
) -> Result<Vec<StagedFile>, IntakeError> {
    let failed = |error: io::Error| IntakeError::Staging(staging.to_owned(), error);
    if attachments.len() > ATTACHMENTS_MAX {
        return Err(IntakeError::TooManyFiles);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(staging).map_err(failed)?;
    let root = Folder::open(staging).map_err(failed)?;
    let mut bytes_left = ATTACHMENTS_BYTES_MAX;
    let mut staged = Vec::with_capacity(attachments.len());
    let mut folders = BTreeSet::from([""]);
    for attachment in attachments {
        let path =
            name::check(&attachment.name).map_err(|problem| IntakeError::Name(attachment.name.clone(), problem))?;
        let target = new_file(&root, &path).map_err(failed)?;
        let file = match &attachment.content {
            AttachmentContent::Inline { base64 } => {
                let bytes = files::decode(&attachment.name, base64)?;
                copy_one(attachment, bytes.as_slice(), &target, &mut bytes_left, staging, stop_sign)?
            }
            AttachmentContent::Path { path } => {
                let unreadable = |error| IntakeError::Unreadable(path.clone(), error);
                let path = Utf8Path::new(path);
                if !path.is_absolute() {
                    return Err(IntakeError::RelativePath(path.to_string()));
                }
                let source = files::open(path).map_err(unreadable)?;
                let metadata = source.metadata().map_err(unreadable)?;
                if !metadata.is_file() {
                    return Err(IntakeError::WrongKind {
                        path: path.to_string(),
                        kind: files::describe(metadata.file_type()),
                    });
                }
                copy_one(attachment, &source, &target, &mut bytes_left, staging, stop_sign)?
            }
        };
        target.sync_all().map_err(failed)?;
        staged.push(file);
        folders.extend(attachment.name.match_indices('/').map(|(at, _)| &attachment.name[..at]));
    }
    for folder in folders {
        Folder::open(&staging.join(folder)).and_then(|folder| folder.sync()).map_err(failed)?;
    }
    Ok(staged)
}

/// A new file under that name, in the place of one that an attempt before left.
fn new_file(root: &Folder, path: &BeneathPath) -> io::Result<File> {
    let (folders, name) = path.split_last();
    let mut folder = root.again()?;
    for part in folders {
        let (next, Made::New | Made::Before) = folder.make_folder(part, Mode::RWXU)?;
        folder = next;
    }
    match folder.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    folder.new_file(name, Mode::RUSR | Mode::WUSR)
}

fn copy_one(
    attachment: &Attachment,
    mut source: impl Read,
    mut target: &File,
    bytes_left: &mut u64,
    staging: &Utf8Path,
    stop_sign: &StopSign,
) -> Result<StagedFile, IntakeError> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    let mut size_bytes = 0_u64;
    loop {
        stop_sign.check()?;
        let read = match source.read(&mut block) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(IntakeError::Unreadable(attachment.name.clone(), error)),
        };
        // The file may have grown since it was counted.
        *bytes_left = bytes_left.checked_sub(read as u64).ok_or(IntakeError::TooManyBytes)?;
        hasher.update(&block[..read]);
        target.write_all(&block[..read]).map_err(|error| IntakeError::Staging(staging.to_owned(), error))?;
        size_bytes += read as u64;
    }
    Ok(StagedFile { name: attachment.name.clone(), size_bytes, sha256: hex::encode(hasher.finalize()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grew_past_the_bound_is_not_copied_on() {
        let folder = camino_tempfile::tempdir().unwrap();
        let target = File::create(folder.path().join("target")).unwrap();
        let attachment = Attachment {
            name: "endless".to_owned(),
            size_bytes: 1,
            content: AttachmentContent::Path { path: "/dev/zero".to_owned() },
        };
        let mut bytes_left = 3 * BLOCK_BYTES as u64 + 1;
        let copied =
            copy_one(&attachment, io::repeat(0), &target, &mut bytes_left, folder.path(), &StopSign::default());
        assert!(matches!(copied, Err(IntakeError::TooManyBytes)));
        assert_eq!(target.metadata().unwrap().len(), 3 * BLOCK_BYTES as u64);
    }
}
