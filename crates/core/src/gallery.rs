//! The Gallery: the images that Berth brings and those of a person's own, how each stands on the engine, and what is done with them.

mod jobs;
mod list;
mod own;
mod smoke;
mod source;
mod tools;
mod words;

use std::sync::Arc;

use engine::{EngineError, Image, ImageRef};
use tracing::info;
use wire::{
    ErrorCode, ErrorView,
    call::{BuildImage, CancelBuild, Deleted, RemoveImage, ShowBuild, SmokeImage},
    image::{BuildView, ImageView},
    stream::Update,
};

use crate::engine_link::Up;
use crate::house::House;
use crate::images::{self, Freshness, catalogue::find, needs::Needs};
use crate::{dispatch, escape, faults};

pub(crate) use self::jobs::Builds;
pub(crate) use self::list::list;
pub(crate) use self::own::add;
use self::source::Source;
pub(crate) use self::tools::{reclaim_tools, with_tools};
use self::words::{of_build, of_resolve};

/// Two letters for an image: its own, or the first two of an own image's name.
pub(crate) fn call_sign(image: &str) -> String {
    if let Some(image) = find(image) {
        return image.call_sign().to_owned();
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

/// An image that an agent names: built, or fetched, where the engine does not have it.
///
/// # Cancel safety
/// Dropping the future ends a build that nobody else waits for.
pub(crate) async fn resolve(house: &Arc<House>, up: &Arc<Up>, name: &str) -> Result<Image, ResolveError> {
    let source = named(house, name).await.map_err(ResolveError::Unusable)?;
    let reference = jobs::ensure(house, up, &source, Freshness::Cached).await.map_err(|error| of_resolve(&error))?;
    let found = up.engine.image(&reference).await.map_err(ResolveError::Engine)?;
    found.ok_or_else(|| {
        let message = format!("The image `{}` vanished as soon as it was there.", escape::visible(name.as_bytes()));
        ResolveError::Unusable(ErrorView::new(ErrorCode::ImageMissing, message).hint("Retry the task."))
    })
}

/// What an agent, or a person, means by a name: an image of the Gallery, one of a person's own, or a reference as it is.
async fn named(house: &House, name: &str) -> Result<Source, ErrorView> {
    if let Some(source) = Source::of(house, name).await.map_err(|error| dispatch::of_store(&error))? {
        return Ok(source);
    }
    match ImageRef::parse(name) {
        Ok(reference) => Ok(Source::Reference { name: name.to_owned(), reference }),
        Err(_) => Err(ErrorView::new(
            ErrorCode::ImageMissing,
            format!("{:?} is not the name of an image.", escape::visible(name.as_bytes())),
        )
        .hint(
            "Give the agent an image of the Gallery (`berth images`) or a reference such as `debian:bookworm-slim`.",
        )),
    }
}

/// The image of the list that a person names.
async fn listed(house: &House, name: &str) -> Result<Source, ErrorView> {
    let not_found = || {
        let shown = escape::visible(name.as_bytes());
        ErrorView::new(ErrorCode::NotFound, format!("There is no image named `{shown}`."))
            .hint("`berth images` lists those there are; `berth images add` adds one of your own.")
    };
    let source = named(house, name).await.map_err(|_| not_found())?;
    let is_listed = match &source {
        Source::Image(_) | Source::Folder { .. } => true,
        Source::Tools(_) => false,
        // One without a name is there while an agent runs in it.
        Source::Reference { .. } => {
            let own = house.store.own_image(name).await.map_err(|error| dispatch::of_store(&error))?;
            own.is_some() || !agents_in(house, name).await?.is_empty()
        }
    };
    if is_listed { Ok(source) } else { Err(not_found()) }
}

/// The names of the agents that run in an image.
async fn agents_in(house: &House, image: &str) -> Result<Vec<String>, ErrorView> {
    let agents = house.store.agents().await.map_err(|error| dispatch::of_store(&error))?;
    Ok(agents.into_iter().filter(|agent| agent.image == image).map(|agent| agent.name).collect())
}

/// Builds or fetches an image; returns when it is there. Goes on where whoever asked has gone: a person ends a build by [`cancel`].
pub(crate) async fn build(house: &Arc<House>, call: &BuildImage) -> Result<ImageView, ErrorView> {
    let source = listed(house, &call.name).await?;
    house.link.looked_for().await;
    let up = house.link.up()?;
    let freshness = if call.is_fresh { Freshness::Fresh } else { Freshness::Cached };
    tokio::select! {
        () = house.stop.cancelled() => return Err(jobs::app_ends()),
        built = jobs::ensure(house, &up, &source, freshness) => built.map_err(|error| of_build(&error))?,
    };
    list::view(house, &source).await
}

/// A build as it goes on, or the last one.
pub(crate) async fn show(house: &House, call: &ShowBuild) -> Result<BuildView, ErrorView> {
    // Those of tools are in no list; whoever was told of one knows its name.
    let name = if images::tools::is_name(&call.name) {
        call.name.clone()
    } else {
        listed(house, &call.name).await?.name().to_owned()
    };
    if let Some(job) = house.builds.job(&name) {
        // The one before says how long a good one takes.
        return Ok(job.record.look(|record| record.page(call.from_line)));
    }
    match jobs::over(house, &name).await {
        Some(record) => Ok(record.page(call.from_line)),
        None => Err(ErrorView::new(ErrorCode::NotFound, format!("This Berth has not built `{name}` yet."))
            .hint(format!("`berth images build {name}` builds it."))),
    }
}

/// Ends a build, and those of other images that wait for it.
pub(crate) async fn cancel(house: &Arc<House>, call: &CancelBuild) -> Result<ImageView, ErrorView> {
    let source = listed(house, &call.name).await?;
    if !jobs::cancel(house, source.name()).await {
        return Err(ErrorView::new(ErrorCode::NotNow, format!("`{}` is not being built.", source.name()))
            .hint("`berth images` says how each image stands."));
    }
    list::view(house, &source).await
}

/// Tries an image again.
pub(crate) async fn smoke(house: &Arc<House>, call: &SmokeImage) -> Result<ImageView, ErrorView> {
    let source = listed(house, &call.name).await?;
    house.link.looked_for().await;
    let up = house.link.up()?;
    let image = present(house, &up, &source).await?;
    let tried = tokio::select! {
        () = house.stop.cancelled() => return Err(jobs::app_ends()),
        tried = smoke::run(house, &up, &image, Needs::of(source.name())) => tried,
    };
    match tried {
        Ok(Some(view)) => smoke::note(house, source.name(), &image, &view).await,
        Ok(None) => {
            return Err(ErrorView::new(
                ErrorCode::NotNow,
                format!(
                    "`{}` brings no test of its own; that its sandbox starts was tried, and it does.",
                    source.name()
                ),
            )
            .hint("An image is tried by its program `/usr/local/share/berth/smoke`."));
        }
        Err(smoke::SmokeError::Engine(error)) => return Err(faults::of_engine(&error)),
        Err(smoke::SmokeError::Unusable(why)) => {
            return Err(ErrorView::new(
                ErrorCode::ImageUnusable,
                format!("`{}` could not be tried: {why}.", source.name()),
            )
            .hint("Build it again; `berth doctor` looks at the engine."));
        }
    }
    house.tell(Update::Images);
    list::view(house, &source).await
}

/// The current build of an image on the engine.
async fn present(house: &Arc<House>, up: &Up, source: &Source) -> Result<Image, ErrorView> {
    let folder = |error: images::folder::FolderError| {
        of_build(&images::ImageError::Folder { name: source.name().to_owned(), source: error })
    };
    let (reference, _) = source.current(house).await.map_err(folder)?;
    let found = up.engine.image(&reference).await.map_err(|error| faults::of_engine(&error))?;
    found.ok_or_else(|| {
        ErrorView::new(ErrorCode::NotNow, format!("`{}` is not there as it would be built now.", source.name()))
            .hint(format!("`berth images build {}` builds it.", source.name()))
    })
}

/// Takes an image off the engine; one of a person's own goes from the list, too. What Berth did not make stays on the engine.
pub(crate) async fn remove(house: &Arc<House>, call: &RemoveImage) -> Result<Deleted, ErrorView> {
    let source = listed(house, &call.name).await?;
    let name = source.name().to_owned();
    let not_now = |message: String, hint: &str| Err(ErrorView::new(ErrorCode::NotNow, message).hint(hint));
    if house.builds.is_building(&name) {
        return not_now(format!("`{name}` is being built."), "Cancel the build, or wait for its end.");
    }
    let is_own = !matches!(source, Source::Image(_));
    let agents = agents_in(house, &name).await?;
    if is_own && !agents.is_empty() {
        return not_now(
            format!("The agent `{}` runs in `{name}`.", agents[0]),
            "Give the agent another image, or delete it.",
        );
    }
    if !matches!(source, Source::Reference { .. }) {
        house.link.looked_for().await;
        let up = house.link.up()?;
        let built = house.images.built(up.engine.as_ref(), &name).await.map_err(|error| faults::of_engine(&error))?;
        for image in built {
            images::remove(up.engine.as_ref(), &image).await.map_err(|error| {
                if error.kind() == engine::ErrorKind::Conflict {
                    ErrorView::new(ErrorCode::NotNow, format!("A sandbox still uses `{name}`."))
                        .hint("Try again once no task runs in it.")
                } else {
                    faults::of_engine(&error)
                }
            })?;
            info!(image = %image.id, "removed an image");
        }
    }
    if is_own {
        house.store.remove_image(&name).await.map_err(|error| dispatch::of_store(&error))?;
        jobs::forget(house, &name).await;
    }
    house.tell(Update::Images);
    Ok(Deleted {})
}

/// What an image that this installation made is called now.
pub(crate) enum Current {
    /// There is no such image any more.
    None,
    /// Nobody can say: what it is made of cannot be read.
    Unknown,
    /// This.
    Reference(ImageRef),
}

/// What an image that this installation made is called now, by the name in its label.
pub(crate) async fn current(house: &Arc<House>, name: &str) -> Current {
    if images::tools::is_name(name) {
        return tools::current(house, name).await;
    }
    match Source::of(house, name).await {
        Ok(None) => Current::None,
        Ok(Some(source)) => match source.current(house).await {
            Ok((reference, _)) => Current::Reference(reference),
            Err(_) => Current::Unknown,
        },
        Err(_) => Current::Unknown,
    }
}
