//! The one host path that a sandbox may see: its workspace.
//!
//! A [`HostFolder`] is evidence: it can only be made by a check, and the check is made again when the container is created,
//! since a folder can be swapped for a link in between. The engine resolves the path a third time by itself; that the data
//! folder is 0700 is what closes this last gap.

use camino::{Utf8Path, Utf8PathBuf};

/// Folders of the system that are never given to a sandbox, nor anything beneath them.
const SYSTEM_FOLDERS: [&str; 12] = [
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/etc",
    "/boot",
    "/bin",
    "/sbin",
    "/lib",
    "/usr",
    "/var/lib/docker",
    "/var/lib/containers",
];

/// Names beneath a home that hold keys, tokens or an engine's state.
const PRIVATE_NAMES: [&str; 9] = [
    ".ssh",
    ".gnupg",
    ".docker",
    ".aws",
    ".kube",
    ".config/gh",
    ".local/share/keyrings",
    ".local/share/containers",
    ".password-store",
];

/// File names of engine sockets, looked for in the folder itself.
const SOCKET_NAMES: [&str; 4] = ["docker.sock", "podman.sock", "containerd.sock", "crio.sock"];

/// What is known of the host when a folder is checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostRules {
    /// The person's home folder.
    pub home: Option<Utf8PathBuf>,
    /// Sockets of engines and keyrings that are known, wherever they are.
    pub sockets: Vec<Utf8PathBuf>,
}

/// A host folder that may be mounted into a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFolder {
    path: Utf8PathBuf,
    rules: HostRules,
}

/// Why a host path is not given to a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum RefusedFolder {
    /// It is relative, or has `.`, `..`, a comma, a colon or a control character in it.
    #[error("{0:?} is not a plain absolute path")]
    NotPlain(Utf8PathBuf),
    /// It cannot be looked at.
    #[error("{path:?} cannot be looked at")]
    Unreadable {
        /// The path.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It, or a folder above it, is a symbolic link.
    #[error("{path:?} leads to {real:?} through a link")]
    Link {
        /// The path.
        path: Utf8PathBuf,
        /// Where it leads.
        real: Utf8PathBuf,
    },
    /// It is a file, a socket or a device.
    #[error("{0:?} is not a folder")]
    NotAFolder(Utf8PathBuf),
    /// It is the system's, or has the system's in it.
    #[error("{0:?} belongs to the system")]
    System(Utf8PathBuf),
    /// It is the person's home, holds it, or is where keys are kept.
    #[error("{0:?} holds the person's home or keys")]
    Home(Utf8PathBuf),
    /// An engine's or a keyring's socket is in it.
    #[error("{path:?} has the socket {socket:?} in it")]
    Socket {
        /// The path.
        path: Utf8PathBuf,
        /// The socket.
        socket: Utf8PathBuf,
    },
}

impl HostFolder {
    /// Checks that `path` is an existing, canonical folder that is nobody else's business.
    pub fn check(path: impl Into<Utf8PathBuf>, rules: HostRules) -> Result<Self, RefusedFolder> {
        let folder = Self { path: path.into(), rules };
        folder.check_again()?;
        Ok(folder)
    }

    /// The path, absolute and canonical when last checked.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The same check once more, for the moment of use.
    pub fn check_again(&self) -> Result<(), RefusedFolder> {
        let path = &self.path;
        if !is_plain_host_path(path) {
            return Err(RefusedFolder::NotPlain(path.clone()));
        }
        let unreadable = |source| RefusedFolder::Unreadable { path: path.clone(), source };
        let real = path.canonicalize_utf8().map_err(unreadable)?;
        if real != *path {
            return Err(RefusedFolder::Link { path: path.clone(), real });
        }
        if !path.symlink_metadata().map_err(unreadable)?.is_dir() {
            return Err(RefusedFolder::NotAFolder(path.clone()));
        }
        self.check_place()?;
        self.check_sockets()
    }

    fn check_place(&self) -> Result<(), RefusedFolder> {
        let path = &self.path;
        let system = |folder: &&str| path.starts_with(folder) || Utf8Path::new(folder).starts_with(path);
        if path.parent().is_none() || SYSTEM_FOLDERS.iter().any(system) {
            return Err(RefusedFolder::System(path.clone()));
        }
        let Some(home) = &self.rules.home else { return Ok(()) };
        let private = PRIVATE_NAMES.iter().map(|name| home.join(name)).any(|folder| path.starts_with(&folder));
        if private || home.starts_with(path) {
            return Err(RefusedFolder::Home(path.clone()));
        }
        Ok(())
    }

    fn check_sockets(&self) -> Result<(), RefusedFolder> {
        let path = &self.path;
        let within = self.rules.sockets.iter().find(|socket| socket.starts_with(path)).cloned();
        let beside =
            || SOCKET_NAMES.iter().map(|name| path.join(name)).find(|socket| socket.symlink_metadata().is_ok());
        match within.or_else(beside) {
            Some(socket) => Err(RefusedFolder::Socket { path: path.clone(), socket }),
            None => Ok(()),
        }
    }
}

/// Absolute and without anything that the engine's notations or a reader could take for something else.
fn is_plain_host_path(path: &Utf8Path) -> bool {
    let normal = path.components().all(|part| match part {
        camino::Utf8Component::RootDir | camino::Utf8Component::Normal(_) | camino::Utf8Component::Prefix(_) => true,
        camino::Utf8Component::CurDir | camino::Utf8Component::ParentDir => false,
    });
    // `components` drops `.` and doubled separators; comparing the rebuilt path finds them.
    let rebuilt: Utf8PathBuf = path.components().collect();
    path.is_absolute()
        && normal
        && rebuilt.as_str() == path.as_str()
        && !path.as_str().chars().any(|c| c.is_control() || c == ',')
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn temporary() -> (camino_tempfile::Utf8TempDir, Utf8PathBuf) {
        let folder = camino_tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize_utf8().unwrap();
        (folder, path)
    }

    #[test]
    fn an_ordinary_folder_is_taken_and_its_path_kept() {
        let (_keep, path) = temporary();
        assert_eq!(HostFolder::check(path.clone(), HostRules::default()).unwrap().path(), path);
    }

    #[test]
    fn relative_dotted_and_missing_paths_are_refused() {
        let (_keep, path) = temporary();
        for text in
            ["work".to_owned(), format!("{path}/."), format!("{path}/../x"), format!("/{path}"), format!("{path}/")]
        {
            let refused = HostFolder::check(text.clone(), HostRules::default());
            assert!(matches!(refused, Err(RefusedFolder::NotPlain(_))), "{text}: {refused:?}");
        }
        let missing = HostFolder::check(path.join("missing"), HostRules::default());
        assert!(matches!(missing, Err(RefusedFolder::Unreadable { .. })), "{missing:?}");
    }

    #[test]
    fn a_link_anywhere_in_the_path_is_refused_also_when_it_came_later() {
        let (_keep, path) = temporary();
        let real = path.join("real");
        std::fs::create_dir_all(real.join("inner")).unwrap();
        symlink(&real, path.join("link")).unwrap();
        let refused = HostFolder::check(path.join("link/inner"), HostRules::default());
        assert!(matches!(refused, Err(RefusedFolder::Link { .. })), "{refused:?}");

        let folder = HostFolder::check(real.join("inner"), HostRules::default()).unwrap();
        std::fs::remove_dir(real.join("inner")).unwrap();
        symlink("/etc", real.join("inner")).unwrap();
        assert!(matches!(folder.check_again(), Err(RefusedFolder::Link { .. })));
    }

    #[test]
    fn files_and_sockets_are_refused() {
        let (_keep, path) = temporary();
        std::fs::write(path.join("file"), b"").unwrap();
        let _listener = UnixListener::bind(path.join("any.sock")).unwrap();
        for name in ["file", "any.sock"] {
            let refused = HostFolder::check(path.join(name), HostRules::default());
            assert!(matches!(refused, Err(RefusedFolder::NotAFolder(_))), "{refused:?}");
        }
    }

    #[test]
    fn the_system_is_refused_from_above_and_from_beneath() {
        for text in ["/", "/proc", "/proc/self", "/sys", "/dev/shm", "/etc", "/var", "/usr/share"] {
            let refused = HostFolder::check(text, HostRules::default());
            assert!(
                matches!(refused, Err(RefusedFolder::System(_) | RefusedFolder::Link { .. })),
                "{text}: {refused:?}"
            );
        }
    }

    #[test]
    fn the_home_what_is_above_it_and_its_keys_are_refused_but_not_its_other_folders() {
        let (_keep, path) = temporary();
        let home = path.join("home/person");
        for name in [".ssh/deep", ".docker", "projects"] {
            std::fs::create_dir_all(home.join(name)).unwrap();
        }
        let rules = HostRules { home: Some(home.clone()), sockets: Vec::new() };
        for folder in [
            path.clone(),
            path.join("home"),
            home.clone(),
            home.join(".ssh"),
            home.join(".ssh/deep"),
            home.join(".docker"),
        ] {
            let refused = HostFolder::check(folder, rules.clone());
            assert!(matches!(refused, Err(RefusedFolder::Home(_))), "{refused:?}");
        }
        assert!(HostFolder::check(home.join("projects"), rules).is_ok());
    }

    #[test]
    fn a_folder_with_an_engine_socket_in_it_is_refused() {
        let (_keep, path) = temporary();
        std::fs::create_dir(path.join("deep")).unwrap();
        let rules = HostRules { home: None, sockets: vec![path.join("deep/engine.sock")] };
        assert!(matches!(HostFolder::check(path.clone(), rules), Err(RefusedFolder::Socket { .. })));
        let _listener = UnixListener::bind(path.join("docker.sock")).unwrap();
        assert!(matches!(HostFolder::check(path.clone(), HostRules::default()), Err(RefusedFolder::Socket { .. })));
    }
}
