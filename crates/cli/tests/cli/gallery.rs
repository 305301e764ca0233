//! The images of the script, and a build.

use jiff::Timestamp;
use wire::{
    ErrorCode, ErrorView,
    image::{
        BuildEnd, BuildOutcome, BuildStepState, BuildStepView, BuildView, ImageAbilities, ImageOrigin, ImageState,
        ImageView, LogLineView, SmokeView,
    },
    secret::Provider,
};

/// When everything happens.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

/// The images: one of each state.
pub(super) fn all() -> Vec<ImageView> {
    let image = |name: &str, state| ImageView {
        name: name.to_owned(),
        call_sign: "SC".to_owned(),
        title: "Runs fenced blocks".to_owned(),
        description: "No model, no key.".to_owned(),
        version: "1".to_owned(),
        origin: ImageOrigin::Gallery,
        base: "debian:bookworm-slim".to_owned(),
        providers: Vec::new(),
        hosts: Vec::new(),
        can: ImageAbilities::default(),
        weaker: Vec::new(),
        agents: 1,
        state,
        smoke: None,
        actions: Vec::new(),
    };
    let failed = SmokeView { passed: false, tried: 12, failed: vec!["node: not found\u{1b}[2J".to_owned()], at: at(0) };
    vec![
        ImageView {
            smoke: Some(SmokeView { passed: true, tried: 9, failed: Vec::new(), at: at(0) }),
            ..image("script", ImageState::Ready { size_bytes: 250 << 20, built_at: Some(at(0)) })
        },
        ImageView {
            providers: vec![Provider::Anthropic, Provider::Openai],
            smoke: Some(failed),
            ..image("agent", ImageState::Outdated { version: "1.2.3".to_owned(), size_bytes: 300 << 20 })
        },
        image("toolbox", ImageState::Building { line: "apt".to_owned(), number: 3, of: 7, began_at: Some(at(0)) }),
        image("browser", ImageState::NotBuilt),
        image("codex", ImageState::Failed { error: ErrorView::new(ErrorCode::EngineFailed, "No space left.") }),
    ]
}

/// What comes of a build: one fails.
pub(super) fn built(name: &str) -> Result<ImageView, ErrorView> {
    match all().into_iter().find(|image| image.name == name) {
        Some(ImageView { state: ImageState::Failed { error }, .. }) => Err(error),
        Some(_) => Ok(all().remove(0)),
        None => Err(ErrorView::new(ErrorCode::NotFound, format!("There is no image named `{name}`."))),
    }
}

/// A build of two instructions that failed, with a log of which three lines are kept in two pages.
pub(super) fn build(from_line: u64) -> BuildView {
    let step = |text: &str, state, took_ms, is_cached| BuildStepView {
        text: text.to_owned(),
        state,
        began_at: Some(at(0)),
        took_ms,
        is_cached,
    };
    let line = |text: &str| LogLineView { at: at(1), text: text.to_owned() };
    let (from, log) = if from_line < 2 {
        (0, vec![line("Step 1/2 : FROM a"), line("hello\u{1b}[2J")])
    } else {
        (90, vec![line("the last words")])
    };
    let error = ErrorView::new(ErrorCode::ImageMissing, "The image could not be built (step 2 of 2: RUN b).");
    BuildView {
        image: "script".to_owned(),
        version: "1".to_owned(),
        began_at: at(0),
        ended: Some(BuildEnd { at: at(75), outcome: BuildOutcome::Failed { error } }),
        last_took_ms: Some(60_000),
        steps: vec![
            step("FROM a", BuildStepState::Done, Some(5), true),
            step("RUN b", BuildStepState::Failed, Some(74_000), false),
        ],
        layers: Vec::new(),
        log,
        from_line: from,
        lines: 91,
    }
}
