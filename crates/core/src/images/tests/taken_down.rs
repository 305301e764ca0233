//! What is taken down of a build, also of a hostile one.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use wire::image::{BuildOutcome, ImageState};

use super::*;
use crate::clock::Clock;

/// A second passes with each look.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

fn recorder() -> Recorder {
    Recorder::begin(&Time::new(Ticking(AtomicI64::new(0))), "trial")
}

fn instruction(number: u32, of: u32, text: &str) -> Progress {
    Progress::Step { number, of, text: text.to_owned() }
}

fn log(line: &str) -> Progress {
    Progress::Log(line.to_owned())
}

#[test]
fn steps_go_from_waiting_to_done_with_their_times_and_what_was_there_already() {
    let record = recorder();
    record.plan(&["Fetch a".to_owned()], &["FROM a".to_owned(), "RUN b".to_owned()], &["Try it".to_owned()]);
    record.before(0);
    record.tell(&Progress::Layer { id: "1".into(), status: "Downloading".into(), done_bytes: 3, total_bytes: 9 });
    let page = record.look(|record| record.page(0));
    assert_eq!((page.layers[0].done_bytes, page.layers[0].total_bytes), (3, 9));
    record.tell(&instruction(1, 2, "FROM a"));
    assert_eq!(record.look(|record| record.page(0)).layers, []);
    record.tell(&instruction(2, 2, "RUN b"));
    record.tell(&log(" ---> Using cache"));
    let ImageState::Building { line, number, of, began_at } = record.state() else { panic!("it is being built") };
    assert_eq!((line.as_str(), number, of), (" ---> Using cache", 3, 4));
    assert!(began_at.is_some());
    record.after(0);
    record.end(BuildOutcome::Built { size_bytes: 1 });
    let page = record.look(|record| record.page(0));
    let steps: Vec<_> = page.steps.iter().map(|step| (step.state, step.is_cached, step.took_ms.is_some())).collect();
    let done = BuildStepState::Done;
    assert_eq!(steps, [(done, false, true), (done, false, true), (done, true, true), (done, false, true)]);
    assert_eq!(record.look(record::Record::good_took_ms), Some(milliseconds(&page)));
}

fn milliseconds(page: &wire::image::BuildView) -> u64 {
    let end = page.ended.as_ref().unwrap().at;
    u64::try_from(end.duration_since(page.began_at).as_millis()).unwrap()
}

#[test]
fn a_failed_step_is_the_one_that_ran_and_what_came_before_stays() {
    let record = recorder();
    record.plan(&["Build base".to_owned()], &[], &[]);
    record.before(0);
    record.plan(&[], &["FROM a".to_owned(), "RUN b".to_owned(), "RUN c".to_owned()], &[]);
    record.tell(&instruction(1, 3, "FROM a"));
    record.tell(&instruction(2, 3, "RUN b"));
    record.end(BuildOutcome::Cancelled);
    let states: Vec<_> = record.look(|record| record.page(0)).steps.iter().map(|step| step.state).collect();
    let (done, failed, waiting) = (BuildStepState::Done, BuildStepState::Failed, BuildStepState::Waiting);
    assert_eq!(states, [done, done, failed, waiting]);
    assert_eq!(record.look(record::Record::good_took_ms), None);
}

#[test]
fn an_engine_that_counts_otherwise_is_believed_within_bounds() {
    let record = recorder();
    record.plan(&[], &["FROM a".to_owned(), "RUN b".to_owned()], &["Try it".to_owned()]);
    record.tell(&instruction(1, 4, "FROM a"));
    let texts = |record: &Recorder| {
        record.look(|record| record.page(0)).steps.into_iter().map(|step| step.text).collect::<Vec<_>>()
    };
    assert_eq!(texts(&record), ["FROM a", "RUN b", "…", "…", "Try it"]);
    record.tell(&instruction(1, 1, "FROM a"));
    assert_eq!(texts(&record), ["FROM a", "Try it"]);
    record.tell(&instruction(0, u32::MAX, "odd"));
    record.tell(&instruction(u32::MAX, u32::MAX, "odd"));
    assert!(texts(&record).len() <= 1_001);
    assert_eq!(texts(&record).pop().as_deref(), Some("Try it"));
}

#[test]
fn the_labels_that_a_builder_adds_are_one_step() {
    let texts = |record: &Recorder| {
        record.look(|record| record.page(0)).steps.into_iter().map(|step| step.text).collect::<Vec<_>>()
    };
    let planned = || {
        let record = recorder();
        record.plan(&[], &["FROM a".to_owned(), "RUN b".to_owned()], &["Try it".to_owned()]);
        record.plan_labels(7);
        record
    };
    let all = ["FROM a", "RUN b", "Label it as Berth's", "Try it"];
    let record = planned();
    for (number, text) in [(1, "FROM a"), (2, "RUN b"), (3, "LABEL one=1"), (9, "LABEL seven=7")] {
        record.tell(&instruction(number, 9, text));
    }
    assert_eq!(texts(&record), all);
    let ImageState::Building { number, of, .. } = record.state() else { panic!("it is being built") };
    assert_eq!((number, of), (3, 4));
    let record = planned();
    record.tell(&instruction(2, 2, "RUN b"));
    assert_eq!(texts(&record), ["FROM a", "RUN b", "Try it"], "a builder that does not count them");
}

#[test]
fn a_long_log_keeps_its_beginning_and_its_end() {
    let record = recorder();
    for number in 0..50_000 {
        record.say(&format!("line {number}"));
    }
    let page = |from| record.look(|record| record.page(from));
    let first = page(0);
    assert_eq!((first.lines, first.from_line, first.log[0].text.as_str()), (50_000, 0, "line 0"));
    let (mut from, mut seen) = (0, Vec::new());
    while from < 50_000 {
        let page = page(from);
        assert!(page.from_line >= from && !page.log.is_empty(), "{from}");
        seen.extend(
            page.log.iter().enumerate().map(|(index, line)| (page.from_line + index as u64, line.text.clone())),
        );
        from = page.from_line + page.log.len() as u64;
    }
    assert_eq!(seen.len(), 20_000);
    assert!(seen.iter().all(|(number, text)| *text == format!("line {number}")));
    assert_eq!(seen.last().unwrap().1, "line 49999");
    assert_eq!(page(50_000).log, []);
    assert_eq!(page(u64::MAX).log, []);

    let pages = record.look(record::Record::pages);
    let kept = serde_json::to_vec(&pages).unwrap();
    let again = record::Record::of_pages(serde_json::from_slice(&kept).unwrap()).unwrap();
    for from in [0, 9_999, 10_000, 45_000, 49_999, 50_000] {
        assert_eq!(again.page(from).log, page(from).log, "{from}");
        assert_eq!(again.page(from).from_line, page(from).from_line, "{from}");
    }
}

#[test]
fn a_hostile_log_is_bounded_and_cannot_steer_a_terminal() {
    let record = recorder();
    record.say("\x1b[31mred\x1b[0m\u{202e}back\x07");
    record.say(&format!("progress 1%\rprogress 100%\r\n{}", "x".repeat(100_000)));
    let page = record.look(|record| record.page(0));
    assert_eq!(page.log[0].text, "red\\u{202e}back");
    assert_eq!(page.log[1].text, "progress 100%");
    assert!(page.log[2].text.len() < 5_000);
    for _ in 0..5_000 {
        record.say(&"y".repeat(4_000));
    }
    let bytes = |pages: Vec<wire::image::BuildView>| {
        pages.iter().flat_map(|page| &page.log).map(|line| line.text.len()).sum::<usize>()
    };
    assert!(bytes(record.look(record::Record::pages)) <= 4 << 20);
    assert!(bytes(vec![record.look(|record| record.page(0))]) <= 512 << 10);
    for number in 0..1_000 {
        record.tell(&Progress::Layer {
            id: format!("{number}"),
            status: "\x1b]0;".into(),
            done_bytes: 1,
            total_bytes: 0,
        });
    }
    let layers = record.look(|record| record.page(0)).layers;
    assert!(layers.len() <= 64 && layers.iter().all(|layer| !layer.status.contains('\x1b')));
}

#[test]
fn what_is_no_record_is_none() {
    assert!(record::Record::of_pages(Vec::new()).is_none());
    let mut pages = recorder().look(record::Record::pages);
    pages[0].log =
        vec![wire::image::LogLineView { at: Timestamp::UNIX_EPOCH, text: "more than there were".to_owned() }];
    assert!(record::Record::of_pages(pages).is_none());
}
