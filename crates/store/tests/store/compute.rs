use jiff::SignedDuration;
use store::{ComputeLook, ComputeSample, ComputeSum, CostSpan};
use wire::{compute::ComputeUse, cost::CostKey, ids::StepId};

use crate::fixture::{Fixture, at, fixture, id};

/// A container that was started at a second and looked at some seconds later, with 512 MiB.
fn seen(step: StepId, attempt: u32, started: i64, after: i64, cpu_us: Option<u64>, look: ComputeLook) -> ComputeSample {
    let started_at = at(started);
    let until = started_at + SignedDuration::from_secs(after);
    ComputeSample { step, attempt, started_at, until, cpu_us, memory_bytes: 512 << 20, look }
}

fn used(seconds: u64, cpu_ms: u64, attempts: u64, at_least: u64) -> ComputeUse {
    ComputeUse { container_ms: seconds * 1_000, cpu_ms, memory_mib_s: 512 * seconds, attempts, at_least }
}

async fn note(fixture: &Fixture, samples: &[ComputeSample]) {
    for sample in samples {
        fixture.store.note_compute(sample).await.unwrap();
    }
}

#[tokio::test]
async fn an_attempt_has_used_what_was_seen_of_it_last_and_at_least_that_until_its_end() {
    use ComputeLook::{Last, OneOfSeveral};

    let fixture = fixture().await;
    let (_, step, _) = fixture.task("Works").await;
    assert_eq!(fixture.store.compute_of(step).await.unwrap(), None, "nothing is known, which is not nothing");
    for (sample, expected) in [
        (seen(step, 1, 10, 0, None, OneOfSeveral), used(0, 0, 1, 1)),
        (seen(step, 1, 10, 2, Some(1_500_000), OneOfSeveral), used(2, 1_500, 1, 1)),
        // A sample that comes late takes nothing away.
        (seen(step, 1, 10, 1, Some(700_000), OneOfSeveral), used(2, 1_500, 1, 1)),
        (seen(step, 1, 10, 3, None, OneOfSeveral), used(3, 1_500, 1, 1)),
        // Another process says when it began to look: the container is older.
        (seen(step, 1, 12, 8, Some(4_000_000), Last), used(10, 4_000, 1, 0)),
        // A clock that was set back.
        (seen(step, 2, 30, -5, Some(1_000), OneOfSeveral), used(10, 4_001, 2, 1)),
        (seen(step, 2, 30, 5, Some(u64::MAX), Last), {
            ComputeUse { cpu_ms: 31_557_600_004_000, ..used(15, 0, 2, 0) }
        }),
    ] {
        note(&fixture, &[sample]).await;
        assert_eq!(fixture.store.compute_of(step).await.unwrap(), Some(expected), "{sample:?}");
    }
    // Of a step that is not there nothing can be said.
    note(&fixture, &[seen(id(), 1, 0, 1, Some(1), Last)]).await;
}

#[tokio::test]
async fn what_was_used_is_summed_by_each_key_in_the_span_in_which_it_began() {
    const DAY: i64 = 86_400;
    let fixture = fixture().await;
    let site = fixture.project("site").await;
    let (_, his, _) = fixture.task("His").await;
    let (_, hers, _) = fixture.task("Hers").await;
    fixture.put("Hers", site).await;
    let run = async |step| fixture.store.step(step).await.unwrap().run;
    let (his_run, hers_run) = (run(his).await, run(hers).await);
    note(
        &fixture,
        &[
            seen(his, 1, 0, 100, Some(5_000_000), ComputeLook::Last),
            seen(his, 2, DAY, 50, Some(1_000_000), ComputeLook::OneOfSeveral),
            seen(hers, 1, DAY + 10, 60, Some(2_000_000), ComputeLook::Last),
        ],
    )
    .await;
    let line = |label: Option<&str>, run, task, used| ComputeSum {
        key: String::new(),
        label: label.map(str::to_owned),
        removed_at: None,
        run,
        task,
        used,
    };
    let all = used(210, 8_000, 3, 1);
    for (by, lines) in [
        (CostKey::Agent, vec![line(Some("ada"), hers_run, 2, all)]),
        (
            CostKey::Project,
            vec![
                line(None, his_run, 1, used(150, 6_000, 2, 1)),
                line(Some("site"), hers_run, 2, used(60, 2_000, 1, 0)),
            ],
        ),
        (
            CostKey::Run,
            vec![
                line(Some("His"), his_run, 1, used(150, 6_000, 2, 1)),
                line(Some("Hers"), hers_run, 2, used(60, 2_000, 1, 0)),
            ],
        ),
        (
            CostKey::Day,
            vec![
                line(Some("2027-01-15"), his_run, 1, used(100, 5_000, 1, 0)),
                line(Some("2027-01-16"), hers_run, 2, used(110, 3_000, 2, 1)),
            ],
        ),
        (CostKey::Model, vec![]),
    ] {
        let sums = fixture.store.compute_by(by, CostSpan::default(), 10).await.unwrap();
        assert_eq!((sums.total, sums.lines_total), (all, lines.len() as u64), "{by:?}");
        let keys: Vec<_> = sums.lines.iter().map(|line| line.key.clone()).collect();
        match by {
            CostKey::Run => assert_eq!(keys, [his_run.to_string(), hers_run.to_string()]),
            CostKey::Agent => assert_eq!(keys, [fixture.agent.to_string()]),
            CostKey::Project => assert!(keys[0].is_empty() && !keys[1].is_empty(), "{keys:?}"),
            CostKey::Day | CostKey::Model => {}
        }
        let keyless: Vec<_> = sums.lines.into_iter().map(|line| ComputeSum { key: String::new(), ..line }).collect();
        assert_eq!(keyless, lines, "{by:?}");
    }
    let first = CostSpan { from: None, until: Some(at(DAY)) };
    let sums = fixture.store.compute_by(CostKey::Run, first, 1).await.unwrap();
    assert_eq!((sums.total, sums.lines.len()), (used(100, 5_000, 1, 0), 1));
    let rest = CostSpan { from: Some(at(DAY)), until: None };
    let sums = fixture.store.compute_by(CostKey::Run, rest, 1).await.unwrap();
    assert_eq!((sums.total, sums.lines.len(), sums.lines_total), (used(110, 3_000, 2, 1), 1, 2));
}
