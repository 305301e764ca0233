//! `.env` files: read with the reader that others use, a line at a time, so that each line has its number and one bad line costs
//! only itself.
//!
//! Values of several lines are no secrets that a header could carry, and nothing is filled in from Berth's own environment, as that
//! reader would: a line that asks for it is refused.

use std::collections::BTreeMap;

use wire::secret::{CredentialKind, Provider, SecretBinding, SecretText};

use super::secrets::is_name;

/// Longest file, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 256 << 10;
/// Most lines that are looked at.
pub(super) const LINES_MAX: usize = 2_000;

/// One assignment of the file.
pub(super) struct Assignment {
    /// The line's number, from 1.
    pub(super) line: u32,
    /// The name; empty where the line has none.
    pub(super) name: String,
    /// The value, or why there is none, as a sentence.
    pub(super) value: Result<SecretText, String>,
}

/// The assignments of a file, in order. Of two to one name the later counts, as shells have it.
pub(super) fn read(text: &str) -> Vec<Assignment> {
    let mut last: BTreeMap<String, Assignment> = BTreeMap::new();
    let mut nameless = Vec::new();
    for (line, number) in text.lines().take(LINES_MAX).zip(1..) {
        let Some(assignment) = read_line(line, number) else { continue };
        if assignment.name.is_empty() {
            nameless.push(assignment);
        } else {
            last.insert(assignment.name.clone(), assignment);
        }
    }
    let mut all: Vec<_> = last.into_values().chain(nameless).collect();
    all.sort_by_key(|assignment| assignment.line);
    all
}

fn read_line(line: &str, number: u32) -> Option<Assignment> {
    let whole = |name: String, value| Some(Assignment { line: number, name, value });
    let bare = line.trim();
    if bare.is_empty() || bare.starts_with('#') {
        return None;
    }
    // Without a `=` the line may be a value that lost its name, which is not to be shown.
    let named = bare.strip_prefix("export ").unwrap_or(bare).split_once('=').map_or("", |(name, _)| name.trim());
    let name = if is_name(named) { named.to_owned() } else { String::new() };
    // Single quotes keep it as it is.
    if line.contains('$') && !line.contains('\'') {
        return whole(name, Err("It has a `$`, and Berth fills no variables in.".to_owned()));
    }
    match dotenvy::from_read_iter(line.as_bytes()).next()? {
        Ok((name, value)) if !is_name(&name) => {
            drop(SecretText::new(value));
            whole(String::new(), Err("Its name has other than letters, digits, `_`, `-` and `.`.".to_owned()))
        }
        Ok((name, value)) if value.is_empty() => whole(name, Err("It has no value.".to_owned())),
        Ok((name, value)) => whole(name, Ok(SecretText::new(value))),
        // The reader's own words quote the line.
        Err(_) => whole(name, Err("It is no assignment of one line.".to_owned())),
    }
}

/// What a secret of that name opens, as far as its name says.
pub(super) fn binding_of(name: &str) -> SecretBinding {
    let is_key = |provider: &Provider| name.eq_ignore_ascii_case(provider.key_variable());
    let is_token = |provider: &Provider| {
        provider.subscription_variable().is_some_and(|variable| name.eq_ignore_ascii_case(variable))
    };
    let of = |credential| move |provider| SecretBinding::Provider { provider, base_url: None, credential };
    let key = Provider::ALL.into_iter().find(is_key).map(of(CredentialKind::Key));
    let token = || Provider::ALL.into_iter().find(is_token).map(of(CredentialKind::Subscription));
    key.or_else(token).unwrap_or(SecretBinding::Unbound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, Result<String, String>) {
        let mut all = read(text);
        assert_eq!(all.len(), 1, "{text:?}");
        let Assignment { name, value, .. } = all.remove(0);
        (name, value.map(SecretText::into_inner))
    }

    #[test]
    fn lines_are_read_as_shells_have_them() {
        for (text, name, value) in [
            ("A=b", "A", "b"),
            ("export A=b", "A", "b"),
            ("A=\"b c\"", "A", "b c"),
            ("A='b $c'", "A", "b $c"),
            ("A=b # a comment", "A", "b"),
            ("A=1\nA=2", "A", "2"),
            ("# nothing\n\nA=b\r", "A", "b"),
        ] {
            assert_eq!(one(text), (name.to_owned(), Ok(value.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_secret_says_why_and_costs_only_itself() {
        for text in ["A=", "A=$HOME", "A=\"${HOME}\"", "no assignment", "A=\"b", "Ä=b"] {
            assert!(one(text).1.is_err(), "{text:?}");
        }
        let both = read("A=\"unclosed\nB=good");
        assert!(both[0].value.is_err());
        assert_eq!((both[1].name.as_str(), both[1].line), ("B", 2));
        assert!(both[1].value.is_ok());
    }

    #[test]
    fn a_line_without_an_assignment_is_not_shown_as_a_name() {
        for text in ["sk-ant-a-bare-token", "export sk-ant-a-bare-token", "sk_$token"] {
            assert_eq!(one(text).0, "", "{text:?}");
        }
        assert_eq!(one("A=\"unclosed").0, "A");
    }

    #[test]
    fn nothing_is_filled_in_from_the_environment() {
        assert!(std::env::var_os("PATH").is_some());
        assert!(one("A=${PATH}").1.is_err());
        assert_eq!(one("A='${PATH}'").1.unwrap(), "${PATH}");
    }

    #[test]
    fn a_refusal_does_not_quote_the_line() {
        let refused = one("A=\"hunter2").1.unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn names_of_known_keys_are_bound() {
        assert_eq!(binding_of("ANTHROPIC_API_KEY"), SecretBinding::key_of(Provider::Anthropic));
        assert_eq!(binding_of("GITHUB_TOKEN"), SecretBinding::Unbound);
    }
}
