//! The environment by which programs in a sandbox find the gateway, and the secrets that an agent has.
//!
//! Proxies are read from variables in lower case by curl, wget and git, in upper case by others; Node reads them only where it is told
//! to, Java not at all but for options of its own.

use store::GrantedSecret;
use vault::secrecy::ExposeSecret as _;
use wire::{
    ErrorView,
    network::NetworkPolicy,
    secret::{SecretBinding, SecretWay},
};

use super::secrets::of_vault;
use crate::house::House;

/// The port of loopback inside on which the guest takes connections for the gateway.
pub(crate) const GATEWAY_PORT: u16 = 7_817;
/// What is reached without the gateway: the sandbox itself.
const NOT_PROXIED: &str = "localhost,127.0.0.1,::1";

/// How a program inside reaches the gateway, where there is one. `key_store` is what Java is to trust, where that is more than it brings.
pub(super) fn of_gateway(
    network: &NetworkPolicy,
    granted: &[GrantedSecret],
    key_store: Option<&str>,
) -> Vec<(String, String)> {
    match network {
        NetworkPolicy::Closed => return Vec::new(),
        NetworkPolicy::Allowlist { .. } | NetworkPolicy::Open { .. } => {}
    }
    let proxy = format!("http://127.0.0.1:{GATEWAY_PORT}");
    let mut all = Vec::new();
    let mut set = |name: &str, value: &str| all.push((name.to_owned(), value.to_owned()));
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        set(name, &proxy);
        set(&name.to_uppercase(), &proxy);
    }
    set("no_proxy", NOT_PROXIED);
    set("NO_PROXY", NOT_PROXIED);
    // <https://nodejs.org/api/cli.html#node_use_env_proxy1>
    set("NODE_USE_ENV_PROXY", "1");
    // <https://docs.oracle.com/en/java/javase/21/core/java-networking.html>
    let java = ["http", "https"]
        .map(|scheme| format!("-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={GATEWAY_PORT}"))
        .join(" ");
    let trust = key_store.map(|file| format!(" -Djavax.net.ssl.trustStore={file}")).unwrap_or_default();
    set("JAVA_TOOL_OPTIONS", &format!("{java} -Dhttp.nonProxyHosts=localhost|127.*|[::1]{trust}"));
    for secret in granted.iter().filter(|secret| secret.way == SecretWay::Brokered) {
        let SecretBinding::Provider { provider, .. } = &secret.binding else { continue };
        set(&secret.variable, &secret.placeholder);
        let base = format!("{proxy}/model/{}{}", provider.name(), provider.base_path());
        for name in provider.base_url_variables() {
            set(name, &base);
        }
    }
    all
}

/// The values that the agent's process is given at its start. Nothing keeps them but that process.
pub(super) async fn injected(house: &House, granted: &[GrantedSecret]) -> Result<Vec<(String, String)>, ErrorView> {
    let mut all = Vec::new();
    for secret in granted.iter().filter(|secret| secret.way == SecretWay::Injected) {
        let vault = house.access.vault(house.install).await;
        let value = vault.get(secret.secret).await.map_err(|error| of_vault(&secret.name, &error))?;
        all.push((secret.variable.clone(), value.expose_secret().to_owned()));
        super::note_used(house, secret.secret).await;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use wire::secret::Provider;

    use super::*;
    use crate::clock::new_id;

    fn granted(way: SecretWay, provider: Provider) -> GrantedSecret {
        GrantedSecret {
            secret: new_id(),
            name: "KEY".to_owned(),
            binding: SecretBinding::Provider { provider, base_url: Some("https://elsewhere.example/x".to_owned()) },
            way,
            variable: provider.key_variable().to_owned(),
            placeholder: "placeholder".to_owned(),
        }
    }

    fn value<'a>(all: &'a [(String, String)], name: &str) -> Option<&'a str> {
        all.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_brokered_key_comes_as_its_placeholder_with_the_address_of_its_route() {
        let all = of_gateway(&NetworkPolicy::default(), &[granted(SecretWay::Brokered, Provider::Openai)], None);
        assert_eq!(value(&all, "OPENAI_API_KEY"), Some("placeholder"));
        assert_eq!(value(&all, "OPENAI_BASE_URL"), Some("http://127.0.0.1:7817/model/openai/v1"));
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            assert_eq!(value(&all, name), Some("http://127.0.0.1:7817"), "{name}");
        }
        let all = of_gateway(&NetworkPolicy::default(), &[granted(SecretWay::Injected, Provider::Openai)], None);
        assert_eq!(value(&all, "OPENAI_API_KEY"), None, "its value comes from the vault");
        assert_eq!(value(&all, "OPENAI_BASE_URL"), None, "it has no route");
    }

    #[test]
    fn without_a_gateway_nothing_points_to_one() {
        assert_eq!(of_gateway(&NetworkPolicy::Closed, &[granted(SecretWay::Brokered, Provider::Anthropic)], None), []);
    }

    #[test]
    fn java_is_told_of_a_key_store_only_where_it_is_to_trust_more_than_it_brings() {
        let options = |key_store| {
            let all = of_gateway(&NetworkPolicy::default(), &[], key_store);
            value(&all, "JAVA_TOOL_OPTIONS").unwrap().to_owned()
        };
        assert!(!options(None).contains("trustStore"), "{}", options(None));
        assert!(options(Some("/x.jks")).ends_with(" -Djavax.net.ssl.trustStore=/x.jks"), "{}", options(Some("/x.jks")));
    }
}
