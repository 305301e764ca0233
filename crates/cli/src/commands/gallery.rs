//! Images and agents, the version.

use wire::{
    Limits, LimitsPatch,
    call::{BuildImage, CreateAgent, DeleteAgent, DuplicateAgent, HomeFate, ListAgents, ListImages, UpdateAgent},
    task::{Launch, ReviewGate},
};

use super::network;
use crate::{
    arguments::{self, Agents, AgentsCommand, Images, ImagesCommand},
    connection::Connection,
    exit::Exit,
    show::{Printer, gallery},
};

/// `berth fault-points`
#[cfg(debug_assertions)]
pub(super) fn fault_points(printer: Printer) -> anyhow::Result<Exit> {
    let points = berth_core::fault_points();
    printer.reply(&points, |_| points.iter().flat_map(|point| [point, "\n"]).collect())?;
    Ok(Exit::Done)
}

/// `berth images [build NAME]`
pub(super) async fn images(connection: &Connection, images: Images, printer: Printer) -> anyhow::Result<Exit> {
    match images.command {
        None => {
            let images = connection.call(ListImages {}).await?;
            printer.reply(&images, |ink| gallery::images(&images, ink))?;
        }
        Some(ImagesCommand::Build { name }) => {
            printer.aside(&format!("Building {name}; the first time this takes minutes."));
            let image = connection.call(BuildImage { name }).await?;
            printer.reply(&image, |ink| gallery::images(std::slice::from_ref(&image), ink))?;
        }
    }
    Ok(Exit::Done)
}

/// `berth agents [create|edit|rename|duplicate|show|delete NAME]`
pub(super) async fn agents(connection: &Connection, agents: Agents, printer: Printer) -> anyhow::Result<Exit> {
    match agents.command {
        None => {
            let agents = connection.call(ListAgents {}).await?;
            printer.reply(&agents, |ink| gallery::agents(&agents, ink))?;
        }
        Some(AgentsCommand::Create(create)) => {
            let agent = connection.call(new_agent(create)).await?;
            printer.reply(&agent, |ink| gallery::agents(std::slice::from_ref(&agent), ink))?;
        }
        Some(AgentsCommand::Edit(edit)) => {
            let agent = connection.call(changed_agent(edit)).await?;
            printer.reply(&agent, |ink| gallery::agent(&agent, ink))?;
        }
        Some(AgentsCommand::Rename { agent, name }) => {
            let agent = connection.call(UpdateAgent { agent, name: Some(name), ..UpdateAgent::default() }).await?;
            printer.reply(&agent, |ink| gallery::agents(std::slice::from_ref(&agent), ink))?;
        }
        Some(AgentsCommand::Duplicate { agent, name }) => {
            let agent = connection.call(DuplicateAgent { agent, name }).await?;
            printer.reply(&agent, |ink| gallery::agents(std::slice::from_ref(&agent), ink))?;
        }
        Some(AgentsCommand::Show { agent }) => {
            let agent = network::agent(connection, &agent).await?;
            printer.reply(&agent, |ink| gallery::agent(&agent, ink))?;
        }
        Some(AgentsCommand::Delete(delete)) => {
            let arguments::DeleteAgent { agent, confirm, with_home } = delete;
            let home = if with_home { HomeFate::Delete } else { HomeFate::Keep };
            let deleted = connection.call(DeleteAgent { agent: agent.clone(), confirm, home }).await?;
            printer.reply(&deleted, |_| format!("Deleted the agent {agent}.\n"))?;
        }
    }
    Ok(Exit::Done)
}

fn changed_agent(edit: arguments::EditAgent) -> UpdateAgent {
    let (mode, hosts) = network::changed(&edit);
    let arguments::EditAgent { agent, image, entrypoint, usual, time, memory, review, colour, program, .. } = edit;
    UpdateAgent {
        agent,
        name: None,
        image,
        launch: match program {
            argv if !argv.is_empty() => Some(Launch::Command { argv }),
            _none if entrypoint => Some(Launch::Entrypoint),
            _none if usual => Some(Launch::Image),
            _none => None,
        },
        limits: LimitsPatch { wall_clock_s: time, memory_bytes: memory, ..LimitsPatch::default() },
        review: review.map(|review| match review {
            arguments::Review::Ask => ReviewGate::Ask,
            arguments::Review::Skip => ReviewGate::Skip,
        }),
        colour,
        network: None,
        mode,
        hosts,
    }
}

fn new_agent(create: arguments::CreateAgent) -> CreateAgent {
    let arguments::CreateAgent { name, image, entrypoint, time, memory, disk, skip_review, program } = create;
    let usual = Limits::default();
    CreateAgent {
        name,
        image,
        launch: match program {
            argv if !argv.is_empty() => Launch::Command { argv },
            _none if entrypoint => Launch::Entrypoint,
            _none => Launch::Image,
        },
        limits: Limits {
            wall_clock_s: time.unwrap_or(usual.wall_clock_s),
            memory_bytes: memory.unwrap_or(usual.memory_bytes),
            disk_bytes: disk.unwrap_or(usual.disk_bytes),
            ..usual
        },
        review: if skip_review { ReviewGate::Skip } else { ReviewGate::Ask },
    }
}

/// `berth version`
pub(super) fn version(printer: Printer) -> anyhow::Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    printer.reply(&serde_json::json!({ "version": version }), |_| format!("berth {version}\n"))?;
    Ok(Exit::Done)
}
