//! An agent's home: a volume that outlives its runs, with the layout that every agent finds.
//!
//! ```text
//! /home/agent/clawvault/<agent>/     what it remembers
//! /home/agent/clawvault/shared/      what all remember
//! /home/agent/project-workspace/     the repository
//! /home/agent/run-workspace          → /workspace
//! /home/agent/task-workspaces/       worktrees that outlive a run
//! ```
//!
//! The engine copies what the image has at `/home/agent` into a new volume; the folders above come by an archive with their
//! owner in it, through a container that does not run yet. No root inside, ever.

use std::io;

use camino::Utf8Path;
use engine::{ContainerId, Engine, EngineError, Ownership, Role, VolumeName, archive::ArchiveBody};
use wire::ids::{AgentId, InstallId};

use crate::owner::Owner;

/// Where it is mounted.
pub(crate) const HOME_FOLDER: &str = "/home/agent";

/// The volume of an agent's home.
pub(crate) fn volume_name(agent: AgentId) -> VolumeName {
    VolumeName::parse(format!("berth-home-{}", agent ))
        .expect("invariant: hex digits and dashes are a volume's name")
}

/// Makes the volume, or finds it.
pub(crate) async fn ensure(engine: &dyn Engine, install: InstallId, agent: AgentId) -> Result<VolumeName, EngineError> {
    let name = volume_name(agent);
    let ownership = Ownership {
        agent: Some(agent.to_string()),
        ..Ownership::of_install(install.to_string(), Role::Home)
    };
    engine.create_volume(&name, &ownership).await?;
    Ok(name)
}

/// Lays out a new home through a created container that mounts it. To be done once per home: whatever an agent has made of
/// its folders since is its own.
pub(crate) async fn lay_out(
    engine: &dyn Engine,
    container: &ContainerId,
    agent_name: &str,
    owner: Owner,
) -> Result<(), EngineError> {
    let archive = layout(agent_name, owner).expect("invariant: writing a tar into memory does not fail");
    engine.put_archive(container, Utf8Path::new(HOME_FOLDER), archive).await
}

fn layout(agent_name: &str, owner: Owner) -> io::Result<ArchiveBody> {
    let mut archive = tar::Builder::new(Vec::new());
    let folders =
        ["./", "clawvault/", &format!("clawvault/{agent_name}/"), "clawvault/shared/", "project-workspace/", "task-workspaces/"];
    for folder in folders {
        archive.append_data(&mut owner.folder_header(), folder, io::empty())?;
    }
    let mut link = owner.folder_header();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_mode(0o777);
    archive.append_link(&mut link, "run-workspace", "/workspace")?;
    Ok(archive.into_inner()?.into())
}
