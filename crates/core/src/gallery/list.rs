//! Every image as it stands, and what a person can do with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::{EngineError, Image, ImageRef, LabelFilter, Role};
use wire::{
    ErrorView,
    image::{
        BuildOutcome, ImageAbilities, ImageAction, ImageActionView, ImageOrigin, ImageState, ImageView, SmokeView,
    },
};

use super::source::Source;
use super::words::of_build;
use super::{call_sign, jobs};
use crate::engine_link::Up;
use crate::house::House;
use crate::images::catalogue::{AgentImage, catalogue};
use crate::images::needs::Needs;
use crate::images::{ImageError, NAME_LABEL, is_trial, version_in};
use crate::{dispatch, escape};

/// What is looked at once for all images.
struct Known {
    up: Option<Arc<Up>>,
    /// What any Berth built; `None` where the engine does not answer.
    built: Option<Vec<Image>>,
    /// How many agents run in each image.
    agents: BTreeMap<String, u32>,
    /// How images did when they were tried, by the engine's ids.
    smokes: BTreeMap<String, SmokeView>,
}

impl Known {
    async fn read(house: &House) -> Result<Self, ErrorView> {
        let up = house.link.up().ok();
        let built = match &up {
            Some(up) => up.engine.images(&LabelFilter::any_install().role(Role::Image)).await.ok(),
            None => None,
        };
        let mut agents = BTreeMap::new();
        for agent in house.store.agents().await.map_err(|error| dispatch::of_store(&error))? {
            *agents.entry(agent.image).or_default() += 1;
        }
        let smokes = house.store.smokes().await.map_err(|error| dispatch::of_store(&error))?;
        let smokes = smokes.into_iter().map(|smoke| (smoke.image_id, smoke.view)).collect();
        Ok(Self { up, built, agents, smokes })
    }
}

/// Every image: those that Berth brings, those of a person's own, and references that agents name as they are.
pub(crate) async fn list(house: &Arc<House>) -> Result<Vec<ImageView>, ErrorView> {
    let known = Known::read(house).await?;
    let own = house.store.own_images().await.map_err(|error| dispatch::of_store(&error))?;
    let mut sources: Vec<Source> = catalogue().iter().cloned().map(Source::Image).collect();
    sources.extend(own.into_iter().filter_map(Source::of_record));
    let names: BTreeSet<_> = sources.iter().map(|source| source.name().to_owned()).collect();
    for name in known.agents.keys().filter(|name| !names.contains(*name)) {
        if let Ok(reference) = ImageRef::parse(name.as_str()) {
            sources.push(Source::Reference { name: name.clone(), reference });
        }
    }
    let mut views = Vec::new();
    for source in &sources {
        views.push(view_of(house, &known, source).await);
    }
    Ok(views)
}

/// One image.
pub(super) async fn view(house: &Arc<House>, source: &Source) -> Result<ImageView, ErrorView> {
    Ok(view_of(house, &Known::read(house).await?, source).await)
}

async fn view_of(house: &Arc<House>, known: &Known, source: &Source) -> ImageView {
    let name = source.name();
    let current = source.current(house).await;
    let version = current.as_ref().map(|(_, version)| version.clone()).unwrap_or_default();
    let (state, present) = match current {
        Ok((reference, _)) => state(house, known, source, &reference).await,
        Err(error) => {
            let error = ImageError::Folder { name: name.to_owned(), source: error };
            (ImageState::Failed { error: of_build(&error) }, None)
        }
    };
    let agents = known.agents.get(name).copied().unwrap_or_default();
    let actions = actions(known, source, &state, agents);
    let smoke = present.and_then(|image| known.smokes.get(image.id.as_str()).cloned());
    let view = ImageView {
        name: escape::visible(name.as_bytes()),
        call_sign: call_sign(name),
        title: name.to_owned(),
        description: String::new(),
        version,
        origin: ImageOrigin::Gallery,
        base: String::new(),
        providers: Vec::new(),
        hosts: Vec::new(),
        can: ImageAbilities::default(),
        weaker: Vec::new(),
        agents,
        state,
        smoke,
        actions,
    };
    match source {
        Source::Image(image) => of_gallery(image, view),
        // Of no list: it is known by its agent.
        Source::Tools(_) => view,
        Source::Folder { path, .. } => ImageView {
            description: "Built from a folder of your own.".to_owned(),
            origin: ImageOrigin::Folder { path: path.to_string() },
            ..view
        },
        Source::Reference { reference, .. } => ImageView {
            title: escape::visible(name.as_bytes()),
            description: "An image of your own, taken as it is.".to_owned(),
            origin: ImageOrigin::Reference { reference: reference.to_string() },
            ..view
        },
    }
}

fn of_gallery(image: &AgentImage, view: ImageView) -> ImageView {
    ImageView {
        title: image.title().to_owned(),
        description: image.description().to_owned(),
        origin: if image.is_part() { ImageOrigin::Part } else { ImageOrigin::Gallery },
        base: image.base_name().to_owned(),
        providers: image.providers(),
        hosts: image.hosts().to_vec(),
        can: ImageAbilities {
            interactive: image.interactive().is_some(),
            resume: image.can_resume(),
            desktop: image.has_desktop(),
            ports: image.ports().to_vec(),
        },
        weaker: Needs::of(&image.name).weaker(),
        ..view
    }
}

/// How it stands, and the current build of it where it is there.
async fn state(
    house: &Arc<House>,
    known: &Known,
    source: &Source,
    reference: &ImageRef,
) -> (ImageState, Option<Image>) {
    let present = present(known, source, reference).await;
    if let Some(job) = house.builds.job(source.name()) {
        return (job.record.state(), present.ok().flatten());
    }
    let over = jobs::over(house, source.name()).await;
    let end = over.as_ref().and_then(|record| record.end());
    let state = match &present {
        Err(_) => ImageState::Unknown,
        Ok(Some(image)) => ImageState::Ready {
            size_bytes: image.size_bytes,
            built_at: end.filter(|end| matches!(end.outcome, BuildOutcome::Built { .. })).map(|end| end.at),
        },
        Ok(None) => match end.map(|end| &end.outcome) {
            Some(BuildOutcome::Failed { error }) => ImageState::Failed { error: error.clone() },
            Some(BuildOutcome::Built { .. } | BuildOutcome::Cancelled) | None => older(house, known, source.name()),
        },
    };
    (state, present.ok().flatten())
}

/// The image of that reference, if the engine has it. `Err` where nobody knows.
async fn present(known: &Known, source: &Source, reference: &ImageRef) -> Result<Option<Image>, Option<EngineError>> {
    let (Some(up), Some(built)) = (&known.up, &known.built) else { return Err(None) };
    match source {
        Source::Image(_) | Source::Folder { .. } | Source::Tools(_) => {
            let is_it = |image: &&Image| image.repo_tags.iter().any(|tag| tag == reference.as_str());
            Ok(built.iter().find(is_it).cloned())
        }
        Source::Reference { .. } => up.engine.image(reference).await.map_err(Some),
    }
}

/// An older build of this installation's, or none.
fn older(house: &House, known: &Known, name: &str) -> ImageState {
    let install = house.install.to_string();
    let is_own = |image: &&Image| {
        image.labels.get(NAME_LABEL).is_some_and(|of| of == name)
            && image.ownership().is_some_and(|ownership| ownership.install == install)
    };
    let found = known.built.iter().flatten().filter(is_own).find_map(|image| {
        let tag = image.repo_tags.iter().find(|tag| !is_trial(tag))?;
        Some(ImageState::Outdated { version: version_in(tag)?.to_owned(), size_bytes: image.size_bytes })
    });
    found.unwrap_or(ImageState::NotBuilt)
}

fn actions(known: &Known, source: &Source, state: &ImageState, agents: u32) -> Vec<ImageActionView> {
    let has_engine = known.built.is_some();
    let is_own = !matches!(source, Source::Image(_));
    let down = || (!has_engine).then(|| "The engine does not answer.".to_owned());
    let in_work = || matches!(state, ImageState::Building { .. }).then(|| "It is being built.".to_owned());
    let is_ready = matches!(state, ImageState::Ready { .. });
    let denied = |action| match action {
        ImageAction::Build => down().or_else(in_work).or_else(|| is_ready.then(|| "It is up to date.".to_owned())),
        ImageAction::BuildFresh => down().or_else(in_work),
        ImageAction::Cancel => in_work().is_none().then(|| "It is not being built.".to_owned()),
        ImageAction::Smoke => down()
            .or_else(in_work)
            .or_else(|| (!is_ready).then(|| "It is not there as it would be built now.".to_owned())),
        ImageAction::Remove => {
            let is_there = is_ready || matches!(state, ImageState::Outdated { .. });
            let in_use = || (is_own && agents > 0).then(|| "An agent runs in it.".to_owned());
            let nothing = || (!is_own && !is_there).then(|| "It is not on the engine.".to_owned());
            let needs_engine = !matches!(source, Source::Reference { .. });
            in_work().or_else(in_use).or_else(|| if needs_engine { down() } else { None }).or_else(nothing)
        }
    };
    let all =
        [ImageAction::Build, ImageAction::BuildFresh, ImageAction::Cancel, ImageAction::Smoke, ImageAction::Remove];
    all.map(|action| ImageActionView { action, denied: denied(action) }).to_vec()
}
