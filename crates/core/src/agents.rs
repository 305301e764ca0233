//! Agents: the one that every Berth begins with, and those that a person makes.

use engine::ImageRef;
use jiff::Timestamp;
use store::{AgentRecord, Store, StoreError};
use wire::{
    ErrorCode, ErrorView, Limits,
    call::CreateAgent,
    stream::Update,
    task::{Launch, ReviewGate},
    view::AgentView,
};

use crate::clock::new_id;
use crate::house::House;
use crate::{escape, faults, gallery, home, images, intake};

/// The agent that needs no model and no key, and that tasks go to which name none.
pub(crate) const DEFAULT_AGENT: &str = "script";
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 40;
/// Most arguments of an own command.
const ARGV_MAX: usize = 256;

/// Makes the agent that every Berth begins with. It asks for no review: it does just what its task file says.
pub(crate) async fn seed(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    const SEEDED: &str = "agents.seeded";
    if store.setting::<bool>(SEEDED).await?.is_some() {
        return Ok(());
    }
    let agent = new_id();
    let record = AgentRecord {
        agent,
        name: DEFAULT_AGENT.to_owned(),
        image: DEFAULT_AGENT.to_owned(),
        launch: Launch::Image,
        limits: Limits::default(),
        review: ReviewGate::Skip,
        home: home::volume_name(agent).as_str().to_owned(),
        created_at: now,
    };
    match store.create_agent(&record).await {
        Ok(()) | Err(StoreError::NameTaken { .. }) => store.set_setting(SEEDED, &true).await,
        Err(error) => Err(error),
    }
}

/// Makes an agent.
pub(crate) async fn create(house: &House, call: CreateAgent) -> Result<AgentView, ErrorView> {
    let invalid = |message: String, hint: &str| Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint));
    if !is_name(&call.name) {
        let shown = escape::visible(call.name.as_bytes());
        return invalid(
            format!("`{shown}` is not a name for an agent."),
            "Use 1 to 40 of the letters a to z, digits and dashes, beginning with a letter.",
        );
    }
    let is_of_gallery = images::catalogue::find(&call.image).is_some();
    if !is_of_gallery && ImageRef::parse(call.image.as_str()).is_err() {
        let shown = escape::visible(call.image.as_bytes());
        return invalid(
            format!("`{shown}` is not the name of an image."),
            "`berth images` lists those of the Gallery; a reference such as `debian:bookworm-slim` will do as well.",
        );
    }
    intake::check_limits(&call.limits.into())?;
    match &call.launch {
        Launch::Image if !is_of_gallery => {
            return invalid(
                format!(
                    "The image `{}` is none of the Gallery, so Berth does not know what to start in it.",
                    call.image
                ),
                "Give the agent a command, or let it run the image's own entrypoint.",
            );
        }
        Launch::Command { argv } => {
            let is_whole = argv.first().is_some_and(|program| !program.is_empty())
                && argv.len() <= ARGV_MAX
                && argv.iter().all(|argument| !argument.contains('\0'));
            if !is_whole {
                return invalid(
                    "The agent's command names no program, or is no command.".to_owned(),
                    "Give a program and at most 255 arguments.",
                );
            }
        }
        Launch::Image | Launch::Entrypoint => {}
    }
    let agent = new_id();
    let record = AgentRecord {
        agent,
        name: call.name,
        image: call.image,
        launch: call.launch,
        limits: call.limits,
        review: call.review,
        home: home::volume_name(agent).as_str().to_owned(),
        created_at: house.time.now(),
    };
    match house.store.create_agent(&record).await {
        Ok(()) => {
            house.tell(Update::Agents);
            Ok(view(house, record))
        }
        Err(StoreError::NameTaken { name }) => invalid(
            format!("There is an agent named `{name}` already."),
            "Choose another name; `berth agents` lists those there are.",
        ),
        Err(error) => Err(faults::of_storage("write the agent down", &error)),
    }
}

/// All of them.
pub(crate) async fn list(house: &House) -> Result<Vec<AgentView>, ErrorView> {
    let records = house.store.agents().await.map_err(|error| faults::of_storage("read the agents", &error))?;
    Ok(records.into_iter().map(|record| view(house, record)).collect())
}

/// The agent of that name.
pub(crate) async fn find(house: &House, name: &str) -> Result<AgentRecord, ErrorView> {
    match house.store.agent_by_name(name).await {
        Ok(record) => Ok(record),
        Err(StoreError::NotFound { .. }) => {
            let known: Vec<_> = list(house).await?.into_iter().map(|agent| agent.name).collect();
            let shown = escape::visible(name.as_bytes());
            Err(ErrorView::new(ErrorCode::NotFound, format!("There is no agent named `{shown}`."))
                .hint(format!("Choose one of these: {}.", known.join(", "))))
        }
        Err(error) => Err(faults::of_storage("read the agents", &error)),
    }
}

fn view(house: &House, record: AgentRecord) -> AgentView {
    let busy = house
        .steps()
        .into_iter()
        .find(|step| step.agent == record.agent && step.state().phase().is_live())
        .map(|step| step.task);
    let description = images::catalogue::find(&record.image).map_or_else(
        || format!("An image of your own: {}", escape::visible(record.image.as_bytes())),
        |image| image.description.clone(),
    );
    AgentView {
        agent: record.agent,
        call_sign: gallery::call_sign(&record.image),
        name: record.name,
        image: record.image,
        launch: record.launch,
        description,
        limits: record.limits,
        review: record.review,
        home: record.home,
        busy,
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["script", "a", "fix-2", &"a".repeat(40)] {
            assert!(is_name(name), "{name:?}");
        }
        for name in ["", "-a", "2a", "A", "a b", "a/b", "ä", "a\n", &"a".repeat(41)] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
