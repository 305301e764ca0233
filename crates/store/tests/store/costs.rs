use jiff::{Timestamp, ToSpan};
use store::{CostOf, CostScope, CostSpan, CostSum, HomeFate, NewRequest, RequestStart, Used};
use wire::{
    cost::{CostKey, ListPrice, Spent, TokenCounts, UsageView},
    ids::ProjectId,
    money::MicroUsd,
    secret::CredentialKind,
};

use crate::fixture::{Fixture, agent, at, fixture, id, usage};

/// The beginning of a day.
fn day(number: i64) -> Timestamp {
    let first: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
    first + (24 * number).hours()
}

fn hours(number: i64, hours: i64) -> Timestamp {
    day(number) + hours.hours()
}

/// What requests of ten tokens cost.
fn spent(amount: i64, requests: u64, unpriced: u64) -> Spent {
    let tokens = TokenCounts {
        input: 10 * requests,
        cache_read: requests,
        cache_write: 2 * requests,
        output: 5 * requests,
        reasoning: 3 * requests,
    };
    Spent { amount: MicroUsd(amount), requests, unpriced, tokens, ..Spent::default() }
}

async fn spend(fixture: &Fixture, new: &NewRequest, at: Timestamp, model: &str, cost: Option<i64>) {
    fixture.spend(&NewRequest { at, ..new.clone() }, usage(model, 10, cost)).await;
}

struct Spending {
    fixture: Fixture,
    /// Of ada, in no project.
    hers: NewRequest,
    /// Of bob, in the project `site`.
    his: NewRequest,
    site: ProjectId,
    empty: ProjectId,
}

/// Two runs that spend on three days.
async fn spending() -> Spending {
    let fixture = fixture().await;
    let bob = agent("bob");
    fixture.store.create_agent(&bob).await.unwrap();
    let hers = fixture.request("Hers").await;
    let his = NewRequest { agent: bob.agent, ..fixture.request("His").await };
    let (site, empty) = (fixture.project("site").await, fixture.project("empty").await);
    fixture.put("His", site).await;
    spend(&fixture, &hers, hours(0, 23), "small", Some(100)).await;
    spend(&fixture, &hers, hours(1, 0), "large", Some(1_000)).await;
    spend(&fixture, &his, hours(1, 12), "small", Some(30)).await;
    spend(&fixture, &his, hours(2, 1), "free", None).await;
    Spending { fixture, hers, his, site, empty }
}

#[tokio::test]
async fn what_was_spent_is_summed_up_by_scope_and_time() {
    let Spending { fixture, hers, his, site, empty } = spending().await;
    let by = |agent, since| CostScope::Agent { agent, since };
    let within = |project, since| CostScope::Project { project, since };
    for (scope, expected) in [
        (CostScope::Run(hers.run), spent(1_100, 2, 0)),
        (CostScope::Run(id()), Spent::default()),
        (by(hers.agent, day(0)), spent(1_100, 2, 0)),
        (by(hers.agent, hours(0, 23)), spent(1_100, 2, 0)),
        (by(hers.agent, day(1)), spent(1_000, 1, 0)),
        (by(his.agent, day(1)), spent(30, 2, 1)),
        (by(his.agent, hours(1, 13)), spent(0, 1, 1)),
        (by(his.agent, hours(2, 2)), Spent::default()),
        (within(site, day(1)), spent(30, 2, 1)),
        (within(empty, day(1)), Spent::default()),
        (within(id(), day(1)), Spent::default()),
        (CostScope::All { since: Timestamp::UNIX_EPOCH }, spent(1_130, 4, 1)),
        (CostScope::All { since: hours(1, 12) }, spent(30, 2, 1)),
    ] {
        assert_eq!(fixture.store.spent(&scope).await.unwrap(), expected, "{scope:?}");
    }
}

/// A request of his that a subscription pays for.
fn by_subscription(his: &NewRequest, at: Timestamp) -> NewRequest {
    let (secret, model) = (Some("token".to_owned()), Some("asked-1".to_owned()));
    let start = RequestStart::Passed { secret, model, reserved: MicroUsd(0), credential: CredentialKind::Subscription };
    NewRequest { at, start, ..his.clone() }
}

#[tokio::test]
async fn a_list_price_is_in_no_sum_of_money_and_in_every_other() {
    let Spending { fixture, hers, his, site, .. } = spending().await;
    fixture.spend(&by_subscription(&his, hours(2, 1)), usage("large", 10, Some(7_000))).await;
    fixture.spend(&by_subscription(&his, hours(2, 2)), usage("nobody-sells-this", 10, None)).await;
    let listed =
        |amount, requests, unpriced, at_least| ListPrice { amount: MicroUsd(amount), requests, unpriced, at_least };
    let with = |spent: Spent, list_price| Spent { list_price, ..spent };
    let (two, all) = (listed(7_000, 2, 1, 0), CostSpan::default());
    for (scope, expected) in [
        (CostScope::Run(his.run), with(spent(30, 4, 1), two)),
        // A part of a day, whole days, and both.
        (CostScope::Agent { agent: his.agent, since: hours(2, 1) }, with(spent(0, 3, 1), two)),
        (CostScope::Agent { agent: his.agent, since: day(2) }, with(spent(0, 3, 1), two)),
        (CostScope::Project { project: site, since: hours(1, 1) }, with(spent(30, 4, 1), two)),
        (CostScope::All { since: day(0) }, with(spent(1_130, 6, 1), two)),
        (CostScope::Run(hers.run), spent(1_100, 2, 0)),
    ] {
        assert_eq!(fixture.store.spent(&scope).await.unwrap(), expected, "{scope:?}");
    }
    let models = fixture.store.spent_by(CostKey::Model, all, 9).await.unwrap();
    let of: Vec<_> =
        models.lines.iter().map(|line| (line.key.as_str(), line.spent.amount.0, line.spent.list_price)).collect();
    let none = ListPrice::default();
    assert_eq!(
        of,
        [
            ("large", 1_000, listed(7_000, 1, 0, 0)),
            ("small", 130, none),
            ("free", 0, none),
            ("nobody-sells-this", 0, listed(0, 1, 1, 0))
        ]
    );
    let runs = fixture.store.spent_in_runs(&CostOf::Agent(his.agent), all, 9).await.unwrap();
    assert_eq!((runs.total, runs.lines.len()), (with(spent(30, 4, 1), two), 1));
    // What was under way when Berth ended is not known, and is no money either.
    fixture.store.begin_request(&by_subscription(&his, hours(2, 3))).await.unwrap();
    fixture.store.cut_open_requests(hours(2, 4), "ended").await.unwrap();
    let total = fixture.store.spent(&CostScope::Run(his.run)).await.unwrap();
    assert_eq!((total.amount, total.unpriced, total.at_least), (MicroUsd(30), 1, 0));
    assert_eq!(total.list_price, listed(7_000, 3, 2, 1));
    let used = fixture.store.used(&CostScope::Run(his.run)).await.unwrap();
    assert_eq!(
        (used.reserved, used.withheld),
        (MicroUsd(0), MicroUsd(5_000)),
        "but for the one without a price before"
    );
    let seen = fixture.store.requests(&store::RequestFilter { limit: 9, ..Default::default() }).await.unwrap();
    let listed: Vec<_> =
        seen.iter().filter_map(|request| request.usage.as_ref()).map(|usage| usage.is_list_price).collect();
    assert_eq!(listed, [true, true, true, false, false, false, false]);
}

/// Whatever a request of his counts towards.
fn scopes_of(his: &NewRequest, site: ProjectId) -> [CostScope; 4] {
    [
        CostScope::Run(his.run),
        CostScope::Agent { agent: his.agent, since: day(9) },
        CostScope::Project { project: site, since: day(9) },
        CostScope::All { since: day(9) },
    ]
}

#[tokio::test]
async fn what_is_set_aside_is_so_until_the_request_ends() {
    let Spending { fixture, hers, his, site, empty } = spending().await;
    let scopes = scopes_of(&his, site);
    let seq = fixture.store.begin_request(&his).await.unwrap().seq;
    for scope in &scopes {
        assert_eq!(fixture.store.used(scope).await.unwrap().reserved, MicroUsd(5_000), "{scope:?}");
    }
    let others = [
        CostScope::Run(hers.run),
        CostScope::Agent { agent: hers.agent, since: day(9) },
        CostScope::Project { project: empty, since: day(9) },
    ];
    for scope in &others {
        assert_eq!(
            fixture.store.used(scope).await.unwrap(),
            Used { spent: fixture.store.spent(scope).await.unwrap(), ..Used::default() }
        );
    }
    fixture.store.end_request(seq, &crate::fixture::ended(None)).await.unwrap();
    for scope in &scopes {
        assert_eq!(fixture.store.used(scope).await.unwrap().reserved, MicroUsd(0), "{scope:?}");
    }
}

#[tokio::test]
async fn what_was_set_aside_for_a_reply_that_was_not_counted_whole_stays_set_aside() {
    let Spending { fixture, hers, his, site, .. } = spending().await;
    let withheld = async |scope: &CostScope| fixture.store.used(scope).await.unwrap().withheld.0;
    let scopes = scopes_of(&his, site);
    let seq = fixture.store.begin_request(&his).await.unwrap().seq;
    // One of his without a known price, of another day, is in the sums of his run.
    let mut before = Vec::new();
    for scope in &scopes {
        before.push(withheld(scope).await);
    }
    let usage = UsageView {
        model: "m".to_owned(),
        tokens: TokenCounts::default(),
        is_at_least: true,
        cost: Some(MicroUsd(1_500)),
        is_list_price: false,
    };
    fixture.store.end_request(seq, &crate::fixture::ended(Some(usage))).await.unwrap();
    for (scope, before) in scopes.iter().zip(before) {
        assert_eq!(fixture.store.used(scope).await.unwrap().reserved, MicroUsd(0), "{scope:?}");
        assert_eq!(withheld(scope).await - before, 3_500, "{scope:?}");
    }
    assert_eq!(fixture.store.used(&CostScope::Run(hers.run)).await.unwrap().withheld, MicroUsd(0));
    let later = CostScope::Agent { agent: his.agent, since: his.at + 1.hours() };
    assert_eq!(fixture.store.used(&later).await.unwrap().withheld, MicroUsd(0), "another month");
}

#[tokio::test]
async fn what_was_set_aside_stays_set_aside_where_the_price_turns_out_to_be_unknown() {
    let Spending { fixture, his, site, .. } = spending().await;
    let seq = fixture.store.begin_request(&his).await.unwrap().seq;
    let tokens = TokenCounts { input: 9, output: 9, ..TokenCounts::default() };
    let usage = UsageView { model: "m".to_owned(), tokens, is_at_least: false, cost: None, is_list_price: false };
    fixture.store.end_request(seq, &crate::fixture::ended(Some(usage))).await.unwrap();
    for scope in scopes_of(&his, site) {
        // His other one without a price, of another day, is in the sum of his run.
        let expected = if matches!(scope, CostScope::Run(_)) { 10_000 } else { 5_000 };
        assert_eq!(fixture.store.used(&scope).await.unwrap().withheld, MicroUsd(expected), "{scope:?}");
    }
}

#[tokio::test]
async fn rows_of_the_list_get_their_costs_at_once() {
    let Spending { fixture, hers, his, .. } = spending().await;
    let costs = fixture.store.spent_by_runs(&[hers.run, his.run, id()]).await.unwrap();
    assert_eq!(costs.len(), 2, "a run that asked no model has no cost, not a cost of nothing");
    assert_eq!((costs[&hers.run], costs[&his.run]), (spent(1_100, 2, 0), spent(30, 2, 1)));
    assert!(fixture.store.spent_by_runs(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn sums_by_each_key_are_dearest_first_and_days_in_order() {
    let Spending { fixture, hers, his, site, .. } = spending().await;
    fixture.store.remove_agent(hers.agent, HomeFate::Kept, at(900), Vec::new()).await.unwrap();
    let line = |label: Option<&str>, of: &NewRequest, spent| CostSum {
        key: String::new(),
        label: label.map(str::to_owned),
        removed_at: None,
        run: of.run,
        task: if of.run == hers.run { 1 } else { 2 },
        spent,
    };
    fixture.store.remove_project(site, at(901), Vec::new()).await.unwrap();
    let in_site = CostSum { removed_at: Some(at(901)), ..line(Some("site"), &his, spent(30, 2, 1)) };
    let removed = CostSum { removed_at: Some(at(900)), ..line(Some("ada"), &hers, spent(1_100, 2, 0)) };
    for (key, lines) in [
        (CostKey::Agent, vec![removed, line(Some("bob"), &his, spent(30, 2, 1))]),
        (CostKey::Project, vec![line(None, &hers, spent(1_100, 2, 0)), in_site]),
        (CostKey::Run, vec![line(Some("Hers"), &hers, spent(1_100, 2, 0)), line(Some("His"), &his, spent(30, 2, 1))]),
        (
            CostKey::Model,
            vec![
                line(Some("large"), &hers, spent(1_000, 1, 0)),
                line(Some("small"), &his, spent(130, 2, 0)),
                line(Some("free"), &his, spent(0, 1, 1)),
            ],
        ),
        (
            CostKey::Day,
            vec![
                line(Some("2026-11-20"), &hers, spent(100, 1, 0)),
                line(Some("2026-11-21"), &his, spent(1_030, 2, 0)),
                line(Some("2026-11-22"), &his, spent(0, 1, 1)),
            ],
        ),
    ] {
        let costs = fixture.store.spent_by(key, CostSpan::default(), 10).await.unwrap();
        assert_eq!((costs.total, costs.lines_total), (spent(1_130, 4, 1), lines.len() as u64), "{key:?}");
        let shown = |costs: &store::Costs| -> Vec<CostSum> {
            costs.lines.iter().map(|line| CostSum { key: String::new(), ..line.clone() }).collect()
        };
        assert_eq!(shown(&costs), lines, "{key:?}");
        let few = fixture.store.spent_by(key, CostSpan::default(), 1).await.unwrap();
        assert_eq!((few.total, few.lines_total), (costs.total, costs.lines_total), "{key:?}");
        // The dearest; of days the latest.
        let dearest = if key == CostKey::Day { lines.last() } else { lines.first() };
        assert_eq!(shown(&few).first(), dearest, "{key:?}");
    }
}

#[tokio::test]
async fn the_runs_behind_a_sum_come_to_it() {
    let Spending { fixture, hers, his, site, .. } = spending().await;
    let all = CostSpan::default();
    let days = CostSpan { from: Some(day(1)), until: Some(day(2)) };
    for (of, span, expected) in [
        (CostOf::Agent(hers.agent), all, vec![(hers.run, spent(1_100, 2, 0))]),
        (CostOf::Agent(his.agent), days, vec![(his.run, spent(30, 1, 0))]),
        (CostOf::Project(Some(site)), all, vec![(his.run, spent(30, 2, 1))]),
        (CostOf::Project(None), all, vec![(hers.run, spent(1_100, 2, 0))]),
        (CostOf::Model("small".to_owned()), all, vec![(hers.run, spent(100, 1, 0)), (his.run, spent(30, 1, 0))]),
        (CostOf::Model("small".to_owned()), days, vec![(his.run, spent(30, 1, 0))]),
        (CostOf::Model("none".to_owned()), all, vec![]),
        (CostOf::All, days, vec![(hers.run, spent(1_000, 1, 0)), (his.run, spent(30, 1, 0))]),
    ] {
        let runs = fixture.store.spent_in_runs(&of, span, 10).await.unwrap();
        let lines: Vec<_> = runs.lines.iter().map(|line| (line.run, line.spent)).collect();
        assert_eq!(lines, expected, "{of:?}");
        assert_eq!(runs.lines_total, expected.len() as u64, "{of:?}");
        assert_eq!(runs.total.amount.0, expected.iter().map(|(_, spent)| spent.amount.0).sum::<i64>(), "{of:?}");
        assert_eq!(runs.total.requests, expected.iter().map(|(_, spent)| spent.requests).sum::<u64>(), "{of:?}");
        let few = fixture.store.spent_in_runs(&of, span, 1).await.unwrap();
        assert_eq!((few.total, few.lines_total), (runs.total, runs.lines_total), "{of:?}");
        assert_eq!(few.lines.first(), runs.lines.first(), "{of:?}");
    }
    let keys = fixture.store.spent_by(CostKey::Agent, all, 10).await.unwrap().lines;
    let keys: Vec<_> = keys.into_iter().map(|line| line.key).collect();
    assert_eq!(keys, [hers.agent.to_string(), his.agent.to_string()], "a line says of what it is the sum");
}

#[tokio::test]
async fn sums_of_a_span_are_those_of_its_moments_wherever_it_begins_and_ends() {
    let Spending { fixture, hers, .. } = spending().await;
    let times = [hours(0, 23), hours(1, 0), hours(1, 12), hours(2, 1)];
    let ends = [None, Some(day(0)), Some(day(1)), Some(hours(1, 12)), Some(day(2)), Some(hours(2, 1)), Some(day(3))];
    for from in ends {
        for until in ends {
            let is_within =
                |at: &&Timestamp| from.is_none_or(|from| **at >= from) && until.is_none_or(|until| **at < until);
            let expected = times.iter().filter(is_within).count() as u64;
            for key in CostKey::ALL {
                let costs = fixture.store.spent_by(key, CostSpan { from, until }, 10).await.unwrap();
                let of_lines: u64 = costs.lines.iter().map(|line| line.spent.requests).sum();
                assert_eq!((costs.total.requests, of_lines), (expected, expected), "{key:?} {from:?} {until:?}");
            }
        }
    }
    let span = CostSpan { from: Some(hours(1, 0)), until: Some(hours(1, 1)) };
    let hour = fixture.store.spent_by(CostKey::Agent, span, 10).await.unwrap();
    assert_eq!((hour.lines.len(), hour.lines[0].run, hour.total.amount), (1, hers.run, MicroUsd(1_000)));
}

#[tokio::test]
async fn nothing_is_metered_until_something_is() {
    let fixture = fixture().await;
    assert!(!fixture.store.is_anything_metered().await.unwrap());
    let costs = fixture.store.spent_by(CostKey::Day, CostSpan::default(), 10).await.unwrap();
    assert_eq!(costs, store::Costs::default());
    let new = fixture.request("Asks").await;
    fixture.store.begin_request(&new).await.unwrap();
    assert!(!fixture.store.is_anything_metered().await.unwrap());
    spend(&fixture, &new, at(10), "small", None).await;
    assert!(fixture.store.is_anything_metered().await.unwrap());
}

#[tokio::test]
async fn sums_that_are_kept_are_those_of_the_single_usages() {
    let fixture = fixture().await;
    let runs = [fixture.request("One").await, fixture.request("Two").await];
    let mut expected = Spent::default();
    let mut of_run = [Spent::default(); 2];
    for number in 0_u64..24 {
        // On the first day the later run comes first, on the second day the earlier one.
        let of = usize::from((number % 4 < 2) == (number < 12));
        let tokens = TokenCounts {
            input: 1 + number,
            cache_read: 100 * number,
            cache_write: 3 * number,
            output: 7 + number,
            reasoning: number,
        };
        let cost = (number % 3 > 0).then(|| i64::try_from(number).unwrap());
        let used = UsageView { tokens, is_at_least: number % 5 == 0, ..usage("small", 0, cost) };
        for sum in [&mut expected, &mut of_run[of]] {
            sum.amount.0 += cost.unwrap_or_default();
            sum.requests += 1;
            sum.unpriced += u64::from(cost.is_none());
            sum.at_least += u64::from(used.is_at_least);
            sum.tokens.input += tokens.input;
            sum.tokens.cache_read += tokens.cache_read;
            sum.tokens.cache_write += tokens.cache_write;
            sum.tokens.output += tokens.output;
            sum.tokens.reasoning += tokens.reasoning;
        }
        let at = hours(i64::try_from(number / 12).unwrap(), i64::try_from(number % 12).unwrap());
        fixture.spend(&NewRequest { at, ..runs[of].clone() }, used).await;
    }
    let costs = fixture.store.spent_by_runs(&[runs[0].run, runs[1].run]).await.unwrap();
    assert_eq!([costs[&runs[0].run], costs[&runs[1].run]], of_run);
    for key in CostKey::ALL {
        let costs = fixture.store.spent_by(key, CostSpan::default(), 10).await.unwrap();
        assert_eq!(costs.total, expected, "{key:?}");
        let lines: Vec<_> = costs.lines.iter().map(|line| (line.run, line.spent)).collect();
        if key == CostKey::Run {
            assert!(lines.contains(&(runs[0].run, of_run[0])) && lines.contains(&(runs[1].run, of_run[1])));
        } else {
            assert!(lines.iter().all(|(run, _)| *run == runs[1].run), "{key:?}: the latest run");
        }
        if matches!(key, CostKey::Agent | CostKey::Project | CostKey::Model) {
            assert_eq!(lines, [(runs[1].run, expected)], "{key:?}");
        }
        let kept = fixture.store.spent_by(key, CostSpan { from: Some(day(0)), until: Some(day(1)) }, 10).await.unwrap();
        let within = CostSpan { from: Some(day(0)), until: Some(hours(0, 23)) };
        let single = fixture.store.spent_by(key, within, 10).await.unwrap();
        assert_eq!(kept, single, "{key:?}: a day by its sum, and the same by its usages");
    }
}
