//! What a person reads.

use wire::{
    Action, Phase, Request,
    call::{CreateAgent, SetNews},
    image::Tools,
    network::{GrantReach, HostGrant, NetworkPolicy},
    news::NewsKind,
    task::{Launch, ReviewGate},
    view::{AgentColour, Verdict},
};

use crate::scripted::{Berth, step_id};

#[tokio::test]
async fn lists_line_up_and_say_how_long_ago() {
    let berth = Berth::start_lately().await;
    insta::assert_snapshot!("words_ls", berth.berth(&["ls"]).await.well().text());
    insta::assert_snapshot!("words_results", berth.berth(&["results", "12"]).await.well().text());
    insta::assert_snapshot!("words_agents", berth.berth(&["agents"]).await.well().text());
    insta::assert_snapshot!("words_images", berth.berth(&["images"]).await.well().text());
    insta::assert_snapshot!("words_doctor", berth.berth(&["doctor"]).await.well().text());
}

#[tokio::test]
async fn a_run_says_what_can_be_done_with_it() {
    let berth = Berth::start_lately().await;
    insta::assert_snapshot!("words_show_awaiting_review", berth.berth(&["show", "12"]).await.well().text());
    berth.phases([Phase::Failed]);
    insta::assert_snapshot!("words_show_failed", berth.berth(&["show", "12"]).await.well().text());
}

#[tokio::test]
async fn nothing_is_coloured_into_a_pipe() {
    let berth = Berth::start_lately().await;
    for arguments in [["ls"].as_slice(), &["show", "12"], &["images"], &["doctor"]] {
        assert!(!berth.berth(arguments).await.well().text().contains('\u{1b}'), "{arguments:?}");
    }
}

#[tokio::test]
async fn an_error_says_what_happened_and_what_to_do() {
    let berth = Berth::start().await;
    let ended = berth.berth(&["show", "99"]).await;
    assert_eq!(ended.status, 1);
    assert_eq!(ended.stderr, "error: No run is called 99.\n\nhint: Look at `berth ls`.\n");
    assert_eq!(ended.text(), "");
}

#[tokio::test]
async fn what_makes_no_sense_ends_with_2() {
    let berth = Berth::start().await;
    for arguments in [["sail"].as_slice(), &["run"], &["ls", "--phase", "running"], &["run", "x", "--time", "5"]] {
        assert_eq!(berth.berth(arguments).await.status, 2, "{arguments:?}");
    }
    assert!(berth.script.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_check_ends_with_1() {
    let berth = Berth::start().await;
    *berth.script.verdict.lock().unwrap() = Verdict::Bad;
    assert_eq!(berth.berth(&["doctor"]).await.status, 1);
}

#[tokio::test]
async fn a_filter_reaches_the_call() {
    let berth = Berth::start().await;
    berth.berth(&["ls", "--phase", "failed", "--phase", "awaiting-review", "--search", "two words"]).await.well();
    let asked = berth.script.asked.lock().unwrap().clone();
    let [Request::ListTasks(list)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(list.phases, [Phase::Failed, Phase::AwaitingReview]);
    assert_eq!(list.search, "two words");
}

#[tokio::test]
async fn a_decision_reaches_the_step() {
    for (arguments, action, comment) in [
        (["approve", "12"].as_slice(), Action::Approve, ""),
        (&["changes", "12", "greet", "louder"], Action::RequestChanges, "greet louder"),
        (&["reject", "12", "too loud"], Action::Reject, "too loud"),
    ] {
        let berth = Berth::start().await;
        let ended = berth.berth(arguments).await.well();
        assert!(ended.text().starts_with("#12 "), "{}", ended.text());
        let asked = berth.script.asked.lock().unwrap().clone();
        let Some(Request::Act(act)) = asked.iter().find(|request| matches!(request, Request::Act(_))) else {
            panic!("{asked:?}")
        };
        assert_eq!((act.step, act.action, act.comment.as_str()), (step_id(), action, comment));
    }
}

#[tokio::test]
async fn an_agent_of_ones_own_reaches_the_call() {
    let berth = Berth::start().await;
    let arguments = [
        "agents",
        "create",
        "mine",
        "--image",
        "alpine:3",
        "--time",
        "5m",
        "--skip-review",
        "--",
        "sh",
        "-c",
        "echo --json",
    ];
    berth.berth(&arguments).await.well();
    let asked = berth.script.asked.lock().unwrap().clone();
    let [Request::CreateAgent(create)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((create.name.as_str(), create.image.as_str()), ("mine", "alpine:3"));
    assert_eq!(create.launch, Launch::Command { argv: ["sh", "-c", "echo --json"].map(str::to_owned).to_vec() });
    assert_eq!((create.review, create.limits.wall_clock_s), (ReviewGate::Skip, 300));
    let usual = CreateAgent::default();
    assert_eq!((create.has_memory, &create.network, &create.tools), (true, &usual.network, &usual.tools));
}

#[tokio::test]
async fn what_an_agent_brings_reaches_the_call() {
    let berth = Berth::start().await;
    let folder = camino_tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.into_string()
    };
    let (style, binary) = (file("style.md", b"Be brief.\n"), file("bin.md", b"\xff\xfe"));
    let rules = file("rules.md", b"Test first.\n");
    let mut arguments = vec![
        "agents",
        "create",
        "mine",
        "--image",
        "script",
        "--model",
        "m-1",
        "--persona",
        &style,
        "--persona",
        &rules,
    ];
    arguments.extend(["--remember", "off", "--colour", "green", "--network", "open", "--allow", "example.com:8443"]);
    arguments.extend(["--apt", "jq", "--apt", "g++", "--npm", "@a/b@1.0.0", "--pip", "ruff==0.14.5"]);
    berth.berth(&arguments).await.well();
    let refused = berth.berth(&["agents", "create", "other", "--image", "script", "--persona", &binary]).await;
    assert!(refused.stderr.contains("not UTF-8"), "{}", refused.stderr);
    let refused = berth
        .berth(&["agents", "create", "other", "--image", "script", "--network", "closed", "--allow", "x.example"])
        .await;
    assert!(refused.stderr.contains("no list of hosts"), "{}", refused.stderr);
    berth.berth(&["agents", "edit", "script", "--model", "", "--pip", "six"]).await.well();
    berth.berth(&["agents", "edit", "script", "--no-persona", "--no-tools", "--remember", "on"]).await.well();

    let asked = berth.script.asked.lock().unwrap().clone();
    let changes: Vec<_> = asked
        .iter()
        .filter_map(|request| match request {
            Request::CreateAgent(create) => Some((Some(create.clone()), None)),
            Request::UpdateAgent(update) => Some((None, Some(update.clone()))),
            _ => None,
        })
        .collect();
    let [(Some(create), None), (None, Some(first)), (None, Some(second))] = changes.as_slice() else {
        panic!("{asked:?}")
    };
    let names: Vec<_> = create.persona.iter().map(|file| (file.name.as_str(), file.text.as_str())).collect();
    assert_eq!(names, [("style.md", "Be brief.\n"), ("rules.md", "Test first.\n")]);
    assert_eq!((create.model.as_deref(), create.has_memory, create.colour), (Some("m-1"), false, AgentColour::Green));
    let host = HostGrant { host: "example.com".to_owned(), port: Some(8443), reach: GrantReach::Public };
    assert_eq!(create.network, NetworkPolicy::Open { hosts: vec![host] });
    assert_eq!(
        (create.tools.apt.as_slice(), create.tools.pip.len()),
        (["jq".to_owned(), "g++".to_owned()].as_slice(), 1)
    );
    assert_eq!((first.model.as_deref(), &first.persona, first.has_memory), (Some(""), &None, None));
    assert_eq!(
        first.tools,
        Some(Tools { apt: vec!["ripgrep".to_owned()], pip: vec!["six".to_owned()], ..Tools::default() })
    );
    assert_eq!(
        (&second.persona, second.has_memory, &second.tools),
        (&Some(Vec::new()), Some(true), &Some(Tools::default()))
    );
}

#[tokio::test]
async fn notifications_are_listed_and_switched_by_kind() {
    let berth = Berth::start().await;
    insta::assert_snapshot!("words_notifications", berth.berth(&["notifications"]).await.well().text());
    berth.berth(&["notifications", "off"]).await.well();
    berth.berth(&["notifications", "on", "budget-spent", "held_for_budget"]).await.well();
    let asked = berth.script.asked.lock().unwrap().clone();
    let sets: Vec<_> = asked.into_iter().filter(|asked| matches!(asked, Request::SetNews(_))).collect();
    let on = vec![NewsKind::BudgetSpent, NewsKind::HeldForBudget];
    assert_eq!(
        sets,
        [
            SetNews { kinds: NewsKind::ALL.to_vec(), is_silent: true }.into(),
            SetNews { kinds: on, is_silent: false }.into()
        ]
    );
    assert_eq!(berth.berth(&["notifications", "off", "everything"]).await.status, 2);
}
