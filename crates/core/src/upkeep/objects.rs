//! What of this installation is in the engine and needed no longer, and what belongs to others.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use engine::{
    BridgeNetwork, Container, ContainerName, EngineError, ErrorKind, Image, ImageRef, LabelFilter, NetworkName,
    Ownership, Role, Volume, VolumeName,
};
use wire::{
    ids::{AgentId, SandboxId},
    upkeep::{Finding, OtherInstall, Outcome, Remedy, Thing},
};

use crate::engine_link::Up;
use crate::escape::visible;
use crate::gallery::Current;
use crate::house::House;
use crate::images::{NAME_LABEL, is_trial};
use crate::{faults, gallery, sandbox};

/// What was found in the engine.
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    pub(super) others: Vec<OtherInstall>,
}

/// Looks, and changes nothing.
pub(super) async fn look(house: &Arc<House>, up: &Up) -> Result<Found, EngineError> {
    let engine = up.engine.as_ref();
    let all = LabelFilter::any_install();
    // The engine first: what is made afterwards is in the store by then, and so is not taken for a leftover.
    let containers = engine.containers(&all).await?;
    let volumes = engine.volumes(&all).await?;
    let networks = engine.networks(&all).await?;
    let images = engine.images(&all).await?;
    let others = others(house, &containers, &volumes, &networks, &images);

    let needed = Needed::read(house, up).await?;
    let own = house.install.to_string();
    let is_own = |labels: &BTreeMap<String, String>| labels.get(engine::labels::INSTALL) == Some(&own);
    let mut findings = Vec::new();
    for container in containers.iter().filter(|container| is_own(&container.labels)) {
        findings.extend(of_container(&needed, container));
    }
    for volume in volumes.iter().filter(|volume| is_own(&volume.labels)) {
        findings.extend(of_volume(&needed, volume));
    }
    for network in networks.iter().filter(|network| is_own(&network.labels)) {
        findings.extend(of_network(&needed, network));
    }
    let own_images: Vec<_> = images.iter().filter(|image| is_own(&image.labels)).collect();
    let is_adapted = |image: &Image| image.ownership().is_some_and(|ownership| ownership.role == Role::Adapted);
    let bases = if own_images.iter().any(|image| is_adapted(image)) {
        engine.images(&LabelFilter::default()).await?
    } else {
        Vec::new()
    };
    for image in own_images {
        findings.extend(of_image(house, &bases, image).await);
    }
    Ok(Found { findings, others })
}

/// What is needed now.
struct Needed {
    /// Whose rows do not say that they are gone; `None` where the store does not say.
    sandboxes: Option<HashSet<SandboxId>>,
    /// Every home that is known, those of deleted agents and those on their way in or out too.
    homes: Option<HashSet<String>>,
    /// The containers through which homes are looked into right now.
    readers: HashSet<String>,
    /// The volume with the guest of this app; `None` where the guest cannot be read.
    guest: Option<VolumeName>,
    /// Whether volumes are being filled right now.
    is_filling: bool,
    /// Whether an image is being built right now.
    is_building: bool,
}

impl Needed {
    async fn read(house: &House, up: &Up) -> Result<Self, EngineError> {
        let live = house.store.live_sandboxes().await.ok();
        let homes = house.store.homes().await.ok();
        let guest = house.guest_binary(&up.facts.architecture).ok();
        Ok(Self {
            sandboxes: live
                .map(|live| live.into_iter().map(|live| live.sandbox.sandbox).chain(house.builds.trials()).collect()),
            homes: homes.map(|homes| homes.into_iter().map(|home| home.volume).collect()),
            readers: house.homes.readers.names(),
            guest: guest.map(|guest| guest.volume_name(house.install)),
            is_filling: house.filling.try_write().is_err(),
            is_building: house.builds.is_any_building(),
        })
    }

    /// Whether a sandbox is known to be needed no longer.
    fn is_over(&self, sandbox: &SandboxId) -> bool {
        self.sandboxes.as_ref().is_some_and(|needed| !needed.contains(sandbox))
    }
}

fn sandbox_of(ownership: &Ownership) -> Option<SandboxId> {
    ownership.sandbox.as_ref()?.parse().ok()
}

/// Makes findings about one thing: why it is one, what is to be done, and what that does.
fn findings_about(thing: Thing, kind: &str, name: &str) -> impl Fn(&str, Remedy, &str) -> Finding {
    let (key, name) = (format!("{kind}:{name}"), visible(name.as_bytes()));
    move |why, remedy, then| Finding {
        key: key.clone(),
        thing,
        name: name.clone(),
        why: why.to_owned(),
        remedy,
        then: then.to_owned(),
        size_bytes: None,
        run: None,
    }
}

fn of_container(needed: &Needed, container: &Container) -> Option<Finding> {
    let finding = findings_about(Thing::Container, "container", container.name.as_str());
    let Some(ownership) = container.ownership() else {
        return Some(finding(
            "It carries this Berth's label, but not the others that this version knows: a newer Berth may have made it.",
            Remedy::Leave,
            "It stays. `docker rm` takes it away, if you know what it is.",
        ));
    };
    match ownership.role {
        Role::Sandbox if sandbox_of(&ownership).is_some_and(|sandbox| needed.is_over(&sandbox)) => Some(finding(
            "The sandbox of a step that is over: the app ended, or the engine did not answer, before it was taken away.",
            Remedy::Remove,
            "It is ended and removed, with the volume and the network that only it had. What it printed is kept.",
        )),
        Role::Filler if !needed.is_filling => Some(finding(
            "Through it a volume was filled; it never ran. The app ended before it was taken away.",
            Remedy::Remove,
            "It is removed. The volume stays.",
        )),
        Role::Reader if !needed.is_filling && !needed.readers.contains(&container.name) => Some(finding(
            "Through it a home was looked into; nothing but the guest runs in it. The app ended before it was taken away.",
            Remedy::Remove,
            "It is ended and removed. The home stays.",
        )),
        // An engine makes these itself, an instruction each, with the labels of the layer below.
        Role::Image if !needed.is_building => Some(finding(
            "An instruction of a build ran in it. The engine, or Berth, ended before it was taken away.",
            Remedy::Remove,
            "It is ended and removed. The image stays, if it was built.",
        )),
        Role::Sandbox | Role::Filler | Role::Reader | Role::Image => None,
        Role::Guest | Role::Home | Role::Spool | Role::Workspace | Role::Adapted | Role::Network => Some(finding(
            "It is labelled as something that is no container of this version of Berth.",
            Remedy::Leave,
            "It stays. `docker rm` takes it away, if you know what it is.",
        )),
    }
}

fn of_volume(needed: &Needed, volume: &Volume) -> Option<Finding> {
    let finding = findings_about(Thing::Volume, "volume", volume.name.as_str());
    let Some(ownership) = volume.ownership() else {
        return Some(finding(
            "It carries this Berth's label, but not the others that this version knows: a newer Berth may have made it.",
            Remedy::Leave,
            "It stays. `docker volume rm` takes it away, if you know what is in it.",
        ));
    };
    match ownership.role {
        Role::Spool if sandbox_of(&ownership).is_some_and(|sandbox| needed.is_over(&sandbox)) => Some(finding(
            "The output of a sandbox that is gone lay in it on its way to the data folder, where it is now.",
            Remedy::Remove,
            "It is removed. The output in the data folder stays.",
        )),
        Role::Guest if needed.guest.as_ref().is_some_and(|guest| *guest != volume.name) => Some(finding(
            "It holds the guest of another version of Berth. A sandbox that was made then may still use it.",
            Remedy::Remove,
            "It is removed, unless a sandbox uses it.",
        )),
        Role::Home if needed.homes.as_ref().is_some_and(|homes| !homes.contains(volume.name.as_str())) => {
            let agent = ownership.agent.as_deref().and_then(|agent| agent.parse::<AgentId>().ok());
            let whose = agent.map_or_else(|| "an agent".to_owned(), |agent| format!("the agent {agent}"));
            Some(finding(
                &format!("The home of {whose}, which is no longer there. What is in it cannot be made again."),
                Remedy::Leave,
                "It stays: a home is only deleted by its name. `docker volume rm` takes it away.",
            ))
        }
        Role::Spool | Role::Guest | Role::Home | Role::Workspace => None,
        Role::Sandbox | Role::Filler | Role::Reader | Role::Image | Role::Adapted | Role::Network => Some(finding(
            "It is labelled as something that is no volume of this version of Berth.",
            Remedy::Leave,
            "It stays. `docker volume rm` takes it away, if you know what is in it.",
        )),
    }
}

fn of_network(needed: &Needed, network: &BridgeNetwork) -> Option<Finding> {
    let finding = findings_about(Thing::Network, "network", network.name.as_str());
    let Some(ownership) = network.ownership() else {
        return Some(finding(
            "It carries this Berth's label, but not the others that this version knows: a newer Berth may have made it.",
            Remedy::Leave,
            "It stays. `docker network rm` takes it away, if you know what it is.",
        ));
    };
    match ownership.role {
        Role::Network if sandbox_of(&ownership).is_some_and(|sandbox| needed.is_over(&sandbox)) => Some(finding(
            "A sandbox was on it that is gone: the app ended, or the engine did not answer, before it was taken away.",
            Remedy::Remove,
            "It is removed, unless something runs on it.",
        )),
        Role::Network => None,
        Role::Sandbox
        | Role::Filler
        | Role::Reader
        | Role::Guest
        | Role::Home
        | Role::Spool
        | Role::Workspace
        | Role::Image
        | Role::Adapted => Some(finding(
            "It is labelled as something that is no network of this version of Berth.",
            Remedy::Leave,
            "It stays. `docker network rm` takes it away, if you know what it is.",
        )),
    }
}

async fn of_image(house: &Arc<House>, bases: &[Image], image: &Image) -> Option<Finding> {
    let name = image.repo_tags.first().cloned().unwrap_or_else(|| image.id.to_string());
    let finding = |why: String| Finding {
        key: format!("image:{}", image.id),
        thing: Thing::Image,
        name: visible(name.as_bytes()),
        why,
        remedy: Remedy::Remove,
        then: "It is removed, unless a container uses it. Berth builds what it needs again.".to_owned(),
        size_bytes: Some(image.size_bytes),
        run: None,
    };
    match image.ownership()?.role {
        Role::Image => {
            let made_as = image.labels.get(NAME_LABEL)?;
            let shown = visible(made_as.as_bytes());
            if house.builds.is_building(made_as) {
                return None;
            }
            let current = match gallery::current(house, made_as).await {
                Current::None => return Some(finding(format!("This Berth has no image `{shown}`."))),
                Current::Unknown => return None,
                Current::Reference(current) => current,
            };
            if image.repo_tags.iter().any(|tag| tag == current.as_str()) {
                return None;
            }
            Some(finding(if image.repo_tags.iter().all(|tag| is_trial(tag)) {
                format!("What a build of `{shown}` left that did not come to its end, or was done again since.")
            } else {
                format!(
                    "Built from other files, versions or certificates, or on another base, than `{shown}` is made of now."
                )
            }))
        }
        Role::Adapted => {
            // `berth/adapted:<digest of its base>-<uid>`
            let base = image.repo_tags.iter().find_map(|tag| {
                let (base, _uid) = tag.strip_prefix("berth/adapted:")?.rsplit_once('-')?;
                Some(base.to_owned())
            })?;
            let is_base = |other: &Image| {
                other.id.as_str().trim_start_matches("sha256:").starts_with(base.as_str()) && other.id != image.id
            };
            let has_base = bases.iter().any(is_base);
            (!has_base).then(|| finding("Made of an image that the engine no longer has.".to_owned()))
        }
        Role::Sandbox
        | Role::Filler
        | Role::Reader
        | Role::Guest
        | Role::Home
        | Role::Spool
        | Role::Workspace
        | Role::Network => None,
    }
}

/// What belongs to other installations.
fn others(
    house: &House,
    containers: &[Container],
    volumes: &[Volume],
    networks: &[BridgeNetwork],
    images: &[Image],
) -> Vec<OtherInstall> {
    let own = house.install.to_string();
    let mut others: BTreeMap<String, OtherInstall> = BTreeMap::new();
    let mut count = |labels: &BTreeMap<String, String>, count: fn(&mut OtherInstall)| {
        let Some(install) = labels.get(engine::labels::INSTALL).filter(|install| **install != own) else { return };
        let other = others.entry(install.clone()).or_insert_with(|| OtherInstall {
            install: visible(install.as_bytes()),
            running: 0,
            containers: 0,
            volumes: 0,
            networks: 0,
            images: 0,
        });
        count(other);
    };
    for container in containers {
        count(&container.labels, |other| other.containers += 1);
        if container.state.is_alive() {
            count(&container.labels, |other| other.running += 1);
        }
    }
    for volume in volumes {
        count(&volume.labels, |other| other.volumes += 1);
    }
    for network in networks {
        count(&network.labels, |other| other.networks += 1);
    }
    for image in images {
        count(&image.labels, |other| other.images += 1);
    }
    others.into_values().collect()
}

/// Takes one object away that was found.
pub(super) async fn mend(house: &House, up: &Up, kind: &str, name: &str) -> (Outcome, String) {
    let engine = up.engine.as_ref();
    let done = |words: &str| (Outcome::Done, words.to_owned());
    // Nobody begins to fill a volume through a container that is just being taken away.
    let Ok(_nobody_fills) = house.filling.try_write() else {
        return (Outcome::Stays, "A sandbox is being made just now: try again in a moment.".to_owned());
    };
    let removed = match kind {
        "container" => match name.strip_prefix("berth-").and_then(|name| name.parse::<SandboxId>().ok()) {
            Some(sandbox) => sandbox::remove(engine, sandbox).await,
            None => match ContainerName::parse(name) {
                Ok(name) => engine.remove(&name.into()).await,
                Err(_) => return (Outcome::Failed, "Its name is none of a container.".to_owned()),
            },
        },
        "volume" => match VolumeName::parse(name) {
            Ok(volume) => engine.remove_volume(&volume).await,
            Err(_) => return (Outcome::Failed, "Its name is none of a volume.".to_owned()),
        },
        "network" => match NetworkName::parse(name) {
            Ok(network) => engine.remove_network(&network).await,
            Err(_) => return (Outcome::Failed, "Its name is none of a network.".to_owned()),
        },
        "image" => match ImageRef::parse(name) {
            Ok(image) => engine.remove_image(&image).await,
            Err(_) => return (Outcome::Failed, "Its name is none of an image.".to_owned()),
        },
        _ => return (Outcome::Moot, "It is nothing that was found.".to_owned()),
    };
    match removed {
        Ok(()) => done("It was removed."),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            (Outcome::Stays, "It is still in use; it can go once nothing uses it.".to_owned())
        }
        Err(error) => (Outcome::Failed, faults::of_engine(&error).message),
    }
}
