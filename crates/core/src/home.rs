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
//! The engine copies what the agent's image has at `/home/agent` into a new volume; the folders above come by an archive with
//! their owner in it, through a container of that image that never runs. No root inside, ever.

use std::io;

use camino::Utf8Path;
use engine::{
    Engine, EngineError, ImageRef, Mount, Ownership, Role, VolumeName,
    archive::ArchiveBody,
    spec::{Access, FirstUse},
};
use wire::ids::{AgentId, InstallId};

use crate::fault_points::{Point, around};
use crate::guest_volume::{filler_of, make_filler, remove_filler};
use crate::owner::Owner;

/// Where it is mounted.
pub(crate) const HOME_FOLDER: &str = "/home/agent";

/// The volume of an agent's home.
pub(crate) fn volume_name(agent: AgentId) -> VolumeName {
    VolumeName::parse(format!("berth-home-{agent}")).expect("invariant: hex digits and dashes are a volume's name")
}

/// Makes the volume, or finds it.
pub(crate) async fn ensure(engine: &dyn Engine, install: InstallId, agent: AgentId) -> Result<VolumeName, EngineError> {
    let name = volume_name(agent);
    let ownership = ownership(install, agent, Role::Home);
    around(Point::HomeCreate, engine.create_volume(&name, &ownership)).await?;
    Ok(name)
}

/// Seeds a new home from the agent's image and lays it out. To be done once per home: whatever an agent has made of its
/// folders since is its own.
pub(crate) async fn lay_out(
    engine: &dyn Engine,
    install: InstallId,
    agent: AgentId,
    agent_name: &str,
    image: ImageRef,
    owner: Owner,
) -> Result<(), EngineError> {
    let volume = volume_name(agent);
    let mount = Mount::Volume {
        name: volume.clone(),
        target: HOME_FOLDER.into(),
        access: Access::ReadWrite,
        first_use: FirstUse::CopyImage,
    };
    let spec = filler_of(&volume, mount, image, ownership(install, agent, Role::Filler));
    let filler = make_filler(engine, &spec).await?;
    let archive = layout(agent_name, owner).expect("invariant: writing a tar into memory does not fail");
    let filling = engine.put_archive(&filler, Utf8Path::new("/"), archive);
    let outcome = around(Point::HomeLayOut, filling).await;
    remove_filler(engine, &filler).await?;
    outcome
}

fn ownership(install: InstallId, agent: AgentId, role: Role) -> Ownership {
    Ownership { agent: Some(agent.to_string()), ..Ownership::of_install(install.to_string(), role) }
}

fn layout(agent_name: &str, owner: Owner) -> io::Result<ArchiveBody> {
    let mut archive = tar::Builder::new(Vec::new());
    let home = HOME_FOLDER.trim_start_matches('/');
    let vault = format!("clawvault/{agent_name}/");
    for folder in ["", "clawvault/", &vault, "clawvault/shared/", "project-workspace/", "task-workspaces/"] {
        archive.append_data(&mut owner.folder_header(), format!("{home}/{folder}"), io::empty())?;
    }
    let mut link = owner.folder_header();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_mode(0o777);
    archive.append_link(&mut link, format!("{home}/run-workspace"), "/workspace")?;
    Ok(archive.into_inner()?.into())
}
