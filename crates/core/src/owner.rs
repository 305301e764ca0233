//! Whom a sandbox runs as: the person, where the host shows who owns a workspace's files; else uid 1000.

use engine::Identity;

/// A user and a group, neither of them root. Files of another than Berth's own are given to them, for which Berth must be root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
}

/// What images expect, and what root gives its folders to.
const USUAL: Owner = Owner { uid: 1000, gid: 1000 };

impl Owner {
    /// The person who runs Berth; [`USUAL`] where that is root or the system has no such numbers.
    pub(crate) fn of_this_process() -> Self {
        #[cfg(unix)]
        {
            let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            if uid != 0 && gid != 0 {
                return Self { uid, gid };
            }
        }
        USUAL
    }

    /// As the engine takes it.
    pub(crate) fn identity(self) -> Identity {
        Identity::user(self.uid, self.gid).expect("invariant: an owner is not root")
    }

    /// The tar header of a folder of this owner's.
    pub(crate) fn folder_header(self) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        header.set_uid(self.uid.into());
        header.set_gid(self.gid.into());
        header
    }
}
