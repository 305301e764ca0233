//! Agents: the one that every Berth begins with, and those that a person makes.

pub(crate) mod kit;

use std::sync::Arc;

use engine::ImageRef;
use jiff::Timestamp;
use store::{AgentChange, AgentRecord, Kit, Store, StoreError};
use tracing::info;
use wire::{
    ErrorCode, ErrorView, EventKind, Limits,
    call::{CreateAgent, DeleteAgent, Deleted, DuplicateAgent, HomeFate, UpdateAgent},
    network::NetworkPolicy,
    stream::Update,
    task::{Launch, ReviewGate},
    view::{AgentAction, AgentActionView, AgentColour, AgentView},
};

use crate::clock::new_id;
use crate::house::House;
use crate::{access, escape, faults, gallery, home, images, intake};

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
        colour: AgentColour::default(),
        network: NetworkPolicy::default(),
        kit: Kit::default(),
        created_at: now,
        removed_at: None,
    };
    match store.create_agent(&record).await {
        Ok(()) | Err(StoreError::NameTaken { .. }) => store.set_setting(SEEDED, &true).await,
        Err(error) => Err(error),
    }
}

/// Makes an agent.
pub(crate) async fn create(house: &House, call: CreateAgent) -> Result<AgentView, ErrorView> {
    let CreateAgent { name, image, launch, limits, review, colour, network, model, persona, has_memory, tools } = call;
    let kit = Kit { model: chosen(model), persona, has_memory, tools };
    let network = checked(network)?;
    make(house, AgentChange { name, image, launch, limits, review, colour, network, kit }).await
}

/// Makes another agent like one, with a home of its own.
pub(crate) async fn duplicate(house: &House, call: &DuplicateAgent) -> Result<AgentView, ErrorView> {
    // Its secrets stay its own: who has one is a person's to say, each time.
    let AgentRecord { image, launch, limits, review, colour, network, kit, .. } = find(house, &call.agent).await?;
    make(house, AgentChange { name: call.name.clone(), image, launch, limits, review, colour, network, kit }).await
}

/// An empty name of a model stands for the image's own choice.
fn chosen(model: Option<String>) -> Option<String> {
    model.filter(|model| !model.is_empty())
}

fn checked(network: NetworkPolicy) -> Result<NetworkPolicy, ErrorView> {
    access::rules::checked(network)
        .map_err(|reason| ErrorView::new(ErrorCode::InvalidArgument, reason).hint("Mend that host, then try again."))
}

async fn make(house: &House, agent: AgentChange) -> Result<AgentView, ErrorView> {
    check(&agent)?;
    let AgentChange { name, image, launch, limits, review, colour, network, kit } = agent;
    let agent = new_id();
    let record = AgentRecord {
        agent,
        name,
        image,
        launch,
        limits,
        review,
        home: home::volume_name(agent).as_str().to_owned(),
        colour,
        network,
        kit,
        created_at: house.time.now(),
        removed_at: None,
    };
    house.store.create_agent(&record).await.map_err(|error| of_store("write the agent down", &error))?;
    house.tell(Update::Agents);
    house.tell(Update::Homes);
    view(house, record).await
}

/// Whether there can be such an agent.
fn check(agent: &AgentChange) -> Result<(), ErrorView> {
    if !is_name(&agent.name) {
        let shown = escape::visible(agent.name.as_bytes());
        return invalid(
            format!("`{shown}` is not a name for an agent."),
            "Use 1 to 40 of the letters a to z, digits and dashes, beginning with a letter.",
        );
    }
    let is_of_gallery = images::catalogue::find(&agent.image).is_some();
    if !is_of_gallery && ImageRef::parse(agent.image.as_str()).is_err() {
        let shown = escape::visible(agent.image.as_bytes());
        return invalid(
            format!("`{shown}` is not the name of an image."),
            "`berth images` lists those of the Gallery; a reference such as `debian:bookworm-slim` will do as well.",
        );
    }
    intake::check_limits(&agent.limits.into())?;
    kit::check(&agent.kit)?;
    match &agent.launch {
        Launch::Image if !is_of_gallery => {
            return invalid(
                format!(
                    "The image `{}` is none of the Gallery, so Berth does not know what to start in it.",
                    agent.image
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
    Ok(())
}

fn invalid<T>(message: String, hint: &str) -> Result<T, ErrorView> {
    Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint))
}

fn of_store(doing: &str, error: &StoreError) -> ErrorView {
    if let StoreError::NameTaken { name } = error {
        return ErrorView::new(ErrorCode::InvalidArgument, format!("There is an agent named `{name}` already."))
            .hint("Choose another name; `berth agents` lists those there are.");
    }
    faults::of_storage(doing, error)
}

/// Changes an agent. Steps that were asked for before keep what they were given.
pub(crate) async fn update(house: &Arc<House>, call: UpdateAgent) -> Result<AgentView, ErrorView> {
    let _turn = house.access.policy_turn().await;
    update_in_turn(house, call).await
}

/// The same for who has the turn already.
pub(crate) async fn update_in_turn(house: &Arc<House>, call: UpdateAgent) -> Result<AgentView, ErrorView> {
    let record = find(house, &call.agent).await?;
    let is_renamed = call.name.as_ref().is_some_and(|name| *name != record.name);
    if is_renamed && let Some(reason) = denied(house, &record, AgentAction::Rename) {
        return Err(ErrorView::new(ErrorCode::NotNow, reason).hint("Make a duplicate with the other name."));
    }
    let (old_name, before) = (record.name.clone(), record.network.clone());
    let change = AgentChange {
        name: call.name.unwrap_or(record.name),
        image: call.image.unwrap_or(record.image),
        launch: call.launch.unwrap_or(record.launch),
        limits: call.limits.apply(&record.limits),
        review: call.review.unwrap_or(record.review),
        colour: call.colour.unwrap_or(record.colour),
        network: match call.network {
            Some(network) => checked(network)?,
            None => access::rules::changed(&record.network, call.mode, &call.hosts, &old_name)?,
        },
        kit: Kit {
            model: call.model.map_or(record.kit.model, |model| chosen(Some(model))),
            persona: call.persona.unwrap_or(record.kit.persona),
            has_memory: call.has_memory.unwrap_or(record.kit.has_memory),
            tools: call.tools.unwrap_or(record.kit.tools),
        },
    };
    check(&change)?;
    if change.network != before {
        let granted = house.store.secrets_of(record.agent).await;
        let granted = granted.map_err(|error| of_store("read the agent's secrets", &error))?;
        access::bridge::refuse_granted(&old_name, &change.network, &granted)?;
    }
    let text = if is_renamed {
        format!("The agent {old_name} is called {} now", change.name)
    } else {
        format!("The agent {old_name} was changed")
    };
    let events = vec![EventKind::Note { text }];
    let updated = house.store.update_agent(record.agent, &change, house.time.now(), events).await;
    updated.map_err(|error| of_store("write the agent down", &error))?;
    house.tell(Update::Agents);
    house.tell(Update::Homes);
    access::rules_changed(house).await;
    if is_renamed {
        info!(agent = %record.agent, "an agent has another name");
    }
    let record = house.store.agent(record.agent).await.map_err(|error| of_store("read the agent", &error))?;
    view(house, record).await
}

/// Removes an agent. Its tasks stay, and go on naming it.
pub(crate) async fn delete(house: &Arc<House>, call: DeleteAgent) -> Result<Deleted, ErrorView> {
    let record = find(house, &call.agent).await?;
    if call.confirm != record.name {
        let shown = escape::visible(call.confirm.as_bytes());
        return invalid(
            format!("`{shown}` is not the name of this agent, so it was not deleted."),
            &format!("Its name is `{}`.", record.name),
        );
    }
    if let Some(reason) = denied(house, &record, AgentAction::Delete) {
        return Err(ErrorView::new(ErrorCode::NotNow, reason)
            .hint("End, approve or reject what it is still needed for (`berth ls`), then delete it."));
    }
    if let Some(work) = house.homes.work(record.agent) {
        return Err(home::in_work(work.view().kind));
    }
    let (fate, what) = match call.home {
        HomeFate::Keep => (store::HomeFate::Kept, "its home stays"),
        HomeFate::Delete => (store::HomeFate::Gone, "with its home"),
    };
    let events = vec![EventKind::Note { text: format!("The agent {} was deleted, {what}", record.name) }];
    let removed = house.store.remove_agent(record.agent, fate, house.time.now(), events).await;
    removed.map_err(|error| of_store("write down that the agent is deleted", &error))?;
    house.compare_nudge.notify_one();
    // What it had goes with it: its grants, and its budget.
    for update in [Update::Agents, Update::Homes, Update::Secrets, Update::Costs] {
        house.tell(update);
    }
    Ok(Deleted {})
}

/// All of them.
pub(crate) async fn list(house: &House) -> Result<Vec<AgentView>, ErrorView> {
    let records = house.store.agents().await.map_err(|error| faults::of_storage("read the agents", &error))?;
    let mut views = Vec::with_capacity(records.len());
    for record in records {
        views.push(view(house, record).await?);
    }
    Ok(views)
}

/// The agent of that name.
pub(crate) async fn find(house: &House, name: &str) -> Result<AgentRecord, ErrorView> {
    match house.store.agent_by_name(name).await {
        Ok(record) => Ok(record),
        Err(StoreError::NotFound { .. }) => {
            let known = house.store.agents().await.map_err(|error| of_store("read the agents", &error))?;
            let known: Vec<_> = known.into_iter().map(|agent| agent.name).collect();
            let shown = escape::visible(name.as_bytes());
            Err(ErrorView::new(ErrorCode::NotFound, format!("There is no agent named `{shown}`."))
                .hint(format!("Choose one of these: {}.", known.join(", "))))
        }
        Err(error) => Err(faults::of_storage("read the agents", &error)),
    }
}

/// Why something cannot be done to an agent now.
fn denied(house: &House, record: &AgentRecord, action: AgentAction) -> Option<String> {
    let is_default = record.name == DEFAULT_AGENT;
    let needed = || house.steps().into_iter().filter(|step| step.agent == record.agent).count();
    match action {
        AgentAction::Rename | AgentAction::Delete if is_default => {
            Some("Tasks that name no agent go to this one.".to_owned())
        }
        AgentAction::Edit | AgentAction::Rename | AgentAction::Duplicate => None,
        AgentAction::Delete => match needed() {
            0 => None,
            1 => Some("One of its tasks has not ended.".to_owned()),
            several => Some(format!("{several} of its tasks have not ended.")),
        },
    }
}

pub(crate) async fn view(house: &House, record: AgentRecord) -> Result<AgentView, ErrorView> {
    let granted = house.store.secrets_of(record.agent).await;
    let secrets = granted.map_err(|error| of_store("read the agent's secrets", &error))?;
    let logins = match house.store.home_of(record.agent).await {
        Ok(home) => home.logins,
        Err(StoreError::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(of_store("read the agent's home", &error)),
    };
    let actions = AgentAction::ALL.map(|action| AgentActionView { action, denied: denied(house, &record, action) });
    let busy = house
        .steps()
        .into_iter()
        .find(|step| step.agent == record.agent && step.state().phase().is_live())
        .map(|step| step.task);
    let description = images::catalogue::find(&record.image).map_or_else(
        || format!("An image of your own: {}", escape::visible(record.image.as_bytes())),
        |image| image.description().to_owned(),
    );
    Ok(AgentView {
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
        colour: record.colour,
        network: record.network,
        model: record.kit.model,
        persona: record.kit.persona,
        has_memory: record.kit.has_memory,
        tools: record.kit.tools,
        secrets: secrets.into_iter().map(access::secrets::agent_view).collect(),
        logins,
        actions: actions.to_vec(),
    })
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
