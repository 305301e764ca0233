//! Networks of sandboxes.
//!
//! An engine tells networks apart by id and lets several have one name (moby before 25 unless asked otherwise, in a way that the
//! client library no longer knows), and then refuses whatever names it. So a name is always looked up, and there is one of it
//! once a call that makes it returns.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::query_parameters as query;
use bollard::{Docker, models};
use tracing::{debug, warn};

use super::call::{bounded, idempotent, optional};
use super::{HEAVY_BOUND, QUICK_BOUND, label_terms, read};
use crate::network::DRIVER;
use crate::{BridgeNetwork, ContainerSpec, EngineError, ErrorKind, LabelFilter, NetworkName, Ownership, Result};

/// What engines answer to a request for a network, which is always the same but for name and labels, where they have no addresses left:
/// not found (moby until 27), invalid (since 28).
const NO_ADDRESSES: [u16; 2] = [400, 404];

/// A network with what an engine tells it by.
struct Found {
    id: String,
    created: String,
    network: BridgeNetwork,
}

/// Makes the network of a sandbox, or finds it.
pub(super) async fn create(docker: &Docker, ownership: &Ownership) -> Result<BridgeNetwork> {
    let sandbox = ownership.sandbox.as_deref();
    let name = sandbox.and_then(NetworkName::of_sandbox).ok_or_else(|| {
        EngineError::new(ErrorKind::Denied, "create a network", "only a sandbox has a network, and none is named")
    })?;
    let doing = || format!("create network {name}");
    if named(docker, &name).await?.is_empty() {
        match make(docker, &name, ownership).await {
            // Somebody made it meanwhile; who, is looked at below.
            Err(error) if error.kind() == ErrorKind::Conflict => debug!(%error, "the network is there already"),
            made => made?,
        }
    }
    let mut found = named(docker, &name).await?.into_iter();
    let gone = || EngineError::new(ErrorKind::Gone, doing(), "it vanished as soon as it was made");
    let Found { network, .. } = found.next().ok_or_else(gone)?;
    if network.ownership().as_ref() != Some(ownership) {
        return Err(EngineError::new(ErrorKind::Conflict, doing(), "a network of that name belongs to another owner"));
    }
    if network.driver != DRIVER {
        let detail = format!("a network of that name is made by {:?}", network.driver);
        return Err(EngineError::new(ErrorKind::Conflict, doing(), detail));
    }
    for twin in found.filter(|twin| twin.network.ownership().as_ref() == Some(ownership)) {
        delete(docker, &name, &twin.id).await?;
    }
    Ok(network)
}

async fn make(docker: &Docker, name: &NetworkName, ownership: &Ownership) -> Result<()> {
    let doing = || format!("create network {name}");
    let request = models::NetworkCreateRequest {
        name: name.to_string(),
        driver: Some(DRIVER.into()),
        // Nobody else is to get onto it by naming it in a service.
        attachable: Some(false),
        internal: Some(false),
        enable_ipv6: Some(false),
        labels: Some(ownership.labels().into_iter().collect()),
        ..Default::default()
    };
    let call = async {
        match docker.create_network(request).await {
            Err(Error::DockerResponseServerError { status_code, message }) if NO_ADDRESSES.contains(&status_code) => {
                Ok(Err(message))
            }
            made => made.map(Ok),
        }
    };
    match bounded(doing, HEAVY_BOUND, call).await? {
        Ok(made) if made.warning.is_empty() => Ok(()),
        Ok(made) => {
            warn!(network = %name, warning = made.warning, "the engine warns of this network");
            Ok(())
        }
        Err(message) => Err(EngineError::new(ErrorKind::Exhausted, doing(), message)),
    }
}

/// The networks that carry all labels of `filter`.
pub(super) async fn list(docker: &Docker, filter: &LabelFilter) -> Result<Vec<BridgeNetwork>> {
    Ok(listed(docker, label_terms(filter)).await?.into_iter().map(|found| found.network).collect())
}

/// Removes every network of that name.
pub(super) async fn remove(docker: &Docker, name: &NetworkName) -> Result<()> {
    for found in named(docker, name).await? {
        delete(docker, name, &found.id).await?;
    }
    Ok(())
}

async fn delete(docker: &Docker, name: &NetworkName, id: &str) -> Result<()> {
    let doing = || format!("remove network {name}");
    let removed = optional(idempotent(doing, HEAVY_BOUND, || docker.remove_network(id)).await);
    removed.map(drop).map_err(|error| match error.kind() {
        // Moby says of one that is in use that it is forbidden.
        ErrorKind::Denied => EngineError::new(ErrorKind::Conflict, doing(), error.detail()).caused_by(error),
        ErrorKind::Conflict
        | ErrorKind::Transient
        | ErrorKind::Gone
        | ErrorKind::Exhausted
        | ErrorKind::ProfileRefused
        | ErrorKind::Unreachable
        | ErrorKind::TooOld { .. }
        | ErrorKind::Broken => error,
    })
}

/// That the network of a container is there, and is its sandbox's.
pub(super) async fn check(docker: &Docker, spec: &ContainerSpec) -> Result<()> {
    let Some(name) = spec.network_name()? else { return Ok(()) };
    let doing = || format!("create container {}", spec.name);
    let found = named(docker, &name).await?.into_iter().next();
    let owner = found.map(|found| found.network.ownership());
    match owner {
        None => Err(EngineError::new(ErrorKind::Gone, doing(), format!("the engine has no network {name}"))),
        Some(Some(owner)) if (&owner.install, &owner.sandbox) == (&spec.ownership.install, &spec.ownership.sandbox) => {
            Ok(())
        }
        Some(_) => {
            let detail = format!("the network {name} belongs to another owner");
            Err(EngineError::new(ErrorKind::Denied, doing(), detail))
        }
    }
}

/// Those of that very name, the oldest first.
async fn named(docker: &Docker, name: &NetworkName) -> Result<Vec<Found>> {
    // The engine's own filter takes a part of a name for all of it.
    let terms = HashMap::from([("name".to_owned(), vec![name.to_string()])]);
    let mut found = listed(docker, terms).await?;
    found.retain(|found| found.network.name == *name);
    found.sort_by(|one, other| (&one.created, &one.id).cmp(&(&other.created, &other.id)));
    Ok(found)
}

async fn listed(docker: &Docker, filters: HashMap<String, Vec<String>>) -> Result<Vec<Found>> {
    let options = query::ListNetworksOptions { filters: Some(filters) };
    let doing = || "list networks".to_owned();
    let listed = idempotent(doing, QUICK_BOUND, || docker.list_networks(Some(options.clone()))).await?;
    // An engine takes any text for a name. One that is none of ours cannot be named here, and nothing is done to it.
    let found = listed.into_iter().filter_map(|network| {
        let (id, created) = (network.id.clone()?, network.created.clone().unwrap_or_default());
        Some(Found { id, created, network: read::network(network)? })
    });
    Ok(found.collect())
}
