//! What the engine really has, asked with its own command line rather than with any code of ours.

use std::{process::Command, time::Duration};

use serde_json::Value;

use crate::wait::settles;

/// The label that says which install an object belongs to.
const INSTALL_LABEL: &str = "berth.install";

/// Kinds of objects that an install has in an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Containers, running or not.
    Container,
    /// Volumes.
    Volume,
    /// Networks.
    Network,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Volume => "volume",
            Self::Network => "network",
        }
    }
}

/// Docker's command line for one engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Docker {
    address: Option<String>,
}

impl Docker {
    /// For the engine of this machine, found as the command finds it.
    pub fn of_this_machine() -> Self {
        Self::default()
    }

    /// For the engine at that address.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()) }
    }

    /// `docker ARGS…`, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        if let Some(address) = &self.address {
            command.args(["--host", address]);
        }
        command.args(arguments);
        command
    }

    /// What `docker ARGS…` writes.
    ///
    /// # Panics
    /// Where it fails.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"))
    }

    /// The same, or its complaint.
    ///
    /// # Errors
    /// What it wrote on standard error.
    ///
    /// # Panics
    /// Where there is no `docker` command at all.
    pub fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.command(arguments).output().expect("the `docker` command is installed");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Everything of one kind that an install has, as `docker inspect` shows it. What goes while one looks is left out.
    pub fn objects(&self, kind: Kind, install: &str) -> Vec<Value> {
        let filter = format!("label={INSTALL_LABEL}={install}");
        let mut list = vec![kind.name(), "ls", "--quiet", "--filter", &filter];
        if kind == Kind::Container {
            list.push("--all");
        }
        let ids = self.run(&list);
        ids.lines().filter_map(|id| self.inspect(kind, id)).collect()
    }

    /// One object, as `docker inspect` shows it; `None` where it is gone.
    ///
    /// # Panics
    /// Where the engine fails in another way.
    pub fn inspect(&self, kind: Kind, id: &str) -> Option<Value> {
        match self.try_run(&[kind.name(), "inspect", id]) {
            Ok(json) => {
                let objects: Vec<Value> = serde_json::from_str(&json).expect("docker inspect writes JSON");
                objects.into_iter().next()
            }
            // Of a network the engine says it in other words than of all else.
            Err(error) if ["no such", "not found"].iter().any(|gone| error.to_lowercase().contains(gone)) => None,
            Err(error) => panic!("docker {} inspect {id}: {error}", kind.name()),
        }
    }

    /// Removes every container, network and volume of an install. Its images stay: they are shared by every install of a
    /// machine, and building one takes longer than any test.
    pub fn remove_all(&self, install: &str) {
        let mut complaints = Vec::new();
        let is_gone = settles(REMOVAL_TIME_MAX, || {
            complaints.clear();
            for kind in [Kind::Container, Kind::Network, Kind::Volume] {
                for object in self.objects(kind, install) {
                    let arguments: &[&str] = match kind {
                        Kind::Container => &["container", "rm", "--force", "--volumes", name(&object)],
                        Kind::Volume => &["volume", "rm", "--force", name(&object)],
                        Kind::Network => &["network", "rm", name(&object)],
                    };
                    // An app that was killed may have asked for the same a moment ago; the next look tells.
                    complaints.extend(self.try_run(arguments).err());
                }
            }
            complaints.is_empty()
        });
        if !is_gone {
            eprintln!("left behind in the engine: {complaints:?}");
        }
    }
}

/// What `docker ARGS…` writes, of the engine of this machine.
///
/// # Panics
/// Where it fails.
pub fn docker(arguments: &[&str]) -> String {
    Docker::of_this_machine().run(arguments)
}

/// One object of the engine of this machine; `None` where it is gone.
///
/// # Panics
/// Where the engine fails in another way.
pub fn inspect(kind: Kind, id: &str) -> Option<Value> {
    Docker::of_this_machine().inspect(kind, id)
}

/// The reference of an image that the engine has, found by a part of its name: whoever made it chose the rest.
///
/// # Panics
/// Where it has none.
pub fn image_of(part: &str) -> String {
    let list = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
    let is_whole = |reference: &str| !reference.contains("<none>") && !reference.contains(":trial-");
    let found = list.lines().find(|reference| reference.contains(part) && is_whole(reference));
    found.unwrap_or_else(|| panic!("no image is named like {part:?}:\n{list}")).to_owned()
}

/// The label of that name on a container, volume or network.
pub fn label<'object>(object: &'object Value, name: &str) -> &'object str {
    [&object["Config"]["Labels"], &object["Labels"]].into_iter().find_map(|labels| labels[name].as_str()).unwrap_or("")
}

/// What role an object plays: `sandbox`, `filler`, `home`, `spool`, …
pub fn role(object: &Value) -> &str {
    label(object, "berth.role")
}

/// What one calls an object when removing it.
pub fn name(object: &Value) -> &str {
    object["Id"].as_str().or_else(|| object["Name"].as_str()).unwrap_or("")
}

/// How long the engine takes to remove what is already being removed.
const REMOVAL_TIME_MAX: Duration = Duration::from_secs(20);
