//! The doctor mends and room is made only after what would be done was shown and agreed to.

use wire::{
    Request,
    upkeep::{Finding, KeptOf, Mended, Reclaim, Remedy, Sight, Thing},
};

use crate::scripted::{Berth, berth, run_id};

fn finding(key: &str, remedy: Remedy) -> Finding {
    Finding {
        key: key.to_owned(),
        thing: Thing::Volume,
        name: key.split_once(':').unwrap().1.to_owned(),
        why: "Nobody uses it.".to_owned(),
        remedy,
        then: "It is removed.".to_owned(),
        size_bytes: Some(3 << 20),
        run: None,
    }
}

fn kept(number: i64, sight: Sight) -> Finding {
    let run = Some(KeptOf { run: run_id(), number, title: "A task".to_owned(), sight });
    Finding { thing: Thing::Run, run, ..finding(&format!("run:{number}"), Remedy::Remove) }
}

fn mended(berth: &Berth) -> Vec<Vec<String>> {
    let asked = berth.script.asked.lock().unwrap();
    let keys = |request: &Request| match request {
        Request::Mend(mend) => Some(mend.keys.clone()),
        _ => None,
    };
    asked.iter().filter_map(keys).collect()
}

fn reclaimed(berth: &Berth) -> Vec<Reclaim> {
    let asked = berth.script.asked.lock().unwrap();
    let calls = |request: &Request| match request {
        Request::Reclaim(reclaim) => Some(reclaim.clone()),
        _ => None,
    };
    asked.iter().filter_map(calls).collect()
}

#[tokio::test]
async fn the_doctor_shows_what_lies_around_and_does_nothing_about_it() {
    let berth = Berth::start().await;
    *berth.script.findings.lock().unwrap() =
        vec![finding("volume:lost", Remedy::Remove), finding("volume:home", Remedy::Leave)];
    let ended = berth.berth(&["doctor"]).await.well();
    insta::assert_snapshot!("words_doctor_findings", ended.text());
    assert_eq!(mended(&berth), Vec::<Vec<String>>::new());
}

#[tokio::test]
async fn mending_is_asked_for_and_done_to_what_was_shown() {
    let scripted = Berth::start().await;
    *scripted.script.findings.lock().unwrap() =
        vec![finding("volume:lost", Remedy::Remove), finding("volume:home", Remedy::Leave)];
    for refusal in ["", "no\n", "\n"] {
        let ended = berth(scripted.folder.path(), &["doctor", "--mend"], refusal.as_bytes()).await;
        assert_eq!(ended.status, 1);
        assert!(ended.text().contains("lost") && ended.stderr.contains("Nothing was done."), "{}", ended.stderr);
    }
    assert_eq!(mended(&scripted), Vec::<Vec<String>>::new());
    let ended = berth(scripted.folder.path(), &["doctor", "--mend"], b"yes\n").await.well();
    assert!(ended.text().contains("done volume:lost"), "{}", ended.text());
    assert_eq!(mended(&scripted), [["volume:lost"]]);
    let ended = scripted.berth(&["doctor", "--mend", "--yes", "--json"]).await.well();
    assert_eq!(ended.json::<Vec<Mended>>().len(), 1);
}

#[tokio::test]
async fn what_nobody_has_seen_goes_only_when_it_is_named() {
    let scripted = Berth::start().await;
    {
        let mut plan = scripted.script.plan.lock().unwrap();
        plan.caches = vec![finding("volume:guest", Remedy::Remove)];
        plan.kept = vec![kept(3, Sight::Seen), kept(4, Sight::Unseen)];
    }
    let ended = berth(scripted.folder.path(), &["reclaim"], b"").await.well();
    insta::assert_snapshot!("words_reclaim", ended.text());
    assert_eq!(reclaimed(&scripted), []);
    scripted.berth(&["reclaim", "--yes"]).await.well();
    let usual = Reclaim { keys: vec!["volume:guest".to_owned(), "run:3".to_owned()], unseen: Vec::new() };
    assert_eq!(reclaimed(&scripted), [usual]);
    scripted.berth(&["reclaim", "--kept", "--unseen", "4", "--yes"]).await.well();
    let named = Reclaim { keys: vec!["run:3".to_owned(), "run:4".to_owned()], unseen: vec![run_id()] };
    assert_eq!(reclaimed(&scripted)[1], named);
}
