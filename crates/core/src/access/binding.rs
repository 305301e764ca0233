//! What a secret is bound to: whether that can be, and as what it is brokered. Pure.

use gateway::{Slot, SlotError, policy::Host};
use wire::{
    ErrorCode, ErrorView,
    secret::{CredentialKind, HTTPS_PORT, Provider, SecretBinding, SecretPlace},
};

use super::rules;
use crate::escape;

/// As what a secret is brokered. An agent has one secret of each kind; and a secret that agents have brokered does not become another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Brokered {
    /// By the provider's route.
    Provider(Provider),
    /// By reading what goes to that host and port.
    Host(String, u16),
}

impl Brokered {
    /// Nothing, where it can only be injected.
    pub(super) fn of(binding: &SecretBinding) -> Option<Self> {
        match binding {
            SecretBinding::Provider { provider, .. } => Some(Self::Provider(*provider)),
            SecretBinding::Host { host, port, .. } => Some(Self::Host(host.clone(), port.unwrap_or(HTTPS_PORT))),
            SecretBinding::Unbound => None,
        }
    }
}

/// Whether what agents do with a secret stays the same: what it is brokered as, and in which variable programs look for it.
pub(super) fn is_used_alike(one: &SecretBinding, other: &SecretBinding) -> bool {
    let kind = |binding: &SecretBinding| match binding {
        SecretBinding::Provider { credential, .. } => Some(*credential),
        SecretBinding::Host { .. } | SecretBinding::Unbound => None,
    };
    Brokered::of(one) == Brokered::of(other) && kind(one) == kind(other)
}

/// Whether a value can be what a person says that it is.
pub(super) fn check_said(binding: Option<&SecretBinding>, value: &str) -> Result<(), ErrorView> {
    match binding {
        Some(SecretBinding::Provider { provider, credential: CredentialKind::Subscription, .. })
            if CredentialKind::of_shape(*provider, value) == Some(CredentialKind::Key) =>
        {
            invalid(
                "That value is a key, and no token of a subscription.".to_owned(),
                "Keep it as a key, or give the token that `claude setup-token` prints.",
            )
        }
        Some(_) | None => Ok(()),
    }
}

/// The binding as the value has it: a token of a subscription is known by its shape, whatever a person takes it for. One whose shape says
/// nothing is what the person says.
pub(super) fn of_value(binding: SecretBinding, value: &str) -> Result<SecretBinding, ErrorView> {
    let SecretBinding::Provider { provider, base_url, credential } = binding else { return Ok(binding) };
    let credential = CredentialKind::of_shape(provider, value).unwrap_or(credential);
    if credential == CredentialKind::Subscription && provider.subscription_variable().is_none() {
        return invalid(
            format!("{} issues no token of a subscription that could be brokered.", provider.word()),
            "Keep a key of its API, or sign in inside the sandbox: that stays in the agent's home.",
        );
    }
    Ok(SecretBinding::Provider { provider, base_url, credential })
}

/// Where in a request of an inspected host a secret stands.
pub(super) fn slot_of(place: &SecretPlace) -> Result<Slot, SlotError> {
    match place {
        SecretPlace::Header { name, format } => Slot::header(name, format),
        SecretPlace::Query { name } => Slot::query(name),
    }
}

/// The same binding in the one form in which it is kept.
pub(super) fn checked(binding: SecretBinding) -> Result<SecretBinding, ErrorView> {
    match binding {
        SecretBinding::Unbound | SecretBinding::Provider { base_url: None, .. } => Ok(binding),
        SecretBinding::Provider { base_url: Some(ref base_url), .. } => {
            if rules::base_of(base_url).is_some() {
                return Ok(binding);
            }
            let shown = escape::visible(base_url.as_bytes());
            invalid(
                format!("`{shown}` is not the address of an API."),
                "Give one that begins with `https://` or `http://` and has neither a name and password, nor a query, nor a fragment.",
            )
        }
        SecretBinding::Host { host, port, place } => {
            // A star is a character of names by the URL standard.
            let named = Some(host.trim()).filter(|host| !host.contains('*')).map(str::parse::<Host>);
            let Some(Ok(named)) = named else {
                let shown = escape::visible(host.as_bytes());
                return invalid(
                    format!("`{shown}` is no host that a secret can be bound to."),
                    "Write one name or address, as `api.example.com`: no scheme, no path, no star.",
                );
            };
            if port == Some(0) {
                return invalid("There is no port 0.".to_owned(), "Leave it out for 443.");
            }
            if let Err(error) = slot_of(&place) {
                return invalid(
                    format!("`{}` is no place for a secret: {error}.", escape::visible(place.said().as_bytes())),
                    "Name a header with a format, as `Authorization` with `token {}`, or one parameter of the query.",
                );
            }
            let port = port.filter(|port| *port != HTTPS_PORT);
            Ok(SecretBinding::Host { host: named.to_string(), port, place })
        }
    }
}

fn invalid<T>(message: String, hint: &str) -> Result<T, ErrorView> {
    Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str, port: Option<u16>, place: SecretPlace) -> SecretBinding {
        SecretBinding::Host { host: host.to_owned(), port, place }
    }

    fn header(name: &str, format: &str) -> SecretPlace {
        SecretPlace::Header { name: name.to_owned(), format: format.to_owned() }
    }

    #[test]
    fn a_host_is_kept_in_the_form_in_which_it_is_compared() {
        let place = header("Authorization", "token {}");
        let kept = checked(host(" API.Example.com. ", Some(443), place.clone())).unwrap();
        assert_eq!(kept, host("api.example.com", None, place.clone()));
        assert_eq!(Brokered::of(&kept), Some(Brokered::Host("api.example.com".to_owned(), 443)));
        let other = checked(host("0x7f.1", Some(8443), place.clone())).unwrap();
        assert_eq!(other, host("127.0.0.1", Some(8443), place));
    }

    #[test]
    fn what_cannot_be_bound_says_why() {
        let fine = || header("Authorization", "token {}");
        for (binding, reason) in [
            (host("https://api.example.com", None, fine()), "no host"),
            (host("*.example.com", None, fine()), "no host"),
            (host("api.example.com:8443", None, fine()), "no host"),
            (host("", None, fine()), "no host"),
            (host("api.example.com", Some(0), fine()), "port 0"),
            (host("api.example.com", None, header("Host", "{}")), "no place for a secret"),
            (host("api.example.com", None, header("Authorization", "token")), "no place for a secret"),
            (host("api.example.com", None, SecretPlace::Query { name: "a b".to_owned() }), "no place for a secret"),
        ] {
            let refused = checked(binding.clone()).unwrap_err();
            assert!(refused.message.contains(reason), "{binding:?}: {}", refused.message);
        }
    }
}
