use lifecycle::{Exit, Input};
use store::{
    CostScope, EventFilter, NewRequest, REQUESTS_PER_RUN_MAX, RequestEnd, RequestEnding, RequestFilter, RequestStart,
    StoreError,
};
use wire::{
    cost::{TokenCounts, UsageView},
    money::MicroUsd,
    network::{RequestKind, RequestOutcome, RequestView},
    secret::CredentialKind,
};

use crate::fixture::{Fixture, at, ended, fixture, id, usage};

async fn list(fixture: &Fixture, filter: RequestFilter) -> Vec<RequestView> {
    fixture.store.requests(&RequestFilter { limit: 100, ..filter }).await.unwrap()
}

async fn all(fixture: &Fixture) -> Vec<RequestView> {
    list(fixture, RequestFilter::default()).await
}

fn seqs(requests: &[RequestView]) -> Vec<i64> {
    requests.iter().map(|request| request.seq).collect()
}

fn refused(new: &NewRequest) -> NewRequest {
    NewRequest {
        kind: RequestKind::Tunnel,
        start: RequestStart::Refused { reason: "not listed".to_owned(), status: Some(403) },
        ..new.clone()
    }
}

#[tokio::test]
async fn a_request_is_open_until_it_ends_with_what_it_used() {
    let fixture = fixture().await;
    let new = fixture.request("Asks").await;
    let begun = fixture.store.begin_request(&new).await.unwrap();
    let open = RequestView {
        seq: begun.seq,
        at: at(10),
        sandbox: new.sandbox,
        task: new.task,
        run: new.run,
        step: new.step,
        agent: new.agent,
        kind: RequestKind::Model,
        method: "POST".to_owned(),
        host: "api.anthropic.com".to_owned(),
        port: 443,
        path: "/v1/messages".to_owned(),
        outcome: RequestOutcome::Open,
        status: None,
        sent_bytes: 0,
        received_bytes: 0,
        duration_ms: None,
        secret: Some("ANTHROPIC_API_KEY".to_owned()),
        usage: None,
    };
    assert_eq!(all(&fixture).await, std::slice::from_ref(&open));
    assert_eq!(fixture.store.open_requests().await.unwrap(), std::slice::from_ref(&open));

    let used = UsageView { is_at_least: true, ..usage("m-1", 100, Some(1_234)) };
    assert!(fixture.store.end_request(begun.seq, &ended(Some(used.clone()))).await.unwrap());
    let done = RequestView {
        outcome: RequestOutcome::Done,
        status: Some(200),
        sent_bytes: 70,
        received_bytes: 900,
        duration_ms: Some(2_000),
        usage: Some(used),
        ..open
    };
    assert_eq!(all(&fixture).await, [done]);
    assert_eq!(fixture.store.open_requests().await.unwrap(), []);
}

#[tokio::test]
async fn a_second_end_changes_nothing() {
    let fixture = fixture().await;
    let new = fixture.request("Asks").await;
    let seq = fixture.store.begin_request(&new).await.unwrap().seq;
    fixture.store.end_request(seq, &ended(Some(usage("m-1", 100, Some(7))))).await.unwrap();
    let first = all(&fixture).await;
    let late = RequestEnd {
        at: at(99),
        ending: RequestEnding::Cut { reason: "late".to_owned() },
        ..ended(Some(usage("m-2", 900, Some(900))))
    };
    assert!(!fixture.store.end_request(seq, &late).await.unwrap());
    assert!(!fixture.store.end_request(seq + 1, &late).await.unwrap(), "there is none");
    assert_eq!(all(&fixture).await, first);
    let spent = fixture.store.spent(&CostScope::Run(new.run)).await.unwrap();
    assert_eq!((spent.amount, spent.requests), (MicroUsd(7), 1));
}

#[tokio::test]
async fn a_refused_request_has_ended_at_once_and_one_that_was_let_through_may_end_in_each_way() {
    let fixture = fixture().await;
    let new = fixture.request("Asks").await;
    let seq = fixture.store.begin_request(&refused(&new)).await.unwrap().seq;
    assert!(!fixture.store.end_request(seq, &ended(None)).await.unwrap());
    let cut = || RequestEnding::Cut { reason: "the program went".to_owned() };
    let no = || RequestEnding::Refused { reason: "a private address".to_owned() };
    for ending in [cut(), no()] {
        let seq = fixture.store.begin_request(&new).await.unwrap().seq;
        // A clock that was set back.
        let end = RequestEnd { at: at(1), ending, ..ended(None) };
        assert!(fixture.store.end_request(seq, &end).await.unwrap());
    }
    let shown: Vec<_> = all(&fixture)
        .await
        .into_iter()
        .map(|request| (request.kind, request.outcome, request.status, request.duration_ms, request.usage))
        .collect();
    let reason = |text: &str| text.to_owned();
    let (model, tunnel) = (RequestKind::Model, RequestKind::Tunnel);
    let expected = [
        (model, RequestOutcome::Refused { reason: reason("a private address") }, Some(200), Some(0), None),
        (model, RequestOutcome::Cut { reason: reason("the program went") }, Some(200), Some(0), None),
        (tunnel, RequestOutcome::Refused { reason: reason("not listed") }, Some(403), Some(0), None),
    ];
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn pages_are_newest_first_of_a_task_a_run_or_all() {
    let fixture = fixture().await;
    let (one, other) = (fixture.request("One").await, fixture.request("Other").await);
    let mut written = Vec::new();
    for new in [&one, &other, &one, &one] {
        written.push(fixture.store.begin_request(new).await.unwrap().seq);
    }
    assert!(written.is_sorted());
    let [first, hers, second, third] = written[..] else { panic!("four") };
    assert_eq!(seqs(&all(&fixture).await), [third, second, hers, first]);
    let (of_task, of_run) = (
        RequestFilter { task: Some(one.task), ..RequestFilter::default() },
        RequestFilter { run: Some(one.run), ..RequestFilter::default() },
    );
    for filter in [of_task, of_run] {
        assert_eq!(seqs(&list(&fixture, filter).await), [third, second, first]);
        let before = RequestFilter { before_seq: Some(third), ..filter };
        assert_eq!(seqs(&list(&fixture, before).await), [second, first]);
        let page = fixture.store.requests(&RequestFilter { limit: 1, ..before }).await.unwrap();
        assert_eq!(seqs(&page), [second]);
    }
    let none = RequestFilter { run: Some(id()), ..of_task };
    assert_eq!(list(&fixture, none).await, [], "the run counts");
}

#[tokio::test]
async fn after_a_restart_what_was_under_way_broke_off_and_its_cost_is_unknown() {
    let fixture = fixture().await;
    let new = fixture.request("Asks").await;
    fixture.spend(&new, usage("m-1", 10, Some(500))).await;
    fixture.store.begin_request(&new).await.unwrap();
    let tunnel = NewRequest {
        kind: RequestKind::Tunnel,
        start: RequestStart::Passed {
            secret: None,
            model: None,
            reserved: MicroUsd(0),
            credential: CredentialKind::Key,
        },
        ..new.clone()
    };
    fixture.store.begin_request(&tunnel).await.unwrap();
    fixture.store.begin_request(&refused(&new)).await.unwrap();

    assert_eq!(fixture.store.cut_open_requests(at(50), "Berth ended").await.unwrap(), 2);
    assert_eq!(fixture.store.open_requests().await.unwrap(), []);
    let shown = all(&fixture).await;
    let cut = RequestOutcome::Cut { reason: "Berth ended".to_owned() };
    assert_eq!((&shown[1].outcome, &shown[1].usage), (&cut, &None), "a tunnel costs nothing");
    let unknown = UsageView {
        model: "asked-1".to_owned(),
        tokens: TokenCounts::default(),
        is_at_least: true,
        cost: None,
        is_list_price: false,
    };
    assert_eq!((&shown[2].outcome, shown[2].usage.as_ref()), (&cut, Some(&unknown)));
    assert_eq!(shown[2].duration_ms, Some(40_000));

    let used = fixture.store.used(&CostScope::Run(new.run)).await.unwrap();
    assert_eq!((used.spent.amount, used.spent.requests), (MicroUsd(500), 2));
    assert_eq!((used.spent.unpriced, used.spent.at_least, used.reserved), (1, 1, MicroUsd(0)));
    assert_eq!(used.spent.to_string(), "at least $0.00");
    assert_eq!(fixture.store.cut_open_requests(at(60), "again").await.unwrap(), 0);
    assert_eq!(all(&fixture).await, shown);
}

#[tokio::test]
async fn what_a_reply_claims_beyond_all_reason_does_not_break_the_sums() {
    let fixture = fixture().await;
    let new = fixture.request("Asks").await;
    for _ in 0..3 {
        fixture.spend(&new, usage("m-1", u64::MAX, Some(i64::MAX))).await;
    }
    fixture.spend(&new, usage("m-1", 1, Some(-5))).await;
    let spent = fixture.store.spent(&CostScope::Run(new.run)).await.unwrap();
    assert_eq!((spent.requests, spent.at_least, spent.unpriced), (4, 3, 1));
    assert_eq!((spent.amount, spent.tokens.input), (MicroUsd(3 << 43), (3 << 40) + 1));
}

#[tokio::test]
async fn requests_go_with_what_a_run_left_and_what_they_cost_stays() {
    let fixture = fixture().await;
    let (old, other) = (fixture.request("Old").await, fixture.request("Other").await);
    fixture.spend(&old, usage("m-1", 10, Some(500))).await;
    fixture.spend(&other, usage("m-1", 10, Some(500))).await;
    let open = fixture.store.begin_request(&old).await.unwrap().seq;
    let work = [Input::SlotGranted, Input::Provisioned, Input::AgentExited(Exit::Failure)];
    fixture.advance_all(old.step, 20, &work).await;
    fixture.store.take(old.run, "it is old", at(60)).await.unwrap().unwrap();
    let of_old = RequestFilter { run: Some(old.run), ..RequestFilter::default() };
    assert_eq!(seqs(&list(&fixture, of_old).await), [open], "what it used is not known yet");
    fixture.store.end_request(open, &ended(Some(usage("m-1", 10, Some(70))))).await.unwrap();
    fixture.store.taken(old.run).await.unwrap();
    assert_eq!(list(&fixture, of_old).await, []);
    assert_eq!(all(&fixture).await.len(), 1);
    let spent = fixture.store.spent(&CostScope::Run(old.run)).await.unwrap();
    assert_eq!((spent.amount, spent.requests), (MicroUsd(570), 2));
    let next = fixture.store.begin_request(&other).await.unwrap().seq;
    assert!(next > open, "no place is given twice");
}

#[tokio::test]
async fn a_run_keeps_so_many_requests_and_says_so_once() {
    let fixture = fixture().await;
    let new = fixture.request("Asks").await;
    let open = fixture.store.begin_request(&new).await.unwrap().seq;
    fixture.spend(&new, usage("m-1", 10, Some(500))).await;
    fixture
        .execute(
            "WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < 9998)
             INSERT INTO requests (at, sandbox, task, run, step, agent, kind, method, host, port, path, outcome, ended_at)
             SELECT at, sandbox, task, run, step, agent, kind, method, host, port, path, 'done', at
             FROM counter JOIN requests ON seq = 1",
        )
        .await;
    let left_out = async || fixture.store.requests_left_out(new.run).await.unwrap();
    assert_eq!(left_out().await, 0);
    let events = fixture.store.begin_request(&refused(&new)).await.unwrap().events;
    assert_eq!((events, left_out().await), (Vec::new(), 0), "the one that is too many goes on");

    let events = fixture.store.begin_request(&refused(&new)).await.unwrap().events;
    assert_eq!((events.len(), left_out().await), (1, 1));
    let filter = EventFilter { task: Some(new.task), after_seq: 0, limit: 100 };
    assert_eq!(fixture.store.events(filter).await.unwrap().last(), events.first());
    let events = fixture.store.begin_request(&refused(&new)).await.unwrap().events;
    assert_eq!((events, left_out().await), (Vec::new(), 2));
    let kept = RequestFilter { run: Some(new.run), limit: u32::MAX, ..RequestFilter::default() };
    let kept = fixture.store.requests(&kept).await.unwrap();
    assert_eq!(kept.len(), REQUESTS_PER_RUN_MAX as usize + 1);
    assert_eq!(kept.last().map(|request| request.seq), Some(open));
    assert_eq!(fixture.store.spent(&CostScope::Run(new.run)).await.unwrap().requests, 1);
    let unknown = fixture.store.requests_left_out(id()).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "run", .. }));
}
