//! The Gallery: the images that Berth brings, how each stands on the engine, and their builds as they go on.

mod tools;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::{EngineError, ErrorKind, Image, ImageRef, Progress};
use tokio::sync::mpsc;
use wire::{
    ErrorCode, ErrorView,
    image::{ImageAbilities, ImageOrigin, ImageState, ImageView},
    stream::Update,
};

use crate::engine_link::Up;
use crate::house::House;
use crate::images::ImageError;
use crate::images::catalogue::{AgentImage, catalogue, find};
use crate::{escape, faults};

pub(crate) use tools::{reclaim_tools, with_tools};

/// Messages of a build that may wait to be shown.
const PROGRESS_MAX: usize = 64;

/// Builds under way, and how the last ones failed, by the image's short name.
#[derive(Default)]
pub(crate) struct Builds {
    // A std mutex: held for a map operation, never over an await.
    states: Mutex<HashMap<&'static str, ImageState>>,
}

impl Builds {
    fn set(&self, name: &'static str, state: Option<ImageState>) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        match state {
            Some(state) => states.insert(name, state),
            None => states.remove(name),
        };
    }

    fn get(&self, name: &str) -> Option<ImageState> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// Makes sure that an image of the Gallery is on the engine, and shows its build.
///
/// # Cancel safety
/// Dropping the future ends a build that runs; what was built of it is kept for the next one.
pub(crate) async fn ensure(house: &Arc<House>, up: &Up, image: &'static AgentImage) -> Result<ImageRef, ErrorView> {
    build(house, up, image).await.map_err(|error| of_build(&error))
}

async fn build(house: &Arc<House>, up: &Up, image: &'static AgentImage) -> Result<ImageRef, ImageError> {
    let (progress, mut messages) = mpsc::channel(PROGRESS_MAX);
    let showing = async {
        let (mut number, mut of) = (0, 0);
        while let Some(message) = messages.recv().await {
            let line = match message {
                Progress::Step { number: now, of: all, text } => {
                    (number, of) = (now, all);
                    text
                }
                Progress::Log(line) => line,
                Progress::Layer { status, .. } => status,
            };
            let line = line.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            let line = escape::visible(line.trim_end().as_bytes());
            house.builds.set(image.name, Some(ImageState::Building { line, number, of, began_at: None }));
            house.tell(Update::Images);
        }
    };
    let guard = Unfinished { house, image };
    let (built, ()) = tokio::join!(house.images.ensure(up.engine.as_ref(), image.name, progress), showing);
    drop(guard);
    built.inspect_err(|error| {
        house.builds.set(image.name, Some(ImageState::Failed { error: of_build(error) }));
        house.tell(Update::Images);
    })
}

/// Takes the state of a build away, however it ends.
struct Unfinished<'a> {
    house: &'a House,
    image: &'static AgentImage,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.house.builds.set(self.image.name, None);
        self.house.tell(Update::Images);
    }
}

/// Every image of the Gallery as it stands.
pub(crate) async fn list(house: &House) -> Vec<ImageView> {
    let up = house.link.up().ok();
    let mut views = Vec::new();
    for image in catalogue() {
        views.push(view(house, up.as_deref(), image).await);
    }
    views
}

/// One image of the Gallery as it stands.
pub(crate) async fn view(house: &House, up: Option<&Up>, image: &'static AgentImage) -> ImageView {
    let on_engine = match up {
        Some(up) => up.engine.image(&house.images.reference(image)).await.ok(),
        None => None,
    };
    let state = match (house.builds.get(image.name), on_engine) {
        (Some(state @ ImageState::Building { .. }), _) => state,
        (_, Some(Some(found))) => ImageState::Ready { size_bytes: found.size_bytes, built_at: None },
        (Some(state), _) => state,
        (None, Some(None)) => ImageState::NotBuilt,
        (None, None) => ImageState::Unknown,
    };
    ImageView {
        name: image.name.to_owned(),
        call_sign: image.call_sign.clone(),
        title: image.title.clone(),
        description: image.description.clone(),
        version: image.version.clone(),
        origin: ImageOrigin::Gallery,
        base: image.base.to_string(),
        providers: Vec::new(),
        hosts: Vec::new(),
        can: ImageAbilities::default(),
        weaker: Vec::new(),
        agents: 0,
        state,
        smoke: None,
        actions: Vec::new(),
    }
}

/// Two letters for an image: its own, or the first two of an own image's name.
pub(crate) fn call_sign(image: &str) -> String {
    if let Some(image) = find(image) {
        return image.call_sign.clone();
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).take(2).collect();
    if letters.is_empty() { "··".to_owned() } else { letters.to_ascii_uppercase() }
}

/// Why there is no image for an agent.
pub(crate) enum ResolveError {
    /// The engine could not be asked, which may pass.
    Engine(EngineError),
    /// There is none that could be used.
    Unusable(ErrorView),
}

impl From<ErrorView> for ResolveError {
    fn from(error: ErrorView) -> Self {
        Self::Unusable(error)
    }
}

/// An image that an agent names: built where it is of the Gallery, found where it is the person's own.
pub(crate) async fn resolve(house: &Arc<House>, up: &Up, name: &str) -> Result<Image, ResolveError> {
    let reference = match find(name) {
        Some(image) => build(house, up, image).await.map_err(|error| match error {
            ImageError::Engine { source, .. } => ResolveError::Engine(source),
            ImageError::Build { source, .. } | ImageError::BaseMissing { source, .. }
                if source.kind() == ErrorKind::Unreachable =>
            {
                ResolveError::Engine(source)
            }
            error @ (ImageError::Unknown { .. }
            | ImageError::BaseMissing { .. }
            | ImageError::Build { .. }
            | ImageError::TooSlow { .. }) => ResolveError::Unusable(of_build(&error)),
        })?,
        None => ImageRef::parse(name).map_err(|_| {
            ErrorView::new(ErrorCode::ImageMissing, format!("{:?} is not the name of an image.", escape::visible(name.as_bytes())))
                .hint("Give the agent an image of the Gallery (`berth images`) or a reference such as `debian:bookworm-slim`.")
        })?,
    };
    let found = up.engine.image(&reference).await.map_err(ResolveError::Engine)?;
    found.ok_or_else(|| {
        let error =
            ErrorView::new(ErrorCode::ImageMissing, format!("The engine does not have the image `{reference}`."));
        let hint =
            format!("Fetch it with `docker pull {reference}`, or give the agent another image; then retry the task.");
        ResolveError::Unusable(error.hint(hint))
    })
}

fn of_build(error: &ImageError) -> ErrorView {
    let message = |text: String| {
        let mut text = escape::visible(text.as_bytes());
        if let Some(first) = text.get(..1) {
            text = first.to_uppercase() + &text[1..];
        }
        format!("{text}.")
    };
    match error {
        ImageError::Unknown { .. } => ErrorView::new(ErrorCode::NotFound, message(error.to_string()))
            .hint("`berth images` lists those there are."),
        ImageError::BaseMissing { base, .. } => ErrorView::new(ErrorCode::ImageMissing, message(error.to_string()))
            .hint(format!("Get `{base}` onto the engine, then retry the task."))
            .detail(faults::chain(error)),
        ImageError::Build { .. } | ImageError::TooSlow { .. } => {
            ErrorView::new(ErrorCode::ImageMissing, message(error.to_string()))
                .hint("The end of the build's log says why. An inspecting proxy needs its certificate in `BERTH_EXTRA_CERTIFICATES`.")
                .detail(detail_of(error))
        }
        ImageError::Engine { source, .. } => faults::of_engine(source),
    }
}

/// What the engine said of a build, and with it the last lines of the instruction that failed, each made safe to show.
fn detail_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut lines = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        lines.extend(error.to_string().lines().map(|line| escape::visible(line.as_bytes())));
        next = error.source();
    }
    lines.join("\n")
}
