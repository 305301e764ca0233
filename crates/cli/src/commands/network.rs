//! What agents may reach, and what their sandboxes asked for.

use wire::{
    ErrorCode, ErrorView,
    call::{ListAgents, ListRequests, ShowRun},
    network::{GrantReach, HostGrant, NetworkPolicy, RequestOutcome, RequestView},
    view::AgentView,
};

use crate::{
    arguments::{CreateAgent, EditAgent, HostName, NetworkMode, Requests},
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

/// The policy that was asked for, over the one that the agent has; `None` where it stays as it is.
pub(super) async fn changed(connection: &Connection, edit: &EditAgent) -> anyhow::Result<Option<NetworkPolicy>> {
    let EditAgent { agent: name, network, allow, disallow, private, .. } = edit;
    if network.is_none() && allow.is_empty() && disallow.is_empty() {
        return Ok(None);
    }
    let before = agent(connection, name).await?.network;
    let reach = if *private { GrantReach::Private } else { GrantReach::Public };
    let mode = network.unwrap_or(match before {
        NetworkPolicy::Closed => NetworkMode::Closed,
        NetworkPolicy::Allowlist { .. } => NetworkMode::Allowlist,
        NetworkPolicy::Open { .. } => NetworkMode::Open,
        NetworkPolicy::Bridge => NetworkMode::Bridge,
    });
    let listless = match mode {
        NetworkMode::Closed => Some(NetworkPolicy::Closed),
        NetworkMode::Bridge => Some(NetworkPolicy::Bridge),
        NetworkMode::Allowlist | NetworkMode::Open => None,
    };
    if let Some(listless) = listless {
        if allow.is_empty() && disallow.is_empty() {
            return Ok(Some(listless));
        }
        let word = listless.word().to_lowercase();
        let message = format!("An agent whose network is `{word}`, as that of `{name}`, has no list of hosts.");
        let hint = "Give --network allowlist too; that holds from its next attempt on.";
        return Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint).into());
    }
    let hosts = edited(before.hosts().to_vec(), allow, disallow, reach, "the agent's")?;
    Ok(Some(match mode {
        NetworkMode::Open => NetworkPolicy::Open { hosts },
        NetworkMode::Allowlist | NetworkMode::Closed | NetworkMode::Bridge => NetworkPolicy::Allowlist { hosts },
    }))
}

/// The policy of a new agent.
pub(super) fn of_new(create: &CreateAgent) -> Result<NetworkPolicy, ErrorView> {
    let reach = if create.private { GrantReach::Private } else { GrantReach::Public };
    let hosts = edited(Vec::new(), &create.allow, &[], reach, "the agent's")?;
    match create.network.unwrap_or(NetworkMode::Allowlist) {
        NetworkMode::Allowlist => Ok(NetworkPolicy::Allowlist { hosts }),
        NetworkMode::Open => Ok(NetworkPolicy::Open { hosts }),
        NetworkMode::Closed if hosts.is_empty() => Ok(NetworkPolicy::Closed),
        NetworkMode::Bridge if hosts.is_empty() => Ok(NetworkPolicy::Bridge),
        NetworkMode::Closed | NetworkMode::Bridge => {
            let message = "An agent whose network is `closed` or `bridge` has no list of hosts.";
            Err(ErrorView::new(ErrorCode::InvalidArgument, message)
                .hint("Leave --allow away, or give --network allowlist."))
        }
    }
}

/// A list without some hosts and with others. `whose` says in an error whose list it is.
pub(super) fn edited(
    mut hosts: Vec<HostGrant>,
    allow: &[HostName],
    disallow: &[HostName],
    reach: GrantReach,
    whose: &str,
) -> Result<Vec<HostGrant>, ErrorView> {
    for gone in disallow {
        let count = hosts.len();
        hosts.retain(|grant| !is_same(grant, gone));
        if hosts.len() == count {
            return Err(not_listed(gone, &hosts, whose));
        }
    }
    for new in allow {
        // The same host and port may be allowed further than before, or less far.
        hosts.retain(|grant| !is_same(grant, new));
        hosts.push(HostGrant { host: new.host.clone(), port: new.port, reach });
    }
    Ok(hosts)
}

/// Whether it is the same host and port, as far as that can be seen from here.
fn is_same(grant: &HostGrant, typed: &HostName) -> bool {
    let plain = |host: &str| host.trim_matches(['[', ']']).trim_end_matches('.').to_lowercase();
    grant.port == typed.port && plain(&grant.host) == plain(&typed.host)
}

fn not_listed(gone: &HostName, hosts: &[HostGrant], whose: &str) -> ErrorView {
    let typed = HostGrant { host: gone.host.clone(), port: gone.port, reach: GrantReach::Public };
    let message = format!("`{}` is not on {whose} list, so nothing was changed.", words::line(&network::host(&typed)));
    let hint = match hosts {
        [] => "The list is empty.".to_owned(),
        hosts => format!("On it: {}.", hosts.iter().map(network::host).collect::<Vec<_>>().join(", ")),
    };
    ErrorView::new(ErrorCode::NotFound, message).hint(hint)
}
