//! Compares what the engine has with what is known: nothing of ours stays without an owner, nothing of anybody else's is
//! touched.
//!
//! Ownership is decided by labels alone. A sandbox belongs to a step that is not over, whose actor finds it by itself; any other
//! is taken away, with the spool and the network that only it had. A home goes only where it is written down
//! that another has taken its place, or that a person let it go: what is in it cannot be made again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use engine::{EngineError, ErrorKind, LabelFilter, Role};
use tracing::{info, warn};
use wire::ids::SandboxId;

use super::step::try_remove_sandbox;
use crate::engine_link::{Link, Up};
use crate::house::House;
use crate::images::fit;
use crate::{gallery, home, sandbox};

/// How often to compare although nothing was heard.
const COMPARE_EVERY: Duration = Duration::from_mins(1);

/// Compares each time the engine comes back, and from time to time.
pub(crate) async fn run(house: Arc<House>) {
    let mut link = house.link.follow();
    loop {
        let up = match &*link.borrow_and_update() {
            Link::Up(up) => Some(up.clone()),
            Link::Unknown | Link::Down { .. } => None,
        };
        if let Some(up) = up {
            let compared = tokio::select! {
                () = house.stop.cancelled() => return,
                compared = compare(&house, &up) => compared,
            };
            if let Err(error) = compared {
                warn!(%error, "what the engine has could not be compared with what is known");
            }
        }
        tokio::select! {
            () = house.stop.cancelled() => return,
            changed = link.changed() => if changed.is_err() { return },
            () = house.compare_nudge.notified() => {}
            () = tokio::time::sleep(COMPARE_EVERY) => {}
        }
    }
}

/// What of ours nobody needs any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// Sandboxes by their containers.
    pub(crate) sandboxes: Vec<SandboxId>,
    /// Spools without a sandbox.
    pub(crate) spools: Vec<engine::VolumeName>,
    /// Networks without one.
    pub(crate) networks: Vec<engine::NetworkName>,
}

/// Looks for leftovers, and changes nothing.
pub(crate) async fn leftovers(house: &House, up: &Up) -> Result<Leftovers, EngineError> {
    let install = house.install.to_string();
    // The engine first: what is made afterwards is in the store by then, and so is not taken for a leftover.
    let containers = up.engine.containers(&LabelFilter::install(&install).role(Role::Sandbox)).await?;
    let spools = up.engine.volumes(&LabelFilter::install(&install).role(Role::Spool)).await?;
    let networks = up.engine.networks(&LabelFilter::install(&install).role(Role::Network)).await?;
    let Some(needed) = needed(house).await else { return Ok(Leftovers::default()) };
    let sandbox_of = |ownership: Option<engine::Ownership>| {
        ownership.and_then(|ownership| ownership.sandbox).and_then(|sandbox| sandbox.parse::<SandboxId>().ok())
    };
    let unneeded = |sandbox: &SandboxId| !needed.contains(sandbox);
    let sandboxes: Vec<_> =
        containers.iter().filter_map(|container| sandbox_of(container.ownership())).filter(unneeded).collect();
    let spools = spools
        .into_iter()
        .filter(|volume| sandbox_of(volume.ownership()).is_some_and(|sandbox| unneeded(&sandbox)))
        .map(|volume| volume.name)
        .collect();
    let networks = networks
        .into_iter()
        .filter(|network| sandbox_of(network.ownership()).is_some_and(|sandbox| unneeded(&sandbox)))
        .map(|network| network.name)
        .collect();
    Ok(Leftovers { sandboxes, spools, networks })
}

/// The sandboxes that are in the store as not removed; `None` where the store does not say.
async fn needed(house: &House) -> Option<HashSet<SandboxId>> {
    match house.store.live_sandboxes().await {
        Ok(live) => {
            let live = live.into_iter().map(|live| live.sandbox.sandbox);
            Some(live.chain(house.builds.trials()).collect())
        }
        Err(error) => {
            warn!(%error, "what is needed is not known");
            None
        }
    }
}

async fn compare(house: &Arc<House>, up: &Up) -> Result<(), EngineError> {
    finish_ended(house).await;
    let Leftovers { sandboxes, spools, networks } = leftovers(house, up).await?;
    for sandbox in sandboxes {
        info!(%sandbox, "taking away a sandbox that nobody knows");
        match sandbox::remove(up.engine.as_ref(), sandbox).await {
            Err(error) if error.kind() == ErrorKind::Unreachable => return Err(error),
            Err(error) => warn!(%error, %sandbox, "it cannot be taken away yet"),
            Ok(()) => {}
        }
    }
    remove_fillers(house, up).await?;
    home::sweep(house, up).await?;
    reclaim_images(house, up).await?;
    for spool in spools {
        match up.engine.remove_volume(&spool).await {
            Ok(()) => info!(%spool, "took away a spool without a sandbox"),
            // Its container is being made or taken away just now.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    for network in networks {
        match up.engine.remove_network(&network).await {
            Ok(()) => info!(%network, "took away a network without a sandbox"),
            // Its container is being made or taken away just now, or somebody put one of theirs onto it.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Containers through which volumes were filled when something went wrong. While one is at work none is taken away.
async fn remove_fillers(house: &House, up: &Up) -> Result<(), EngineError> {
    let Ok(_nobody_fills) = house.filling.try_write() else { return Ok(()) };
    let install = house.install.to_string();
    for filler in up.engine.containers(&LabelFilter::install(&install).role(Role::Filler)).await? {
        info!(filler = %filler.id, "taking away a container through which a volume was filled");
        up.engine.remove(&filler.id).await?;
    }
    for reader in up.engine.containers(&LabelFilter::install(&install).role(Role::Reader)).await? {
        if !house.homes.readers.has(&reader.name) {
            info!(reader = %reader.id, "taking away a container that nobody looks into a home through");
            up.engine.remove(&reader.id).await?;
        }
    }
    Ok(())
}

/// Adapted images, and those of tools, that nobody needs. While a sandbox is made none is taken away.
async fn reclaim_images(house: &Arc<House>, up: &Up) -> Result<(), EngineError> {
    let Ok(_nobody_fills) = house.filling.try_write() else { return Ok(()) };
    gallery::reclaim_tools(house, up).await?;
    fit::reclaim(up.engine.as_ref(), &house.install.to_string()).await
}

/// Sandboxes whose step is over, or has gone on to another attempt, but that are still there.
async fn finish_ended(house: &Arc<House>) {
    let live = match house.store.live_sandboxes().await {
        Ok(live) => live,
        Err(error) => {
            warn!(%error, "which sandboxes are live is not known");
            return;
        }
    };
    for live in live {
        let sandbox = live.sandbox.sandbox;
        let is_needed = match &live.placement {
            Some(placement) => match house.store.step(placement.step).await {
                // An actor that is there takes the sandbox of its own attempt away by itself. One of an earlier attempt nobody looks
                // after any more, once the process is gone that was taking it away.
                Ok(step) => {
                    let has_actor = house.step(placement.step).is_some();
                    step.state.attempt() == placement.attempt && (step.state.phase().is_live() || has_actor)
                }
                Err(error) => {
                    warn!(%error, %sandbox, "whether a sandbox is needed is not known");
                    true
                }
            },
            None => false,
        };
        if !is_needed {
            // One that stays for now must not keep the rest from being looked at: the next look tries it again.
            try_remove_sandbox(house, sandbox).await;
        }
    }
}
