//! What a run may reach and where that comes from, and a person's answer to what was refused: that host, from now on, for the agent,
//! for all runs of the project, or for this run alone.

use std::sync::Arc;

use store::{EventScope, RunRecord};
use wire::{
    ErrorCode, ErrorView, EventKind,
    call::{AllowHost, ShowReach, UpdateAgent, UpdateProject},
    network::{GrantScope, HostGrant, HostsPatch, NetworkPolicy, ReachView},
    stream::Update,
    view::AgentView,
};

use super::rules;
use crate::house::House;
use crate::{agents, dispatch, faults, projects};

/// What a run may reach.
pub(crate) async fn show(house: &House, call: &ShowReach) -> Result<ReachView, ErrorView> {
    let failed = |error| faults::of_storage("read what the run may reach", &error);
    let run = dispatch::find_run(house, &call.run).await?;
    let step = house.store.step(run.current_step).await.map_err(failed)?;
    let agent = house.store.agent(step.agent).await.map_err(failed)?;
    let beside = house.store.hosts_of_run(run.run).await.map_err(failed)?;
    Ok(ReachView {
        agent: agent.name,
        network: agent.network,
        project: beside.project,
        project_hosts: beside.of_project,
        run_hosts: beside.own,
    })
}

/// Allows a host to whom a person says.
pub(crate) async fn allow(house: &Arc<House>, call: AllowHost) -> Result<AgentView, ErrorView> {
    let grant = rules::plain(&call.grant).map_err(|reason| {
        ErrorView::new(ErrorCode::InvalidArgument, reason).hint("Look at the host in the list of requests.")
    })?;
    let _turn = house.access.policy_turn().await;
    let agent = agents::find(house, &call.agent).await?;
    match agent.network {
        NetworkPolicy::Closed => {
            return Err(ErrorView::new(ErrorCode::NotNow, format!("The agent `{}` has no gateway.", agent.name))
                .hint("Change its network from closed to allowlist first; that holds from its next attempt on."));
        }
        NetworkPolicy::Bridge => {
            let message = format!("The agent `{}` is on a network of its own, where nothing is refused.", agent.name);
            return Err(ErrorView::new(ErrorCode::NotNow, message).hint(
                "There is nothing to allow. Change its network from bridge to allowlist for a list; that holds from its next attempt on.",
            ));
        }
        NetworkPolicy::Allowlist { .. } | NetworkPolicy::Open { .. } => {}
    }
    match call.scope {
        GrantScope::Agent => {
            let hosts = HostsPatch { allow: vec![grant], ..HostsPatch::default() };
            let change = UpdateAgent { agent: agent.name, hosts, ..UpdateAgent::default() };
            return agents::update_in_turn(house, change).await;
        }
        GrantScope::Project { project } => {
            let patch = HostsPatch { allow: vec![grant], ..HostsPatch::default() };
            projects::update_in_turn(house, UpdateProject { project, patch, ..UpdateProject::default() }).await?;
        }
        GrantScope::Run { run } => allow_once(house, &dispatch::find_run(house, &run).await?, grant).await?,
    }
    agents::view(house, agents::find(house, &agent.name).await?).await
}

/// Allows a host to a run, in whatever sandbox it works, until it ends.
async fn allow_once(house: &House, run: &RunRecord, grant: HostGrant) -> Result<(), ErrorView> {
    if run.ended_at.is_some() {
        return Err(ErrorView::new(ErrorCode::NotNow, format!("The run of #{} has ended.", run.number))
            .hint("A retry is another run: allow the host for the agent or the project, or once it asks again."));
    }
    let failed = |error| faults::of_storage("write the host down", &error);
    let known = house.store.hosts_of_run(run.run).await.map_err(failed)?.own;
    let text = format!("{} is allowed for this run", grant.host);
    let patch = HostsPatch { allow: vec![grant], ..HostsPatch::default() };
    let hosts = rules::patched(known, &patch, "the run's")
        .map_err(|refused| refused.hint("Allow the host for the agent or the project."))?;
    let scope = EventScope { task: Some(run.task), run: Some(run.run), step: None };
    let events = vec![EventKind::Note { text }];
    house.store.set_run_hosts(run.run, &hosts, scope, house.time.now(), events).await.map_err(failed)?;
    super::rules_changed(house).await;
    house.tell(Update::Task { task: run.task });
    Ok(())
}
