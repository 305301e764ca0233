//! What an agent may reach, and what its sandboxes asked for.
//!
//! Nothing gets out of a sandbox but through the gateway, so a policy is the whole of what it may reach, and the requests are all
//! that it tried. [`NetworkPolicy::Bridge`] alone is none of that: it gives the sandbox a network card.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    cost::UsageView,
    ids::{AgentId, RunId, SandboxId, StepId, TaskId},
    view::SandboxView,
};

/// What a person gives up with [`NetworkPolicy::Bridge`], wherever that is to be known: where it is chosen, on the agent, on the task.
pub const BRIDGE_GIVES_UP: &str = "A real network of the sandbox's own. From it everything can be reached that this machine reaches: the \
     internet, private networks, a cloud's metadata, and whatever this machine serves on more than its loopback. Nothing is checked, \
     brokered or metered there: no request is listed, no cost is counted, no budget holds, and a key has to be inside. Other \
     sandboxes and Berth itself stay out of reach. A sandbox keeps the network that it was made with until its next attempt.";

/// The same in a line, for a sandbox that is on such a network.
pub const BRIDGE_IN_SHORT: &str = "A network of its own: nothing is checked, brokered or metered there.";

/// Most hosts that one agent's list holds.
pub const HOSTS_MAX: usize = 256;

/// What an agent may reach beside the models that its brokered secrets open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum NetworkPolicy {
    /// Nothing at all: there is no gateway, for models neither.
    Closed,
    /// What a person listed.
    Allowlist {
        /// The list.
        #[serde(default)]
        hosts: Vec<HostGrant>,
    },
    /// Any public host on the ports 80 and 443, and what a person listed.
    Open {
        /// The list.
        #[serde(default)]
        hosts: Vec<HostGrant>,
    },
    /// A real network of the sandbox's own, past the gateway: see [`BRIDGE_GIVES_UP`].
    Bridge,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self::Allowlist { hosts: Vec::new() }
    }
}

impl NetworkPolicy {
    /// The policy in a word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Closed => "Closed",
            Self::Allowlist { .. } => "Allowlist",
            Self::Open { .. } => "Open",
            Self::Bridge => "Bridge",
        }
    }

    /// The name in data.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Allowlist { .. } => "allowlist",
            Self::Open { .. } => "open",
            Self::Bridge => "bridge",
        }
    }

    /// What a person listed.
    pub fn hosts(&self) -> &[HostGrant] {
        match self {
            Self::Closed | Self::Bridge => &[],
            Self::Allowlist { hosts } | Self::Open { hosts } => hosts,
        }
    }
}

impl SandboxView {
    /// Whether it is on a network of its own, past the gateway. What its agent's policy says by now may be another.
    pub fn has_network_card(&self) -> bool {
        self.network == NetworkPolicy::Bridge.name()
    }
}

/// Which policy, without its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// As [`NetworkPolicy::Closed`].
    Closed,
    /// As [`NetworkPolicy::Allowlist`].
    Allowlist,
    /// As [`NetworkPolicy::Open`].
    Open,
    /// As [`NetworkPolicy::Bridge`].
    Bridge,
}

/// What is changed of a list of hosts, over the one that there is then: of two changes at once none is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostsPatch {
    /// What comes onto it. The same host and port may be allowed further than before, or less far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<HostGrant>,
    /// What goes from it, however far it was allowed; all of it has to be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disallow: Vec<HostGrant>,
}

impl HostsPatch {
    /// Whether nothing is changed.
    pub const fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.disallow.is_empty()
    }

    /// What makes one list of another.
    pub fn between(before: &[HostGrant], after: &[HostGrant]) -> Self {
        let place = |grant: &HostGrant| (grant.host.clone(), grant.port);
        let is_in = |list: &[HostGrant], grant: &HostGrant| list.iter().any(|known| place(known) == place(grant));
        Self {
            allow: after.iter().filter(|grant| !before.contains(grant)).cloned().collect(),
            disallow: before.iter().filter(|grant| !is_in(after, grant)).cloned().collect(),
        }
    }
}

/// A host, or all below a domain, that a person allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostGrant {
    /// `example.com`, `*.example.com` (every name below it, not itself), or an address.
    pub host: String,
    /// That port alone; 80 and 443 where it is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How far it goes.
    #[serde(default)]
    pub reach: GrantReach,
}

/// How far a grant goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantReach {
    /// To public addresses.
    #[default]
    Public,
    /// To this machine and private networks too.
    Private,
}

/// To whom a host is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GrantScope {
    /// To the agent, whatever it works on.
    #[default]
    Agent,
    /// To every run of a project, whoever works on it.
    Project {
        /// By name.
        project: String,
    },
    /// To one run, until it ends: a retry is another.
    Run {
        /// As in [`ShowRun`](crate::call::ShowRun).
        run: String,
    },
}

/// What a run may reach beside the models that its agent's brokered secrets open, and where that comes from. What an agent without a
/// gateway has beside its policy counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachView {
    /// The agent of the step that speaks for the run, by name.
    pub agent: String,
    /// What is that agent's.
    pub network: NetworkPolicy,
    /// The project of the run's task, by name, unless it is deleted.
    #[serde(default)]
    pub project: Option<String>,
    /// What is allowed to every run of it.
    #[serde(default)]
    pub project_hosts: Vec<HostGrant>,
    /// What is allowed to this run alone.
    #[serde(default)]
    pub run_hosts: Vec<HostGrant>,
}

/// One thing that a sandbox asked the gateway for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestView {
    /// Its place in the order of all requests.
    pub seq: i64,
    /// When it came.
    pub at: Timestamp,
    /// From which sandbox.
    pub sandbox: SandboxId,
    /// Of which task.
    pub task: TaskId,
    /// Of which run.
    pub run: RunId,
    /// Of which step.
    pub step: StepId,
    /// Of which agent.
    pub agent: AgentId,
    /// In what form it was asked.
    pub kind: RequestKind,
    /// The method; `CONNECT` for a tunnel.
    pub method: String,
    /// The host; of what was refused, as it was asked for.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, without its query; empty for a tunnel.
    pub path: String,
    /// What became of it.
    pub outcome: RequestOutcome,
    /// The status that it was answered with.
    #[serde(default)]
    pub status: Option<u16>,
    /// Bytes that went out.
    pub sent_bytes: u64,
    /// Bytes that came back.
    pub received_bytes: u64,
    /// How long it took, in milliseconds; `None` while it lasts.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// The secret that was put into it, by name.
    #[serde(default)]
    pub secret: Option<String>,
    /// What it used, where it went to a model.
    #[serde(default)]
    pub usage: Option<UsageView>,
}

/// In what form something was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A call of a model, by its route.
    Model,
    /// A request in the clear, through the proxy.
    Http,
    /// A request within TLS that the gateway read, since the agent has a secret for that host.
    Inspected,
    /// A tunnel (`CONNECT`); what goes through it is seen by its ends alone.
    Tunnel,
}

impl RequestKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Model, Self::Http, Self::Inspected, Self::Tunnel];

    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Model => "Model",
            Self::Http => "HTTP",
            Self::Inspected => "Inspected",
            Self::Tunnel => "Tunnel",
        }
    }

    /// The name in data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Http => "http",
            Self::Inspected => "inspected",
            Self::Tunnel => "tunnel",
        }
    }

    /// The kind of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RequestOutcome {
    /// It goes on.
    Open,
    /// It was carried to its end.
    Done,
    /// It was let through and broke off: the other side or the program went, or Berth ended.
    Cut {
        /// How, in words.
        reason: String,
    },
    /// Nothing of it left: the policy says no.
    Refused {
        /// Why, as a sentence for a person.
        reason: String,
    },
}

impl RequestOutcome {
    /// What a person reads.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Done => "Allowed",
            Self::Cut { .. } => "Broke off",
            Self::Refused { .. } => "Refused",
        }
    }

    /// The name in data.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Cut { .. } => "cut",
            Self::Refused { .. } => "refused",
        }
    }

    /// Why, where there is a reason.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Open | Self::Done => None,
            Self::Cut { reason } | Self::Refused { reason } => Some(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_data_are_those_that_serde_writes() {
        for kind in RequestKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(RequestKind::from_name(kind.name()), Some(kind));
        }
        let reason = String::new();
        let outcomes = [
            RequestOutcome::Open,
            RequestOutcome::Done,
            RequestOutcome::Cut { reason: reason.clone() },
            RequestOutcome::Refused { reason },
        ];
        for outcome in outcomes {
            assert_eq!(serde_json::to_value(&outcome).unwrap()["type"], outcome.name());
        }
        let open = NetworkPolicy::Open { hosts: Vec::new() };
        for policy in [NetworkPolicy::Closed, NetworkPolicy::default(), open, NetworkPolicy::Bridge] {
            assert_eq!(serde_json::to_value(&policy).unwrap()["mode"], policy.name());
        }
    }
}
