//! What agents may reach, and what their sandboxes asked for.

use wire::{
    ErrorCode, ErrorView,
    call::{ListAgents, ListRequests, ShowRun},
    network::{GrantReach, HostGrant, HostsPatch, NetworkMode, NetworkPolicy, RequestOutcome, RequestView},
    view::AgentView,
};

use crate::{
    arguments::{self, CreateAgent, EditAgent, HostName, Requests},
    connection::Connection,
    exit::Exit,
    show::{Printer, network, words},
};

/// How many requests are asked for at once: the most that a call gives.
const PAGE_REQUESTS: u32 = 1_000;
/// How many pages are looked through for what was refused.
const PAGES_MAX: usize = 100;

/// `berth requests RUN [--refused] [--limit NUMBER]`
pub(super) async fn requests(connection: &Connection, requests: Requests, printer: Printer) -> anyhow::Result<Exit> {
    let Requests { run, refused, limit } = requests;
    let run = connection.call(ShowRun { run: run.run }).await?.summary.run;
    let wanted = |request: &RequestView| !refused || matches!(request.outcome, RequestOutcome::Refused { .. });
    let mut found: Vec<RequestView> = Vec::new();
    let mut before_seq = None;
    let mut is_whole = false;
    for _page in 0..PAGES_MAX {
        let ask = ListRequests { run: Some(run), before_seq, limit: PAGE_REQUESTS, ..ListRequests::default() };
        let page = connection.call(ask).await?;
        before_seq = page.last().map(|request| request.seq);
        let is_last = page.len() < PAGE_REQUESTS as usize;
        found.extend(page.into_iter().filter(wanted));
        is_whole = is_last && found.len() <= limit as usize;
        if is_last || found.len() > limit as usize {
            break;
        }
    }
    found.truncate(limit as usize);
    printer.reply(&found, |ink| network::requests(&found, ink))?;
    if !is_whole {
        printer.aside("There are older ones: see more with --limit.");
    }
    Ok(Exit::Done)
}

/// The agent of that name.
pub(super) async fn agent(connection: &Connection, name: &str) -> anyhow::Result<AgentView> {
    let agents = connection.call(ListAgents {}).await?;
    agents.into_iter().find(|agent| agent.name == name).ok_or_else(|| {
        let message = format!("There is no agent named `{}`.", words::line(name));
        ErrorView::new(ErrorCode::NotFound, message).hint("`berth agents` lists those there are.").into()
    })
}

/// What is asked to be changed of a policy.
pub(super) fn changed(edit: &EditAgent) -> (Option<NetworkMode>, HostsPatch) {
    let EditAgent { network, allow, disallow, private, .. } = edit;
    let mode = network.map(|mode| match mode {
        arguments::NetworkMode::Closed => NetworkMode::Closed,
        arguments::NetworkMode::Allowlist => NetworkMode::Allowlist,
        arguments::NetworkMode::Open => NetworkMode::Open,
        arguments::NetworkMode::Bridge => NetworkMode::Bridge,
    });
    (mode, patch(allow, disallow, *private))
}

/// What is asked to be changed of a list of hosts.
pub(super) fn patch(allow: &[HostName], disallow: &[HostName], is_private: bool) -> HostsPatch {
    let grants = |typed: &[HostName], reach| {
        let grant = |typed: &HostName| HostGrant { host: typed.host.clone(), port: typed.port, reach };
        typed.iter().map(grant).collect()
    };
    HostsPatch { allow: grants(allow, reach(is_private)), disallow: grants(disallow, GrantReach::Public) }
}

/// How far a host is allowed.
pub(super) const fn reach(is_private: bool) -> GrantReach {
    if is_private { GrantReach::Private } else { GrantReach::Public }
}

/// The policy of a new agent.
pub(super) fn of_new(create: &CreateAgent) -> Result<NetworkPolicy, ErrorView> {
    let hosts = patch(&create.allow, &[], create.private).allow;
    match create.network.unwrap_or(arguments::NetworkMode::Allowlist) {
        arguments::NetworkMode::Allowlist => Ok(NetworkPolicy::Allowlist { hosts }),
        arguments::NetworkMode::Open => Ok(NetworkPolicy::Open { hosts }),
        arguments::NetworkMode::Closed if hosts.is_empty() => Ok(NetworkPolicy::Closed),
        arguments::NetworkMode::Bridge if hosts.is_empty() => Ok(NetworkPolicy::Bridge),
        arguments::NetworkMode::Closed | arguments::NetworkMode::Bridge => {
            let message = "An agent whose network is `closed` or `bridge` has no list of hosts.";
            Err(ErrorView::new(ErrorCode::InvalidArgument, message)
                .hint("Leave --allow away, or give --network allowlist."))
        }
    }
}
