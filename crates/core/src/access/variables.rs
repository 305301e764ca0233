//! The environment by which programs in a sandbox find the gateway, and the secrets that an agent has.
//!
//! Proxies are read from variables in lower case by curl, wget and git, in upper case by others; Node reads them only where it is told
//! to, Java not at all but for options of its own.

use pipe::host::GivenFile;
use store::GrantedSecret;
use vault::secrecy::ExposeSecret as _;
use wire::{
    ErrorView,
    network::NetworkPolicy,
    secret::{Provider, SecretBinding, SecretWay},
};

use super::secrets::of_vault;
use super::{AUTHORITY_SETTINGS, AUTHORITY_VARIABLES, Given};
use crate::house::House;

/// The port of loopback inside on which the guest takes connections for the gateway.
pub(crate) const GATEWAY_PORT: u16 = 7_817;
/// Variables that a secret may not be put into: with them an agent would not start, would run other programs than it says, or would
/// speak with somebody else than the gateway.
const TAKEN: [&str; 20] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "IFS",
    "ENV",
    "BASH_ENV",
    "NODE_OPTIONS",
    "NODE_USE_ENV_PROXY",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYOPT",
    JAVA_OPTIONS,
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "GIT_SSL_NO_VERIFY",
];
/// Java's virtual machine reads options from it. An image may have some of its own there.
/// <https://docs.oracle.com/en/java/javase/21/docs/specs/jvmti.html#tooloptions>
pub(crate) const JAVA_OPTIONS: &str = "JAVA_TOOL_OPTIONS";
/// What is reached without the gateway: the sandbox itself.
const NOT_PROXIED: &str = "localhost,127.0.0.1,::1";

/// Whether a variable has a meaning of its own, so that no secret goes into it.
pub(super) fn is_taken(variable: &str) -> bool {
    let lower = variable.to_ascii_lowercase();
    TAKEN.contains(&variable)
        || AUTHORITY_VARIABLES.contains(&variable)
        || AUTHORITY_SETTINGS.iter().any(|(name, _)| *name == variable)
        || ["BERTH_", "LD_"].iter().any(|prefix| variable.starts_with(prefix))
        || lower.ends_with("_proxy")
        || Provider::ALL.iter().any(|provider| provider.base_url_variables().contains(&variable))
}

/// How a program inside reaches the gateway, where there is one. `key_store` is what Java is to trust, where that is more than it brings.
pub(super) fn of_gateway(
    network: &NetworkPolicy,
    granted: &[GrantedSecret],
    key_store: Option<&str>,
) -> Vec<(String, String)> {
    match network {
        NetworkPolicy::Closed | NetworkPolicy::Bridge => return Vec::new(),
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
    set(JAVA_OPTIONS, &format!("{java} -Dhttp.nonProxyHosts=localhost|127.*|[::1]{trust}"));
    for secret in granted.iter().filter(|secret| secret.way == SecretWay::Brokered) {
        match &secret.binding {
            SecretBinding::Provider { provider, .. } => {
                set(&secret.variable, &secret.placeholder);
                let base = format!("{proxy}/model/{}{}", provider.name(), provider.base_path());
                for name in provider.base_url_variables() {
                    set(name, &base);
                }
            }
            SecretBinding::Host { .. } => set(&secret.variable, &secret.placeholder),
            SecretBinding::Unbound => {}
        }
    }
    all
}

/// The values that the agent's process is given at its start, in variables and in files. Nothing keeps them but that process.
pub(super) async fn injected(house: &House, granted: &[GrantedSecret]) -> Result<Given, ErrorView> {
    let mut given = Given::default();
    for secret in granted {
        let is_file = match secret.way {
            SecretWay::Brokered => continue,
            SecretWay::Injected => false,
            SecretWay::File => true,
        };
        let vault = house.access.vault(house.install).await;
        let value = vault.get(secret.secret).await.map_err(|error| of_vault(&secret.name, &error))?;
        let text = value.expose_secret().to_owned();
        if is_file {
            let variables = vec![secret.variable.clone()];
            given.files.push(GivenFile { name: secret.name.clone(), variables, text });
        } else {
            given.variables.push((secret.variable.clone(), text));
        }
        super::note_used(house, secret.secret).await;
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use wire::secret::CredentialKind;

    use super::*;
    use crate::clock::new_id;

    fn granted(way: SecretWay, provider: Provider) -> GrantedSecret {
        GrantedSecret {
            secret: new_id(),
            name: "KEY".to_owned(),
            binding: SecretBinding::Provider {
                provider,
                base_url: Some("https://elsewhere.example/x".to_owned()),
                credential: CredentialKind::Key,
            },
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
        for way in [SecretWay::Injected, SecretWay::File] {
            let all = of_gateway(&NetworkPolicy::default(), &[granted(way, Provider::Openai)], None);
            assert_eq!(value(&all, "OPENAI_API_KEY"), None, "its value comes from the vault");
            assert_eq!(value(&all, "OPENAI_BASE_URL"), None, "it has no route");
        }
    }

    #[test]
    fn no_secret_takes_the_place_of_what_points_to_the_gateway() {
        let all = of_gateway(
            &NetworkPolicy::default(),
            &Provider::ALL.map(|provider| granted(SecretWay::Brokered, provider)),
            None,
        );
        let keys = Provider::ALL.map(Provider::key_variable);
        for (name, _) in all.iter().filter(|(name, _)| !keys.contains(&name.as_str())) {
            assert!(is_taken(name), "{name}");
        }
        for name in keys.into_iter().chain(["GITHUB_TOKEN", "PROXY", "HTTP_PROXY_TOKEN", "DATABASE_URL"]) {
            assert!(!is_taken(name), "{name}");
        }
    }

    #[test]
    fn without_a_gateway_nothing_points_to_one() {
        for network in [NetworkPolicy::Closed, NetworkPolicy::Bridge] {
            assert_eq!(of_gateway(&network, &[granted(SecretWay::Brokered, Provider::Anthropic)], None), []);
        }
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
