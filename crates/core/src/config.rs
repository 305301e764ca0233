//! Where everything lies, and the few things that can be set from outside before the store is open.

use bytesize::ByteSize;
use camino::{Utf8Path, Utf8PathBuf};

use crate::certificates::HostTrust;
use crate::disk::FREE_BYTES_MIN_DEFAULT;

/// The variable that sets [`Config::free_bytes_min`].
const FREE_BYTES_MIN: &str = "BERTH_FREE_BYTES_MIN";

/// The variable that sets [`Config::keyring`].
const KEYRING: &str = "BERTH_KEYRING";

/// What an [`App`](crate::App) is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The one folder that holds the database, the workspaces, the outputs and the lock. Made with mode 0700.
    pub data_folder: Utf8PathBuf,
    /// An engine's address that wins over what is found (`unix:///…`, `tcp://…`).
    pub engine_address: Option<String>,
    /// PEM files with certificates that builds and sandboxes trust beside their own.
    pub extra_certificates: Vec<Utf8PathBuf>,
    /// Where this machine says whom else it trusts beyond its distribution's authorities.
    pub host_trust: HostTrust,
    /// The guest's binary; the one beside the app where it is `None`.
    pub guest_binary: Option<Utf8PathBuf>,
    /// What is kept free on the disks of the data folder and of the engine, in bytes: below it nothing new starts and running
    /// steps are held. 0 holds them only where a write is refused.
    pub free_bytes_min: u64,
    /// Whether secrets go into the keyring of the person's system, or stay in memory until Berth ends.
    pub keyring: vault::Use,
}

impl Config {
    /// The configuration that the environment asks for: `BERTH_HOME` moves every path; `BERTH_ENGINE`,
    /// `BERTH_EXTRA_CERTIFICATES` (paths, separated as `PATH` is), `BERTH_GUEST`, `BERTH_FREE_BYTES_MIN` (`2GiB`, or a number
    /// of bytes) and `BERTH_KEYRING` (`system` or `none`) set the rest.
    ///
    /// # Errors
    /// Fails where neither `BERTH_HOME` nor a home folder is set, where a path is not UTF-8, or a size is none.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let variable = |name: &'static str| match std::env::var(name) {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(ConfigError::NotUtf8 { name }),
        };
        let data_folder = if let Some(home) = variable("BERTH_HOME")? {
            Utf8PathBuf::from(home)
        } else {
            let folders = directories::ProjectDirs::from("dev", "berth", "Berth").ok_or(ConfigError::NoHome)?;
            Utf8Path::from_path(folders.data_dir()).ok_or(ConfigError::NotUtf8 { name: "HOME" })?.to_owned()
        };
        let data_folder = if data_folder.is_absolute() {
            data_folder
        } else {
            let current = std::env::current_dir().map_err(|source| ConfigError::NoCurrentFolder { source })?;
            Utf8PathBuf::from_path_buf(current).map_err(|_| ConfigError::NotUtf8 { name: "PWD" })?.join(data_folder)
        };
        let extra_certificates = variable("BERTH_EXTRA_CERTIFICATES")?
            .map(|list| std::env::split_paths(&list).filter_map(|path| Utf8PathBuf::from_path_buf(path).ok()).collect())
            .unwrap_or_default();
        let free_bytes_min = match variable(FREE_BYTES_MIN)? {
            None => FREE_BYTES_MIN_DEFAULT,
            Some(size) => match size.trim().parse::<ByteSize>() {
                Ok(size) => size.as_u64(),
                Err(_) => return Err(ConfigError::NoSize { name: FREE_BYTES_MIN, value: size }),
            },
        };
        Ok(Self {
            data_folder,
            engine_address: variable("BERTH_ENGINE")?,
            extra_certificates,
            host_trust: HostTrust::of_this_machine(),
            guest_binary: variable("BERTH_GUEST")?.map(Utf8PathBuf::from),
            free_bytes_min,
            keyring: match variable(KEYRING)?.as_deref() {
                None | Some("system") => vault::Use::Keyring,
                Some("none") => vault::Use::Session,
                Some(other) => return Err(ConfigError::NoKeyring { name: KEYRING, value: other.to_owned() }),
            },
        })
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nothing says where the data folder could be.
    #[error("neither `BERTH_HOME` nor a home folder is set")]
    NoHome,
    /// A path that is not UTF-8.
    #[error("`{name}` is not UTF-8")]
    NotUtf8 {
        /// The variable.
        name: &'static str,
    },
    /// A size that is none.
    #[error("`{name}` is no size: `{value}`; write `2GiB`, `500MB`, or a number of bytes")]
    NoSize {
        /// The variable.
        name: &'static str,
        /// What it is set to.
        value: String,
    },
    /// A keyring that there is not.
    #[error("`{name}` is `{value}`; it is `system` or `none`")]
    NoKeyring {
        /// The variable.
        name: &'static str,
        /// What it is set to.
        value: String,
    },
    /// A relative `BERTH_HOME` and no current folder.
    #[error("the current folder cannot be read")]
    NoCurrentFolder {
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
