//! What the scripted engine has: images, volumes, networks, containers, and the order in which things happened.

mod containers;
mod networks;
mod stdio;

use std::collections::{BTreeMap, BTreeSet};

use engine::facts::API_VERSION_MIN;
use engine::{
    BridgeNetwork, CgroupVersion, EngineError, EngineFacts, ErrorKind, Event, EventObject, Image, ImageId, ImageRef,
    LabelFilter, Ownership, Product, Result, Volume, VolumeName,
};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;

pub(super) use self::containers::KILLED;
pub(super) use self::containers::StoredContainer;
use self::containers::StoredExec;
use super::files::Tree;

/// How many networks moby has addresses for where nothing else is configured: 15 of 172.17.0.0/12 and 16 of 192.168.0.0/16.
const NETWORKS_MAX: usize = 31;
/// How many events a slow reader may be behind.
const EVENTS_MAX: usize = 1024;

type Labels = BTreeMap<String, String>;

pub(super) struct World {
    pub(super) facts: EngineFacts,
    /// What `inspect` would have shown of every container ever made.
    pub(super) ever_made: Vec<serde_json::Value>,
    pub(super) events: broadcast::Sender<(Labels, Event)>,
    images: BTreeMap<String, StoredImage>,
    /// Images that only a registry has, by their names.
    registry: BTreeMap<String, StoredImage>,
    /// What instructions of builds were carried out on.
    built: BTreeSet<String>,
    tags: BTreeMap<String, String>,
    volumes: BTreeMap<String, StoredVolume>,
    networks: BTreeMap<String, BridgeNetwork>,
    pub(super) networks_max: usize,
    containers: BTreeMap<String, StoredContainer>,
    execs: BTreeMap<String, StoredExec>,
    count: u32,
}

#[derive(Clone)]
pub(super) struct StoredImage {
    pub(super) image: Image,
    pub(super) tree: Tree,
}

struct StoredVolume {
    volume: Volume,
    tree: Tree,
}

impl Default for World {
    fn default() -> Self {
        Self {
            facts: usual_facts(),
            ever_made: Vec::new(),
            events: broadcast::Sender::new(EVENTS_MAX),
            images: BTreeMap::new(),
            registry: BTreeMap::new(),
            built: BTreeSet::new(),
            tags: BTreeMap::new(),
            volumes: BTreeMap::new(),
            networks: BTreeMap::new(),
            networks_max: NETWORKS_MAX,
            containers: BTreeMap::new(),
            execs: BTreeMap::new(),
            count: 0,
        }
    }
}

fn usual_facts() -> EngineFacts {
    EngineFacts {
        product: Product::Other("scripted".into()),
        version: "1.0".into(),
        api_version: API_VERSION_MIN,
        os: "linux".into(),
        architecture: std::env::consts::ARCH.into(),
        kernel: "6.1.0".into(),
        cgroup: CgroupVersion::V2,
        is_rootless: false,
        is_live_restore: false,
        memory_bytes: 8 << 30,
        cpus: 4,
        storage_driver: "memory".into(),
        root_folder: None,
        machine_name: "scripted".into(),
        security_options: vec!["name=seccomp,profile=default".into()],
    }
}

pub(super) fn refused<T>(kind: ErrorKind, doing: impl Into<String>, detail: impl Into<String>) -> Result<T> {
    Err(EngineError::new(kind, doing, detail))
}

impl StoredImage {
    pub(super) fn shown(&self) -> Image {
        self.image.clone()
    }
}

impl World {
    /// A number that was not used before, as 64 hexadecimal digits.
    fn fresh_id(&mut self) -> String {
        self.count += 1;
        hex::encode(Sha256::digest(self.count.to_be_bytes()))
    }

    /// A moment after all before it.
    fn moment(&mut self) -> Timestamp {
        self.count += 1;
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_767_225_600 + i64::from(self.count))
    }

    fn tell(&self, labels: &Labels, object: EventObject, id: &str, action: &str) {
        // Nobody need be listening.
        let _ = self.events.send((labels.clone(), Event { object, id: id.to_owned(), action: action.to_owned() }));
    }

    pub(super) fn image(&self, reference: &ImageRef) -> Option<&StoredImage> {
        let id = self.image_key(reference)?;
        self.images.get(&id)
    }

    fn image_key(&self, reference: &ImageRef) -> Option<String> {
        if self.images.contains_key(reference.as_str()) {
            return Some(reference.to_string());
        }
        let (repository, tag) = reference.repository_and_tag()?;
        self.tags.get(&format!("{repository}:{tag}")).cloned()
    }

    pub(super) fn images(&self, filter: &LabelFilter) -> Vec<Image> {
        self.images.values().map(StoredImage::shown).filter(|image| filter.matches(&image.labels)).collect()
    }

    /// Keeps an image under a name, which its former image loses.
    pub(super) fn keep_image(&mut self, mut made: StoredImage, tag: &ImageRef, doing: &str) -> Result<ImageId> {
        let Some((repository, name)) = tag.repository_and_tag() else {
            return refused(ErrorKind::Denied, doing, format!("{tag} is no name that can be given"));
        };
        let tag = format!("{repository}:{name}");
        let id = format!("sha256:{}", self.fresh_id());
        made.image.id =
            ImageId::parse(id.clone()).map_err(|bad| EngineError::new(ErrorKind::Broken, doing, bad.to_string()))?;
        made.image.repo_tags = vec![tag.clone()];
        let image_id = made.image.id.clone();
        if let Some(former) = self.tags.insert(tag.clone(), id.clone()).and_then(|former| self.images.get_mut(&former))
        {
            former.image.repo_tags.retain(|name| *name != tag);
        }
        self.tell(&made.image.labels.clone(), EventObject::Image, &id, "tag");
        self.images.insert(id, made);
        Ok(image_id)
    }

    /// An image goes from here to where it must be fetched from.
    pub(super) fn publish(&mut self, reference: &ImageRef) -> Result<()> {
        let Some(image) = self.image(reference).cloned() else {
            return refused(ErrorKind::Gone, format!("publish image {reference}"), "there is no such image");
        };
        self.registry.insert(reference.to_string(), image);
        self.remove_image(reference)
    }

    pub(super) fn published(&self, reference: &ImageRef) -> Option<StoredImage> {
        self.registry.get(reference.as_str()).cloned()
    }

    pub(super) fn has_built(&self, instructions: &str) -> bool {
        self.built.contains(instructions)
    }

    pub(super) fn note_built(&mut self, instructions: &str) {
        self.built.insert(instructions.to_owned());
    }

    pub(super) fn tag(&mut self, image: &ImageId, name: &ImageRef) -> Result<()> {
        let doing = format!("name image {image} {name}");
        let id = image.to_string();
        if !self.images.contains_key(&id) {
            return refused(ErrorKind::Gone, doing, "there is no such image");
        }
        let Some((repository, tag)) = name.repository_and_tag() else {
            return refused(ErrorKind::Denied, doing, format!("{name} is no name that can be given"));
        };
        let tag = format!("{repository}:{tag}");
        let former = self.tags.insert(tag.clone(), id.clone());
        if let Some(former) = former.and_then(|former| self.images.get_mut(&former)) {
            former.image.repo_tags.retain(|name| *name != tag);
        }
        if let Some(named) = self.images.get_mut(&id) {
            named.image.repo_tags.push(tag);
            let labels = named.image.labels.clone();
            self.tell(&labels, EventObject::Image, &id, "tag");
        }
        Ok(())
    }

    pub(super) fn remove_image(&mut self, reference: &ImageRef) -> Result<()> {
        let Some(id) = self.image_key(reference) else { return Ok(()) };
        let names = self.tags.values().filter(|tagged| **tagged == id).count();
        let is_last = names <= 1 || reference.as_str() == id;
        let user = self.containers.values().find(|container| container.image_key() == id);
        if let Some(user) = user.filter(|_| is_last) {
            return refused(
                ErrorKind::Conflict,
                format!("remove image {reference}"),
                format!("container {} uses it", user.name()),
            );
        }
        if is_last {
            self.tags.retain(|_, tagged| *tagged != id);
            self.images.remove(&id);
        } else if let Some((repository, tag)) = reference.repository_and_tag() {
            let tag = format!("{repository}:{tag}");
            self.tags.remove(&tag);
            if let Some(image) = self.images.get_mut(&id) {
                image.image.repo_tags.retain(|name| *name != tag);
            }
        }
        Ok(())
    }

    pub(super) fn create_volume(&mut self, name: &VolumeName, ownership: &Ownership) -> Result<Volume> {
        if let Some(found) = self.volumes.get(name.as_str()) {
            if found.volume.ownership().as_ref() != Some(ownership) {
                let detail = "a volume of that name belongs to another owner";
                return refused(ErrorKind::Conflict, format!("create volume {name}"), detail);
            }
            return Ok(found.volume.clone());
        }
        let volume =
            Volume { name: name.clone(), labels: ownership.labels(), driver: "local".into(), options: Labels::new() };
        self.volumes.insert(name.to_string(), StoredVolume { volume: volume.clone(), tree: Tree::default() });
        self.tell(&volume.labels, EventObject::Volume, name.as_str(), "create");
        Ok(volume)
    }

    pub(super) fn volume(&self, name: &VolumeName) -> Option<Volume> {
        self.volumes.get(name.as_str()).map(|found| found.volume.clone())
    }

    pub(super) fn volumes(&self, filter: &LabelFilter) -> Vec<Volume> {
        self.volumes
            .values()
            .map(|found| found.volume.clone())
            .filter(|volume| filter.matches(&volume.labels))
            .collect()
    }

    pub(super) fn remove_volume(&mut self, name: &VolumeName) -> Result<()> {
        if let Some(user) = self.containers.values().find(|container| container.mounts_volume(name.as_str())) {
            let detail = format!("container {} uses it", user.name());
            return refused(ErrorKind::Conflict, format!("remove volume {name}"), detail);
        }
        if let Some(removed) = self.volumes.remove(name.as_str()) {
            self.tell(&removed.volume.labels, EventObject::Volume, name.as_str(), "destroy");
        }
        Ok(())
    }
}
