//! Images, agents, the doctor, the version.

use wire::{
    call::{BuildImage, Doctor, ListAgents, ListImages},
    view::Verdict,
};

use crate::{
    arguments::{Images, ImagesCommand},
    connection::Connection,
    exit::Exit,
    show::{Printer, gallery},
};

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

/// `berth agents`
pub(super) async fn agents(connection: &Connection, printer: Printer) -> anyhow::Result<Exit> {
    let agents = connection.call(ListAgents {}).await?;
    printer.reply(&agents, |ink| gallery::agents(&agents, ink))?;
    Ok(Exit::Done)
}

/// `berth doctor`
pub(super) async fn doctor(connection: &Connection, printer: Printer) -> anyhow::Result<Exit> {
    let report = connection.call(Doctor {}).await?;
    printer.reply(&report, |ink| gallery::doctor(&report, ink))?;
    let is_ill = report.checks.iter().any(|check| check.verdict == Verdict::Bad);
    Ok(if is_ill { Exit::Failed } else { Exit::Done })
}

/// `berth version`
pub(super) fn version(printer: Printer) -> anyhow::Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    printer.reply(&serde_json::json!({ "version": version }), |_| format!("berth {version}\n"))?;
    Ok(Exit::Done)
}
