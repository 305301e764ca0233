//! The homes as a person sees them: found by name, listed, measured in the background.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::VolumeName;
use jiff::SignedDuration;
use store::{HomeRecord, HomeSize, HomeState, StoreError};
use tracing::debug;
use wire::{
    ErrorCode, ErrorView,
    secret::SignedIn,
    stream::Update,
    view::{HomeAction, HomeActionView, HomeSizeView, HomeTask, HomeView},
};

use super::reader::{self, Measured, Readable};
use super::work::{in_work_words, live_step};
use crate::house::House;
use crate::{dispatch, escape, faults, gallery};

/// A size that is older than this is measured again when somebody looks, although nothing is known to have changed it.
const SIZE_GOOD_FOR: SignedDuration = SignedDuration::from_hours(6);
/// While a task is in a home its size changes all the time; one that is not older than this will do.
const SIZE_GOOD_FOR_IN_USE: SignedDuration = SignedDuration::from_mins(10);

/// All of them. It waits for no engine; sizes that are out of date are measured meanwhile.
pub(crate) async fn list(house: &Arc<House>) -> Result<Vec<HomeView>, ErrorView> {
    let homes = house.store.homes().await.map_err(|error| dispatch::of_store(&error))?;
    let shown: Vec<_> = homes.into_iter().filter(|home| is_shown(home.state)).collect();
    measure_stale(house, &shown);
    let mut views = Vec::with_capacity(shown.len());
    for home in shown {
        views.push(view(house, home).await);
    }
    Ok(views)
}

fn is_shown(state: HomeState) -> bool {
    match state {
        HomeState::New | HomeState::Ready => true,
        HomeState::Filling | HomeState::Going => false,
    }
}

/// A home by its agent's name or its volume. Where an agent and a deleted one had the same name, it is the living one's.
pub(crate) async fn find(house: &House, name: &str) -> Result<HomeRecord, ErrorView> {
    let homes = house.store.homes().await.map_err(|error| dispatch::of_store(&error))?;
    let homes: Vec<_> = homes.into_iter().filter(|home| is_shown(home.state)).collect();
    let shown = escape::visible(name.as_bytes());
    if let Some(home) = homes.iter().find(|home| home.volume == name) {
        return Ok(home.clone());
    }
    let named: Vec<_> = homes.iter().filter(|home| home.agent_name == name).collect();
    match named.as_slice() {
        [home] => Ok((*home).clone()),
        [home, ..] if home.agent_removed_at.is_none() => Ok((*home).clone()),
        [] => Err(ErrorView::new(ErrorCode::NotFound, format!("There is no home of an agent named `{shown}`."))
            .hint("`berth homes` lists those there are.")),
        several => {
            let volumes: Vec<_> = several.iter().map(|home| home.volume.as_str()).collect();
            let message = format!("More than one deleted agent was named `{shown}`.");
            Err(ErrorView::new(ErrorCode::InvalidArgument, message)
                .hint(format!("Give the volume: {}.", volumes.join(" or "))))
        }
    }
}

/// One home, as it stands.
pub(crate) async fn view(house: &House, home: HomeRecord) -> HomeView {
    let task = match live_step(house, home.agent) {
        Some(step) => {
            house.store.task(step.task).await.ok().map(|task| HomeTask { task: step.task, number: task.number })
        }
        None => None,
    };
    let agent = house.store.agent(home.agent).await.ok();
    let work = house.homes.work(home.agent).map(|work| work.view());
    let is_down = house.link.up().is_err();
    let is_orphan = home.agent_removed_at.is_some();
    let is_new = home.state == HomeState::New;
    let denied = |action: HomeAction| {
        let in_use = || task.as_ref().map(|task| format!("In use by #{}.", task.number));
        let in_work = || work.map(|work| in_work_words(work.kind));
        let is_away = || is_down.then(|| "The engine does not answer.".to_owned());
        let no_agent = || is_orphan.then(|| "Its agent is deleted.".to_owned());
        let empty = || is_new.then(|| "It is made at its first use.".to_owned());
        match action {
            HomeAction::Browse => empty().or_else(is_away),
            HomeAction::Export => empty().or_else(in_use).or_else(in_work).or_else(is_away),
            HomeAction::Import => no_agent().or_else(in_use).or_else(in_work).or_else(is_away),
            HomeAction::Reset => {
                no_agent().or_else(|| is_new.then(|| "It is new already.".to_owned())).or_else(in_use).or_else(in_work)
            }
            HomeAction::Delete if is_orphan => in_work(),
            HomeAction::Delete => Some("Its agent needs it: reset it, or delete the agent.".to_owned()),
        }
    };
    let actions = HomeAction::ALL.map(|action| HomeActionView { action, denied: denied(action) }).to_vec();
    HomeView {
        call_sign: gallery::call_sign(&home.agent_image),
        colour: agent.map(|agent| agent.colour).unwrap_or_default(),
        name: home.agent_name,
        agent: home.agent,
        is_orphan,
        is_new,
        image: home.image.map(|image| escape::visible(image.as_bytes())),
        created_at: home.created_at,
        used_at: home.used_at,
        size: home.size.map(|size| HomeSizeView {
            size_bytes: size.size_bytes,
            files: size.files,
            measured_at: size.measured_at,
        }),
        logins: home.logins,
        task,
        work,
        actions,
        home: home.volume,
    }
}

/// Finds out how large a home is.
pub(crate) async fn measure(house: &Arc<House>, name: &str) -> Result<HomeView, ErrorView> {
    house.link.looked_for().await;
    let home = find(house, name).await?;
    if home.state == HomeState::Ready {
        measure_one(house, &home).await?;
    }
    let home = house.store.home(&home.volume).await.map_err(|error| dispatch::of_store(&error))?;
    Ok(view(house, home).await)
}

async fn measure_one(house: &Arc<House>, home: &HomeRecord) -> Result<(), ErrorView> {
    let volume = VolumeName::parse(home.volume.as_str())
        .map_err(|error| faults::internal("understand the name of a home", &error))?;
    let began_at = house.time.now();
    let Measured { size_bytes, files, logins } =
        reader::measure(house, &Readable { agent: home.agent, volume }).await?;
    // The time at which it began: what changes meanwhile is measured again.
    let size = HomeSize { size_bytes, files, measured_at: began_at };
    match house.store.set_home_size(&home.volume, size, &logins).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(dispatch::of_store(&error)),
    }
    house.tell(Update::Homes);
    if logins != home.logins {
        house.tell(Update::Agents);
        house.tell(Update::Secrets);
    }
    Ok(())
}

/// The agents whose programs are signed in inside, as far as it is known; what is out of date is looked at meanwhile.
pub(crate) async fn signed_in(house: &Arc<House>) -> Result<Vec<SignedIn>, ErrorView> {
    let homes = house.store.homes().await.map_err(|error| dispatch::of_store(&error))?;
    let homes: Vec<_> =
        homes.into_iter().filter(|home| is_shown(home.state) && home.agent_removed_at.is_none()).collect();
    measure_stale(house, &homes);
    let mut inside: Vec<_> = homes
        .into_iter()
        .filter(|home| !home.logins.is_empty())
        .map(|HomeRecord { agent, agent_name, logins, .. }| SignedIn { agent, agent_name, logins })
        .collect();
    inside.sort_by(|one, other| one.agent_name.cmp(&other.agent_name));
    Ok(inside)
}

/// Measures what is out of date, one home after the other, unless that is going on already.
fn measure_stale(house: &Arc<House>, homes: &[HomeRecord]) {
    let now = house.time.now();
    let is_stale = |home: &&HomeRecord| {
        let Some(size) = home.size else { return true };
        let age = now.duration_since(size.measured_at);
        if live_step(house, home.agent).is_some() {
            age > SIZE_GOOD_FOR_IN_USE
        } else {
            age > SIZE_GOOD_FOR || home.used_at.is_some_and(|used_at| used_at > size.measured_at)
        }
    };
    let ready = homes.iter().filter(|home| home.state == HomeState::Ready && house.homes.work(home.agent).is_none());
    let stale: Vec<_> = ready.filter(is_stale).cloned().collect();
    if stale.is_empty() || house.link.up().is_err() || house.homes.is_measuring.swap(true, Ordering::AcqRel) {
        return;
    }
    let owner = house.clone();
    house.tasks.spawn(async move {
        for home in stale {
            let measured = tokio::select! {
                () = owner.stop.cancelled() => break,
                measured = measure_one(&owner, &home) => measured,
            };
            if let Err(error) = measured {
                debug!(error = %error.message, home = %home.volume, "a home was not measured");
            }
            // Nobody may be looking into it: then its reader has no more to do.
            if let Ok(volume) = VolumeName::parse(home.volume.as_str()) {
                owner.homes.readers.end_unasked(&volume);
            }
        }
        owner.homes.is_measuring.store(false, Ordering::Release);
    });
}

/// Ends what is being done to a home.
pub(crate) async fn cancel(house: &Arc<House>, name: &str) -> Result<HomeView, ErrorView> {
    let home = find(house, name).await?;
    house.homes.cancel(home.agent)?;
    house.homes.free(home.agent).await;
    let home = house.store.home_of(home.agent).await.map_err(|error| dispatch::of_store(&error))?;
    Ok(view(house, home).await)
}
