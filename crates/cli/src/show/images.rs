//! Images and their builds in words.

use wire::image::{BuildEnd, BuildOutcome, BuildStepState, BuildStepView, BuildView, ImageState, ImageView, SmokeView};

use super::{
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::{duration, line, size},
};

/// Characters of the bar of a build.
const BAR: usize = 20;

/// One line an image.
pub(crate) fn images(images: &[ImageView], ink: Ink) -> String {
    let mut table = Table::new(["IMAGE", "VERSION", "STATE", "SIZE", "NEEDS", "TRIED", "WHAT IT IS"]);
    for image in images {
        let (state, tone) = state(&image.state);
        let (tried, tried_tone) = tried(image.smoke.as_ref());
        table.row([
            Cell::toned(Tone::Strong, &image.name),
            Cell::plain(&image.version),
            Cell::toned(tone, &state),
            Cell::plain(&size_of(&image.state)),
            Cell::plain(&needs(image)),
            Cell::toned(tried_tone, &tried),
            Cell::toned(Tone::Faint, &image.title),
        ]);
    }
    table.lay_out(ink)
}

fn state(state: &ImageState) -> (String, Tone) {
    match state {
        ImageState::Unknown => ("unknown".to_owned(), Tone::Faint),
        ImageState::NotBuilt => ("not built".to_owned(), Tone::Faint),
        ImageState::Outdated { version, .. } => (format!("outdated, {version}"), Tone::Attention),
        ImageState::Building { number, of, .. } => (format!("building, {number} of {of}"), Tone::Busy),
        ImageState::Ready { .. } => ("ready".to_owned(), Tone::Good),
        ImageState::Failed { error } => (format!("failed: {}", error.message), Tone::Bad),
    }
}

fn size_of(state: &ImageState) -> String {
    match state {
        ImageState::Ready { size_bytes, .. } | ImageState::Outdated { size_bytes, .. } => size(*size_bytes),
        ImageState::Unknown | ImageState::NotBuilt | ImageState::Building { .. } | ImageState::Failed { .. } => {
            "-".to_owned()
        }
    }
}

/// Whose key it needs.
fn needs(image: &ImageView) -> String {
    let names: Vec<_> = image.providers.iter().map(|provider| provider.name()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(" or ") }
}

fn tried(smoke: Option<&SmokeView>) -> (String, Tone) {
    match smoke {
        None => ("-".to_owned(), Tone::Faint),
        Some(smoke) if smoke.passed => (format!("{} ok", smoke.tried), Tone::Good),
        Some(smoke) => (format!("{} of {} failed", smoke.failed.len(), smoke.tried), Tone::Bad),
    }
}

/// What of a smoke test did not work, a line each.
pub(crate) fn failed(smoke: &SmokeView) -> String {
    let lines: Vec<_> = smoke.failed.iter().map(|failed| format!("FAILED {}", line(failed))).collect();
    lines.join("\n")
}

/// How a build goes, in one line of at most so many columns.
pub(crate) fn progress(view: &BuildView, columns: usize) -> String {
    let of = view.steps.len();
    let over = view.steps.iter().filter(|step| step.state == BuildStepState::Done).count();
    let filled = (over * BAR).checked_div(of).unwrap_or_default();
    let bar = format!("{}{}", "#".repeat(filled), "-".repeat(BAR - filled));
    let running = view.steps.iter().position(|step| step.state == BuildStepState::Running);
    let text = match running {
        Some(index) => format!("{}/{of} {}", index + 1, view.steps[index].text),
        None => "waits".to_owned(),
    };
    let (done, total) =
        view.layers.iter().fold((0, 0), |(done, total), layer| (done + layer.done_bytes, total + layer.total_bytes));
    let fetched = if total > 0 { format!(" ({} of {})", size(done), size(total)) } else { String::new() };
    fitted(&format!("{} [{bar}]{fetched} {}", line(&view.image), line(&text)), columns)
}

fn fitted(text: &str, columns: usize) -> String {
    use unicode_width::UnicodeWidthChar as _;
    let mut width = 0;
    let fits = |character: &char| {
        width += character.width().unwrap_or_default();
        width <= columns
    };
    text.chars().take_while(fits).collect()
}

/// The steps that are over and were not said yet, a line each. Those before must have been said.
pub(crate) fn steps_over(name: &str, view: &BuildView, said: usize) -> Vec<String> {
    let of = view.steps.len();
    let is_over = |step: &&BuildStepView| matches!(step.state, BuildStepState::Done | BuildStepState::Failed);
    let words = |(index, step): (usize, &BuildStepView)| {
        let how = match (step.state, step.is_cached, step.took_ms) {
            (BuildStepState::Failed, ..) => ", failed".to_owned(),
            (_, true, _) => ", done before".to_owned(),
            (_, false, Some(took_ms)) => format!(", {}", duration(took_ms / 1000)),
            (_, false, None) => String::new(),
        };
        format!("{name} {}/{of} {}{how}", index + 1, line(&step.text))
    };
    view.steps.iter().take_while(is_over).enumerate().skip(said).map(words).collect()
}

/// The lines of a log, `from` being the one that was asked for.
pub(crate) fn log(view: &BuildView, from: u64) -> String {
    let mut text = String::new();
    if view.from_line > from && from < view.lines {
        put!(text, "… {} lines are not kept …", view.from_line - from);
    }
    for entry in &view.log {
        put!(text, "{}", line(&entry.text));
    }
    text
}

/// How a build went.
pub(crate) fn outcome(view: &BuildView) -> String {
    let Some(BuildEnd { at, outcome }) = &view.ended else { return "It goes on.".to_owned() };
    let took = u64::try_from(at.duration_since(view.began_at).as_secs()).unwrap_or_default();
    let took = duration(took);
    match outcome {
        BuildOutcome::Built { size_bytes } => format!("Built in {took}, {}.", size(*size_bytes)),
        BuildOutcome::Failed { error } => format!("Failed after {took}: {}", line(&error.message)),
        BuildOutcome::Cancelled => format!("Cancelled after {took}."),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use wire::image::LayerView;

    use super::*;

    fn build(states: &[BuildStepState]) -> BuildView {
        let step = |state: &BuildStepState| BuildStepView {
            text: "RUN \u{1b}make".to_owned(),
            state: *state,
            began_at: None,
            took_ms: (*state == BuildStepState::Done).then_some(61_000),
            is_cached: false,
        };
        BuildView {
            image: "script".to_owned(),
            version: "1".to_owned(),
            began_at: Timestamp::UNIX_EPOCH,
            ended: None,
            last_took_ms: None,
            steps: states.iter().map(step).collect(),
            layers: Vec::new(),
            log: Vec::new(),
            from_line: 0,
            lines: 0,
        }
    }

    #[test]
    fn progress_is_one_line_that_fits() {
        let (done, running, waiting) = (BuildStepState::Done, BuildStepState::Running, BuildStepState::Waiting);
        let mut view = build(&[done, running, waiting, waiting]);
        let (done_bytes, total_bytes) = (1 << 20, 4 << 20);
        view.layers = vec![LayerView { id: "1".into(), status: "Downloading".into(), done_bytes, total_bytes }];
        let line = progress(&view, 200);
        assert!(line.starts_with("script [#####---------------] (1.0 MiB of 4.0 MiB) 2/4 RUN "), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
        assert_eq!(progress(&view, 10), "script [##");
        assert_eq!(progress(&build(&[]), 200), "script [--------------------] waits");
    }

    #[test]
    fn each_step_is_said_once_it_is_over() {
        let (done, running, failed) = (BuildStepState::Done, BuildStepState::Running, BuildStepState::Failed);
        assert_eq!(steps_over("script", &build(&[done, running, done]), 0).len(), 1);
        let lines = steps_over("script", &build(&[done, done, failed]), 1);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("script 2/3 RUN ") && lines[0].ends_with(", 1 min"), "{lines:?}");
        assert!(lines[1].ends_with(", failed"), "{lines:?}");
    }
}
