//! `berth bench`: the numbers, on a Berth of its own, which is gone afterwards.
//!
//! The rows that need nothing but the core are measured there; those at the WebSocket are measured here, since only here are
//! a server and a client of it. Those in the window are measured by a program of the tests, which alone drive a window.

mod keystroke;
mod shell;
mod ui;

use std::io;

use anyhow::Context;
use berth_core::{
    Config,
    bench::{self, BenchError, Rig},
};
use wire::bench::{BenchGap, BenchReport, BenchRow};

use super::signals::interrupted;
use crate::{
    arguments::{Bench, Measured},
    exit::Exit,
    show::{self, Printer},
};

/// What was not asked for where a window was not.
const WINDOW_ROWS: (&str, &str) =
    ("first paint, and keystroke to echo at the pixel", "In a checkout `./dev bench ui` measures them.");

/// `berth bench`
pub(super) async fn bench(config: &Config, arguments: Bench, verbose: u8, printer: Printer) -> anyhow::Result<Exit> {
    crate::log::to_stderr(verbose);
    let Bench { mut rows, samples, image } = arguments;
    if rows.is_empty() {
        rows = Measured::WITHOUT_WINDOW.to_vec();
    }
    printer.aside("Making a Berth of its own to measure.");
    let rig = tokio::select! {
        rig = Box::pin(Rig::start(config, &image)) => rig.map_err(explained)?,
        interrupt = interrupted() => return stopped(interrupt),
    };
    let measured = tokio::select! {
        report = Box::pin(measure(&rig, &rows, samples, printer)) => Some(report),
        interrupt = interrupted() => { stopped(interrupt)?; None }
    };
    if measured.is_none() {
        printer.aside("Stopping. What was made is being removed.");
    }
    let closed = rig.close().await;
    let exit = match measured {
        Some((report, exit)) => {
            printer.reply(&report, |ink| show::bench::report(&report, ink))?;
            exit
        }
        None => Exit::Interrupted,
    };
    closed.context("not everything that was made could be removed")?;
    Ok(exit)
}

/// One row after the other. One that fails is a gap and no success; the others are measured all the same. A bar that is
/// missed is a number like any other.
async fn measure(rig: &Rig, rows: &[Measured], samples: u32, printer: Printer) -> (BenchReport, Exit) {
    let mut exit = Exit::Done;
    let mut report = BenchReport { machine: rig.machine(), rows: Vec::new(), not_measured: Vec::new() };
    for &row in rows {
        printer.aside(&format!("Measuring {}.", row.name()));
        match Box::pin(one(rig, row, samples)).await {
            Ok(measured) => report.rows.extend(measured),
            Err(error) => {
                exit = Exit::Failed;
                let why = format!("{error:#}");
                let why = format!("{}.", why.trim_end_matches('.'));
                show::warn(&format!("{} was not measured: {why}", row.name()));
                report.not_measured.push(BenchGap { what: row.name().to_owned(), why });
            }
        }
    }
    if !rows.contains(&Measured::Ui) {
        let (what, why) = WINDOW_ROWS;
        report.not_measured.push(BenchGap { what: what.to_owned(), why: why.to_owned() });
    }
    (report, exit)
}

async fn one(rig: &Rig, row: Measured, samples: u32) -> anyhow::Result<Vec<BenchRow>> {
    let rows = match row {
        Measured::Warm => bench::warm(rig, samples).await,
        Measured::Fresh => bench::fresh(rig, samples).await,
        Measured::Bulk => bench::bulk(rig, samples).await,
        Measured::Keystroke => return keystroke::keystroke(rig, samples).await,
        Measured::Ports => bench::ports(rig, samples).await,
        Measured::Results => bench::results(rig, samples).await,
        Measured::Gateway => bench::gateway(rig, samples).await,
        Measured::Past => bench::past(rig, samples).await,
        Measured::Idle => bench::idle(rig, samples).await,
        Measured::Images => bench::images(rig).await,
        Measured::Ui => return ui::ui(samples).await,
    };
    Ok(rows?)
}

fn stopped(interrupt: io::Result<()>) -> anyhow::Result<Exit> {
    interrupt.context("signals cannot be heard")?;
    Ok(Exit::Interrupted)
}

/// A person reads the app's own words where it has some.
fn explained(error: BenchError) -> anyhow::Error {
    if let BenchError::App(error) = &error {
        return error.view().into();
    }
    if let BenchError::Call(view) = &error {
        return view.clone().into();
    }
    error.into()
}
