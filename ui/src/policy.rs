//! What a network policy means, in words, and what a person writes into its list. Pure; what is let through is the core's to say.

use wire::{
    network::{BRIDGE_GIVES_UP, BRIDGE_IN_SHORT, GrantReach, HostGrant, NetworkMode, NetworkPolicy},
    secret::{SecretBinding, SecretWay, host_said},
    view::AgentView,
};

use crate::say;

/// The ports of a grant that names none.
const USUAL_PORTS: [u16; 2] = [80, 443];
/// The metadata addresses of clouds, in the form in which hosts are compared.
const METADATA: [&str; 3] = ["169.254.169.254", "100.100.100.200", "fd00:ec2::254"];

/// Which policy, without its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Closed,
    Allowlist,
    Open,
    Bridge,
}

impl Mode {
    /// Every mode, from the narrowest.
    pub const ALL: [Self; 4] = [Self::Closed, Self::Allowlist, Self::Open, Self::Bridge];

    /// The mode of a policy.
    pub const fn of(policy: &NetworkPolicy) -> Self {
        match policy {
            NetworkPolicy::Closed => Self::Closed,
            NetworkPolicy::Allowlist { .. } => Self::Allowlist,
            NetworkPolicy::Open { .. } => Self::Open,
            NetworkPolicy::Bridge => Self::Bridge,
        }
    }

    /// The policy of this mode with that list, where it has one.
    pub fn with(self, hosts: Vec<HostGrant>) -> NetworkPolicy {
        match self {
            Self::Closed => NetworkPolicy::Closed,
            Self::Allowlist => NetworkPolicy::Allowlist { hosts },
            Self::Open => NetworkPolicy::Open { hosts },
            Self::Bridge => NetworkPolicy::Bridge,
        }
    }

    /// The same, as it is asked for.
    pub const fn asked(self) -> NetworkMode {
        match self {
            Self::Closed => NetworkMode::Closed,
            Self::Allowlist => NetworkMode::Allowlist,
            Self::Open => NetworkMode::Open,
            Self::Bridge => NetworkMode::Bridge,
        }
    }

    /// Whether it has a list: where nothing gets out, and where everything does, there is nothing to list.
    pub const fn has_list(self) -> bool {
        match self {
            Self::Closed | Self::Bridge => false,
            Self::Allowlist | Self::Open => true,
        }
    }

    /// What it means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Closed => "Nothing gets out: no host, and no model either.",
            Self::Allowlist => {
                "The models and hosts of its brokered secrets and the hosts below get through the gateway; everything else is refused."
            }
            Self::Open => {
                "Any public host gets through on the ports 80 and 443. Private addresses are refused, but for those below."
            }
            Self::Bridge => BRIDGE_GIVES_UP,
        }
    }
}

/// A grant as it is read: the host in its exact form, the port where it is named, how far it goes.
pub fn said(grant: &HostGrant) -> String {
    let host = say::visible(&grant.host);
    let at = match grant.port {
        Some(port) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    match grant.reach {
        GrantReach::Public => at,
        GrantReach::Private => format!("{at}, private addresses too"),
    }
}

/// Whether the list of a policy names a host and a port already. A star stands for every name below, not for the name itself.
pub fn names(policy: &NetworkPolicy, host: &str, port: u16) -> bool {
    names_in(policy.hosts(), host, port)
}

/// Whether a list names a host and a port, as above.
pub fn names_in(hosts: &[HostGrant], host: &str, port: u16) -> bool {
    hosts.iter().any(|grant| {
        let is_port = grant.port.map_or(USUAL_PORTS.contains(&port), |granted| granted == port);
        let is_host = match grant.host.strip_prefix('*') {
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => grant.host == host,
        };
        is_port && is_host
    })
}

/// Whether a host is where clouds give their keys to whoever asks: refused whatever a list says, so nobody is asked about it.
pub fn is_metadata(host: &str) -> bool {
    METADATA.contains(&host)
}

/// The grant of a host that was refused: that port alone, unless it is a usual one.
pub fn grant_of(host: &str, port: u16, reach: GrantReach) -> HostGrant {
    HostGrant { host: host.to_owned(), port: Some(port).filter(|port| !USUAL_PORTS.contains(port)), reach }
}

/// What an agent may reach, in a sentence or two.
pub fn reach_of(agent: &AgentView) -> String {
    let name = say::visible(&agent.name);
    let mut listed: Vec<_> = agent
        .secrets
        .iter()
        .filter(|secret| secret.way == SecretWay::Brokered)
        .filter_map(|secret| match &secret.binding {
            SecretBinding::Provider { provider, base_url, .. } => {
                let address = base_url.as_deref().unwrap_or(provider.base_url());
                Some(format!("models at {} with {}", say::visible(address), say::visible(&secret.name)))
            }
            SecretBinding::Host { host, port, .. } => {
                let host = say::visible(&host_said(host, *port));
                Some(format!("{host} with {}, where Berth reads what it sends", say::visible(&secret.name)))
            }
            SecretBinding::Unbound => None,
        })
        .collect();
    listed.extend(agent.network.hosts().iter().map(said));
    match (Mode::of(&agent.network), listed.is_empty()) {
        (Mode::Closed, _) => format!("{name} is closed: it reaches nothing, and no model either."),
        (Mode::Bridge, _) => {
            format!("{name} is on a network of its own: it reaches everything, and nothing of it is seen here.")
        }
        (Mode::Allowlist, true) => {
            format!("{name} may reach nothing yet: its list is empty, and no secret is brokered to it.")
        }
        (Mode::Allowlist, false) => format!("{name} may reach {}.", listed.join(", ")),
        (Mode::Open, true) => format!("{name} may reach any public host on the ports 80 and 443."),
        (Mode::Open, false) => {
            format!("{name} may reach any public host on the ports 80 and 443, and {}.", listed.join(", "))
        }
    }
}

/// Why a line of the list cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error(
        "A host is a name such as example.com, *.example.com for all names below it, or an address; no scheme, no path"
    )]
    Host,
    #[error("A port is a number from 1 to 65535; 80 and 443 where it is empty")]
    Port,
    #[error("That is in the list already")]
    Twice,
    #[error("The list has {} lines already", wire::network::HOSTS_MAX)]
    Full,
}

/// A line of the list as it is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub host: String,
    /// Empty for 80 and 443.
    pub port: String,
    pub reach: GrantReach,
}

impl Line {
    /// Whether nothing is written.
    pub fn is_blank(&self) -> bool {
        self.host.trim().is_empty() && self.port.trim().is_empty()
    }

    /// The grant that it means, beside those that there are.
    pub fn grant(&self, hosts: &[HostGrant]) -> Result<HostGrant, Problem> {
        let host = self.host.trim().to_ascii_lowercase();
        let name = host.strip_prefix("*.").unwrap_or(&host);
        let is_host = !name.is_empty()
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']'))
            && (name.parse::<std::net::Ipv6Addr>().is_ok() || name.starts_with('[') || !name.contains(':'));
        if !is_host {
            return Err(Problem::Host);
        }
        let port = match self.port.trim() {
            "" => None,
            port => Some(port.parse().ok().filter(|port| *port > 0).ok_or(Problem::Port)?),
        };
        let grant = HostGrant { host, port, reach: self.reach };
        if hosts.iter().any(|other| (&other.host, other.port) == (&grant.host, grant.port)) {
            return Err(Problem::Twice);
        }
        if hosts.len() >= wire::network::HOSTS_MAX {
            return Err(Problem::Full);
        }
        Ok(grant)
    }
}

/// What to say of the network card of a sandbox under that policy, where it has one.
pub fn card_of(network: &NetworkPolicy) -> Option<&'static str> {
    match network {
        NetworkPolicy::Bridge => Some(BRIDGE_IN_SHORT),
        NetworkPolicy::Closed | NetworkPolicy::Allowlist { .. } | NetworkPolicy::Open { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(host: &str, port: Option<u16>) -> HostGrant {
        HostGrant { host: host.to_owned(), port, reach: GrantReach::Public }
    }

    fn line(host: &str, port: &str) -> Line {
        Line { host: host.to_owned(), port: port.to_owned(), reach: GrantReach::Public }
    }

    fn agent(network: &serde_json::Value, secrets: &serde_json::Value) -> AgentView {
        serde_json::from_value(serde_json::json!({
            "agent": "0195510f-5a00-7000-8000-000000000004", "name": "mason", "image": "script", "call_sign": "SC",
            "description": "", "limits": {}, "review": "ask", "home": "berth-home-1", "network": network, "secrets": secrets,
        }))
        .unwrap()
    }

    #[test]
    fn only_a_bridge_is_said_to_be_a_card() {
        assert_eq!(card_of(&NetworkPolicy::Bridge), Some(BRIDGE_IN_SHORT));
        for without in [NetworkPolicy::Closed, NetworkPolicy::default(), NetworkPolicy::Open { hosts: Vec::new() }] {
            assert_eq!(card_of(&without), None);
        }
    }

    #[test]
    fn a_star_names_what_is_below_a_domain_and_not_the_domain() {
        let policy =
            NetworkPolicy::Allowlist { hosts: vec![grant("*.example.com", None), grant("db.local", Some(5432))] };
        for (host, port, is_named) in [
            ("a.example.com", 443, true),
            ("a.b.example.com", 80, true),
            ("example.com", 443, false),
            ("notexample.com", 443, false),
            ("a.example.com", 8080, false),
            ("db.local", 5432, true),
            ("db.local", 443, false),
        ] {
            assert_eq!(names(&policy, host, port), is_named, "{host}:{port}");
        }
        assert!(!names(&NetworkPolicy::Closed, "db.local", 5432));
    }

    #[test]
    fn what_is_allowed_is_what_was_asked_for_and_no_more() {
        assert_eq!(grant_of("a.example", 443, GrantReach::Public), grant("a.example", None));
        assert_eq!(grant_of("a.example", 8443, GrantReach::Public), grant("a.example", Some(8443)));
    }

    #[test]
    fn a_line_that_names_no_host_is_said_to_be_none() {
        for host in
            ["", " ", "https://example.com", "example.com/a", "a b", "*", "*.", "*.*.com", "a.*.com", "example.com:443"]
        {
            assert_eq!(line(host, "").grant(&[]), Err(Problem::Host), "{host}");
        }
        for host in ["example.com", "*.example.com", "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "bücher.example"] {
            assert!(line(host, "").grant(&[]).is_ok(), "{host}");
        }
        assert_eq!(line("a.example", "0").grant(&[]), Err(Problem::Port));
        assert_eq!(line("a.example", "70000").grant(&[]), Err(Problem::Port));
        assert_eq!(line("A.Example ", "8443").grant(&[]), Ok(grant("a.example", Some(8443))));
        assert_eq!(line("a.example", "").grant(&[grant("a.example", None)]), Err(Problem::Twice));
        let full = vec![grant("b.example", None); wire::network::HOSTS_MAX];
        assert_eq!(line("a.example", "").grant(&full), Err(Problem::Full));
    }

    #[test]
    fn a_grant_is_read_in_its_exact_form() {
        assert_eq!(said(&grant("example.com", None)), "example.com");
        assert_eq!(said(&grant("2001:db8::1", Some(8443))), "[2001:db8::1]:8443");
        let private = HostGrant { reach: GrantReach::Private, ..grant("db.local", Some(5432)) };
        assert_eq!(said(&private), "db.local:5432, private addresses too");
    }

    #[test]
    fn what_an_agent_may_reach_names_models_and_hosts() {
        let none = serde_json::json!([]);
        let brokered = serde_json::json!([{
            "name": "anthropic-key", "binding": {"type": "provider", "provider": "anthropic"}, "way": "brokered", "variable": "K",
        }]);
        let inspected = serde_json::json!([{
            "name": "token", "binding": {"type": "host", "host": "api.example.com", "place": {"in": "query", "name": "key"}},
            "way": "brokered", "variable": "TOKEN",
        }]);
        assert_eq!(
            reach_of(&agent(&serde_json::json!({"mode": "allowlist"}), &inspected)),
            "mason may reach api.example.com with token, where Berth reads what it sends."
        );
        let listed = serde_json::json!({"mode": "allowlist", "hosts": [{"host": "index.example.org"}]});
        assert_eq!(
            reach_of(&agent(&listed, &brokered)),
            "mason may reach models at https://api.anthropic.com with anthropic-key, index.example.org."
        );
        assert!(reach_of(&agent(&serde_json::json!({"mode": "allowlist"}), &none)).contains("nothing yet"));
        // A closed one has no gateway, whatever was brokered to it.
        assert!(reach_of(&agent(&serde_json::json!({"mode": "closed"}), &brokered)).contains("reaches nothing"));
        assert!(reach_of(&agent(&serde_json::json!({"mode": "open"}), &none)).contains("any public host"));
        assert!(reach_of(&agent(&serde_json::json!({"mode": "bridge"}), &none)).contains("reaches everything"));
    }

    #[test]
    fn going_to_another_mode_and_back_changes_nothing() {
        let hosts = vec![grant("example.com", None)];
        for mode in Mode::ALL {
            assert_eq!(Mode::of(&mode.with(hosts.clone())), mode);
        }
        for mode in [Mode::Closed, Mode::Bridge] {
            assert_eq!(mode.with(hosts.clone()).hosts(), []);
            assert!(!mode.has_list());
        }
    }
}
