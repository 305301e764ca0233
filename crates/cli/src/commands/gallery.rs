//! Agents, the version.

use wire::{
    Limits, LimitsPatch,
    call::{CreateAgent, DeleteAgent, DuplicateAgent, HomeFate, ListAgents, UpdateAgent},
    task::{Launch, ReviewGate},
};

use super::{kit, network};
use crate::{
    arguments::{self, Agents, AgentsCommand},
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

/// `berth agents [create|edit|rename|duplicate|show|delete NAME]`
pub(super) async fn agents(connection: &Connection, agents: Agents, printer: Printer) -> anyhow::Result<Exit> {
    match agents.command {
        None => {
            let agents = connection.call(ListAgents {}).await?;
            printer.reply(&agents, |ink| gallery::agents(&agents, ink))?;
        }
        Some(AgentsCommand::Create(create)) => {
            let agent = connection.call(new_agent(create)?).await?;
            printer.reply(&agent, |ink| gallery::agents(std::slice::from_ref(&agent), ink))?;
        }
        Some(AgentsCommand::Edit(edit)) => {
            let agent = connection.call(changed_agent(connection, edit).await?).await?;
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

async fn changed_agent(connection: &Connection, edit: arguments::EditAgent) -> anyhow::Result<UpdateAgent> {
    let (mode, hosts) = network::changed(&edit);
    let brought = kit::changed(connection, &edit).await?;
    let arguments::EditAgent { agent, image, entrypoint, usual, time, memory, review, colour, program, .. } = edit;
    Ok(UpdateAgent {
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
        ..brought
    })
}

fn new_agent(create: arguments::CreateAgent) -> anyhow::Result<CreateAgent> {
    let network = network::of_new(&create)?;
    let brought = kit::of_new(&create.kit)?;
    let arguments::CreateAgent { name, image, entrypoint, time, memory, disk, skip_review, colour, program, .. } =
        create;
    let usual = Limits::default();
    Ok(CreateAgent {
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
        colour: colour.unwrap_or_default(),
        network,
        ..brought
    })
}

/// `berth version`
pub(super) fn version(printer: Printer) -> anyhow::Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    printer.reply(&serde_json::json!({ "version": version }), |_| format!("berth {version}\n"))?;
    Ok(Exit::Done)
}
