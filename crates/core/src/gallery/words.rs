//! Why there is no image, for a person: what happened, what it means, what to press next.

use engine::{EngineError, ErrorKind};
use wire::{ErrorCode, ErrorView};

use super::ResolveError;
use crate::images::ImageError;
use crate::{escape, faults};

/// Longest line of what is said of a failed build, in characters.
const LINE_CHARS_MAX: usize = 300;

/// What it says of a build that failed.
pub(super) fn of_build(error: &ImageError) -> ErrorView {
    let view = |code, hint: &str| ErrorView::new(code, sentence(error)).hint(hint).detail(detail_of(error));
    match error {
        ImageError::BaseMissing { base, .. } => {
            view(ErrorCode::ImageMissing, &format!("Get `{base}` onto the engine, then build it again or retry the task."))
        }
        ImageError::Fetch { reference, .. } => view(
            ErrorCode::ImageMissing,
            &format!("Look at its name, and whether `docker pull {reference}` fetches it: a private registry needs `docker login` first. Then try again."),
        ),
        ImageError::Base { source, .. } => {
            let inner = of_build(source);
            ErrorView::new(ErrorCode::ImageMissing, format!("{} {}", sentence(error), inner.message))
                .hint(inner.hint)
                .detail(inner.detail)
        }
        ImageError::Folder { .. } => view(ErrorCode::ImageMissing, "Mend the folder, then build it again or retry the task."),
        ImageError::Build { .. } | ImageError::TooSlow { .. } => view(
            ErrorCode::ImageMissing,
            "The end of the build's log says why. An inspecting proxy needs its certificate in `BERTH_EXTRA_CERTIFICATES`. Then build it again or retry the task.",
        ),
        ImageError::Smoke { failed, .. } => ErrorView::new(ErrorCode::ImageUnusable, sentence(error))
            .hint("The build that was there before stays in use where there is one. Mend the image, or build it from the first step on, then retry the task.")
            .detail(failed.join("\n")),
        ImageError::Untried { .. } => view(ErrorCode::ImageUnusable, "Build it again. If it fails so again, `berth doctor` looks at the engine."),
        ImageError::Cancelled { .. } => ErrorView::new(ErrorCode::ImageMissing, sentence(error))
            .hint("Retry the task, and the image is built anew; or build it in the Gallery first."),
        ImageError::Engine { source, .. } => faults::of_engine(source),
    }
}

/// Whether what failed may pass: then a step holds, and its build is begun again.
pub(super) fn of_resolve(error: &ImageError) -> ResolveError {
    match lost(error) {
        Some(source) => ResolveError::Engine(EngineError::new(source.kind(), source.doing(), source.detail())),
        None => ResolveError::Unusable(of_build(error)),
    }
}

/// The engine's own failure behind it.
fn lost(error: &ImageError) -> Option<&EngineError> {
    match error {
        ImageError::Engine { source, .. } => Some(source),
        ImageError::BaseMissing { source, .. }
        | ImageError::Fetch { source, .. }
        | ImageError::Build { source, .. } => (source.kind() == ErrorKind::Unreachable).then_some(&**source),
        ImageError::Base { source, .. } => lost(source),
        ImageError::Folder { .. }
        | ImageError::Smoke { .. }
        | ImageError::Untried { .. }
        | ImageError::TooSlow { .. }
        | ImageError::Cancelled { .. } => None,
    }
}

/// A message as a sentence.
fn sentence(error: &ImageError) -> String {
    let mut text = escape::visible(error.to_string().as_bytes());
    if let Some(first) = text.get(..1) {
        text = first.to_uppercase() + &text[1..];
    }
    format!("{text}.")
}

/// What the engine said of a build, and with it the last lines of the instruction that failed, each made safe to show.
pub(super) fn detail_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut lines = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let plain = strip_ansi_escapes::strip(error.to_string());
        lines.extend(String::from_utf8_lossy(&plain).lines().map(|line| shortened(&escape::visible(line.as_bytes()))));
        next = error.source();
    }
    lines.join("\n")
}

/// A line without its middle, where it is long: an engine repeats the whole instruction before it says what came of it.
fn shortened(line: &str) -> String {
    let length = line.chars().count();
    if length <= LINE_CHARS_MAX {
        return line.to_owned();
    }
    let (first, last) = (LINE_CHARS_MAX * 2 / 3, LINE_CHARS_MAX / 3);
    let beginning: String = line.chars().take(first).collect();
    let end: String = line.chars().skip(length - last).collect();
    format!("{beginning} … {end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::BuildStep;

    #[test]
    fn a_failed_instruction_of_any_length_leaves_room_for_what_it_said() {
        let text = format!("RUN {}", "step-of-many && ".repeat(200));
        let said =
            format!("The command '{text}' returned a non-zero code: 1\n\u{1b}[91mcould not be reached\u{1b}[0m\n");
        let source = Box::new(EngineError::new(ErrorKind::Denied, "build image x", said));
        let view = of_build(&ImageError::Build {
            name: "x".to_owned(),
            step: Some(BuildStep { number: 5, of: 9, text }),
            source,
        });
        assert!(
            view.message.chars().count() < 160 && view.message.contains("step 5 of 9: RUN step-of-many"),
            "{}",
            view.message
        );
        let lines: Vec<_> = view.detail.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= LINE_CHARS_MAX + 3), "{lines:#?}");
        assert!(lines.iter().any(|line| line.ends_with("returned a non-zero code: 1")), "{lines:#?}");
        assert!(lines.contains(&"could not be reached"), "{lines:#?}");
    }
}
