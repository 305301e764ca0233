use store::{EventFilter, GrantRecord, GrantedSecret, HomeFate, SecretRecord, StoreError};
use wire::{
    EventKind,
    secret::{CredentialKind, Provider, SecretBinding, SecretWay},
};

use crate::fixture::{Fixture, agent, at, fixture, id};

fn secret(name: &str) -> SecretRecord {
    SecretRecord {
        secret: id(),
        name: name.to_owned(),
        binding: SecretBinding::Provider {
            provider: Provider::Openai,
            base_url: Some("http://127.0.0.1:1".to_owned()),
            credential: CredentialKind::Key,
        },
        created_at: at(2),
        replaced_at: at(2),
        used_at: None,
    }
}

fn note(text: &str) -> Vec<EventKind> {
    vec![EventKind::Note { text: text.to_owned() }]
}

async fn made(fixture: &Fixture, name: &str) -> SecretRecord {
    let secret = secret(name);
    fixture.store.create_secret(&secret, note(name)).await.unwrap();
    secret
}

fn grant(fixture: &Fixture, secret: &SecretRecord, variable: &str, placeholder: &str) -> GrantRecord {
    GrantRecord {
        secret: secret.secret,
        agent: fixture.agent,
        way: SecretWay::Brokered,
        variable: variable.to_owned(),
        placeholder: placeholder.to_owned(),
        granted_at: at(3),
    }
}

async fn notes(fixture: &Fixture) -> Vec<String> {
    let filter = EventFilter { task: None, after_seq: 0, limit: 100 };
    fixture.store.events(filter).await.unwrap().into_iter().map(|event| event.text).collect()
}

#[tokio::test]
async fn a_secret_is_made_replaced_renamed_and_found_again() {
    let fixture = fixture().await;
    let key = made(&fixture, "KEY").await;
    let other = made(&fixture, "OTHER").await;
    let taken = fixture.store.create_secret(&secret("KEY"), note("twice")).await.unwrap_err();
    assert!(matches!(taken, StoreError::SecretNameTaken { ref name } if name == "KEY"), "{taken}");
    assert_eq!(fixture.store.secret_by_name("KEY").await.unwrap(), key);

    fixture.store.replace_secret(key.secret, &SecretBinding::Unbound, at(5), note("replaced")).await.unwrap();
    let taken = fixture.store.rename_secret(key.secret, "OTHER", at(6), note("taken")).await.unwrap_err();
    assert!(matches!(taken, StoreError::SecretNameTaken { ref name } if name == "OTHER"), "{taken}");
    fixture.store.rename_secret(key.secret, "NEW", at(6), note("renamed")).await.unwrap();
    let renamed =
        SecretRecord { name: "NEW".to_owned(), binding: SecretBinding::Unbound, replaced_at: at(5), ..key.clone() };
    assert_eq!(fixture.store.secret(key.secret).await.unwrap(), renamed);
    let gone = fixture.store.secret_by_name("KEY").await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { what: "secret", .. }), "{gone}");
    let listed: Vec<_> = fixture.store.secrets().await.unwrap().into_iter().map(|listed| listed.secret).collect();
    assert_eq!(listed, [renamed, other]);
    assert_eq!(notes(&fixture).await, ["KEY", "OTHER", "replaced", "renamed"]);
}

#[tokio::test]
async fn a_removed_secret_is_nobodys_and_is_known_until_its_value_is_gone() {
    let fixture = fixture().await;
    let key = made(&fixture, "KEY").await;
    fixture.store.grant_secret(&grant(&fixture, &key, "A", "p"), Vec::new()).await.unwrap();
    fixture.store.forget_secret(key.secret).await.unwrap();
    assert_eq!(fixture.store.secret(key.secret).await.unwrap(), key, "what is not removed is not forgotten");

    fixture.store.remove_secret(key.secret, at(7), note("removed")).await.unwrap();
    assert_eq!(fixture.store.secrets_of(fixture.agent).await.unwrap(), []);
    assert_eq!(fixture.store.secrets().await.unwrap(), []);
    assert_eq!(fixture.store.removed_secrets().await.unwrap(), [key.secret]);
    for refused in [
        fixture.store.secret(key.secret).await.map(|_| ()),
        fixture.store.secret_by_name("KEY").await.map(|_| ()),
        fixture.store.remove_secret(key.secret, at(8), note("again")).await,
        fixture.store.rename_secret(key.secret, "X", at(8), note("again")).await,
        fixture.store.replace_secret(key.secret, &SecretBinding::Unbound, at(8), note("again")).await,
        fixture.store.grant_secret(&grant(&fixture, &key, "A", "p"), note("again")).await.map(|_| ()),
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    assert_eq!(notes(&fixture).await, ["KEY", "removed"]);

    made(&fixture, "KEY").await;
    fixture.store.forget_secret(key.secret).await.unwrap();
    assert_eq!(fixture.store.removed_secrets().await.unwrap(), []);
    assert_eq!(fixture.store.secrets().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_grant_keeps_its_placeholder_until_it_is_revoked() {
    let fixture = fixture().await;
    let key = made(&fixture, "KEY").await;
    let first = grant(&fixture, &key, "A", "first");
    assert_eq!(fixture.store.grant_secret(&first, note("granted")).await.unwrap(), "first");
    let again = GrantRecord { way: SecretWay::Injected, granted_at: at(4), ..grant(&fixture, &key, "B", "second") };
    assert_eq!(fixture.store.grant_secret(&again, note("another way")).await.unwrap(), "first");
    let expected = GrantedSecret {
        secret: key.secret,
        name: key.name.clone(),
        binding: key.binding.clone(),
        way: SecretWay::Injected,
        variable: "B".to_owned(),
        placeholder: "first".to_owned(),
    };
    assert_eq!(fixture.store.secrets_of(fixture.agent).await.unwrap(), [expected]);
    let listed = fixture.store.secrets().await.unwrap();
    let shown = &listed[0].grants[0];
    assert_eq!((shown.agent, shown.agent_name.as_str()), (fixture.agent, "ada"));
    assert_eq!((shown.way, shown.variable.as_str()), (SecretWay::Injected, "B"));

    fixture.store.revoke_secret(key.secret, fixture.agent, at(5), note("revoked")).await.unwrap();
    let gone = fixture.store.revoke_secret(key.secret, fixture.agent, at(5), note("again")).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { what: "grant", .. }), "{gone}");
    assert_eq!(fixture.store.grant_secret(&again, Vec::new()).await.unwrap(), "second");
    assert_eq!(notes(&fixture).await, ["KEY", "granted", "another way", "revoked"]);
}

#[tokio::test]
async fn a_variable_of_an_agent_has_one_secret() {
    let fixture = fixture().await;
    let (one, other) = (made(&fixture, "ONE").await, made(&fixture, "TWO").await);
    fixture.store.grant_secret(&grant(&fixture, &one, "A", "p1"), Vec::new()).await.unwrap();
    let taken = fixture.store.grant_secret(&grant(&fixture, &other, "A", "p2"), Vec::new()).await.unwrap_err();
    assert!(matches!(taken, StoreError::VariableTaken { ref variable } if variable == "A"), "{taken}");
    let grace = agent("grace");
    fixture.store.create_agent(&grace).await.unwrap();
    let hers = GrantRecord { agent: grace.agent, ..grant(&fixture, &other, "A", "p2") };
    assert_eq!(fixture.store.grant_secret(&hers, Vec::new()).await.unwrap(), "p2");
}

#[tokio::test]
async fn a_removed_agent_has_no_secrets_and_gets_none() {
    let fixture = fixture().await;
    let key = made(&fixture, "KEY").await;
    let granted = grant(&fixture, &key, "A", "p");
    fixture.store.grant_secret(&granted, Vec::new()).await.unwrap();
    fixture.store.remove_agent(fixture.agent, HomeFate::Kept, at(9), Vec::new()).await.unwrap();
    assert_eq!(fixture.store.secrets().await.unwrap()[0].grants, []);
    assert_eq!(fixture.store.secrets_of(fixture.agent).await.unwrap(), []);
    let refused = fixture.store.grant_secret(&granted, Vec::new()).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound { .. }), "{refused}");
}

#[tokio::test]
async fn secrets_were_used_when_they_were_last() {
    let fixture = fixture().await;
    let (one, other) = (made(&fixture, "ONE").await, made(&fixture, "TWO").await);
    let used = async || {
        let [one, other] = [&one, &other].map(|secret| fixture.store.secret(secret.secret));
        (one.await.unwrap().used_at, other.await.unwrap().used_at)
    };
    fixture.store.note_secrets_used(&[], at(20)).await.unwrap();
    assert_eq!(used().await, (None, None));
    fixture.store.note_secrets_used(&[one.secret, other.secret], at(20)).await.unwrap();
    fixture.store.note_secrets_used(&[one.secret], at(30)).await.unwrap();
    fixture.store.note_secrets_used(&[other.secret, id()], at(10)).await.unwrap();
    assert_eq!(used().await, (Some(at(30)), Some(at(20))));
}
