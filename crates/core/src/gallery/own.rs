//! Adding an image of a person's own.

use std::sync::Arc;

use camino::Utf8Path;
use engine::ImageRef;
use store::{OwnImageRecord, StoreError};
use tracing::info;
use wire::{
    ErrorCode, ErrorView,
    call::{AddImage, ImageSource},
    image::ImageView,
    stream::Update,
};

use super::{list, listed};
use crate::blocking::off_runtime;
use crate::house::House;
use crate::images::{catalogue::find, folder};
use crate::{dispatch, escape, faults};

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 40;
/// Longest reference or path, in bytes.
const SOURCE_BYTES_MAX: usize = 4 << 10;
/// Most images of a person's own.
const OWN_MAX: usize = 200;

/// Adds it. It is built or fetched once it is needed, or when a person asks for that.
pub(crate) async fn add(house: &Arc<House>, call: AddImage) -> Result<ImageView, ErrorView> {
    let AddImage { name, source } = call;
    let shown = escape::visible(name.as_bytes());
    if !is_name(&name) {
        return invalid(
            format!("`{shown}` is not a name for an image."),
            "Use 1 to 40 of the letters a to z, digits and dashes, beginning with a letter.",
        );
    }
    if find(&name).is_some() {
        return invalid(format!("The Gallery has an image `{shown}` already."), "Give it another name.");
    }
    let source = checked(source).await?;
    let own = house.store.own_images().await.map_err(|error| dispatch::of_store(&error))?;
    if own.len() >= OWN_MAX {
        return invalid(format!("There are {OWN_MAX} images of your own already."), "Remove one that no agent needs.");
    }
    let record = OwnImageRecord { name: name.clone(), source, added_at: house.time.now() };
    house.store.add_image(&record).await.map_err(|error| {
        if let StoreError::ImageNameTaken { .. } = error {
            return ErrorView::new(ErrorCode::InvalidArgument, format!("There is an image named `{shown}` already."))
                .hint("Give it another name, or remove the other one first.");
        }
        dispatch::of_store(&error)
    })?;
    info!(image = name, "added an image of a person's own");
    house.tell(Update::Images);
    list::view(house, &listed(house, &name).await?).await
}

fn invalid<T>(message: String, hint: &str) -> Result<T, ErrorView> {
    Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint))
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// The source as it is kept: a reference that is one, or a folder that can be built now.
async fn checked(source: ImageSource) -> Result<ImageSource, ErrorView> {
    match source {
        ImageSource::Reference { reference } => {
            if reference.len() <= SOURCE_BYTES_MAX && ImageRef::parse(reference.as_str()).is_ok() {
                return Ok(ImageSource::Reference { reference });
            }
            let shown = escape::visible(reference.as_bytes());
            invalid(
                format!("`{shown}` is not a reference of an image."),
                "One looks like `debian:bookworm-slim` or `ghcr.io/owner/name:tag`.",
            )
        }
        ImageSource::Folder { path } => {
            let shown = escape::visible(path.as_bytes());
            if path.len() > SOURCE_BYTES_MAX || !Utf8Path::new(&path).is_absolute() {
                return invalid(
                    format!("`{shown}` is not an absolute path."),
                    "Give the whole path of the folder, from `/` on.",
                );
            }
            let folder = path.clone();
            match off_runtime(move || folder::read(Utf8Path::new(&folder)).map(drop)).await {
                Ok(Ok(())) => Ok(ImageSource::Folder { path }),
                Ok(Err(error)) => Err(ErrorView::new(
                    ErrorCode::InvalidArgument,
                    format!("`{shown}` cannot be built: {}.", escape::visible(faults::chain(&error).as_bytes())),
                )
                .hint("Mend the folder, then add it again.")),
                Err(error) => Err(faults::internal("read the folder", &error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_is_a_reference_or_an_absolute_folder_with_a_dockerfile() {
        let reference = |text: &str| ImageSource::Reference { reference: text.to_owned() };
        let folder = |path: &str| ImageSource::Folder { path: path.to_owned() };
        assert_eq!(checked(reference("debian:bookworm-slim")).await.unwrap(), reference("debian:bookworm-slim"));
        for bad in [
            reference(""),
            reference("a b"),
            reference("x?y"),
            folder("relative"),
            folder("/nowhere/at/all"),
            folder("/proc/self"),
        ] {
            let error = checked(bad).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{error:?}");
        }
        let good = camino_tempfile::tempdir().unwrap();
        std::fs::write(good.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        assert_eq!(checked(folder(good.path().as_str())).await.unwrap(), folder(good.path().as_str()));
    }
}
