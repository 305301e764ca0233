//! What sandboxes asked for, and a person's answer to it: that host, from now on.

use store::RequestFilter;
use wire::{
    ErrorCode, ErrorView,
    call::{AllowHost, ListRequests, UpdateAgent},
    network::{HostGrant, NetworkPolicy, RequestView},
    view::AgentView,
};

use super::rules;
use crate::house::House;
use crate::{agents, dispatch, faults};

/// The requests, newest first.
pub(crate) async fn list(house: &House, call: &ListRequests) -> Result<Vec<RequestView>, ErrorView> {
    let filter = RequestFilter {
        task: call.task,
        run: call.run,
        before_seq: call.before_seq,
        limit: dispatch::limit_of(call.limit),
    };
    house.store.requests(&filter).await.map_err(|error| faults::of_storage("read the requests", &error))
}

/// Puts a host onto an agent's list.
pub(crate) async fn allow(house: &std::sync::Arc<House>, call: AllowHost) -> Result<AgentView, ErrorView> {
    let grant = rules::plain(&call.grant).map_err(|reason| {
        ErrorView::new(ErrorCode::InvalidArgument, reason).hint("Look at the host in the list of requests.")
    })?;
    let agent = agents::find(house, &call.agent).await?;
    let with = |mut hosts: Vec<HostGrant>| {
        // The same host and port may be allowed further than before.
        hosts.retain(|known| (&known.host, known.port) != (&grant.host, grant.port));
        hosts.push(grant.clone());
        hosts
    };
    let network = match agent.network {
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
        NetworkPolicy::Allowlist { hosts } => NetworkPolicy::Allowlist { hosts: with(hosts) },
        NetworkPolicy::Open { hosts } => NetworkPolicy::Open { hosts: with(hosts) },
    };
    let change = UpdateAgent { agent: agent.name, network: Some(network), ..UpdateAgent::default() };
    agents::update(house, change).await
}
