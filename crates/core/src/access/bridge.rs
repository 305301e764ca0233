//! What is refused to an agent on a network of its own, where there is no gateway that could put a key into a request.
//!
//! There is none where the network is closed either; but an agent there reaches nothing that it could use a key for, while this one
//! would reach its model and find that what it was given opens nothing. So nobody gets into that: neither by choosing the network, nor by
//! granting the secret, nor by starting the agent where both were done at once.

use store::GrantedSecret;
use wire::{ErrorCode, ErrorView, network::NetworkPolicy, secret::SecretWay};

use crate::escape;

/// Refuses what is brokered already.
///
/// # Errors
/// Names the first secret that is.
pub(crate) fn refuse_granted(agent: &str, network: &NetworkPolicy, granted: &[GrantedSecret]) -> Result<(), ErrorView> {
    let brokered = granted.iter().find(|secret| secret.way == SecretWay::Brokered);
    brokered.map_or(Ok(()), |secret| refuse(agent, network, &secret.name))
}

/// Refuses to broker a secret.
///
/// # Errors
/// What to do instead.
pub(super) fn refuse(agent: &str, network: &NetworkPolicy, secret: &str) -> Result<(), ErrorView> {
    match network {
        NetworkPolicy::Closed | NetworkPolicy::Allowlist { .. } | NetworkPolicy::Open { .. } => return Ok(()),
        NetworkPolicy::Bridge => {}
    }
    let (agent, secret) = (escape::visible(agent.as_bytes()), escape::visible(secret.as_bytes()));
    let message =
        format!("On a network of its own nothing is brokered, so the agent `{agent}` could not use `{secret}` there.");
    let hint = format!(
        "Inject it (`berth secrets grant {secret} {agent} --inject`; then everything in the sandbox can read it), take it from the agent \
         (`berth secrets revoke {secret} {agent}`), or let the agent have another network than bridge."
    );
    Err(ErrorView::new(ErrorCode::NotNow, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use wire::secret::SecretBinding;

    use super::*;
    use crate::clock::new_id;

    #[test]
    fn only_what_is_brokered_is_refused_and_only_on_a_network_of_its_own() {
        let secret = |way| GrantedSecret {
            secret: new_id(),
            name: "KEY".to_owned(),
            binding: SecretBinding::Unbound,
            way,
            variable: "KEY".to_owned(),
            placeholder: "placeholder".to_owned(),
        };
        let (injected, brokered) = (secret(SecretWay::Injected), secret(SecretWay::Brokered));
        let open = NetworkPolicy::Open { hosts: Vec::new() };
        for network in [NetworkPolicy::Closed, NetworkPolicy::default(), open] {
            assert_eq!(refuse_granted("mason", &network, std::slice::from_ref(&brokered)), Ok(()), "{network:?}");
        }
        assert_eq!(refuse_granted("mason", &NetworkPolicy::Bridge, std::slice::from_ref(&injected)), Ok(()));
        let error = refuse_granted("mason", &NetworkPolicy::Bridge, &[injected, brokered]).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotNow);
        assert!(error.hint.contains("berth secrets grant KEY mason --inject"), "{error:?}");
    }
}
