//! Which engine this machine has: a pure function over what is known of the machine.
//!
//! In this order: the setting, `DOCKER_HOST`, the current docker context, the known sockets. The first three are a person's
//! word: where one is given, nothing behind it is tried, so that nobody's agent ends up on another engine than they chose.
//! Among the known sockets, several may exist (a dead one stays lying about): all that do are candidates, best first.
//!
//! ```text
//! setting ──none──▶ DOCKER_HOST ──none──▶ docker context ──none or "default"──▶ known sockets
//!    │                  │                      │                                     │
//!    ▼                  ▼                      ▼                                     ▼
//!  1 candidate      1 candidate            1 candidate                       all that exist, or an error
//! ```

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Largest context or configuration file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The port of an engine on TCP without TLS.
const TCP_PORT: u16 = 2375;
/// The name of docker's context that means "the usual socket".
const DEFAULT_CONTEXT: &str = "default";

/// What is known of the machine. [`Environment::of_this_process`] reads it; tests spell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// The person's own setting in Berth, such as `unix:///run/user/1000/docker.sock`.
    pub setting: Option<String>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`, the folder of docker's configuration; `~/.docker` where unset.
    pub docker_config: Option<Utf8PathBuf>,
    /// `DOCKER_TLS_VERIFY`: set and not empty, TLS is demanded of TCP.
    pub docker_tls_verify: Option<String>,
    /// The home folder.
    pub home: Option<Utf8PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<Utf8PathBuf>,
    /// The system that this runs on.
    pub system: System,
}

/// The systems whose known sockets differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum System {
    /// Linux.
    #[default]
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

/// A look at files, so that tests need none.
pub trait HostFiles {
    /// The text of a file of at most [`FILE_BYTES_MAX`]; `None` where there is none.
    fn read(&self, path: &Utf8Path) -> std::io::Result<Option<String>>;
    /// Whether a socket (or a named pipe on Windows) is there, whether or not anything listens.
    fn is_socket(&self, path: &Utf8Path) -> bool;
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFiles;

/// Engines worth trying, best first; never empty.
pub type Candidates = Vec<Found>;

/// Where an engine may be, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub endpoint: Endpoint,
    /// Who says so.
    pub source: Source,
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(Utf8PathBuf),
    /// Plain HTTP at `host:port`.
    Tcp(String),
    /// A named pipe of Windows, such as `//./pipe/docker_engine`.
    Pipe(String),
}

/// Who says where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The setting in Berth.
    Setting,
    /// The variable `DOCKER_HOST`.
    DockerHost,
    /// The docker context of this name.
    Context(String),
    /// It is where this product usually listens.
    KnownSocket(&'static str),
}

/// No engine can be named. Shown to a person: says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No word was given and no known socket exists.
    #[error("no container engine was found: start Docker, Podman, Colima or OrbStack, or name yours in the settings (looked at {})", list(.looked_at))]
    Nothing {
        /// The sockets that do not exist.
        looked_at: Vec<Utf8PathBuf>,
    },
    /// An address of a kind that Berth does not speak yet.
    #[error(
        "{said_by} names the engine {address:?}, and {kind} is not supported yet: use unix:// or tcp:// (an SSH tunnel to the socket works)"
    )]
    NotSupported {
        /// Who names it.
        said_by: Source,
        /// The address.
        address: String,
        /// What about it.
        kind: &'static str,
    },
    /// An address that makes no sense.
    #[error("{said_by} names the engine {address:?}, which is no address: expected unix:///path or tcp://host:port")]
    BadAddress {
        /// Who names it.
        said_by: Source,
        /// The address.
        address: String,
    },
    /// The chosen context is not there or cannot be read.
    #[error("the docker context {name:?} cannot be read from {path}: choose another with `docker context use`")]
    BadContext {
        /// The context.
        name: String,
        /// Its file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// Names the engines worth trying.
pub fn find(environment: &Environment, files: &dyn HostFiles) -> Result<Candidates, FindError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    if let Some(address) = given(&environment.setting) {
        return Ok(vec![endpoint(&address, Source::Setting, Tls::Plain)?]);
    }
    if let Some(address) = given(&environment.docker_host) {
        let tls = if given(&environment.docker_tls_verify).is_some() { Tls::Demanded } else { Tls::Plain };
        return Ok(vec![endpoint(&address, Source::DockerHost, tls)?]);
    }
    if let Some(found) = context(environment, files)? {
        return Ok(vec![found]);
    }
    let known = known_sockets(environment);
    let candidates: Candidates = known
        .iter()
        .filter(|(_, path)| files.is_socket(path))
        .map(|(product, path)| listening(product, path, environment.system))
        .collect();
    if candidates.is_empty() {
        return Err(FindError::Nothing { looked_at: known.into_iter().map(|(_, path)| path).collect() });
    }
    Ok(candidates)
}

/// Where engines usually listen, best first: the one that a plain `docker` would use, then those of a person, then Podman's.
fn known_sockets(environment: &Environment) -> Vec<(&'static str, Utf8PathBuf)> {
    let mut known: Vec<(&'static str, Utf8PathBuf)> = Vec::new();
    if environment.system == System::Windows {
        known.push(("Docker", "//./pipe/docker_engine".into()));
        known.push(("Docker Desktop", "//./pipe/dockerDesktopLinuxEngine".into()));
        known.push(("Podman", "//./pipe/podman-machine-default".into()));
        return known;
    }
    known.push(("Docker", "/var/run/docker.sock".into()));
    if let Some(runtime_dir) = &environment.runtime_dir {
        known.push(("rootless Docker", runtime_dir.join("docker.sock")));
    }
    if let Some(home) = &environment.home {
        known.extend([
            ("Docker Desktop", home.join(".docker/run/docker.sock")),
            ("Docker Desktop", home.join(".docker/desktop/docker.sock")),
            ("Colima", home.join(".colima/default/docker.sock")),
            ("Colima", home.join(".config/colima/default/docker.sock")),
            ("OrbStack", home.join(".orbstack/run/docker.sock")),
            ("Rancher Desktop", home.join(".rd/docker.sock")),
            ("Podman", home.join(".local/share/containers/podman/machine/podman.sock")),
        ]);
    }
    if let Some(runtime_dir) = &environment.runtime_dir {
        known.push(("Podman", runtime_dir.join("podman/podman.sock")));
    }
    known.push(("Podman", "/run/podman/podman.sock".into()));
    known
}

fn listening(product: &'static str, path: &Utf8Path, system: System) -> Found {
    let endpoint = match system {
        System::Linux | System::MacOs => Endpoint::Unix(path.to_owned()),
        System::Windows => Endpoint::Pipe(path.to_string()),
    };
    Found { endpoint, source: Source::KnownSocket(product) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Plain,
    Demanded,
}

fn endpoint(address: &str, said_by: Source, tls: Tls) -> Result<Found, FindError> {
    let address = address.trim();
    let not_supported = |said_by, kind| Err(FindError::NotSupported { said_by, address: address.to_owned(), kind });
    let bad = |said_by| Err(FindError::BadAddress { said_by, address: address.to_owned() });
    // A bare path is a socket, as people write it.
    let (scheme, rest) = match address.split_once("://") {
        Some(pair) => pair,
        None if address.starts_with('/') => ("unix", address),
        None => return bad(said_by),
    };
    let endpoint = match scheme {
        "unix" if rest.starts_with('/') => Endpoint::Unix(rest.into()),
        "npipe" if !rest.is_empty() => Endpoint::Pipe(rest.to_owned()),
        "tcp" | "http" if tls == Tls::Demanded => return not_supported(said_by, "TLS"),
        "tcp" | "http" => match host_and_port(rest) {
            Some(address) => Endpoint::Tcp(address),
            None => return bad(said_by),
        },
        "https" => return not_supported(said_by, "TLS"),
        "ssh" => return not_supported(said_by, "SSH"),
        _ => return bad(said_by),
    };
    Ok(Found { endpoint, source: said_by })
}

/// `host:port` with the usual port where none is given; IPv6 hosts are in brackets.
fn host_and_port(rest: &str) -> Option<String> {
    let rest = rest.trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if rest.is_empty() || !rest.bytes().all(is_plain) {
        return None;
    }
    let port = if rest.ends_with(']') { None } else { rest.rsplit_once(':').map(|(_, port)| port) };
    match port {
        None => Some(format!("{rest}:{TCP_PORT}")),
        Some(port) => port.parse::<u16>().ok().map(|_| rest.to_owned()),
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(rename = "currentContext", default)]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints", default)]
    endpoints: ContextEndpoints,
}

#[derive(Deserialize, Default)]
struct ContextEndpoints {
    docker: Option<ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

/// The current context, by docker's own rule: `DOCKER_CONTEXT`, else `currentContext` of its configuration. A context's files
/// lie in a folder named by the SHA-256 of its name (docker/cli, `cli/context/store`).
fn context(environment: &Environment, files: &dyn HostFiles) -> Result<Option<Found>, FindError> {
    let Some(folder) =
        environment.docker_config.clone().or_else(|| environment.home.as_ref().map(|home| home.join(".docker")))
    else {
        return Ok(None);
    };
    let named = environment.docker_context.clone().filter(|name| !name.is_empty());
    // A configuration that cannot be read names no context: docker itself warns and goes on.
    let configured = || {
        let text = files.read(&folder.join("config.json")).ok()??;
        serde_json::from_str::<DockerConfig>(&text).ok()?.current_context.filter(|name| !name.is_empty())
    };
    let Some(name) = named.or_else(configured).filter(|name| name != DEFAULT_CONTEXT) else { return Ok(None) };
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    let store = folder.join("contexts");
    let path = store.join("meta").join(&digest).join("meta.json");
    let bad = |source| FindError::BadContext { name: name.clone(), path: path.clone(), source };
    let text = files.read(&path).map_err(|error| bad(Some(error.into())))?.ok_or_else(|| bad(None))?;
    let meta: ContextMeta = serde_json::from_str(&text).map_err(|error| bad(Some(error.into())))?;
    let host =
        meta.endpoints.docker.map(|docker| docker.host).filter(|host| !host.is_empty()).ok_or_else(|| bad(None))?;
    // A context with certificates of its own speaks TLS.
    let certificate = store.join("tls").join(&digest).join("docker/ca.pem");
    let tls = if matches!(files.read(&certificate), Ok(Some(_))) { Tls::Demanded } else { Tls::Plain };
    endpoint(&host, Source::Context(name.clone()), tls).map(Some)
}

impl Environment {
    /// What this process was given. `setting` is the person's, from Berth's own settings.
    pub fn of_this_process(setting: Option<String>) -> Self {
        let text = |name: &str| std::env::var(name).ok();
        let path = |name: &str| text(name).filter(|text| !text.is_empty()).map(Utf8PathBuf::from);
        Self {
            setting,
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_config: path("DOCKER_CONFIG"),
            docker_tls_verify: text("DOCKER_TLS_VERIFY"),
            home: path(if cfg!(windows) { "USERPROFILE" } else { "HOME" }),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            system: if cfg!(windows) {
                System::Windows
            } else if cfg!(target_os = "macos") {
                System::MacOs
            } else {
                System::Linux
            },
        }
    }

    /// Every place where an engine's socket may be, for [`HostRules`](crate::spec::HostRules): none of them enters a sandbox.
    pub fn sockets(&self) -> Vec<Utf8PathBuf> {
        known_sockets(self).into_iter().map(|(_, path)| path).collect()
    }
}

impl HostFiles for RealFiles {
    fn read(&self, path: &Utf8Path) -> std::io::Result<Option<String>> {
        use std::io::Read;
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    #[cfg(unix)]
    fn is_socket(&self, path: &Utf8Path) -> bool {
        use std::os::unix::fs::FileTypeExt;
        std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
    }

    #[cfg(not(unix))]
    fn is_socket(&self, path: &Utf8Path) -> bool {
        std::fs::metadata(path).is_ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Pipe(path) => write!(f, "npipe://{path}"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting => f.write_str("the setting"),
            Self::DockerHost => f.write_str("DOCKER_HOST"),
            Self::Context(name) => write!(f, "the docker context {name:?}"),
            Self::KnownSocket(product) => write!(f, "the usual place of {product}"),
        }
    }
}

fn list(paths: &[Utf8PathBuf]) -> String {
    paths.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
