use lifecycle::Input;
use store::{
    BudgetKey, BudgetRecord, BudgetSpan, BudgetWarning, EventFilter, EventScope, HomeFate, PriceRecord, StoreError,
};
use wire::{EventKind, cost::Rates, money::MicroUsd};

use crate::fixture::{Fixture, agent, at, fixture, id};

fn note(text: &str) -> Vec<EventKind> {
    vec![EventKind::Note { text: text.to_owned() }]
}

async fn set(fixture: &Fixture, budget: &BudgetKey, limit: i64) {
    fixture.store.set_budget(budget, Some(MicroUsd(limit)), at(5), note("set")).await.unwrap();
}

fn budgets(records: Vec<BudgetRecord>) -> Vec<BudgetKey> {
    records.into_iter().map(|record| record.budget).collect()
}

#[tokio::test]
async fn budgets_are_set_listed_and_found_for_a_request() {
    let fixture = fixture().await;
    let new = fixture.request("Asks").await;
    let other = fixture.request("Other").await;
    let bob = agent("bob");
    fixture.store.create_agent(&bob).await.unwrap();
    let in_site = fixture.project("site").await;
    fixture.put("Asks", in_site).await;
    let (site, of_bob) = (BudgetKey::Project(in_site), BudgetKey::Agent(bob.agent));
    let (run, ada) = (BudgetKey::Run(new.run), BudgetKey::Agent(fixture.agent));
    let each = BudgetKey::EachRun;
    let elsewhere = BudgetKey::Project(fixture.project("other").await);
    for (budget, limit) in [(&run, 1), (&site, 2), (&ada, 3), (&each, 4), (&of_bob, 5), (&elsewhere, 6)] {
        set(&fixture, budget, limit).await;
    }
    set(&fixture, &run, 7).await;
    let listed = fixture.store.budgets().await.unwrap();
    let shown: Vec<_> = listed.iter().map(|budget| (budget.name.as_str(), budget.number, budget.limit.0)).collect();
    let expected = [
        ("", None, 4),
        ("ada", None, 3),
        ("bob", None, 5),
        ("other", None, 6),
        ("site", None, 2),
        ("Asks", Some(1), 7),
    ];
    assert_eq!(shown, expected);
    assert_eq!(listed[0].set_at, at(5));

    let found = async |run, agent| budgets(fixture.store.budgets_of(run, agent).await.unwrap());
    assert_eq!(found(new.run, fixture.agent).await, [each.clone(), ada.clone(), site, run.clone()]);
    assert_eq!(found(other.run, bob.agent).await, [each.clone(), of_bob.clone()]);

    fixture.store.set_budget(&each, None, at(6), note("gone")).await.unwrap();
    fixture.advance(new.step, Input::Cancel, at(20)).await;
    fixture.store.remove_agent(bob.agent, HomeFate::Gone, at(21), Vec::new()).await.unwrap();
    let left: Vec<_> = fixture.store.budgets().await.unwrap().into_iter().map(|budget| budget.name).collect();
    assert_eq!(left, ["ada", "other", "site"], "a run that has ended and an agent that is removed have none to show");
    assert!(found(new.run, fixture.agent).await.contains(&run));
    fixture.store.remove_project(in_site, at(22), Vec::new()).await.unwrap();
    let left: Vec<_> = fixture.store.budgets().await.unwrap().into_iter().map(|budget| budget.name).collect();
    assert_eq!(left, ["ada", "other"], "nor has a project that is removed");
    let filter = EventFilter { task: None, after_seq: 0, limit: 100 };
    let events = fixture.store.events(filter).await.unwrap();
    let count = |text: &str| events.iter().filter(|event| event.text == text).count();
    assert_eq!((count("set"), count("gone")), (7, 1));
}

#[tokio::test]
async fn a_budget_is_of_something_that_is_there() {
    let fixture = fixture().await;
    for (budget, expected) in
        [(BudgetKey::Run(id()), "run"), (BudgetKey::Agent(id()), "agent"), (BudgetKey::Project(id()), "project")]
    {
        let refused = fixture.store.set_budget(&budget, Some(MicroUsd(1)), at(5), Vec::new()).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotFound { what, .. } if what == expected), "{refused}");
    }
    assert_eq!(fixture.store.budgets().await.unwrap(), []);
}

#[tokio::test]
async fn a_person_is_told_once_of_each_step_of_each_span() {
    let fixture = fixture().await;
    let new = fixture.request("Asks").await;
    let scope = EventScope { task: Some(new.task), run: Some(new.run), step: None };
    let warn = async |budget: &BudgetKey, span, percent| {
        let events = note(&format!("{percent} %"));
        let warning = BudgetWarning { budget: budget.clone(), span, percent, scope, events, at: at(8) };
        fixture.store.warn_of_budget(warning).await.unwrap()
    };
    let each = BudgetKey::EachRun;
    let of = BudgetSpan::Run;
    assert_eq!(warn(&each, of(new.run), 80).await, None, "there is no budget");
    set(&fixture, &each, 4).await;
    let told = warn(&each, of(new.run), 80).await.unwrap();
    let filter = EventFilter { task: Some(new.task), after_seq: 0, limit: 100 };
    assert_eq!(fixture.store.events(filter).await.unwrap().last(), told.first());
    assert_eq!(warn(&each, of(new.run), 80).await, None);
    assert!(warn(&each, of(new.run), 100).await.is_some());
    assert_eq!(warn(&each, of(new.run), 80).await, None);
    assert!(warn(&each, of(id()), 80).await.is_some(), "another run");
    assert_eq!(fixture.store.events(filter).await.unwrap().iter().filter(|event| event.text == "80 %").count(), 2);

    let ada = BudgetKey::Agent(fixture.agent);
    set(&fixture, &ada, 4).await;
    assert!(warn(&ada, BudgetSpan::Since(at(0)), 80).await.is_some());
    assert!(warn(&ada, BudgetSpan::Since(at(1)), 80).await.is_some(), "another month");
    assert_eq!(warn(&ada, BudgetSpan::Since(at(1)), 80).await, None);
    set(&fixture, &ada, 8).await;
    assert!(warn(&ada, BudgetSpan::Since(at(1)), 80).await.is_some(), "another limit");
    assert_eq!(warn(&each, of(new.run), 100).await, None, "the other budget is as it was");
    assert_eq!(warn(&BudgetKey::Run(id()), of(new.run), 100).await, None);
}

#[tokio::test]
async fn a_price_is_what_was_set_last() {
    let fixture = fixture().await;
    let cheap = Rates { input: MicroUsd(1), output: MicroUsd(2), ..Rates::default() };
    let dear = Rates { cache_read: Some(MicroUsd(3)), cache_write: Some(MicroUsd(4)), ..cheap };
    for (model, rates) in [("m-*", cheap), ("a-1", cheap), ("m-*", dear)] {
        fixture.store.set_price(model, Some(rates), at(5), note("price")).await.unwrap();
    }
    let price = |model: &str, rates| PriceRecord { model: model.to_owned(), rates, set_at: at(5) };
    assert_eq!(fixture.store.prices().await.unwrap(), [price("a-1", cheap), price("m-*", dear)]);
    fixture.store.set_price("a-1", None, at(6), note("price")).await.unwrap();
    fixture.store.set_price("unknown", None, at(6), Vec::new()).await.unwrap();
    assert_eq!(fixture.store.prices().await.unwrap(), [price("m-*", dear)]);
    let filter = EventFilter { task: None, after_seq: 0, limit: 100 };
    assert_eq!(fixture.store.events(filter).await.unwrap().len(), 4);
}
