//! The image of an agent that has packages of its own on top of the one that it names: built like any other, tried like the one below, and in
//! no list.

use std::collections::HashMap;
use std::sync::Arc;

use engine::{EngineError, Image, ImageRef};
use wire::{ErrorCode, ErrorView, image::Tools};

use super::source::{Source, WithTools};
use super::words::of_resolve;
use super::{Current, ResolveError, jobs, named};
use crate::engine_link::Up;
use crate::house::House;
use crate::images::{Freshness, tools};
use crate::{dispatch, escape};

/// `base`, which `agent` calls `image`, with `tools` on top; itself where there are none.
///
/// # Cancel safety
/// Dropping the future ends a build that nobody else waits for.
pub(crate) async fn with_tools(
    house: &Arc<House>,
    up: &Arc<Up>,
    agent: &str,
    image: &str,
    base: Image,
    tools: &Tools,
) -> Result<Image, ResolveError> {
    if tools.is_empty() {
        return Ok(base);
    }
    let (name, reference) = house.images.called(&base, tools);
    let with = WithTools { name, reference, image: image.to_owned(), base, tools: tools.clone() };
    let source = Source::Tools(Arc::new(with));
    let built = jobs::ensure(house, up, &source, Freshness::Cached).await;
    let reference = built.map_err(|error| match of_resolve(&error) {
        ResolveError::Engine(error) => ResolveError::Engine(error),
        ResolveError::Unusable(view) => ResolveError::Unusable(of_agent(agent, source.name(), view)),
    })?;
    let found = up.engine.image(&reference).await.map_err(ResolveError::Engine)?;
    found.ok_or_else(|| {
        let message = format!("The image with the tools of `{agent}` vanished as soon as it was built.");
        ResolveError::Unusable(ErrorView::new(ErrorCode::ImageMissing, message).hint("Retry the task."))
    })
}

/// Why an agent's tools are not there, from why its image of tools is not.
fn of_agent(agent: &str, name: &str, view: ErrorView) -> ErrorView {
    let message = format!("The tools of the agent `{agent}` could not be put on top of its image. {}", view.message);
    ErrorView::new(view.code, message)
        .hint(format!(
            "The end of the build's log says why (`berth images log {name}`): a name that its registry does not have, no way to it, or something \
             that the image lacks. `berth agents edit` changes the tools. An inspecting proxy needs its certificate in `BERTH_EXTRA_CERTIFICATES`. Then retry the task.",
        ))
        .detail(view.detail)
}

/// The images of tools that agents name, by their names. What stands on a base that is not on the engine is named by nobody.
async fn wanted(house: &Arc<House>, up: &Up) -> Result<HashMap<String, ImageRef>, Unsure> {
    let mut wanted = HashMap::new();
    let agents = house.store.agents().await.map_err(|error| Unsure::Unread(dispatch::of_store(&error)))?;
    for agent in agents.iter().filter(|agent| !agent.kit.tools.is_empty()) {
        // A folder that cannot be read just now may be read again.
        let source = named(house, &agent.image).await.map_err(Unsure::Unread)?;
        let current = source.current(house).await;
        let (reference, _) = current.map_err(|error| {
            Unsure::Unread(ErrorView::new(ErrorCode::ImageMissing, escape::visible(error.to_string().as_bytes())))
        })?;
        if let Some(base) = up.engine.image(&reference).await.map_err(Unsure::Engine)? {
            let (name, reference) = house.images.called(&base, &agent.kit.tools);
            wanted.insert(name, reference);
        }
    }
    Ok(wanted)
}

/// Why nobody knows which are wanted.
enum Unsure {
    Engine(EngineError),
    Unread(ErrorView),
}

/// What an image of tools is called now.
pub(super) async fn current(house: &Arc<House>, name: &str) -> Current {
    let Ok(up) = house.link.up() else { return Current::Unknown };
    match wanted(house, &up).await {
        Ok(mut wanted) => wanted.remove(name).map_or(Current::None, Current::Reference),
        Err(Unsure::Engine(_) | Unsure::Unread(_)) => Current::Unknown,
    }
}

/// Takes away the images of tools that no agent names any more, or whose base is another by now. Where nobody knows which those are, all stay.
///
/// # Errors
/// Where the engine cannot be asked.
pub(crate) async fn reclaim_tools(house: &Arc<House>, up: &Up) -> Result<(), EngineError> {
    let wanted = match wanted(house, up).await {
        Ok(wanted) => wanted,
        Err(Unsure::Engine(error)) => return Err(error),
        Err(Unsure::Unread(error)) => {
            tracing::warn!(message = error.message, "which tools are wanted is not known");
            return Ok(());
        }
    };
    let is_wanted = |name: &str| wanted.contains_key(name) || house.builds.is_building(name);
    for name in tools::reclaim(up.engine.as_ref(), &house.install.to_string(), is_wanted).await? {
        // What is known of it is of no use without it.
        if let Err(error) = house.store.remove_image(&name).await {
            tracing::warn!(%error, image = name, "how an image was tried cannot be forgotten");
        }
        jobs::forget(house, &name).await;
    }
    Ok(())
}
