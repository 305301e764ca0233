//! Why there is no image, for a person: what happened, what it means, what to press next.

use engine::{EngineError, ErrorKind};
use wire::{ErrorCode, ErrorView};

use super::ResolveError;
use crate::images::ImageError;
use crate::{escape, faults};

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
        | ImageError::Build { source, .. } => (source.kind() == ErrorKind::Unreachable).then_some(source),
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
        lines.extend(error.to_string().lines().map(|line| escape::visible(line.as_bytes())));
        next = error.source();
    }
    lines.join("\n")
}
