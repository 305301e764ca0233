//! Random words that open something: the token of a server, and its one-time codes.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// Bytes of randomness in a token: 256 bits.
const TOKEN_BYTES: usize = 32;

/// 256 random bits in base64url. It compares in constant time and never shows itself in a log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

/// The operating system has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomError(#[source] getrandom::Error);

impl Token {
    /// A new one, from the operating system's randomness.
    pub(crate) fn fresh() -> Result<Self, RandomError> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes).map_err(RandomError)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The token itself, for the one header, file or link that has to hold it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether that is it; takes as long for a near miss as for a far one.
    pub(crate) fn matches(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tokens_differ_and_have_256_bits() {
        let (one, other) = (Token::fresh().unwrap(), Token::fresh().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(URL_SAFE_NO_PAD.decode(one.reveal()).unwrap().len(), TOKEN_BYTES);
    }

    #[test]
    fn only_the_whole_token_matches() {
        let token = Token::fresh().unwrap();
        assert!(token.matches(token.reveal()));
        assert!(!token.matches(&token.reveal()[1..]));
        assert!(!token.matches(&format!("{}x", token.reveal())));
        assert!(!token.matches(""));
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let token = Token::fresh().unwrap();
        assert!(!format!("{token:?}").contains(token.reveal()));
    }
}
