//! The requests as they are drawn: filtered, summed up, and those gathered that a person can decide about. Pure.

use jiff::Timestamp;
use wire::{
    cost::{Spent, TokenCounts},
    network::{ReachView, RequestKind, RequestOutcome, RequestView},
    view::AgentView,
};

use crate::{policy, say};

/// Which requests are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    All,
    Refused,
}

impl Filter {
    /// The one that is not shown.
    pub const fn other(self) -> Self {
        match self {
            Self::All => Self::Refused,
            Self::Refused => Self::All,
        }
    }
}

/// The requests that a filter lets through.
pub fn shown(requests: &[RequestView], filter: Filter) -> Vec<&RequestView> {
    let is_shown = |request: &&RequestView| filter == Filter::All || is_refused(request);
    requests.iter().filter(is_shown).collect()
}

fn is_refused(request: &RequestView) -> bool {
    matches!(request.outcome, RequestOutcome::Refused { .. })
}

/// A host that was refused and that a person can allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The agent by name.
    pub agent: String,
    /// The host as it is compared.
    pub host: String,
    pub port: u16,
    /// Why it was refused last.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// How often.
    pub requests: u64,
    agent_id: wire::ids::AgentId,
}

impl Ask {
    /// Whether it is about the host of a request that was refused.
    pub fn is_about(&self, request: &RequestView) -> bool {
        is_refused(request) && self.key() == (request.agent, request.host.as_str(), request.port)
    }

    /// What tells it from the others.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.agent_id, self.host, self.port)
    }

    /// The host in its exact form, with the port.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn key(&self) -> (wire::ids::AgentId, &str, u16) {
        (self.agent_id, &self.host, self.port)
    }
}

/// What is allowed to a run beside what is its agent's: each host, and for whom it is allowed.
pub fn beside(reach: &ReachView) -> Vec<(String, String)> {
    let project =
        reach.project.as_deref().map_or_else(String::new, |project| format!("the project {}", say::visible(project)));
    let of_project = reach.project_hosts.iter().map(|grant| (policy::said(grant), project.clone()));
    let once = reach.run_hosts.iter().map(|grant| (policy::said(grant), "this run, until it ends".to_owned()));
    of_project.chain(once).collect()
}

/// What can be decided about, latest first: each host once for each agent that there still is and that does not have it on its list;
/// nor has the run in sight.
pub fn asks(requests: &[RequestView], agents: &[AgentView], reach: Option<&ReachView>) -> Vec<Ask> {
    let beside = |host: &str, port| {
        let lists = reach.map(|reach| [&reach.project_hosts, &reach.run_hosts]);
        lists.into_iter().flatten().any(|hosts| policy::names_in(hosts, host, port))
    };
    let mut asks: Vec<Ask> = Vec::new();
    for request in requests {
        // A route to a model is no host that one could allow, and an inspected host is allowed already: their secrets decide.
        let RequestOutcome::Refused { reason } = &request.outcome else { continue };
        if matches!(request.kind, RequestKind::Model | RequestKind::Inspected) || policy::is_metadata(&request.host) {
            continue;
        }
        if let Some(ask) = asks.iter_mut().find(|ask| ask.is_about(request)) {
            ask.requests += 1;
            continue;
        }
        let Some(agent) = agents.iter().find(|agent| agent.agent == request.agent) else { continue };
        if policy::names(&agent.network, &request.host, request.port) || beside(&request.host, request.port) {
            continue;
        }
        asks.push(Ask {
            agent: agent.name.clone(),
            host: request.host.clone(),
            port: request.port,
            reason: reason.clone(),
            at: request.at,
            requests: 1,
            agent_id: agent.agent,
        });
    }
    asks
}

/// A sum of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    requests: u64,
    refused: u64,
    sent_bytes: u64,
    received_bytes: u64,
    spent: Spent,
}

/// The sum of those that are listed.
pub fn total(requests: &[RequestView]) -> Total {
    requests.iter().fold(Total::default(), |mut total, request| {
        total.requests += 1;
        total.refused += u64::from(is_refused(request));
        total.sent_bytes = total.sent_bytes.saturating_add(request.sent_bytes);
        total.received_bytes = total.received_bytes.saturating_add(request.received_bytes);
        if let Some(usage) = &request.usage {
            total.spent.add(usage);
        }
        total
    })
}

impl Total {
    /// In a line.
    pub fn said(&self) -> String {
        let mut said = say::count(self.requests, "request", "requests");
        if self.refused > 0 {
            said = format!("{said}, {} refused", self.refused);
        }
        said = format!("{said} · {} out · {} in", say::bytes(self.sent_bytes), say::bytes(self.received_bytes));
        if self.spent.requests > 0 {
            said = format!(
                "{said} · {} tokens · {}",
                say::tokens(all_tokens(&self.spent.tokens)),
                say::fine_spent(&self.spent)
            );
        }
        said
    }
}

/// Every token once.
pub const fn all_tokens(tokens: &TokenCounts) -> u64 {
    tokens.input.saturating_add(tokens.cache_read).saturating_add(tokens.cache_write).saturating_add(tokens.output)
}

/// Tokens by kind: `1.2k in, 38.9k from the cache, 412 out`.
pub fn tokens_said(tokens: &TokenCounts) -> String {
    let mut said = format!("{} in", say::tokens(tokens.input));
    for (count, what) in [(tokens.cache_read, "from the cache"), (tokens.cache_write, "to the cache")] {
        if count > 0 {
            said = format!("{said}, {} {what}", say::tokens(count));
        }
    }
    said = format!("{said}, {} out", say::tokens(tokens.output));
    if tokens.reasoning > 0 {
        said = format!("{said} ({} of it thought)", say::tokens(tokens.reasoning));
    }
    said
}

/// The port where it is not the one that everyone would think of.
pub fn port_said(request: &RequestView) -> String {
    let is_usual = match request.kind {
        RequestKind::Model => true,
        RequestKind::Http => request.port == 80,
        RequestKind::Inspected => request.port == 443,
        RequestKind::Tunnel => false,
    };
    if is_usual { String::new() } else { format!(":{}", request.port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: &str = "0195510f-5a00-7000-8000-000000000004";

    fn request(seq: i64, host: &str, outcome: &str, usage: Option<&serde_json::Value>) -> RequestView {
        let id = "0195510f-5a00-7000-8000-000000000001";
        serde_json::from_value(serde_json::json!({
            "seq": seq, "at": "2026-11-21T10:00:00Z", "sandbox": id, "task": id, "run": id, "step": id, "agent": AGENT,
            "kind": if usage.is_some() { "model" } else { "tunnel" }, "method": "CONNECT", "host": host, "port": 443, "path": "",
            "outcome": {"type": outcome, "reason": "not on the list"}, "sent_bytes": 1_000, "received_bytes": 2_000, "usage": usage,
        }))
        .unwrap()
    }

    fn usage(cost: Option<i64>) -> serde_json::Value {
        let tokens = serde_json::json!({"input": 10, "cache_read": 20, "cache_write": 0, "output": 5, "reasoning": 3});
        serde_json::json!({"model": "m", "tokens": tokens, "cost": cost})
    }

    fn agent(hosts: &serde_json::Value) -> AgentView {
        serde_json::from_value(serde_json::json!({
            "agent": AGENT, "name": "mason", "image": "script", "call_sign": "SC", "description": "", "limits": {}, "review": "ask",
            "home": "berth-home-1", "network": {"mode": "allowlist", "hosts": hosts},
        }))
        .unwrap()
    }

    fn reach(list: &str, host: &str) -> ReachView {
        let mut reach = serde_json::json!({"agent": "mason", "network": {"mode": "allowlist"}, "project": "site"});
        reach[list] = serde_json::json!([{"host": host}]);
        serde_json::from_value(reach).unwrap()
    }

    #[test]
    fn what_is_allowed_beside_the_agents_list_says_for_whom() {
        let line = |list| beside(&reach(list, "a.example"));
        assert_eq!(line("project_hosts"), [("a.example".to_owned(), "the project site".to_owned())]);
        assert_eq!(line("run_hosts"), [("a.example".to_owned(), "this run, until it ends".to_owned())]);
        assert_eq!(line("nothing"), []);
    }

    #[test]
    fn the_refused_alone_are_shown_where_that_is_asked() {
        let requests = [request(3, "a", "done", None), request(2, "b", "refused", None), request(1, "c", "cut", None)];
        let seqs = |filter| shown(&requests, filter).iter().map(|request| request.seq).collect::<Vec<_>>();
        assert_eq!((seqs(Filter::All), seqs(Filter::Refused)), (vec![3, 2, 1], vec![2]));
        assert_eq!(Filter::All.other().other(), Filter::All);
    }

    #[test]
    fn a_host_that_was_refused_is_asked_about_once_until_it_is_allowed() {
        let requests = [
            request(3, "a.example", "refused", None),
            request(2, "b.example", "done", None),
            request(1, "a.example", "refused", None),
        ];
        let asked = asks(&requests, &[agent(&serde_json::json!([]))], None);
        assert_eq!(asked.len(), 1);
        assert_eq!(
            (asked[0].address().as_str(), asked[0].requests, asked[0].agent.as_str()),
            ("a.example:443", 2, "mason")
        );
        assert!(asked[0].is_about(&requests[2]) && !asked[0].is_about(&requests[1]));
        assert_eq!(asks(&requests, &[agent(&serde_json::json!([{"host": "a.example"}]))], None), []);
        // Nobody is there any more who could be allowed something.
        assert_eq!(asks(&requests, &[], None), []);
        for list in ["project_hosts", "run_hosts"] {
            let reach = reach(list, "a.example");
            assert_eq!(asks(&requests, &[agent(&serde_json::json!([]))], Some(&reach)), [], "{list}");
        }
    }

    #[test]
    fn a_refused_model_is_not_a_matter_of_hosts() {
        let requests = [request(1, "api.example", "refused", Some(&usage(None)))];
        assert_eq!(asks(&requests, &[agent(&serde_json::json!([]))], None), []);
    }

    #[test]
    fn what_is_always_refused_is_no_question() {
        let requests = [request(1, "169.254.169.254", "refused", None)];
        assert_eq!(asks(&requests, &[agent(&serde_json::json!([]))], None), []);
    }

    #[test]
    fn the_total_says_what_is_unknown_in_it() {
        let priced = request(2, "m", "done", Some(&usage(Some(21_500))));
        assert_eq!(
            total(std::slice::from_ref(&priced)).said(),
            "1 request · 1000 B out · 1.9 KiB in · 35 tokens · $0.0215"
        );
        let unpriced = request(1, "m", "done", Some(&usage(None)));
        assert!(total(&[priced, unpriced.clone()]).said().ends_with("70 tokens · at least $0.0215"));
        assert!(total(&[unpriced]).said().ends_with("price unknown"));
        assert_eq!(total(&[request(1, "a", "refused", None)]).said(), "1 request, 1 refused · 1000 B out · 1.9 KiB in");
    }

    #[test]
    fn tokens_are_said_by_kind() {
        let tokens = TokenCounts { input: 1_204, cache_read: 38_912, cache_write: 0, output: 412, reasoning: 100 };
        assert_eq!(tokens_said(&tokens), "1.2k in, 38.9k from the cache, 412 out (100 of it thought)");
    }

    #[test]
    fn an_address_of_numbers_keeps_its_port_apart() {
        let requests = [request(1, "2001:db8::1", "refused", None)];
        assert_eq!(asks(&requests, &[agent(&serde_json::json!([]))], None)[0].address(), "[2001:db8::1]:443");
    }
}
