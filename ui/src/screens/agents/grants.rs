//! The secrets that a new agent is given: those that fit its image first, brokered where they can be; and what came of giving them.

use std::{collections::BTreeMap, rc::Rc};

use wire::{
    call::GrantSecret,
    image::ImageView,
    secret::{SecretBinding, SecretView, SecretWay, SecretsView},
};
use yew::prelude::*;

use crate::{
    backend::{self, CallError},
    icon::{Glyph, small_icon},
    parts::{Go, chosen},
    policy::Mode,
    route::Route,
    say,
    screens::{
        images::standing::Needs,
        settings::secrets::{best_way, way_denied},
    },
};

/// What a person chose, by the names of the secrets; `None` while they left it to the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    by_hand: Option<BTreeMap<String, SecretWay>>,
}

/// The ways in which a secret can be given.
fn ways(binding: &SecretBinding) -> impl Iterator<Item = SecretWay> {
    SecretWay::ALL.into_iter().filter(|way| way_denied(binding, *way).is_none())
}

/// The secrets as they are offered: those that fit the image first, and how many of them do.
fn offered<'a>(image: Option<&ImageView>, secrets: &'a SecretsView) -> (Vec<&'a SecretView>, usize) {
    let fitting = match image.map(|image| Needs::of(image, Some(secrets))) {
        Some(Needs::Fits(names)) => names,
        Some(Needs::Nothing | Needs::Unknown | Needs::Missing(_)) | None => Vec::new(),
    };
    let fits = |secret: &&SecretView| fitting.iter().position(|name| *name == secret.name);
    let (mut first, rest): (Vec<_>, Vec<_>) = secrets.secrets.iter().partition(|secret| fits(secret).is_some());
    first.sort_by_key(fits);
    let count = first.len();
    first.extend(rest);
    (first, count)
}

impl Grants {
    /// What is given where the agent runs in `image`: as a person chose, else the best of those that fit.
    pub fn wanted(&self, image: Option<&ImageView>, secrets: Option<&SecretsView>) -> BTreeMap<String, SecretWay> {
        let Some(secrets) = secrets else { return BTreeMap::new() };
        if let Some(by_hand) = &self.by_hand {
            // One that was deleted meanwhile is not asked for.
            let is_there = |name: &str| secrets.secrets.iter().any(|secret| secret.name == name);
            return by_hand.iter().filter(|(name, _)| is_there(name)).map(|(name, way)| (name.clone(), *way)).collect();
        }
        let (offered, fitting) = offered(image, secrets);
        offered
            .first()
            .filter(|_| fitting > 0)
            .map(|best| (best.name.clone(), best_way(&best.binding)))
            .into_iter()
            .collect()
    }

    /// The same with one secret given in that way, or not at all.
    fn with(wanted: &BTreeMap<String, SecretWay>, secret: &str, way: Option<SecretWay>) -> Self {
        let mut by_hand = wanted.clone();
        match way {
            Some(way) => by_hand.insert(secret.to_owned(), way),
            None => by_hand.remove(secret),
        };
        Self { by_hand: Some(by_hand) }
    }
}

/// A secret that could not be given, how it should have been, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotGiven {
    pub secret: String,
    pub way: SecretWay,
    pub error: CallError,
}

/// Gives secrets to an agent, one after the other; answers with those that it has not got.
pub async fn give(agent: &str, wanted: Vec<(String, SecretWay)>) -> Vec<NotGiven> {
    let mut not_given = Vec::new();
    for (secret, way) in wanted {
        let call = GrantSecret { secret: secret.clone(), agent: agent.to_owned(), way: Some(way), variable: None };
        if let Err(error) = backend::call(call).await {
            not_given.push(NotGiven { secret, way, error });
        }
    }
    not_given
}

#[derive(PartialEq, Properties)]
pub struct GrantsProps {
    pub image: Option<Rc<ImageView>>,
    pub secrets: Option<Rc<SecretsView>>,
    pub wanted: BTreeMap<String, SecretWay>,
    pub mode: Mode,
    pub on_change: Callback<Grants>,
}

/// The secrets with their ways.
#[component]
pub fn GrantList(props: &GrantsProps) -> Html {
    let Some(secrets) = &props.secrets else {
        return html! { <span class="hint">{ "The secrets are not known yet" }</span> };
    };
    let (offered, fitting) = offered(props.image.as_deref(), secrets);
    let needs = props.image.as_ref().map(|image| Needs::of(image, Some(secrets)));
    html! {
        <div class="grant-list" data-test="edit-grants">
            if let Some(missing @ Needs::Missing(_)) = &needs {
                <span class="hint toned" data-tone="review" data-test="no-fitting-secret">{ small_icon(Glyph::Key) }{ format!("It {}, and there is none. ", missing.said()) }<Go class="link" to={Route::Secrets}>{ "Add one in Settings" }</Go></span>
            }
            if offered.is_empty() && !matches!(needs, Some(Needs::Missing(_))) { <span class="hint">{ "There is none. It can be given some later, in Settings." }</span> }
            if !offered.is_empty() {
                <ul>{ for offered.iter().enumerate().map(|(at, secret)| grant_row(props, secret, at < fitting)) }</ul>
            }
            if let Some(why) = unbrokered(props.mode, &props.wanted) { <span class="hint toned" data-tone="review">{ small_icon(Glyph::Triangle) }{ why }</span> }
        </div>
    }
}

/// Why what is brokered would not work with that policy.
fn unbrokered(mode: Mode, wanted: &BTreeMap<String, SecretWay>) -> Option<&'static str> {
    let is_brokered = wanted.values().any(|way| *way == SecretWay::Brokered);
    match mode {
        Mode::Closed if is_brokered => Some("With this policy nothing gets out, so a brokered secret opens nothing."),
        Mode::Bridge if is_brokered => {
            Some("With this policy nothing goes through the gateway, so a brokered secret opens nothing.")
        }
        Mode::Closed | Mode::Bridge | Mode::Allowlist | Mode::Open => None,
    }
}

fn grant_row(props: &GrantsProps, secret: &SecretView, fits: bool) -> Html {
    let way = props.wanted.get(&secret.name).copied();
    let on_toggle = {
        let (wanted, on_change, name, usual) =
            (props.wanted.clone(), props.on_change.clone(), secret.name.clone(), best_way(&secret.binding));
        Callback::from(move |_: Event| {
            let to = if way.is_some() { None } else { Some(usual) };
            on_change.emit(Grants::with(&wanted, &name, to));
        })
    };
    let on_way = {
        let (wanted, on_change, name) = (props.wanted.clone(), props.on_change.clone(), secret.name.clone());
        Callback::from(move |event: Event| {
            if let Some(way) = SecretWay::from_name(&chosen(&event)) {
                on_change.emit(Grants::with(&wanted, &name, Some(way)));
            }
        })
    };
    let name = say::visible(&secret.name);
    html! {
        <li key={secret.secret.to_string()} data-test="grant-secret" data-name={secret.name.clone()}>
            <label class="choice"><input type="checkbox" data-test="grant-check" checked={way.is_some()} onchange={on_toggle} /><span>{ name.clone() }</span></label>
            if fits { <span class="weak">{ "fits this image" }</span> }
            <span class="spring"></span>
            if let Some(way) = way {
                <span class="input way"><select class="value" aria-label={format!("How {name} is given")} data-test="grant-way" onchange={on_way}>
                    { for ways(&secret.binding).map(|other| html! { <option key={other.name()} value={other.name()} selected={other == way}>{ other.word() }</option> }) }
                </select></span>
            }
        </li>
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wire::secret::{Provider, VaultPlace};

    use super::*;
    use crate::fixture;

    fn secrets(named: &[(&str, &str)]) -> SecretsView {
        let secret =
            |(name, opens): &(&str, &str)| SecretView { name: (*name).to_owned(), ..fixture::secret(opens, &[]) };
        SecretsView { place: VaultPlace::Keyring, secrets: named.iter().map(secret).collect(), inside: Vec::new() }
    }

    fn image(providers: &[Provider]) -> ImageView {
        let image = fixture::image("codex", json!({"origin": "gallery"}), json!({"state": "not_built"}));
        ImageView { providers: providers.to_vec(), ..image }
    }

    #[test]
    fn those_that_fit_come_first_in_the_images_own_order() {
        let secrets = secrets(&[("db", "other"), ("ant", "anthropic"), ("oai", "openai")]);
        let (offered, fitting) = offered(Some(&image(&[Provider::Openai, Provider::Anthropic])), &secrets);
        let names: Vec<_> = offered.iter().map(|secret| secret.name.as_str()).collect();
        assert_eq!((names, fitting), (vec!["oai", "ant", "db"], 2));
    }

    #[test]
    fn the_best_that_fits_is_given_brokered_until_a_person_chooses() {
        let secrets = secrets(&[("db", "other"), ("oai", "openai")]);
        let (grants, image) = (Grants::default(), image(&[Provider::Openai]));
        let wanted = grants.wanted(Some(&image), Some(&secrets));
        assert_eq!(wanted, BTreeMap::from([("oai".to_owned(), SecretWay::Brokered)]));
        assert!(grants.wanted(Some(&ImageView { providers: Vec::new(), ..image.clone() }), Some(&secrets)).is_empty());
        assert!(grants.wanted(None, Some(&secrets)).is_empty());
        let none = Grants::with(&wanted, "oai", None);
        assert!(none.wanted(Some(&image), Some(&secrets)).is_empty(), "what was taken off stays off");
        let other = Grants::with(&wanted, "db", Some(SecretWay::Injected)).wanted(Some(&image), Some(&secrets));
        assert_eq!(other.into_keys().collect::<Vec<_>>(), ["db", "oai"]);
    }

    #[test]
    fn a_secret_that_is_gone_is_not_asked_for() {
        let grants = Grants::with(&BTreeMap::new(), "gone", Some(SecretWay::Injected));
        assert!(grants.wanted(None, Some(&secrets(&[("db", "other")]))).is_empty());
    }

    #[test]
    fn what_berth_cannot_put_into_requests_is_never_brokered() {
        let unbound = SecretBinding::Unbound;
        assert_eq!(best_way(&unbound), SecretWay::Injected);
        assert!(ways(&unbound).all(|way| way != SecretWay::Brokered));
        let bound = SecretBinding::Provider {
            provider: Provider::Gemini,
            base_url: None,
            credential: wire::secret::CredentialKind::Key,
        };
        assert_eq!((best_way(&bound), ways(&bound).count()), (SecretWay::Brokered, 3));
    }

    #[test]
    fn a_policy_that_brokers_nothing_says_so() {
        let brokered = BTreeMap::from([("key".to_owned(), SecretWay::Brokered)]);
        let injected = BTreeMap::from([("key".to_owned(), SecretWay::Injected)]);
        for mode in Mode::ALL {
            assert_eq!(unbrokered(mode, &brokered).is_some(), matches!(mode, Mode::Closed | Mode::Bridge), "{mode:?}");
            assert_eq!(unbrokered(mode, &injected), None);
        }
    }
}
