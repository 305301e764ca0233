//! What agents may reach, and what their sandboxes asked for.

use jiff::SignedDuration;
use serde_json::Value;
use wire::{
    MicroUsd, Request,
    cost::{TokenCounts, UsageView},
    ids::SandboxId,
    network::{
        BRIDGE_GIVES_UP, BRIDGE_IN_SHORT, GrantReach, HostGrant, HostsPatch, NetworkMode, NetworkPolicy, RequestKind,
        RequestOutcome, RequestView,
    },
    view::{AgentView, SandboxView},
};

use crate::scripted::{Berth, run_id, step_id, task_id};

fn grant(host: &str, port: Option<u16>, reach: GrantReach) -> HostGrant {
    HostGrant { host: host.to_owned(), port, reach }
}

/// What was asked to be changed of policies.
fn changes(berth: &Berth) -> Vec<(Option<NetworkMode>, HostsPatch)> {
    let asked = berth.script.asked.lock().unwrap();
    let change = |request: &Request| match request {
        Request::UpdateAgent(update) => {
            assert_eq!(update.network, None, "a whole list would undo what others change meanwhile");
            Some((update.mode, update.hosts.clone()))
        }
        _ => None,
    };
    asked.iter().filter_map(change).collect()
}

fn request(berth: &Berth, seq: i64, outcome: RequestOutcome, usage: Option<UsageView>) -> RequestView {
    RequestView {
        seq,
        at: berth.script.at + SignedDuration::from_secs(seq),
        sandbox: "0195510f-5a00-7000-8000-000000000006".parse::<SandboxId>().unwrap(),
        task: task_id(),
        run: run_id(),
        step: step_id(),
        agent: "0195510f-5a00-7000-8000-000000000004".parse().unwrap(),
        kind: if usage.is_some() { RequestKind::Model } else { RequestKind::Tunnel },
        method: if usage.is_some() { "POST" } else { "CONNECT" }.to_owned(),
        host: if usage.is_some() { "api.anthropic.com" } else { "example.com" }.to_owned(),
        port: 443,
        path: if usage.is_some() { "/v1/messages" } else { "" }.to_owned(),
        outcome,
        status: usage.is_some().then_some(200),
        sent_bytes: 1_300,
        received_bytes: 70_000,
        duration_ms: Some(1_200),
        secret: usage.is_some().then(|| "ANTHROPIC_API_KEY".to_owned()),
        usage,
    }
}

fn usage(cost: Option<i64>, is_at_least: bool) -> UsageView {
    let tokens = TokenCounts { input: 12, cache_read: 3_000, cache_write: 40, output: 560, reasoning: 60 };
    UsageView {
        model: "claude-sonnet-4-5".to_owned(),
        tokens,
        is_at_least,
        cost: cost.map(MicroUsd),
        is_list_price: false,
    }
}

#[tokio::test]
async fn requests_are_listed_with_what_became_of_them_and_what_they_cost() {
    let berth = Berth::start().await;
    let refused = RequestOutcome::Refused { reason: "example.com is not on the agent's list.".to_owned() };
    let cut = RequestOutcome::Cut { reason: "the program went".to_owned() };
    *berth.script.requests.lock().unwrap() = vec![
        request(&berth, 1, RequestOutcome::Done, Some(usage(Some(12_345), false))),
        request(&berth, 2, refused, None),
        request(&berth, 3, cut, Some(usage(Some(49), true))),
        request(&berth, 4, RequestOutcome::Open, Some(usage(None, false))),
    ];
    insta::assert_snapshot!("words_requests", berth.berth(&["requests", "12"]).await.well().text());
    let refused = berth.berth(&["requests", "12", "--refused", "--json"]).await.well();
    let views: Vec<RequestView> = refused.json();
    assert_eq!(views.iter().map(|view| view.seq).collect::<Vec<_>>(), [2]);
    insta::assert_json_snapshot!("json_requests", refused.json::<Value>());
}

#[tokio::test]
async fn what_was_refused_long_before_is_found() {
    let berth = Berth::start().await;
    let refused = || RequestOutcome::Refused { reason: "no".to_owned() };
    let outcome = |seq| if seq <= 2 { refused() } else { RequestOutcome::Done };
    *berth.script.requests.lock().unwrap() = (1..=2_500).map(|seq| request(&berth, seq, outcome(seq), None)).collect();
    let found: Vec<RequestView> = berth.berth(&["requests", "12", "--refused", "--json"]).await.well().json();
    assert_eq!(found.iter().map(|view| view.seq).collect::<Vec<_>>(), [2, 1]);
    let ended = berth.berth(&["requests", "12", "--limit", "3"]).await.well();
    assert_eq!(ended.text().lines().count(), 4, "{}", ended.text());
    assert!(ended.stderr.contains("--limit"), "{}", ended.stderr);
    let ended = berth.berth(&["requests", "12", "--refused"]).await.well();
    assert_eq!(ended.stderr, "");
}

#[tokio::test]
async fn a_run_that_asked_for_nothing_says_so() {
    let berth = Berth::start().await;
    assert_eq!(berth.berth(&["requests", "12"]).await.well().text(), "No requests.\n");
    assert_eq!(berth.berth(&["requests", "99"]).await.status, 1);
}

#[tokio::test]
async fn hosts_are_put_onto_the_list_there_is_and_taken_off_it() {
    let berth = Berth::start().await;
    let public = |host, port| grant(host, port, GrantReach::Public);
    *berth.script.network.lock().unwrap() = NetworkPolicy::Allowlist {
        hosts: vec![public("example.com", None), public("old.org", Some(8443)), public("old.org", Some(80))],
    };
    let ended = berth.berth(&["agents", "edit", "script", "--network", "allowlist"]).await.well();
    insta::assert_snapshot!("words_agent", ended.text());
    for arguments in [
        ["--allow", "*.new.org", "--disallow", "Old.org:8443"].as_slice(),
        &["--network", "open", "--allow", "example.com", "--allow", "[::1]:80", "--private"],
        &["--network", "closed"],
        &["--network", "bridge"],
    ] {
        berth.berth(&[["agents", "edit", "script"].as_slice(), arguments].concat()).await.well();
    }
    let patch =
        |allow: &[HostGrant], disallow: &[HostGrant]| HostsPatch { allow: allow.to_vec(), disallow: disallow.to_vec() };
    let private = |host, port| grant(host, port, GrantReach::Private);
    let nothing = HostsPatch::default;
    assert_eq!(
        changes(&berth),
        [
            (Some(NetworkMode::Allowlist), nothing()),
            (None, patch(&[public("*.new.org", None)], &[public("Old.org", Some(8443))])),
            (Some(NetworkMode::Open), patch(&[private("example.com", None), private("::1", Some(80))], &[])),
            (Some(NetworkMode::Closed), nothing()),
            (Some(NetworkMode::Bridge), nothing()),
        ]
    );
}

#[tokio::test]
async fn what_is_no_host_and_no_mode_is_refused() {
    let berth = Berth::start().await;
    for arguments in [["--private"].as_slice(), &["--allow", "https://example.com"], &["--network", "host"]] {
        let ended = berth.berth(&[["agents", "edit", "script"].as_slice(), arguments].concat()).await;
        assert_eq!(ended.status, 2, "{arguments:?}");
    }
    assert_eq!(changes(&berth), []);
}

#[tokio::test]
async fn what_a_bridge_gives_up_is_said_where_it_is_chosen_and_on_the_run() {
    let berth = Berth::start().await;
    let ended = berth.berth(&["agents", "edit", "script", "--network", "bridge"]).await.well();
    assert!(ended.text().contains(BRIDGE_GIVES_UP), "{}", ended.text());
    assert!(berth.berth(&["agents", "show", "script"]).await.well().text().contains(BRIDGE_GIVES_UP));
    for (network, is_said) in [(NetworkPolicy::default(), false), (NetworkPolicy::Bridge, true)] {
        *berth.script.sandbox.lock().unwrap() = Some(SandboxView {
            sandbox: "0195510f-5a00-7000-8000-000000000006".parse().unwrap(),
            container: "berth-1".to_owned(),
            created_at: berth.script.at,
            network: network.name().to_owned(),
            user: "1000:1000".to_owned(),
            connected: true,
        });
        let shown = berth.berth(&["show", "12"]).await.well().text().to_owned();
        assert_eq!(shown.contains(BRIDGE_IN_SHORT), is_said, "{shown}");
    }
}

#[tokio::test]
async fn another_change_leaves_the_network_as_it_is() {
    let berth = Berth::start().await;
    berth.berth(&["agents", "edit", "script", "--time", "5m"]).await.well();
    let asked = berth.script.asked.lock().unwrap().clone();
    let [Request::UpdateAgent(update)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((update.mode, update.hosts.is_empty(), update.limits.wall_clock_s), (None, true, Some(300)));
}

#[tokio::test]
async fn one_agent_is_shown_alone() {
    let berth = Berth::start().await;
    let view: AgentView = berth.berth(&["agents", "show", "script", "--json"]).await.well().json();
    assert_eq!(view.name, "script");
    let ended = berth.berth(&["agents", "show", "nobody"]).await;
    assert_eq!((ended.status, ended.text()), (1, ""));
}
