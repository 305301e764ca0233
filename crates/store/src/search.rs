//! From what a person types to a query of SQLite's full-text search (<https://www.sqlite.org/fts5.html>, section 3).
//!
//! All words must be there, in whatever order and column; each may be the beginning of a word. None of the query
//! language is open to what is typed: every word is quoted.

/// How many words count; more are passed over.
pub const TERMS_MAX: usize = 16;
/// How many characters of a word count.
const TERM_CHARS_MAX: usize = 64;

/// What a search looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// Nothing was typed: everything.
    Everything,
    /// Something was typed that no word can match.
    Nothing,
    /// This query.
    Query(String),
}

/// The search for what was typed.
pub(crate) fn parse(typed: &str) -> Search {
    if typed.trim().is_empty() {
        return Search::Everything;
    }
    let terms: Vec<String> = typed
        // As the tokenizer does, so that `a-b` looks for both.
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(TERMS_MAX)
        .map(term)
        .collect();
    if terms.is_empty() { Search::Nothing } else { Search::Query(terms.join(" ")) }
}

/// One letter has to be a whole word: as a beginning it would be in every task, and cost as much.
fn term(word: &str) -> String {
    let word: String = word.chars().take(TERM_CHARS_MAX).collect();
    let beginning = if word.chars().nth(1).is_some() { "*" } else { "" };
    format!("\"{word}\"{beginning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_and_may_be_beginnings() {
        assert_eq!(parse("fix OR login-page\""), Search::Query(r#""fix"* "OR"* "login"* "page"*"#.to_owned()));
        assert_eq!(parse("vitamin c"), Search::Query("\"vitamin\"* \"c\"".to_owned()));
        assert_eq!(parse("größe"), Search::Query("\"größe\"*".to_owned()));
    }

    #[test]
    fn blank_is_everything_and_no_word_is_nothing() {
        assert_eq!(parse(" \t"), Search::Everything);
        assert_eq!(parse("*** \" ()"), Search::Nothing);
    }

    #[test]
    fn a_flood_of_words_is_bounded() {
        let Search::Query(query) = parse(&"word ".repeat(10_000)) else { panic!("a query") };
        assert_eq!(query.split(' ').count(), TERMS_MAX);
    }
}
