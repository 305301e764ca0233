//! The doctor, making room, and how long things are kept. What would be done is always shown before it is asked for.

use std::io::{self, BufRead as _};

use wire::{
    call::Doctor,
    upkeep::{
        Finding, Mend, Mended, Outcome, PlanReclaim, Reclaim, Remedy, RetentionRules, SetRetention, ShowRetention,
        Sight,
    },
    view::Verdict,
};

use crate::{
    arguments::{self, Bound},
    connection::Connection,
    exit::Exit,
    show::{Format, Printer, gallery, upkeep},
};

/// What a person types to agree.
const YES: [&str; 2] = ["y", "yes"];

/// `berth doctor [--mend [--yes]]`
pub(super) async fn doctor(
    connection: &Connection,
    doctor: arguments::Doctor,
    printer: Printer,
) -> anyhow::Result<Exit> {
    let report = connection.call(Doctor {}).await?;
    let mendable: Vec<_> = report.findings.iter().filter(|finding| finding.remedy != Remedy::Leave).collect();
    // A script that mends gets one object: what was done.
    if !(doctor.yes && printer.format == Format::Json) {
        printer.reply(&report, |ink| gallery::doctor(&report, ink))?;
    }
    let is_ill = report.checks.iter().any(|check| check.verdict == Verdict::Bad);
    let looked = if is_ill { Exit::Failed } else { Exit::Done };
    if !doctor.mend || (mendable.is_empty() && printer.format == Format::Words) {
        return Ok(looked);
    }
    if !agreed(printer, doctor.yes, &format!("Do this with {}?", things(mendable.len()))) {
        return Ok(Exit::Failed);
    }
    let keys = mendable.iter().map(|finding| finding.key.clone()).collect();
    let mended = connection.call(Mend { keys }).await?;
    printer.reply(&mended, |ink| upkeep::mended(&mended, ink))?;
    Ok(exit_of(&mended))
}

/// `berth reclaim [--caches|--kept] [--older-than AGE] [--unseen NUMBER…] [--yes]`
pub(super) async fn reclaim(
    connection: &Connection,
    reclaim: arguments::Reclaim,
    printer: Printer,
) -> anyhow::Result<Exit> {
    let mut plan = connection.call(PlanReclaim { older_than_s: reclaim.older_than }).await?;
    if reclaim.caches {
        plan.kept.clear();
    }
    if reclaim.kept {
        plan.caches.clear();
        plan.engine_error = None;
    }
    let is_named = |finding: &&Finding| {
        finding.run.as_ref().is_none_or(|run| run.sight == Sight::Seen || reclaim.unseen.contains(&run.number))
    };
    let all = || plan.caches.iter().chain(&plan.kept);
    let chosen: Vec<_> = all().filter(is_named).collect();
    if !(reclaim.yes && printer.format == Format::Json) {
        printer.reply(&plan, |ink| upkeep::plan(&plan, &reclaim.unseen, ink))?;
    }
    if chosen.is_empty() && printer.format == Format::Words {
        return Ok(Exit::Done);
    }
    if !agreed(printer, reclaim.yes, &format!("Delete {}?", things(chosen.len()))) {
        return Ok(if reclaim.yes { Exit::Failed } else { Exit::Done });
    }
    let keys = chosen.iter().map(|finding| finding.key.clone()).collect();
    let unseen = chosen.iter().filter_map(|finding| finding.run.as_ref());
    let unseen = unseen.filter(|run| run.sight == Sight::Unseen).map(|run| run.run).collect();
    let mended = connection.call(Reclaim { keys, unseen }).await?;
    printer.reply(&mended, |ink| upkeep::mended(&mended, ink))?;
    Ok(exit_of(&mended))
}

/// `berth retention [--age AGE] [--size SIZE] [--runs NUMBER]`
pub(super) async fn retention(
    connection: &Connection,
    change: arguments::Retention,
    printer: Printer,
) -> anyhow::Result<Exit> {
    let mut view = connection.call(ShowRetention {}).await?;
    let arguments::Retention { age, size, runs } = change;
    if age.is_some() || size.is_some() || runs.is_some() {
        let bound = |bound: Option<Bound>, before| match bound {
            None => before,
            Some(Bound::Off) => None,
            Some(Bound::At(number)) => Some(number),
        };
        let rules = RetentionRules {
            age_s: bound(age, view.rules.age_s),
            total_bytes: bound(size, view.rules.total_bytes),
            runs: bound(runs, view.rules.runs),
        };
        view = connection.call(SetRetention { rules }).await?;
    }
    printer.reply(&view, |ink| upkeep::retention(&view, ink))?;
    Ok(Exit::Done)
}

/// Whether it shall be done: said beforehand, or typed now. Without either nothing is done.
fn agreed(printer: Printer, is_said: bool, question: &str) -> bool {
    if is_said {
        return true;
    }
    if printer.format == Format::Json {
        return false;
    }
    printer.aside(&format!("{question} Type `yes` to go on."));
    let mut typed = String::new();
    let is_typed =
        io::stdin().lock().read_line(&mut typed).is_ok() && YES.contains(&typed.trim().to_lowercase().as_str());
    if !is_typed {
        printer.aside("Nothing was done.");
    }
    is_typed
}

fn things(count: usize) -> String {
    if count == 1 { "1 thing".to_owned() } else { format!("{count} things") }
}

fn exit_of(mended: &[Mended]) -> Exit {
    if mended.iter().any(|mended| mended.outcome == Outcome::Failed) { Exit::Failed } else { Exit::Done }
}
