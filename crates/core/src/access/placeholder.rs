//! What a sandbox has in the place of a brokered secret: of the provider's shape, since programs look at it, and worth nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wire::secret::Provider;

/// Random bytes in a placeholder: none can be guessed, and none is like another.
const RANDOM_BYTES: usize = 24;

/// A new placeholder; `None` where the system has no randomness.
pub(super) fn make(provider: Option<Provider>) -> Option<String> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(shaped(provider, &URL_SAFE_NO_PAD.encode(bytes)))
}

/// As the vendors' keys begin, and as long as they are.
fn shaped(provider: Option<Provider>, random: &str) -> String {
    let (prefix, length) = match provider {
        Some(Provider::Anthropic) => ("sk-ant-api03-", 108),
        Some(Provider::Openai) => ("sk-proj-", 56),
        Some(Provider::Gemini) => ("AIza", 39),
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
        for provider in [None, Some(Provider::Anthropic), Some(Provider::Openai), Some(Provider::Gemini)] {
            for _ in 0..50 {
                let made = make(provider).unwrap();
                assert_eq!(made.len(), shaped(provider, "").len());
                assert!(made.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{made}");
                assert!(seen.insert(made), "the random part is in it whole enough");
            }
        }
        assert!(make(Some(Provider::Anthropic)).unwrap().starts_with("sk-ant-api03-"));
    }
}
