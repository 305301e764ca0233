//! From what a person set to what the gateway goes by. Pure.

use gateway::policy::{Grant, Policy, Ports, Reach};
use gateway::{Credential, Family, Inspected, Route, Rules};
use store::GrantedSecret;
use url::Url;
use wire::{
    ErrorCode, ErrorView,
    network::{GrantReach, HOSTS_MAX, HostGrant, HostsPatch, NetworkMode, NetworkPolicy},
    secret::{CredentialKind, HTTPS_PORT, Provider, SecretBinding, SecretWay, host_said},
};

use super::binding;

/// What a sandbox of an agent may reach, with the secrets that the agent has.
pub(super) fn rules_of(network: &NetworkPolicy, granted: &[GrantedSecret]) -> Rules {
    let grants = || network.hosts().iter().filter_map(grant_of).collect();
    let policy = match network {
        // What is past the gateway is nothing of the gateway's: a sandbox that was made before its agent's policy became that one has
        // neither.
        NetworkPolicy::Closed | NetworkPolicy::Bridge => Policy::Closed,
        NetworkPolicy::Allowlist { .. } => Policy::Allowlist(grants()),
        NetworkPolicy::Open { .. } => Policy::Open(grants()),
    };
    let (routes, inspected) = match network {
        NetworkPolicy::Closed | NetworkPolicy::Bridge => (Vec::new(), Vec::new()),
        NetworkPolicy::Allowlist { .. } | NetworkPolicy::Open { .. } => {
            (granted.iter().filter_map(route_of).collect(), granted.iter().filter_map(inspected_of).collect())
        }
    };
    Rules { policy, routes, inspected }
}

/// What nobody knows a rule for.
pub(super) fn nothing() -> Rules {
    Rules { policy: Policy::Closed, routes: Vec::new(), inspected: Vec::new() }
}

/// Whether a gateway that goes by them lets anything through.
pub(super) fn is_of_use(rules: &Rules) -> bool {
    let lets_through = match &rules.policy {
        Policy::Closed => return false,
        Policy::Allowlist(grants) => !grants.is_empty(),
        Policy::Open(_) => true,
    };
    lets_through || !rules.routes.is_empty() || !rules.inspected.is_empty()
}

/// The route that a brokered secret opens.
fn route_of(granted: &GrantedSecret) -> Option<Route> {
    let SecretBinding::Provider { provider, base_url, credential } = &granted.binding else { return None };
    if granted.way != SecretWay::Brokered {
        return None;
    }
    // An address that a person named is granted by being named.
    let (base, reach) = match base_url {
        Some(base_url) => (base_of(base_url)?, Reach::Private),
        None => (Url::parse(provider.base_url()).ok()?, Reach::Public),
    };
    let route =
        Route::new(provider.name(), family_of(*provider), &base, reach, Some(credential_of(granted, *credential)));
    route.inspect_err(|error| tracing::warn!(%error, secret = %granted.secret, "a secret opens no route")).ok()
}

/// The host that is read so that a brokered secret can be put into what goes there.
fn inspected_of(granted: &GrantedSecret) -> Option<Inspected> {
    let SecretBinding::Host { host, port, place } = &granted.binding else { return None };
    if granted.way != SecretWay::Brokered {
        return None;
    }
    let slot = binding::slot_of(place).ok()?;
    Inspected::new(host, port.unwrap_or(HTTPS_PORT), slot, credential_of(granted, CredentialKind::Key)).ok()
}

fn credential_of(granted: &GrantedSecret, kind: CredentialKind) -> Credential {
    Credential { secret: granted.secret, name: granted.name.clone(), placeholder: granted.placeholder.clone(), kind }
}

fn family_of(provider: Provider) -> Family {
    match provider {
        Provider::Anthropic => Family::Anthropic,
        Provider::Openai => Family::OpenAi,
        Provider::Gemini => Family::Gemini,
    }
}

/// The address of an API as a person typed it.
pub(super) fn base_of(text: &str) -> Option<Url> {
    let base = Url::parse(text.trim()).ok()?;
    // Whether it can be a route's says the gateway.
    Route::new("any", Family::Anthropic, &base, Reach::Private, None).is_ok().then_some(base)
}

fn grant_of(grant: &HostGrant) -> Option<Grant> {
    let ports = grant.port.map_or(Ports::Usual, Ports::One);
    let reach = match grant.reach {
        GrantReach::Public => Reach::Public,
        GrantReach::Private => Reach::Private,
    };
    Some(Grant { hosts: grant.host.parse().ok()?, ports, reach })
}

/// The same grant in the one form in which it is compared and shown.
///
/// # Errors
/// Why it is none, as a sentence.
pub(crate) fn plain(grant: &HostGrant) -> Result<HostGrant, String> {
    match grant_of(grant) {
        Some(_) if grant.port == Some(0) => Err("There is no port 0.".to_owned()),
        Some(Grant { hosts, .. }) => Ok(HostGrant { host: hosts.to_string(), ..grant.clone() }),
        None => {
            let shown = crate::escape::visible(grant.host.as_bytes());
            Err(format!("`{shown}` is no host: write `example.com`, `*.example.com` or an address."))
        }
    }
}

/// A policy with every host in that form, each once.
///
/// # Errors
/// Why it is none, as a sentence.
pub(crate) fn checked(network: NetworkPolicy) -> Result<NetworkPolicy, String> {
    Ok(match network {
        NetworkPolicy::Closed => NetworkPolicy::Closed,
        NetworkPolicy::Bridge => NetworkPolicy::Bridge,
        NetworkPolicy::Allowlist { hosts } => NetworkPolicy::Allowlist { hosts: tidy(&hosts)? },
        NetworkPolicy::Open { hosts } => NetworkPolicy::Open { hosts: tidy(&hosts)? },
    })
}

/// A list of hosts in that form, each once.
///
/// # Errors
/// Why it is none, as a sentence.
pub(crate) fn tidy(hosts: &[HostGrant]) -> Result<Vec<HostGrant>, String> {
    if hosts.len() > HOSTS_MAX {
        return Err(format!("{HOSTS_MAX} hosts are the most that one list holds."));
    }
    let mut kept: Vec<HostGrant> = Vec::with_capacity(hosts.len());
    for grant in hosts {
        let grant = plain(grant)?;
        if !kept.contains(&grant) {
            kept.push(grant);
        }
    }
    Ok(kept)
}

/// A policy of another mode, and with another list, over the one that there is.
///
/// # Errors
/// That a host is none or is not on the list, or that there is no list.
pub(crate) fn changed(
    network: &NetworkPolicy,
    mode: Option<NetworkMode>,
    patch: &HostsPatch,
    name: &str,
) -> Result<NetworkPolicy, ErrorView> {
    let mode = mode.unwrap_or(match network {
        NetworkPolicy::Closed => NetworkMode::Closed,
        NetworkPolicy::Allowlist { .. } => NetworkMode::Allowlist,
        NetworkPolicy::Open { .. } => NetworkMode::Open,
        NetworkPolicy::Bridge => NetworkMode::Bridge,
    });
    let hosts = || patched(network.hosts().to_vec(), patch, "the agent's");
    let changed = match mode {
        NetworkMode::Allowlist => return Ok(NetworkPolicy::Allowlist { hosts: hosts()? }),
        NetworkMode::Open => return Ok(NetworkPolicy::Open { hosts: hosts()? }),
        NetworkMode::Closed => NetworkPolicy::Closed,
        NetworkMode::Bridge => NetworkPolicy::Bridge,
    };
    if patch.is_empty() {
        return Ok(changed);
    }
    let word = changed.word().to_lowercase();
    let message = format!("An agent whose network is `{word}`, as that of `{name}`, has no list of hosts.");
    Err(ErrorView::new(ErrorCode::InvalidArgument, message)
        .hint("Change it to allowlist (`--network allowlist`) too; that holds from its next attempt on."))
}

/// A list without some hosts and with others. `whose` says in an error whose list it is.
///
/// # Errors
/// That a host is none or is not on the list.
pub(crate) fn patched(mut hosts: Vec<HostGrant>, patch: &HostsPatch, whose: &str) -> Result<Vec<HostGrant>, ErrorView> {
    let invalid = |reason| ErrorView::new(ErrorCode::InvalidArgument, reason).hint("Mend that host, then try again.");
    for gone in &patch.disallow {
        let gone = plain(gone).map_err(invalid)?;
        let count = hosts.len();
        hosts.retain(|known| !is_same_place(known, &gone));
        if hosts.len() == count {
            let list: Vec<_> = hosts.iter().map(|known| host_said(&known.host, known.port)).collect();
            let message =
                format!("`{}` is not on {whose} list, so nothing was changed.", host_said(&gone.host, gone.port));
            return Err(ErrorView::new(ErrorCode::NotFound, message).hint(match list.as_slice() {
                [] => "The list is empty.".to_owned(),
                list => format!("On it: {}.", list.join(", ")),
            }));
        }
    }
    for new in &patch.allow {
        let new = plain(new).map_err(invalid)?;
        hosts.retain(|known| !is_same_place(known, &new));
        hosts.push(new);
    }
    tidy(&hosts).map_err(invalid)
}

/// Whether it is the same host and port, allowed however far.
fn is_same_place(one: &HostGrant, other: &HostGrant) -> bool {
    (&one.host, one.port) == (&other.host, other.port)
}

/// A policy with more hosts on its list; one without a list stays as it is.
pub(super) fn widened(network: NetworkPolicy, more: impl IntoIterator<Item = HostGrant>) -> NetworkPolicy {
    let with = |mut hosts: Vec<HostGrant>| {
        hosts.extend(more);
        hosts
    };
    match network {
        NetworkPolicy::Closed => NetworkPolicy::Closed,
        NetworkPolicy::Bridge => NetworkPolicy::Bridge,
        NetworkPolicy::Allowlist { hosts } => NetworkPolicy::Allowlist { hosts: with(hosts) },
        NetworkPolicy::Open { hosts } => NetworkPolicy::Open { hosts: with(hosts) },
    }
}

#[cfg(test)]
mod tests {
    use wire::secret::SecretPlace;

    use super::*;
    use crate::clock::new_id;

    fn granted(way: SecretWay, binding: SecretBinding) -> GrantedSecret {
        GrantedSecret {
            secret: new_id(),
            name: "KEY".to_owned(),
            binding,
            way,
            variable: "KEY".to_owned(),
            placeholder: "sk-placeholder".to_owned(),
        }
    }

    fn bound(base_url: Option<&str>) -> SecretBinding {
        SecretBinding::Provider {
            provider: Provider::Anthropic,
            base_url: base_url.map(str::to_owned),
            credential: CredentialKind::Key,
        }
    }

    #[test]
    fn only_what_is_brokered_to_a_host_has_it_inspected() {
        let place = SecretPlace::Header { name: "Authorization".to_owned(), format: "token {}".to_owned() };
        let bound = |place: &SecretPlace| SecretBinding::Host {
            host: "api.example".to_owned(),
            port: None,
            place: place.clone(),
        };
        let nonsense = SecretPlace::Query { name: String::new() };
        for (way, place, inspected) in [
            (SecretWay::Brokered, &place, 1),
            (SecretWay::Injected, &place, 0),
            (SecretWay::File, &place, 0),
            (SecretWay::Brokered, &nonsense, 0),
        ] {
            let rules = rules_of(&NetworkPolicy::default(), &[granted(way, bound(place))]);
            assert_eq!((rules.inspected.len(), rules.routes.len()), (inspected, 0), "{way:?} {place:?}");
        }
        assert_eq!(rules_of(&NetworkPolicy::Closed, &[granted(SecretWay::Brokered, bound(&place))]), nothing());
    }

    fn host(host: &str) -> HostGrant {
        HostGrant { host: host.to_owned(), port: None, reach: GrantReach::Public }
    }

    #[test]
    fn only_what_is_brokered_to_a_provider_opens_a_route() {
        let open = NetworkPolicy::default();
        for (way, binding, routes) in [
            (SecretWay::Brokered, bound(None), 1),
            (SecretWay::Brokered, bound(Some("http://127.0.0.1:4000/v")), 1),
            (SecretWay::Injected, bound(None), 0),
            (SecretWay::Brokered, SecretBinding::Unbound, 0),
        ] {
            assert_eq!(rules_of(&open, &[granted(way, binding.clone())]).routes.len(), routes, "{way:?} {binding:?}");
        }
    }

    #[test]
    fn a_gateway_is_of_use_where_it_lets_anything_through() {
        let place = SecretPlace::Query { name: "key".to_owned() };
        let read = SecretBinding::Host { host: "api.example".to_owned(), port: None, place };
        let brokered = |binding| vec![granted(SecretWay::Brokered, binding)];
        let listed = NetworkPolicy::Allowlist { hosts: vec![host("example.com")] };
        for (network, granted, is_of_use) in [
            (NetworkPolicy::default(), Vec::new(), false),
            (NetworkPolicy::default(), brokered(SecretBinding::Unbound), false),
            (NetworkPolicy::default(), brokered(bound(None)), true),
            (NetworkPolicy::default(), brokered(read), true),
            (listed, Vec::new(), true),
            (NetworkPolicy::Open { hosts: Vec::new() }, Vec::new(), true),
            (NetworkPolicy::Closed, brokered(bound(None)), false),
            (NetworkPolicy::Bridge, brokered(bound(None)), false),
        ] {
            let rules = rules_of(&network, &granted);
            assert_eq!(super::is_of_use(&rules), is_of_use, "{network:?} {granted:?}");
        }
    }

    #[test]
    fn an_agent_without_a_gateway_has_neither_hosts_nor_models() {
        for without_gateway in [NetworkPolicy::Closed, NetworkPolicy::Bridge] {
            let rules = rules_of(&without_gateway, &[granted(SecretWay::Brokered, bound(None))]);
            assert_eq!(rules, Rules { policy: Policy::Closed, routes: Vec::new(), inspected: Vec::new() });
        }
    }

    #[test]
    fn what_is_allowed_beside_a_policy_opens_no_closed_one() {
        let more = || [host("example.com")];
        assert_eq!(widened(NetworkPolicy::Closed, more()), NetworkPolicy::Closed);
        assert_eq!(widened(NetworkPolicy::Bridge, more()), NetworkPolicy::Bridge);
        assert_eq!(widened(NetworkPolicy::default(), more()).hosts(), more());
        let open = NetworkPolicy::Open { hosts: vec![host("a.example")] };
        assert_eq!(widened(open, more()).hosts(), [host("a.example"), host("example.com")]);
    }

    #[test]
    fn hosts_are_kept_once_in_the_form_in_which_they_are_compared() {
        let hosts = vec![host("Example.COM."), host("example.com"), host("*.Example.com"), host("0x7f.1")];
        let NetworkPolicy::Allowlist { hosts } = checked(NetworkPolicy::Allowlist { hosts }).unwrap() else {
            unreachable!("the mode stays")
        };
        let names: Vec<_> = hosts.iter().map(|grant| grant.host.as_str()).collect();
        assert_eq!(names, ["example.com", "*.example.com", "127.0.0.1"]);
        for bad in ["", "*.com", "a b", "http://example.com", "*"] {
            assert!(plain(&host(bad)).is_err(), "{bad:?}");
        }
        assert!(plain(&HostGrant { port: Some(0), ..host("example.com") }).is_err());
    }

    #[test]
    fn a_list_is_changed_by_place_and_whatever_is_not_on_it_changes_nothing() {
        let at = |name: &str, port, reach| HostGrant { port, reach, ..host(name) };
        let before = vec![host("example.com"), at("127.0.0.1", Some(8443), GrantReach::Private)];
        let patch = |allow: &[HostGrant], disallow: &[HostGrant]| HostsPatch {
            allow: allow.to_vec(),
            disallow: disallow.to_vec(),
        };
        let private = at("EXAMPLE.com.", None, GrantReach::Private);
        let after = patched(before.clone(), &patch(&[private], &[at("0x7f.1", Some(8443), GrantReach::Public)]), "its");
        assert_eq!(after.unwrap(), [at("example.com", None, GrantReach::Private)]);
        let refused = patched(before.clone(), &patch(&[], &[host("127.0.0.1")]), "the agent's").unwrap_err();
        assert_eq!(refused.message, "`127.0.0.1` is not on the agent's list, so nothing was changed.");
        assert_eq!(refused.hint, "On it: example.com, 127.0.0.1:8443.");
        let opened = changed(&NetworkPolicy::Closed, Some(NetworkMode::Open), &patch(&before, &[]), "own").unwrap();
        assert_eq!(opened, NetworkPolicy::Open { hosts: before.clone() });
        let closed = changed(&opened, Some(NetworkMode::Closed), &HostsPatch::default(), "own").unwrap();
        assert_eq!(closed, NetworkPolicy::Closed);
        assert!(changed(&closed, None, &patch(&before, &[]), "own").unwrap_err().message.contains("has no list"));
        let to = HostsPatch::between(&before, &[host("example.com"), host("b.example")]);
        assert_eq!(to, patch(&[host("b.example")], &before[1..]));
        let further = at("example.com", None, GrantReach::Private);
        let to = HostsPatch::between(&before, &[further.clone(), before[1].clone()]);
        assert_eq!(to, patch(&[further], &[]), "allowed further, it is the same place");
    }

    #[test]
    fn an_address_of_an_api_has_no_more_than_scheme_host_and_path() {
        for good in ["https://api.example.com", "http://127.0.0.1:11434/v1", "https://gateway.example/anthropic/"] {
            assert!(base_of(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "api.example.com",
            "ftp://a.example",
            "https://a:b@c.example",
            "https://a.example/?k=v",
            "https://a.example/#x",
        ] {
            assert!(base_of(bad).is_none(), "{bad}");
        }
    }
}
