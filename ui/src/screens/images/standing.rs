//! How images stand, in words: the badge, the lines of a card, what each needs, and the line over all of them. Pure.

use jiff::Timestamp;
use wire::{
    image::{ImageOrigin, ImageState, ImageView, SmokeView},
    secret::{Provider, SecretBinding, SecretsView},
};

use crate::{icon::Glyph, say};

/// A badge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// Its colour.
    pub tone: &'static str,
    /// Whether nobody has to look at it.
    pub is_plain: bool,
    /// Its icon.
    pub glyph: Glyph,
    /// Its word.
    pub word: String,
}

/// What an image needs of a person's secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// None.
    Nothing,
    /// A key of one of its providers, and nobody knows yet whether there is one.
    Unknown,
    /// A key of one of its providers, and these secrets are such keys; the best first.
    Fits(Vec<String>),
    /// A key of one of its providers, and there is none.
    Missing(Vec<Provider>),
}

impl Needs {
    /// What `image` needs where these secrets are there; `None` while they are not known.
    pub fn of(image: &ImageView, secrets: Option<&SecretsView>) -> Self {
        if image.providers.is_empty() {
            return Self::Nothing;
        }
        let Some(secrets) = secrets else { return Self::Unknown };
        let fitting: Vec<_> =
            image.providers.iter().flat_map(|provider| keys_of(*provider, secrets)).map(str::to_owned).collect();
        if fitting.is_empty() { Self::Missing(image.providers.clone()) } else { Self::Fits(fitting) }
    }

    /// The same in a few words.
    pub fn said(&self) -> String {
        match self {
            Self::Nothing => "no secret needed".to_owned(),
            Self::Unknown => "needs a provider's key".to_owned(),
            Self::Fits(names) => match names.as_slice() {
                [] => String::new(),
                [only] => say::visible(only),
                [first, rest @ ..] => format!("{} and {} more", say::visible(first), rest.len()),
            },
            Self::Missing(providers) => {
                let words: Vec<_> = providers.iter().map(|provider| provider.word()).collect();
                format!("needs a key of {}", words.join(" or "))
            }
        }
    }
}

/// The secrets that open a provider's API.
fn keys_of(provider: Provider, secrets: &SecretsView) -> impl Iterator<Item = &str> {
    secrets.secrets.iter().filter_map(move |secret| match secret.binding {
        SecretBinding::Provider { provider: of, .. } if of == provider => Some(secret.name.as_str()),
        SecretBinding::Provider { .. } | SecretBinding::Host { .. } | SecretBinding::Unbound => None,
    })
}

/// The badge of an image.
pub fn sign(image: &ImageView, needs: &Needs) -> Sign {
    let sign = |tone, is_plain, glyph, word: &str| Sign { tone, is_plain, glyph, word: word.to_owned() };
    match &image.state {
        ImageState::Unknown => sign("idle", true, Glyph::CircleDashed, "Unknown"),
        ImageState::NotBuilt if is_fetched(image) => sign("idle", true, Glyph::CircleDashed, "Not fetched"),
        ImageState::NotBuilt => sign("idle", true, Glyph::CircleDashed, "Not built"),
        ImageState::Outdated { .. } => sign("review", false, Glyph::Refresh, "Outdated"),
        ImageState::Building { number, of, .. } => {
            let verb = if is_fetched(image) { "Fetching" } else { "Building" };
            let word = match (*number, *of) {
                (0, _) => verb.to_owned(),
                (number, 0) => format!("{verb} · step {number}"),
                (number, of) => format!("{verb} · {number} of {of}"),
            };
            Sign { tone: "run", is_plain: false, glyph: Glyph::Hammer, word }
        }
        ImageState::Ready { .. } if matches!(needs, Needs::Missing(_)) => {
            sign("review", false, Glyph::Key, "Secret missing")
        }
        ImageState::Ready { .. } => sign("done", true, Glyph::Check, "Ready"),
        ImageState::Failed { .. } if is_fetched(image) => sign("fail", false, Glyph::Alert, "Fetch failed"),
        ImageState::Failed { .. } => sign("fail", false, Glyph::Alert, "Build failed"),
    }
}

/// Whether it comes from a registry, and is not built here.
pub const fn is_fetched(image: &ImageView) -> bool {
    matches!(image.origin, ImageOrigin::Reference { .. })
}

/// The name and the version that a person knows it by.
pub fn full_name(image: &ImageView) -> String {
    let name = say::visible(&image.name);
    if image.version.is_empty() { name } else { format!("{name} {}", say::visible(&image.version)) }
}

/// Where one of a person's own comes from; `None` for one that Berth brings.
pub fn origin(image: &ImageView) -> Option<String> {
    match &image.origin {
        ImageOrigin::Gallery | ImageOrigin::Part => None,
        ImageOrigin::Reference { reference } => Some(say::visible(reference)),
        ImageOrigin::Folder { path } => Some(say::visible(path)),
    }
}

/// The line at a card's foot.
pub fn foot(image: &ImageView, now: Timestamp) -> String {
    match &image.state {
        ImageState::Unknown => "Known again when the engine answers".to_owned(),
        ImageState::NotBuilt if is_fetched(image) => "Fetched when a task first needs it".to_owned(),
        ImageState::NotBuilt => "Built when a task first needs it".to_owned(),
        ImageState::Outdated { version, .. } => update(&image.version, version),
        ImageState::Building { began_at: Some(began_at), .. } => {
            format!("{} so far", say::stopwatch(say::seconds_between(*began_at, now)))
        }
        ImageState::Building { began_at: None, .. } => "Tasks that need it wait".to_owned(),
        ImageState::Ready { size_bytes, built_at: Some(built_at) } => {
            format!("{} · built {}", say::bytes(*size_bytes), say::ago(*built_at, now))
        }
        ImageState::Ready { size_bytes, built_at: None } => say::bytes(*size_bytes),
        ImageState::Failed { .. } => String::new(),
    }
}

/// What is newer than what is there.
fn update(version: &str, before: &str) -> String {
    if version == before || before.is_empty() {
        "Update available: made from other files or another base".to_owned()
    } else {
        format!("Update available: {} → {}", say::visible(before), say::visible(version))
    }
}

/// How a smoke test went, in a line.
pub fn smoke(smoke: &SmokeView, now: Timestamp) -> String {
    let at = say::ago(smoke.at, now);
    if smoke.passed {
        return format!("Smoke test passed, {} · {at}", say::count(u64::from(smoke.tried), "check", "checks"));
    }
    // Not more than were tried: the list is what an image said.
    let failed = smoke.failed.len().min(smoke.tried as usize);
    match failed {
        0 => format!("Smoke test failed · {at}"),
        failed => format!("Smoke test: {failed} of {} failed · {at}", smoke.tried),
    }
}

/// The three shelves of the Gallery, each in the order in which the core names its images.
#[derive(Debug, Default)]
pub struct Shelves<'a> {
    /// Those that Berth brings for agents.
    pub gallery: Vec<&'a ImageView>,
    /// A person's own.
    pub own: Vec<&'a ImageView>,
    /// What others start from.
    pub parts: Vec<&'a ImageView>,
}

impl<'a> Shelves<'a> {
    /// Sorts them out.
    pub fn of(images: &'a [ImageView]) -> Self {
        let mut shelves = Self::default();
        for image in images {
            match image.origin {
                ImageOrigin::Gallery => shelves.gallery.push(image),
                ImageOrigin::Part => shelves.parts.push(image),
                ImageOrigin::Reference { .. } | ImageOrigin::Folder { .. } => shelves.own.push(image),
            }
        }
        shelves
    }

    /// All of them in the order in which they are drawn.
    pub fn in_order(&self) -> Vec<&'a ImageView> {
        [&self.gallery, &self.own, &self.parts].into_iter().flatten().copied().collect()
    }
}

/// A way to go from one image to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Left,
    Right,
    Up,
    Down,
}

/// Where a step from `at` leads, among `cards` in so many columns with `rows` in a column below them. It stays where there is nothing.
pub fn step(way: Way, at: usize, cards: usize, columns: usize, rows: usize) -> usize {
    let (columns, last) = (columns.max(1), (cards + rows).saturating_sub(1));
    let to = match way {
        Way::Up if at < cards => at.checked_sub(columns).unwrap_or(at),
        // From the last line of cards to the first row below, from a line before it never past it.
        Way::Down if at < cards && at / columns < (cards - 1) / columns => (at + columns).min(cards - 1),
        Way::Down if at < cards => cards,
        Way::Left | Way::Up => at.saturating_sub(1),
        Way::Right | Way::Down => at + 1,
    };
    if to > last { at } else { to }
}

/// How the images stand, in a line.
pub fn summary(images: &[ImageView]) -> String {
    const WORDS: [&str; 6] = ["ready", "building", "outdated", "failed", "not built", "unknown"];
    let mut counts = [0_u64; WORDS.len()];
    let mut size_bytes = 0_u64;
    for image in images {
        let word = match &image.state {
            ImageState::Ready { size_bytes: size, .. } => {
                size_bytes = size_bytes.saturating_add(*size);
                0
            }
            ImageState::Building { .. } => 1,
            ImageState::Outdated { size_bytes: size, .. } => {
                size_bytes = size_bytes.saturating_add(*size);
                2
            }
            ImageState::Failed { .. } => 3,
            ImageState::NotBuilt => 4,
            ImageState::Unknown => 5,
        };
        counts[word] += 1;
    }
    let mut parts: Vec<_> = counts
        .iter()
        .zip(WORDS)
        .filter(|(count, _)| **count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if size_bytes > 0 {
        // Images share what they start from, so this is what they come to one by one, and no more than that.
        parts.push(format!("{} on disk at most", say::bytes(size_bytes)));
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture;

    fn image(state: Value) -> ImageView {
        fixture::image("claude-code", json!({"origin": "gallery"}), state)
    }

    fn secrets(opens: &[&str]) -> SecretsView {
        let secrets = opens.iter().map(|opens| fixture::secret(opens, &[])).collect();
        SecretsView { place: wire::secret::VaultPlace::Keyring, secrets, inside: Vec::new() }
    }

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn an_image_needs_a_key_of_one_of_its_providers() {
        let mut image = image(json!({"state": "ready", "size_bytes": 1}));
        assert_eq!(Needs::of(&image, None), Needs::Nothing);
        image.providers = vec![Provider::Anthropic, Provider::Openai];
        assert_eq!(Needs::of(&image, None), Needs::Unknown);
        assert_eq!(Needs::of(&image, Some(&secrets(&["other", "openai"]))), Needs::Fits(vec!["key".to_owned()]));
        let missing = Needs::of(&image, Some(&secrets(&["gemini", "other"])));
        assert_eq!(missing, Needs::Missing(vec![Provider::Anthropic, Provider::Openai]));
        assert_eq!(missing.said(), "needs a key of Anthropic or OpenAI and compatible");
        assert_eq!(sign(&image, &missing).word, "Secret missing");
        assert_eq!(sign(&image, &Needs::Unknown).word, "Ready");
    }

    #[test]
    fn what_is_not_there_has_its_state_for_a_badge_though_a_secret_is_missing() {
        let mut image = image(json!({"state": "not_built"}));
        image.providers = vec![Provider::Gemini];
        let needs = Needs::of(&image, Some(&secrets(&[])));
        assert_eq!(sign(&image, &needs).word, "Not built");
    }

    #[test]
    fn a_build_says_how_far_it_is_as_far_as_that_is_known() {
        for (number, of, word) in
            [(0, 0, "Building"), (0, 8, "Building"), (3, 0, "Building · step 3"), (5, 8, "Building · 5 of 8")]
        {
            let image = image(json!({"state": "building", "line": "", "number": number, "of": of}));
            assert_eq!(sign(&image, &Needs::Nothing).word, word);
        }
        let own = json!({"origin": "reference", "reference": "debian:12"});
        let fetched = fixture::image("own", own, json!({"state": "building", "line": "", "number": 1, "of": 2}));
        assert_eq!(sign(&fetched, &Needs::Nothing).word, "Fetching · 1 of 2");
    }

    #[test]
    fn the_foot_says_when_and_how_large_and_what_is_newer() {
        for (state, said) in [
            (
                json!({"state": "ready", "size_bytes": 222_298_112, "built_at": "2026-11-18T12:00:00Z"}),
                "212 MiB · built 3 d ago",
            ),
            (json!({"state": "ready", "size_bytes": 222_298_112}), "212 MiB"),
            (json!({"state": "outdated", "version": "2.0.1", "size_bytes": 1}), "Update available: 2.0.1 → 2.0.14"),
            (
                json!({"state": "outdated", "version": "2.0.14", "size_bytes": 1}),
                "Update available: made from other files or another base",
            ),
            (
                json!({"state": "building", "line": "", "number": 1, "of": 2, "began_at": "2026-11-21T11:59:15Z"}),
                "00:45 so far",
            ),
        ] {
            assert_eq!(foot(&image(state), now()), said);
        }
    }

    #[test]
    fn a_smoke_test_says_how_much_of_it_failed() {
        let smoke_of = |passed, tried, failed: &[&str]| {
            let failed = failed.iter().map(|&line| line.to_owned()).collect();
            smoke(&SmokeView { passed, tried, failed, at: "2026-11-21T09:00:00Z".parse().unwrap() }, now())
        };
        assert_eq!(smoke_of(true, 14, &[]), "Smoke test passed, 14 checks · 3 h ago");
        assert_eq!(smoke_of(false, 14, &["git", "rg"]), "Smoke test: 2 of 14 failed · 3 h ago");
        assert_eq!(smoke_of(false, 0, &["no shell"]), "Smoke test failed · 3 h ago");
    }

    #[test]
    fn the_summary_counts_each_state_once_in_a_steady_order() {
        let images = [
            image(json!({"state": "not_built"})),
            image(json!({"state": "ready", "size_bytes": 212_000_000})),
            image(json!({"state": "outdated", "version": "1", "size_bytes": 100_000_000})),
            image(json!({"state": "ready", "size_bytes": 0})),
        ];
        assert_eq!(summary(&images), "2 ready · 1 outdated · 1 not built · 297 MiB on disk at most");
        assert_eq!(summary(&[]), "");
    }

    #[test]
    fn the_shelves_keep_parts_and_a_persons_own_apart() {
        let ready = || json!({"state": "ready", "size_bytes": 1});
        let images = [
            fixture::image("base", json!({"origin": "part"}), ready()),
            fixture::image("mine", json!({"origin": "folder", "path": "/home/you/mine"}), ready()),
            fixture::image("script", json!({"origin": "gallery"}), ready()),
        ];
        let names: Vec<_> = Shelves::of(&images).in_order().iter().map(|image| image.name.as_str()).collect();
        assert_eq!(names, ["script", "mine", "base"]);
    }

    #[test]
    fn arrows_go_through_the_grid_and_on_into_the_rows_below_it() {
        // Seven cards in three columns, two rows below.
        let walk = |way, at| step(way, at, 7, 3, 2);
        assert_eq!([0, 3, 6].map(|at| walk(Way::Down, at)), [3, 6, 7]);
        assert_eq!(walk(Way::Down, 5), 6, "no card is below: the last one is the nearest");
        assert_eq!([1, 4, 7, 8].map(|at| walk(Way::Up, at)), [1, 1, 6, 7]);
        assert_eq!((walk(Way::Left, 0), walk(Way::Right, 2), walk(Way::Right, 8), walk(Way::Down, 8)), (0, 3, 8, 8));
        assert_eq!(step(Way::Down, 0, 1, 0, 0), 0);
        assert_eq!(step(Way::Down, 0, 0, 3, 0), 0);
    }
}
