//! The image of an agent that has packages of its own on top of the one that it names.

use std::collections::HashSet;
use std::sync::Arc;

use engine::{EngineError, Image, ImageRef};
use tokio::sync::mpsc;
use wire::{ErrorCode, ErrorView, image::Tools};

use super::words::detail_of;
use super::{Current, ResolveError, current};
use crate::engine_link::Up;
use crate::escape;
use crate::house::House;
use crate::images::{tools, tools::ToolsError};

/// Messages of a build that may wait to be heard.
const PROGRESS_MAX: usize = 64;

/// `image` with `tools` on top; itself where there are none.
///
/// # Cancel safety
/// Dropping the future ends a build that runs; what was built of it is kept for the next one.
pub(crate) async fn with_tools(
    house: &Arc<House>,
    up: &Up,
    agent: &str,
    image: Image,
    tools: &Tools,
) -> Result<Image, ResolveError> {
    if tools.is_empty() {
        return Ok(image);
    }
    let (progress, mut messages) = mpsc::channel(PROGRESS_MAX);
    let building = house.images.ensure_tools(up.engine.as_ref(), &image, tools, progress);
    let (built, ()) = tokio::join!(building, async { while messages.recv().await.is_some() {} });
    let reference = built.map_err(|error| match error {
        ToolsError::Engine(error) => ResolveError::Engine(error),
        error @ (ToolsError::Build { .. } | ToolsError::TooSlow { .. }) => {
            ResolveError::Unusable(of_tools(agent, &error))
        }
    })?;
    let found = up.engine.image(&reference).await.map_err(ResolveError::Engine)?;
    found.ok_or_else(|| {
        let message = format!("The image with the tools of `{agent}` vanished as soon as it was built.");
        ResolveError::Unusable(ErrorView::new(ErrorCode::ImageMissing, message).hint("Retry the task."))
    })
}

fn of_tools(agent: &str, error: &ToolsError) -> ErrorView {
    let words = escape::visible(error.to_string().as_bytes());
    ErrorView::new(ErrorCode::ImageMissing, format!("The agent `{agent}` cannot start: {words}."))
        .hint(
            "The end of the build's log says why: a name that its registry does not have, or no way to it. `berth agents edit` changes the tools. \
             An inspecting proxy needs its certificate in `BERTH_EXTRA_CERTIFICATES`.",
        )
        .detail(detail_of(error))
}

/// Takes away the images of tools that no agent names any more, or whose base is another by now.
///
/// # Errors
/// Where the engine or the database cannot be asked: then all stay.
pub(crate) async fn reclaim_tools(house: &Arc<House>, up: &Up) -> Result<(), EngineError> {
    let agents = match house.store.agents().await {
        Ok(agents) => agents,
        Err(error) => {
            tracing::warn!(%error, "which tools are wanted is not known");
            return Ok(());
        }
    };
    let mut wanted = HashSet::new();
    for agent in agents.iter().filter(|agent| !agent.kit.tools.is_empty()) {
        let named = match current(house, &agent.image).await {
            Current::Reference(reference) => Some(reference),
            Current::None => ImageRef::parse(agent.image.as_str()).ok(),
            Current::Unknown => None,
        };
        let Some(named) = named else { continue };
        if let Some(base) = up.engine.image(&named).await? {
            wanted.insert(house.images.reference_of_tools(&base, &agent.kit.tools));
        }
    }
    tools::reclaim(up.engine.as_ref(), &house.install.to_string(), &wanted).await
}
