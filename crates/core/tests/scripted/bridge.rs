//! Sandboxes on a network of their own: when there is one and when it goes, and what its agent is not given.

use engine::contract::hardening::network_violations;
use engine::{BridgeNetwork, Engine as _, ErrorKind, LabelFilter, NetworkName, Ownership, Role};
use testkit::{Fault, Gate, Op, until};
use wire::{
    Action, ErrorCode, EventKind, Phase,
    call::{GrantSecret, RevokeSecret, SetSecret},
    network::{BRIDGE_IN_SHORT, NetworkPolicy},
    secret::{Provider, SecretBinding, SecretText, SecretWay},
    upkeep::{Mend, Outcome, Remedy, Thing},
};

use crate::scene::{BOUND, Scene};

async fn networks(scene: &Scene) -> Vec<BridgeNetwork> {
    scene.engine.networks(&LabelFilter::any_install()).await.unwrap()
}

async fn bridged() -> Scene {
    let scene = Scene::start().await;
    scene.set_network(NetworkPolicy::Bridge).await.unwrap();
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridged_sandbox_has_a_network_of_its_own_and_no_way_to_the_gateway() {
    let scene = bridged().await;
    let task = scene.task("Go out").await;
    let guest = scene.at_work(&task).await;
    let found = networks(&scene).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(network_violations(&found[0]), [""; 0]);
    let sandbox = scene.step(&task).await.sandbox.unwrap();
    let owner = found[0].ownership().unwrap();
    assert_eq!((owner.role, owner.sandbox), (Role::Network, Some(sandbox.sandbox.to_string())));
    assert_eq!(sandbox.network, "bridge");
    assert!(!guest.has_way_out());
    let environment = guest.agent().unwrap().start.env;
    let is_proxy = |(name, _): &&(String, String)| name.to_lowercase().ends_with("_proxy");
    assert_eq!(environment.iter().find(is_proxy), None);
    assert!(scene.events(&task).await.contains(&EventKind::Note { text: BRIDGE_IN_SHORT.to_owned() }));
    guest.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
    scene.nothing_is_left().await;

    scene.set_network(NetworkPolicy::default()).await.unwrap();
    let task = scene.task("Stay in").await;
    let guest = scene.at_work(&task).await;
    assert_eq!(networks(&scene).await, []);
    assert!(guest.has_way_out());
    assert!(guest.agent().unwrap().start.env.iter().any(|pair| is_proxy(&pair)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_addresses_fails_the_step_with_what_to_do() {
    let scene = bridged().await;
    scene.engine.set_networks_max(0);
    let task = scene.task("Go out").await;
    let step = scene.until_phase(&task, Phase::Failed).await;
    let error = step.error.unwrap();
    assert_eq!(error.code, ErrorCode::EngineFailed);
    assert!(error.message.contains("no more addresses for networks"), "{error:?}");
    assert!(error.hint.contains("docker network prune") && error.hint.contains("retry"), "{error:?}");
    scene.nothing_is_left().await;
    scene.engine.set_networks_max(1);
    let again = scene.act(step.step, Action::Retry, "").await;
    again.unwrap();
    until("the agent is at work", BOUND, async || scene.guests.count() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_goes_before_the_start_is_made_again() {
    let scene = bridged().await;
    let gate = Gate::default();
    scene.engine.fault(Op::Start, scene.engine.count(Op::Start) + 1, Fault::Stall(gate.clone()));
    let task = scene.task("Go out").await;
    until("it is about to be started", BOUND, async || gate.is_awaited()).await;
    for network in networks(&scene).await {
        scene.engine.remove_network(&network.name).await.unwrap();
    }
    gate.open();
    scene.at_work(&task).await.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_keeps_the_network_it_was_made_with_and_the_next_attempt_has_the_other() {
    for (made_under, changed_to) in
        [(NetworkPolicy::default(), NetworkPolicy::Bridge), (NetworkPolicy::Bridge, NetworkPolicy::default())]
    {
        let mut scene = Scene::start().await;
        scene.set_network(made_under.clone()).await.unwrap();
        let task = scene.task("Work").await;
        scene.at_work(&task).await;
        let before = networks(&scene).await;
        scene.set_network(changed_to.clone()).await.unwrap();
        // Whoever takes it over leaves it as it is.
        scene.stop().await;
        scene.start_again().await;
        let guest = scene.at_work(&task).await;
        let step = scene.step(&task).await;
        assert_eq!(step.sandbox.unwrap().network, made_under.name());
        assert_eq!(networks(&scene).await, before);
        guest.exit_with(1);
        scene.until_phase(&task, Phase::Failed).await;
        scene.nothing_is_left().await;
        scene.guests.forget();
        let next = scene.task("Once more").await;
        scene.at_work(&next).await;
        assert_eq!(scene.step(&next).await.sandbox.unwrap().network, changed_to.name());
        assert_eq!(networks(&scene).await.len(), usize::from(changed_to == NetworkPolicy::Bridge));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_not_there_yet_is_made_by_what_holds_then() {
    let scene = Scene::start().await;
    let first = scene.task("Lay the home out").await;
    scene.at_work(&first).await.exit_with(0);
    scene.until_phase(&first, Phase::Completed).await;
    scene.nothing_is_left().await;

    let gate = Gate::default();
    // The spool is what is made first of a sandbox that is written down; its filler and the container come next.
    scene.engine.fault(Op::CreateVolume, scene.engine.count(Op::CreateVolume) + 1, Fault::Stall(gate.clone()));
    for nth in 1..=2 {
        let failing = Fault::Fail(ErrorKind::Transient);
        scene.engine.fault(Op::Create, scene.engine.count(Op::Create) + nth, failing);
    }
    let task = scene.task("Work").await;
    until("the sandbox is written down", BOUND, async || gate.is_awaited()).await;
    assert_eq!(scene.step(&task).await.sandbox.unwrap().network, "allowlist");
    scene.set_network(NetworkPolicy::Bridge).await.unwrap();
    gate.open();
    let guest = scene.at_work(&task).await;
    assert_eq!(scene.step(&task).await.sandbox.unwrap().network, "bridge");
    assert_eq!(networks(&scene).await.len(), 1);
    assert!(!guest.has_way_out());
}

async fn keep(scene: &Scene) {
    let binding = SecretBinding::key_of(Provider::Anthropic);
    let value = SecretText::new("sk-ant-api03-of-a-test".to_owned());
    let set = SetSecret { name: "KEY".to_owned(), value, binding: Some(binding) };
    scene.api().call(set).await.unwrap();
}

fn grant(way: Option<SecretWay>) -> GrantSecret {
    GrantSecret { secret: "KEY".to_owned(), agent: "own".to_owned(), way, variable: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_brokered_and_a_network_of_its_own_exclude_each_other() {
    let scene = Scene::start().await;
    keep(&scene).await;
    scene.api().call(grant(None)).await.unwrap();
    let refused = scene.set_network(NetworkPolicy::Bridge).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotNow);
    assert!(refused.message.contains("`KEY`") && refused.hint.contains("--inject"), "{refused:?}");
    // What is refused changes nothing, and everything else of the agent can be changed still.
    scene.set_network(NetworkPolicy::Closed).await.unwrap();

    let revoke = RevokeSecret { secret: "KEY".to_owned(), agent: "own".to_owned() };
    scene.api().call(revoke).await.unwrap();
    scene.set_network(NetworkPolicy::Bridge).await.unwrap();
    let refused = scene.api().call(grant(None)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotNow);
    scene.api().call(grant(Some(SecretWay::Injected))).await.unwrap();
    let task = scene.task("Ask the model").await;
    let environment = scene.at_work(&task).await.agent().unwrap().start.env;
    let key = environment.iter().find(|(name, _)| name == "ANTHROPIC_API_KEY").map(|(_, value)| value.as_str());
    assert_eq!(key, Some("sk-ant-api03-of-a-test"));
    assert!(!environment.iter().any(|(name, _)| name == "ANTHROPIC_BASE_URL"), "there is no route to it");
}

/// Whose a network is, its labels say: what nobody needs goes, by itself or by the doctor, and what is another's stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_without_a_sandbox_goes_and_that_of_another_installation_stays() {
    let mut scene = bridged().await;
    let task = scene.task("Work").await;
    scene.at_work(&task).await;
    let own = networks(&scene).await;
    let install = own[0].ownership().unwrap().install;
    scene.stop().await;
    let lost = "0195510f-5a00-7000-8000-00000000000a";
    for (install, sandbox) in
        [(install.as_str(), lost), ("of-one-that-is-dead", "0195510f-5a00-7000-8000-00000000000b")]
    {
        let owner = Ownership { sandbox: Some(sandbox.to_owned()), ..Ownership::of_install(install, Role::Network) };
        scene.engine.create_network(&owner).await.unwrap();
    }
    scene.start_again().await;
    until("what nobody needs is gone", BOUND, async || networks(&scene).await.len() == 2).await;
    let left: Vec<_> = networks(&scene).await.into_iter().map(|network| network.ownership().unwrap().install).collect();
    assert!(left.contains(&install) && left.contains(&"of-one-that-is-dead".to_owned()), "{left:?}");

    // One that appears between two looks is found and explained by the doctor, and goes when that is asked for.
    let owner = Ownership { sandbox: Some(lost.to_owned()), ..Ownership::of_install(&install, Role::Network) };
    scene.engine.create_network(&owner).await.unwrap();
    let report = scene.api().call(wire::call::Doctor {}).await.unwrap();
    let name = NetworkName::of_sandbox(lost).unwrap();
    let finding = report.findings.iter().find(|finding| finding.name == name.as_str()).unwrap();
    assert_eq!((finding.thing, finding.remedy), (Thing::Network, Remedy::Remove));
    assert_eq!(report.findings.len(), 1, "that of a sandbox at work is none: {:?}", report.findings);
    assert_eq!(report.others.iter().map(|other| other.networks).sum::<u64>(), 1, "{:?}", report.others);
    let mended = scene.api().call(Mend { keys: vec![finding.key.clone()] }).await.unwrap();
    assert_eq!(mended[0].outcome, Outcome::Done, "{mended:?}");
    let left: Vec<_> = networks(&scene).await.into_iter().map(|network| network.name).collect();
    assert!(left.len() == 2 && left.contains(&own[0].name), "{left:?}");
}
