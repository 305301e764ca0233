//! What lies around, what could go, what went, and how long things are kept.

use wire::upkeep::{Finding, Mended, OtherInstall, Outcome, ReclaimPlan, Remedy, RetentionView, Sight};

use super::{
    ink::{Ink, Tone},
    words::{duration, line, size},
};

/// A finding in three lines: what it is, why it is there, what would be done.
fn finding(text: &mut String, finding: &Finding, ink: Ink) {
    let size = finding.size_bytes.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
    put!(text, "  {} {}{size}", ink.paint(Tone::Strong, finding.thing.word()), line(&finding.name));
    put!(text, "     {}", line(&finding.why));
    let (mark, tone) = match finding.remedy {
        Remedy::Remove | Remedy::WriteDown => ("would:", Tone::Attention),
        Remedy::Leave => ("stays:", Tone::Faint),
    };
    put!(text, "     {} {}", ink.paint(tone, mark), line(&finding.then));
}

/// What the doctor found lying around.
pub(crate) fn findings(text: &mut String, findings: &[Finding], others: &[OtherInstall], ink: Ink) {
    if !findings.is_empty() {
        put!(text, "\nLeftovers");
        for one in findings {
            finding(text, one, ink);
        }
    }
    if !others.is_empty() {
        put!(text, "\nOther Berths on this engine");
        for OtherInstall { install, running, containers, volumes, networks, images } in others {
            put!(
                text,
                "  {}  {containers} containers ({running} running), {volumes} volumes, {networks} networks, {images} images",
                line(install)
            );
        }
    }
}

/// What could go, in two stages.
pub(crate) fn plan(plan: &ReclaimPlan, named: &[i64], ink: Ink) -> String {
    let mut text = String::new();
    if let Some(error) = &plan.engine_error {
        put!(text, "Caches are not known: {}", line(&error.message));
    }
    stage(&mut text, "Caches: what Berth can make again", plan.caches.iter(), ink);
    let is_named = |finding: &&Finding| {
        finding.run.as_ref().is_none_or(|run| run.sight == Sight::Seen || named.contains(&run.number))
    };
    stage(&mut text, "Kept of runs: what they printed and left", plan.kept.iter().filter(is_named), ink);
    let unseen: Vec<_> = plan.kept.iter().filter(|finding| !is_named(finding)).collect();
    if !unseen.is_empty() {
        let stays = |finding: &&Finding| Finding {
            remedy: Remedy::Leave,
            then: "It is kept until somebody looks at it, or names it.".to_owned(),
            ..(*finding).clone()
        };
        let shown: Vec<_> = unseen.iter().map(stays).collect();
        stage(&mut text, "Stays: nobody has looked at it since it ended", shown.iter(), ink);
        let numbers: Vec<_> =
            unseen.iter().filter_map(|finding| Some(finding.run.as_ref()?.number.to_string())).collect();
        put!(text, "To delete these too, name them: berth reclaim --unseen {}", numbers.join(" --unseen "));
    }
    if text.is_empty() {
        put!(text, "There is nothing to make room with.");
    }
    text
}

fn stage<'a>(text: &mut String, title: &str, findings: impl Iterator<Item = &'a Finding>, ink: Ink) {
    let findings: Vec<_> = findings.collect();
    if findings.is_empty() {
        return;
    }
    let bytes: u64 = findings.iter().filter_map(|finding| finding.size_bytes).sum();
    put!(text, "{} ({}, {})", ink.paint(Tone::Strong, title), findings.len(), size(bytes));
    for one in findings {
        finding(text, one, ink);
    }
}

/// What became of each.
pub(crate) fn mended(mended: &[Mended], ink: Ink) -> String {
    let mut text = String::new();
    for Mended { key, outcome, words, .. } in mended {
        let (word, tone) = match outcome {
            Outcome::Done => ("done", Tone::Good),
            Outcome::Moot => ("gone", Tone::Faint),
            Outcome::Stays => ("kept", Tone::Attention),
            Outcome::Failed => ("fail", Tone::Bad),
        };
        put!(text, "{} {}: {}", ink.paint(tone, word), line(key), line(words));
    }
    let freed: u64 = mended.iter().map(|mended| mended.freed_bytes).sum();
    if freed > 0 {
        put!(text, "{} are free now.", size(freed));
    }
    text
}

/// How long things are kept.
pub(crate) fn retention(view: &RetentionView, ink: Ink) -> String {
    let mut text = String::new();
    let off = || "no bound".to_owned();
    let RetentionView { rules, runs, size_bytes, unseen_over, unseen_over_bytes } = view;
    put!(text, "Kept of ended runs: {} in {runs} runs", size(*size_bytes));
    put!(text, "  age   {}", rules.age_s.map_or_else(off, duration));
    put!(text, "  size  {}", rules.total_bytes.map_or_else(off, size));
    put!(text, "  runs  {}", rules.runs.map_or_else(off, |runs| runs.to_string()));
    if *unseen_over > 0 {
        let words =
            format!("{unseen_over} runs over a bound ({}) stay: nobody has looked at them.", size(*unseen_over_bytes));
        put!(text, "{} `berth reclaim` lists them.", ink.paint(Tone::Attention, &words));
    }
    text
}
