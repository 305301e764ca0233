use store::{
    AgentChange, AgentRecord, EventScope, HomeChange, HomeFate, HomeSeed, HomeSize, HomeState, Kit, Placement,
    ResultRecord, SandboxRecord, SandboxStage, StoreError,
};
use wire::{
    EventKind, Hold, Limits, MicroUsd,
    ids::{InstallId, SandboxId},
    image::Tools,
    network::{GrantReach, HostGrant, NetworkPolicy},
    secret::InsideLogin,
    task::{Launch, ReviewGate},
    view::{AgentColour, PersonaFile, ResultChange},
};

use crate::fixture::{agent, at, fixture, id};

pub(crate) fn result(path: &[u8]) -> ResultRecord {
    ResultRecord {
        path: path.to_vec(),
        change: ResultChange::New,
        size_bytes: 5,
        sha256: Some("cd".repeat(32)),
        media_type: "text/plain".to_owned(),
        modified_at: Some(at(7)),
        is_final: false,
        unreadable: None,
    }
}

#[tokio::test]
async fn the_install_keeps_its_first_id() {
    let fixture = fixture().await;
    let first: InstallId = id();
    assert_eq!(fixture.store.install_id(first, at(0)).await.unwrap(), first);
    assert_eq!(fixture.store.install_id(id(), at(1)).await.unwrap(), first);
}

#[tokio::test]
async fn a_setting_is_what_was_set_last() {
    let fixture = fixture().await;
    assert_eq!(fixture.store.setting::<u32>("slots").await.unwrap(), None);
    fixture.store.set_setting("slots", &3).await.unwrap();
    fixture.store.set_setting("slots", &4).await.unwrap();
    assert_eq!(fixture.store.setting::<u32>("slots").await.unwrap(), Some(4));
    let other_type = fixture.store.setting::<String>("slots").await.unwrap_err();
    assert!(matches!(other_type, StoreError::Row { table: "settings", .. }), "{other_type}");
}

#[tokio::test]
async fn agents_are_made_changed_and_removed_and_their_names_are_their_own() {
    let fixture = fixture().await;
    let bob = agent("bob");
    fixture.store.create_agent(&bob).await.unwrap();
    let taken = fixture.store.create_agent(&agent("bob")).await.unwrap_err();
    assert!(matches!(taken, StoreError::NameTaken { ref name } if name == "bob"), "{taken}");

    assert_eq!(fixture.store.agent(bob.agent).await.unwrap().network, NetworkPolicy::default());
    let private = HostGrant { host: "*.example.com".to_owned(), port: Some(8443), reach: GrantReach::Private };
    let change = AgentChange {
        name: "bob".to_owned(),
        image: "aider".to_owned(),
        launch: Launch::Command { argv: vec!["aider".to_owned(), "--yes".to_owned()] },
        limits: Limits { pids: 64, ..Limits::default() },
        review: ReviewGate::Skip,
        colour: AgentColour::Green,
        network: NetworkPolicy::Open { hosts: vec![private.clone()] },
        kit: Kit {
            model: Some("claude-sonnet-4-5".to_owned()),
            persona: vec![PersonaFile { name: "style.md".to_owned(), text: "Be brief.\n".to_owned() }],
            has_memory: false,
            tools: Tools { apt: vec!["jq".to_owned()], ..Tools::default() },
        },
    };
    fixture.store.update_agent(bob.agent, &change, at(1), Vec::new()).await.unwrap();
    let changed = fixture.store.agent_by_name("bob").await.unwrap();
    assert_eq!((changed.image.as_str(), changed.limits.pids, changed.review), ("aider", 64, ReviewGate::Skip));
    assert_eq!((&changed.launch, changed.colour), (&change.launch, AgentColour::Green));
    assert_eq!(changed.network.hosts(), [private]);
    assert_eq!(changed.kit, change.kit);
    let cyd = AgentRecord { kit: change.kit.clone(), ..agent("cyd") };
    fixture.store.create_agent(&cyd).await.unwrap();
    assert_eq!(fixture.store.agent(cyd.agent).await.unwrap(), cyd);
    assert_eq!((changed.home, changed.created_at), (bob.home, bob.created_at));
    let names: Vec<_> = fixture.store.agents().await.unwrap().into_iter().map(|agent| agent.name).collect();
    assert_eq!(names, ["ada", "bob", "cyd"]);

    let (task, ..) = fixture.task("Of ada").await;
    fixture.store.remove_agent(fixture.agent, HomeFate::Kept, at(9), Vec::new()).await.unwrap();
    assert!(matches!(fixture.store.agent_by_name("ada").await.unwrap_err(), StoreError::NotFound { .. }));
    assert!(matches!(
        fixture.store.remove_agent(fixture.agent, HomeFate::Kept, at(9), Vec::new()).await.unwrap_err(),
        StoreError::NotFound { .. }
    ));
    assert!(matches!(
        fixture.store.update_agent(fixture.agent, &change, at(9), Vec::new()).await.unwrap_err(),
        StoreError::NotFound { .. }
    ));
    assert_eq!(fixture.store.task(task).await.unwrap().agent_name, "ada", "its tasks still name it");
    assert_eq!(fixture.store.agent(fixture.agent).await.unwrap().name, "ada");
    fixture.store.create_agent(&agent("ada")).await.unwrap();
}

#[tokio::test]
async fn an_agent_of_before_there_were_policies_has_the_usual_one() {
    let fixture = fixture().await;
    fixture
        .execute(
            "INSERT INTO agents (id, name, image, launch, limits, review, home, created_at)
             SELECT '00000000-0000-7000-8000-0000000000a1', 'old', image, launch, limits, review, 'home', 0 FROM agents",
        )
        .await;
    assert_eq!(fixture.store.agent_by_name("old").await.unwrap().network, NetworkPolicy::default());
}

#[tokio::test]
async fn a_sandbox_is_live_until_all_of_it_is_gone() {
    let fixture = fixture().await;
    let (task, step, _) = fixture.task("Sandboxed").await;
    let sandbox = SandboxRecord {
        sandbox: id(),
        container: "berth-1".to_owned(),
        image_id: "sha256:1".to_owned(),
        folder: "workspaces/1".to_owned(),
        network: "closed".to_owned(),
        user: "1000:1000".to_owned(),
        stage: SandboxStage::Making,
        created_at: at(2),
        removed_at: None,
    };
    let placement = Placement {
        step,
        attempt: 1,
        sandbox: sandbox.sandbox,
        subpath: String::new(),
        process: id(),
        placed_at: at(2),
    };
    let created = vec![EventKind::SandboxCreated { sandbox: sandbox.sandbox }];
    let events = fixture.store.create_sandbox(&sandbox, &placement, created).await.unwrap();
    assert_eq!((events[0].task, events[0].step), (Some(task), Some(step)));
    assert_eq!(fixture.store.placement_of(step).await.unwrap(), Some(placement.clone()));

    let again = Placement { attempt: 2, subpath: "two".to_owned(), process: id(), placed_at: at(3), ..placement };
    fixture.store.place(&again, Vec::new()).await.unwrap();
    let told = vec![EventKind::Note { text: "on a network".to_owned() }];
    let events = fixture.store.set_sandbox_network(sandbox.sandbox, "bridge", told, at(3)).await.unwrap();
    assert_eq!(events[0].step, Some(step));
    assert_eq!(fixture.store.sandbox(sandbox.sandbox).await.unwrap().network, "bridge");
    fixture.store.set_sandbox_stage(sandbox.sandbox, SandboxStage::Ready, Vec::new(), at(4)).await.unwrap();
    let late = fixture.store.set_sandbox_network(sandbox.sandbox, "closed", Vec::new(), at(4)).await.unwrap_err();
    assert!(matches!(late, StoreError::NotFound { what: "sandbox in the making", .. }), "it is there by now");
    assert_eq!(fixture.store.sandbox(sandbox.sandbox).await.unwrap().network, "bridge");
    let live = fixture.store.live_sandboxes().await.unwrap();
    assert_eq!(live.len(), 1);
    assert_eq!((live[0].sandbox.stage, live[0].placement.as_ref()), (SandboxStage::Ready, Some(&again)));
    assert_eq!(fixture.store.placement_of(step).await.unwrap(), Some(again));

    let removed = vec![EventKind::SandboxRemoved { sandbox: sandbox.sandbox }];
    let events = fixture.store.set_sandbox_stage(sandbox.sandbox, SandboxStage::Removed, removed, at(5)).await.unwrap();
    assert_eq!(events[0].step, Some(step));
    assert!(fixture.store.live_sandboxes().await.unwrap().is_empty());
    assert_eq!(fixture.store.sandbox(sandbox.sandbox).await.unwrap().removed_at, Some(at(5)));

    let back = fixture.store.set_sandbox_stage(sandbox.sandbox, SandboxStage::Ready, Vec::new(), at(6)).await;
    assert!(matches!(back.unwrap_err(), StoreError::Removed { .. }));
    let unknown: SandboxId = id();
    let none = fixture.store.set_sandbox_stage(unknown, SandboxStage::Ready, Vec::new(), at(6)).await;
    assert!(matches!(none.unwrap_err(), StoreError::NotFound { what: "sandbox", .. }));
}

#[tokio::test]
async fn results_keep_any_file_name_and_are_counted_without_the_deleted() {
    let fixture = fixture().await;
    let (_, step, _) = fixture.task("Leaves files").await;
    let odd = result(b"new\nline\xff.txt");
    let gone = ResultRecord { change: ResultChange::Deleted, size_bytes: 0, sha256: None, ..result(b"gone") };
    fixture.store.replace_results(step, &[odd.clone(), gone.clone(), result(b"zz")], 7).await.unwrap();
    let page = fixture.store.results_of(step, 2).await.unwrap();
    assert_eq!((page.results, page.left_out), (vec![gone, odd.clone()], 1 + 7));
    assert_eq!(fixture.store.step(step).await.unwrap().result_count, 2 + 7);
    assert_eq!(fixture.store.result(step, &odd.path).await.unwrap(), odd);

    let bigger = ResultRecord { size_bytes: u64::MAX >> 1, is_final: true, ..odd.clone() };
    fixture
        .store
        .update_results(step, std::slice::from_ref(&bigger), &[b"gone".to_vec(), b"zz".to_vec()], 0)
        .await
        .unwrap();
    assert_eq!(fixture.store.results_of(step, 10).await.unwrap().results, [bigger]);
    assert_eq!(fixture.store.step(step).await.unwrap().result_count, 1);
    assert!(matches!(
        fixture.store.result(step, b"zz").await.unwrap_err(),
        StoreError::NotFound { what: "result", .. }
    ));

    let unknown = fixture.store.replace_results(id(), &[], 0).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "step", .. }));
}

#[tokio::test]
async fn a_home_is_replaced_at_once_and_the_old_one_goes() {
    let fixture = fixture().await;
    let ada = fixture.agent;
    let first = fixture.store.home_of(ada).await.unwrap();
    assert_eq!((first.state, first.memory.as_str(), first.image), (HomeState::New, "ada", None));
    let seed = |image: &str| HomeSeed {
        memory: "ada".to_owned(),
        image: Some(image.to_owned()),
        image_id: Some(format!("sha256:{image}")),
    };
    fixture.store.set_home_ready(&first.volume, &seed("script")).await.unwrap();
    fixture.store.use_home(ada, at(3)).await.unwrap();
    let size = HomeSize { size_bytes: 12, files: 3, measured_at: at(4) };
    fixture.store.set_home_size(&first.volume, size, &[InsideLogin::Codex]).await.unwrap();
    let ready = fixture.store.home_of(ada).await.unwrap();
    assert_eq!((ready.state, ready.image.as_deref()), (HomeState::Ready, Some("script")));
    assert_eq!((ready.used_at, ready.size), (Some(at(3)), Some(size)));
    assert_eq!(ready.logins, [InsideLogin::Codex]);

    let change = HomeChange {
        agent: ada,
        old: first.volume.clone(),
        new: "berth-home-second".to_owned(),
        seed: None,
        events: vec![EventKind::Note { text: "reset".to_owned() }],
        at: at(5),
    };
    fixture.store.replace_home(change.clone()).await.unwrap();
    let second = fixture.store.home_of(ada).await.unwrap();
    assert_eq!((second.volume.as_str(), second.state, second.size), ("berth-home-second", HomeState::New, None));
    assert_eq!(second.logins, [], "nobody is signed in to it");
    assert_eq!(fixture.store.home(&first.volume).await.unwrap().state, HomeState::Going);
    let again = fixture.store.replace_home(change).await.unwrap_err();
    assert!(matches!(again, StoreError::NotFound { what: "home", .. }), "what is no home any more is not replaced");
    fixture.store.forget_home(&first.volume).await.unwrap();
    fixture.store.forget_home(&second.volume).await.unwrap();
    let left: Vec<_> = fixture.store.homes().await.unwrap().into_iter().map(|home| home.volume).collect();
    assert_eq!(left, ["berth-home-second"], "only what goes is forgotten");
}

#[tokio::test]
async fn an_import_is_nobodys_home_until_it_is_whole() {
    let fixture = fixture().await;
    let ada = fixture.agent;
    let old = fixture.store.home_of(ada).await.unwrap().volume;
    fixture.store.begin_filling("berth-home-filled", ada, at(2)).await.unwrap();
    assert_eq!(fixture.store.home_of(ada).await.unwrap().volume, old);
    assert_eq!(fixture.store.home("berth-home-filled").await.unwrap().state, HomeState::Filling);
    let change = HomeChange {
        agent: ada,
        old: old.clone(),
        new: "berth-home-filled".to_owned(),
        seed: Some(HomeSeed { memory: "ada".to_owned(), image: None, image_id: None }),
        events: Vec::new(),
        at: at(3),
    };
    fixture.store.replace_home(change).await.unwrap();
    let now = fixture.store.home_of(ada).await.unwrap();
    assert_eq!((now.volume.as_str(), now.state), ("berth-home-filled", HomeState::Ready));
    assert_eq!(fixture.store.home(&old).await.unwrap().state, HomeState::Going);
}

#[tokio::test]
async fn a_home_outlives_its_agent_where_a_person_says_so() {
    let fixture = fixture().await;
    for (name, fate, expected) in
        [("kept", HomeFate::Kept, HomeState::Ready), ("gone", HomeFate::Gone, HomeState::Going)]
    {
        let bob = agent(name);
        fixture.store.create_agent(&bob).await.unwrap();
        let seed = HomeSeed { memory: name.to_owned(), image: None, image_id: None };
        fixture.store.set_home_ready(&bob.home, &seed).await.unwrap();
        fixture.store.remove_agent(bob.agent, fate, at(9), Vec::new()).await.unwrap();
        let home = fixture.store.home_of(bob.agent).await.unwrap();
        assert_eq!((home.state, home.agent_removed_at, home.agent_name.as_str()), (expected, Some(at(9)), name));
    }
    let never_used = agent("never-used");
    fixture.store.create_agent(&never_used).await.unwrap();
    fixture.store.remove_agent(never_used.agent, HomeFate::Kept, at(9), Vec::new()).await.unwrap();
    assert_eq!(fixture.store.home_of(never_used.agent).await.unwrap().state, HomeState::Going, "it holds nothing");
}

#[tokio::test]
async fn news_are_what_tells_of_budgets_after_an_event() {
    let fixture = fixture().await;
    let nothing = fixture.store.news(None, 10).await.unwrap();
    assert_eq!(nothing, (0, Vec::new()));
    let held = |hold| EventKind::Held { hold };
    let used = |percent| EventKind::BudgetUsed { budget: "budget".to_owned(), percent, limit: MicroUsd(5) };
    let note = EventKind::Note { text: r#"{"type":"budget_used"}"#.to_owned() };
    let kinds = vec![used(80), note, held(Hold::Engine), held(Hold::Budget), used(100)];
    let events = fixture.store.append_events(EventScope::default(), at(1), kinds).await.unwrap();
    let seq = |index: usize| events[index].seq;
    assert_eq!(fixture.store.news(None, 10).await.unwrap(), (seq(4), Vec::new()), "only from now on");
    let expect = |which: &[usize]| (seq(4), which.iter().map(|index| events[*index].clone()).collect::<Vec<_>>());
    assert_eq!(fixture.store.news(Some(0), 10).await.unwrap(), expect(&[0, 3, 4]));
    assert_eq!(fixture.store.news(Some(seq(0)), 10).await.unwrap(), expect(&[3, 4]));
    assert_eq!(fixture.store.news(Some(0), 1).await.unwrap(), expect(&[4]), "of many the newest");
    assert_eq!(fixture.store.news(Some(seq(4)), 10).await.unwrap(), expect(&[]));
}
