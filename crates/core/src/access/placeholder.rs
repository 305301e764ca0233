//! What a sandbox has in the place of a brokered secret: of the provider's shape, since programs look at it, and worth nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wire::secret::{CredentialKind, Provider};

/// Random bytes in a placeholder: none can be guessed, and none is like another.
const RANDOM_BYTES: usize = 24;

/// A new placeholder; `None` where the system has no randomness.
pub(super) fn make(of: Option<(Provider, CredentialKind)>) -> Option<String> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(shaped(of, &URL_SAFE_NO_PAD.encode(bytes)))
}

/// As the vendors' keys begin, and as long as they are.
fn shaped(of: Option<(Provider, CredentialKind)>, random: &str) -> String {
    let (prefix, length) = match of {
        Some((Provider::Anthropic, CredentialKind::Key)) => ("sk-ant-api03-", 108),
        Some((Provider::Anthropic, CredentialKind::Subscription)) => ("sk-ant-oat01-", 108),
        Some((Provider::Openai, _)) => ("sk-proj-", 56),
        Some((Provider::Gemini, _)) => ("AIza", 39),
        None => ("berth-", 38),
    };
    // Said in the key itself, where there is room: whoever finds one in a log need not worry.
    let filled = format!("{prefix}{random}-placeholder-of-berth-{}", "x".repeat(length));
    filled.chars().take(length).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn placeholders_have_the_shape_of_keys_and_differ() {
        let mut seen = HashSet::new();
        let token = (Provider::Anthropic, CredentialKind::Subscription);
        let keys = Provider::ALL.map(|provider| Some((provider, CredentialKind::Key)));
        for of in keys.into_iter().chain([None, Some(token)]) {
            for _ in 0..50 {
                let made = make(of).unwrap();
                assert_eq!(made.len(), shaped(of, "").len());
                assert!(made.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{made}");
                assert!(seen.insert(made), "the random part is in it whole enough");
            }
        }
        assert!(make(Some((Provider::Anthropic, CredentialKind::Key))).unwrap().starts_with("sk-ant-api03-"));
        assert!(make(Some(token)).unwrap().starts_with("sk-ant-oat01-"));
    }
}
