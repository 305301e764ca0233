//! Networks of sandboxes.

use futures::future::join_all;

use super::kind;
use crate::contract::hardening::network_violations;
use crate::contract::{Subject, unique};
use crate::{BridgeNetwork, ErrorKind, LabelFilter, NetworkName, Role};

/// A network of this check, with the sandbox that it is of.
async fn made(subject: &Subject) -> (String, BridgeNetwork) {
    let sandbox = unique("sandbox");
    let network = subject.engine.create_network(&subject.ownership_of(&sandbox, Role::Network)).await.unwrap();
    (sandbox, network)
}

async fn all(subject: &Subject) -> Vec<BridgeNetwork> {
    subject.engine.networks(&LabelFilter::install(&subject.install)).await.unwrap()
}

/// Making it again finds it; lists by label have it.
pub async fn a_network_is_made_once_and_found_by_its_labels(subject: &Subject) {
    let (sandbox, network) = made(subject).await;
    let ownership = subject.ownership_of(&sandbox, Role::Network);
    assert_eq!(network_violations(&network), Vec::<String>::new());
    assert_eq!(network.ownership(), Some(ownership.clone()));
    assert_eq!(subject.engine.create_network(&ownership).await.unwrap(), network);
    let filter = LabelFilter::install(&subject.install).role(Role::Network);
    assert_eq!(subject.engine.networks(&filter.clone().sandbox(&sandbox)).await.unwrap(), [network]);
    assert_eq!(subject.engine.networks(&filter.sandbox("another")).await.unwrap(), []);
}

/// An engine may take several of one name, which could not be told apart afterwards.
pub async fn those_who_make_one_at_once_make_one(subject: &Subject) {
    let ownership = subject.ownership_of(&unique("sandbox"), Role::Network);
    let made = join_all((0..4).map(|_| subject.engine.create_network(&ownership))).await;
    let network = subject.engine.create_network(&ownership).await.unwrap();
    for one in made {
        assert_eq!(one.unwrap(), network);
    }
    assert_eq!(all(subject).await, [network]);
}

/// Whose it is, its labels say; and one that is nobody's has no name.
pub async fn a_network_of_another_owner_is_a_conflict_and_nobody_elses_is_made(subject: &Subject) {
    let (sandbox, network) = made(subject).await;
    let mut other = subject.ownership_of(&sandbox, Role::Network);
    other.agent = Some("another".into());
    assert_eq!(kind(subject.engine.create_network(&other).await), ErrorKind::Conflict);
    for nobody in [None, Some(String::new())] {
        other.sandbox = nobody;
        assert_eq!(kind(subject.engine.create_network(&other).await), ErrorKind::Denied);
    }
    assert_eq!(all(subject).await, [network]);
}

/// What a container runs on stays, and what none does goes, though one was made for it; what is not there is gone already.
pub async fn a_network_in_use_is_a_conflict_and_an_absent_one_removed(subject: &Subject) {
    let (sandbox, network) = made(subject).await;
    let id = subject.create(&subject.spec_on_network(&sandbox, &["sleep", "600"])).await;
    subject.engine.start(&id).await.unwrap();
    assert_eq!(kind(subject.engine.remove_network(&network.name).await), ErrorKind::Conflict);
    assert_eq!(all(subject).await, std::slice::from_ref(&network));
    subject.engine.remove(&id).await.unwrap();
    assert_eq!(all(subject).await, std::slice::from_ref(&network), "a network outlives its container");
    subject.engine.remove_network(&network.name).await.unwrap();
    subject.engine.remove_network(&network.name).await.unwrap();
    assert_eq!(all(subject).await, []);
}

/// No specification names the network of another, or any for what is no sandbox.
pub async fn a_container_is_on_the_network_of_its_own_sandbox_and_no_other(subject: &Subject) {
    let (sandbox, network) = made(subject).await;
    let id = subject.create(&subject.spec_on_network(&sandbox, &["sleep", "600"])).await;
    subject.engine.start(&id).await.unwrap();
    let raw = subject.engine.raw_inspect(&id).await.unwrap();
    assert_eq!(raw["HostConfig"]["NetworkMode"], network.name.as_str());

    let mut spec = subject.spec_on_network(&sandbox, &["true"]);
    spec.ownership.role = Role::Filler;
    assert_eq!(kind(subject.engine.create(&spec).await), ErrorKind::Denied);
    spec.ownership = subject.ownership_of("", Role::Sandbox);
    assert_eq!(kind(subject.engine.create(&spec).await), ErrorKind::Denied);
    // The same sandbox, as another installation might say it.
    spec.ownership = subject.ownership_of(&sandbox, Role::Sandbox);
    spec.ownership.install = unique("another");
    assert_eq!(kind(subject.engine.create(&spec).await), ErrorKind::Denied);
}

/// No sandbox is put onto something else because its network is not there.
pub async fn a_missing_network_is_gone_and_is_not_made(subject: &Subject) {
    let sandbox = unique("sandbox");
    let error = subject.engine.create(&subject.spec_on_network(&sandbox, &["true"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    let name = NetworkName::of_sandbox(&sandbox).unwrap();
    assert!(error.to_string().contains(name.as_str()), "{error}");
    assert_eq!(all(subject).await, []);
}

/// Whoever prunes an engine takes networks that nothing runs on just now.
pub async fn a_container_whose_network_went_does_not_start(subject: &Subject) {
    let (sandbox, network) = made(subject).await;
    let id = subject.create(&subject.spec_on_network(&sandbox, &["true"])).await;
    subject.engine.remove_network(&network.name).await.unwrap();
    assert_eq!(kind(subject.engine.start(&id).await), ErrorKind::Gone);
}
