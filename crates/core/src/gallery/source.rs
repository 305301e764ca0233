//! Which image a name means: one that Berth brings, one of a person's own, or a reference as it is.

use std::sync::Arc;

use camino::Utf8PathBuf;
use engine::{Engine, EngineError, Image, ImageRef};
use store::{OwnImageRecord, StoreError};
use wire::{call::ImageSource, image::Tools};

use crate::blocking::off_runtime;
use crate::house::House;
use crate::images::catalogue::{AgentImage, find};
use crate::images::folder::{self, FolderError};
use crate::images::{ImageError, Images, Recipe, version_of_folder};

/// Where an image comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Berth brings it.
    Image(Arc<AgentImage>),
    /// A folder of a person's own.
    Folder { name: String, path: Utf8PathBuf },
    /// A reference that a person gave a name.
    Reference { name: String, reference: ImageRef },
    /// An agent's packages on top of its image, which is there.
    Tools(Arc<WithTools>),
}

/// An agent's packages on top of its image.
#[derive(Debug)]
pub(crate) struct WithTools {
    /// Its name, and what it is called on the engine.
    pub(super) name: String,
    pub(super) reference: ImageRef,
    /// What the agent calls its image.
    pub(super) image: String,
    /// And which that is.
    pub(super) base: Image,
    pub(super) tools: Tools,
}

impl Source {
    /// What that name means; `None` where it is none of the Gallery and none of a person's own.
    pub(super) async fn of(house: &House, name: &str) -> Result<Option<Self>, StoreError> {
        if let Some(image) = find(name) {
            return Ok(Some(Self::Image(image.clone())));
        }
        Ok(house.store.own_image(name).await?.and_then(Self::of_record))
    }

    /// Of an image of a person's own.
    pub(super) fn of_record(record: OwnImageRecord) -> Option<Self> {
        let OwnImageRecord { name, source, .. } = record;
        match source {
            ImageSource::Folder { path } => Some(Self::Folder { name, path: path.into() }),
            // It was looked at when it was added.
            ImageSource::Reference { reference } => {
                ImageRef::parse(reference).ok().map(|reference| Self::Reference { name, reference })
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Image(image) => &image.name,
            Self::Folder { name, .. } | Self::Reference { name, .. } => name,
            Self::Tools(with) => &with.name,
        }
    }

    /// What it is called on the engine now, and its version. Of a folder that is a matter of what is in it.
    pub(super) async fn current(&self, house: &Arc<House>) -> Result<(ImageRef, String), FolderError> {
        match self {
            Self::Image(image) => Ok((house.images.reference(image), image.version.clone())),
            Self::Folder { name, path } => {
                let (owner, path) = (house.clone(), path.clone());
                let hash = read_off(move || owner.builds.folders.of(&path)).await?;
                Ok((Images::reference_of_folder(name, &hash), version_of_folder(&hash).to_owned()))
            }
            Self::Reference { reference, .. } => Ok((reference.clone(), tag_of(reference))),
            Self::Tools(with) => Ok((with.reference.clone(), tag_of(&with.reference))),
        }
    }

    /// How it is made; `None` for what is fetched.
    pub(super) async fn recipe(&self, house: &House) -> Result<Option<Recipe>, ImageError> {
        match self {
            Self::Image(image) => Ok(Some(house.images.recipe(image))),
            Self::Folder { name, path } => {
                let path = path.clone();
                let context = read_off(move || folder::read(&path)).await;
                let context = context.map_err(|source| ImageError::Folder { name: name.clone(), source })?;
                Ok(Some(Images::recipe_of_folder(name, context)))
            }
            Self::Tools(with) => Ok(Some(house.images.recipe_of_tools(&with.image, &with.base, &with.tools))),
            Self::Reference { .. } => Ok(None),
        }
    }
}

fn tag_of(reference: &ImageRef) -> String {
    reference.repository_and_tag().map(|(_, tag)| tag.to_owned()).unwrap_or_default()
}

/// Reads a folder where that may block.
async fn read_off<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, FolderError> + Send + 'static,
) -> Result<T, FolderError> {
    off_runtime(read).await.unwrap_or_else(|error| {
        Err(FolderError::Unreadable { path: Utf8PathBuf::new(), source: std::io::Error::other(error) })
    })
}

/// Whether the engine has an image of that name.
pub(super) async fn is_there(engine: &dyn Engine, reference: &ImageRef) -> Result<bool, EngineError> {
    Ok(engine.image(reference).await?.is_some())
}
