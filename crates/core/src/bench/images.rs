//! Building an image of the Gallery: cold, with nothing of it done before, and warm, with all of it done; and how large it becomes.
//!
//! Beside it stand numbers of this kind of image as others publish it: sizes on Alpine, by which each of ours is judged. A base of
//! Debian with a desktop's worth of tools is larger than one of Alpine; where ours is, the row says so.

use std::time::Instant;

use engine::ImageRef;
use wire::{
    bench::{BenchBar, BenchRow, BenchUnit},
    call::{BuildImage, ListImages},
    image::{ImageOrigin, ImageState, ImageView},
};

use super::pair::{figures, ms};
use super::{BenchError, Rig};
use crate::images::catalogue::find;

/// The largest base of this kind on Alpine, in megabytes; the smallest has 15.
const BASE_MEGABYTES: f64 = 45.0;
/// The largest image of an agent of this kind on Alpine, in megabytes; the smallest has 80.
const AGENT_MEGABYTES: f64 = 450.0;

/// Builds each image of the Gallery once from the first step on, and once with all of it done before. What it starts from is there by then.
///
/// # Errors
/// Whatever kept one from being built.
pub async fn images(rig: &Rig) -> Result<Vec<BenchRow>, BenchError> {
    let mut rows = Vec::new();
    let images = rig.api().call(ListImages {}).await?;
    for image in images.iter().filter(|image| matches!(image.origin, ImageOrigin::Gallery | ImageOrigin::Part)) {
        rows.extend(one(rig, image).await?);
    }
    Ok(rows)
}

async fn one(rig: &Rig, image: &ImageView) -> Result<Vec<BenchRow>, BenchError> {
    let name = &image.name;
    // Once before: what it starts from shall be there, whether that is another image or one of a registry.
    build(rig, name, false).await?;
    let cold = build(rig, name, true).await?;
    let warm = warm(rig, name).await?;
    let row = |what: &str, unit, value: f64| {
        BenchRow::new("images", &format!("{name}: {what}"), unit, figures(None, &[value]))
    };
    let (reference, what) = if image.origin == ImageOrigin::Part {
        (BASE_MEGABYTES, "the largest of these bases on Alpine")
    } else {
        (AGENT_MEGABYTES, "the largest of these images on Alpine")
    };
    let size = row("size", BenchUnit::Megabytes, cold.megabytes)
        .beside(what, figures(None, &[reference]))
        .held_to(BenchBar::RatioAtMost { ratio: 1.0 });
    let size =
        if cold.megabytes > reference { size.note(format!("`{name}` is larger: it is of Debian.")) } else { size };
    Ok(vec![
        row("build, nothing done before", BenchUnit::Milliseconds, cold.took_ms),
        row("build, all done before", BenchUnit::Milliseconds, warm.took_ms),
        size,
    ])
}

struct Built {
    took_ms: f64,
    megabytes: f64,
}

/// Builds an image that has lost its name, while another name keeps all that was done of it.
async fn warm(rig: &Rig, name: &str) -> Result<Built, BenchError> {
    let no_image = || BenchError::NoImage { image: name.to_owned() };
    let image = find(name).ok_or_else(no_image)?;
    let reference = rig.reference(image);
    let found = rig.engine().image(&reference).await?.ok_or_else(no_image)?;
    let kept = ImageRef::parse(format!("berth/bench-kept-{name}:1")).map_err(|_| no_image())?;
    rig.engine().tag(&found.id, &kept).await?;
    rig.engine().remove_image(&reference).await?;
    let built = build(rig, name, false).await;
    rig.engine().remove_image(&kept).await?;
    built
}

/// Builds an image.
async fn build(rig: &Rig, name: &str, is_fresh: bool) -> Result<Built, BenchError> {
    let begun = Instant::now();
    let built = rig.api().call(BuildImage { name: name.to_owned(), is_fresh }).await?;
    let took_ms = ms(begun.elapsed());
    #[expect(clippy::cast_precision_loss, reason = "no image has petabytes")]
    if let ImageState::Ready { size_bytes, .. } = built.state {
        return Ok(Built { took_ms, megabytes: size_bytes as f64 / 1e6 });
    }
    Err(BenchError::NoImage { image: name.to_owned() })
}
