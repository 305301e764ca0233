//! A fresh sandbox: from the slot that is granted to the first byte of the agent's output, through the whole runner.

use std::process::Stdio;
use std::time::Instant;

use jiff::Timestamp;
use store::EventFilter;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;
use wire::{
    EventKind, EventView, Limits, Phase,
    bench::{BenchBar, BenchFigures, BenchRow, BenchUnit},
    ids::TaskId,
};

use super::inside::SAMPLE_WAIT_MAX;
use super::pair::{figures, ms};
use super::{BenchError, Rig, SAMPLES_MIN};

/// At most this part of a plain `docker run`.
const BAR: f64 = 0.85;
/// What all sides run.
const ECHO: [&str; 2] = ["/bin/echo", "x"];
/// Events of a task that are looked through for its slot.
const EVENTS_MAX: u32 = 100;

/// Measures it, with `docker run` of the same image and program beside it.
///
/// # Errors
/// Whatever kept it from being measured.
pub async fn fresh(rig: &Rig, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let agent = rig.agent(&ECHO, Limits::default()).await?;
    let has_docker = has_docker().await;
    let mut samples: [Vec<f64>; 4] = Default::default();
    let mut stages = Stages::default();
    // The first of each is the cold one.
    for _ in 0..=n.max(SAMPLES_MIN) {
        samples[0].push(berth_run(rig, &agent, &mut stages).await?);
        if has_docker {
            samples[1].push(docker_run(rig, Network::Usual).await?);
            samples[2].push(docker_run(rig, Network::None).await?);
        }
        let newcomer = rig.agent(&ECHO, Limits::default()).await?;
        samples[3].push(berth_run(rig, &newcomer, &mut Stages::default()).await?);
    }
    let [berth, usual, none, newcomers] = samples.map(|samples| split(&samples));
    let row = |what: &str, figures| BenchRow::new("fresh", what, BenchUnit::Milliseconds, figures);
    let bar = BenchBar::RatioAtMost { ratio: BAR };
    let first = "slot granted to first byte, fresh sandbox";
    let mut rows = match (berth, usual, none) {
        (Some(berth), Some(usual), Some(none)) => vec![
            row(first, berth).beside("docker run", usual).held_to(bar).note(stages.words()),
            row("the same", berth).beside("docker run --network none", none),
        ],
        (berth, _, _) => berth
            .map(|berth| row(first, berth).held_to(bar).note("There is no `docker` to compare with."))
            .into_iter()
            .collect(),
    };
    if let Some(newcomers) = newcomers {
        let newcomer = row("the same for an agent without a home: it is made, seeded and laid out", newcomers);
        rows.push(match usual {
            Some(usual) => newcomer.beside("docker run", usual),
            None => newcomer,
        });
    }
    Ok(rows)
}

fn split(samples: &[f64]) -> Option<BenchFigures> {
    let (cold, rest) = samples.split_first()?;
    Some(figures(Some(*cold), rest))
}

/// One task from its slot to the first byte on the host; returns when nothing of it is left.
async fn berth_run(rig: &Rig, agent: &str, stages: &mut Stages) -> Result<f64, BenchError> {
    let (task, run) = rig.task(agent).await?;
    let handle = rig.house().steps().into_iter().find(|step| step.task == task);
    let Some(mut handle) = handle else { return Err(rig.why_ended(run).await?) };
    let printed = async {
        // The value that it gives is a lock that the runner would wait for.
        handle.progress.wait_for(|progress| progress.length > 0).await.map(drop)
    };
    let printed = timeout(SAMPLE_WAIT_MAX, printed).await;
    let at = rig.house().time.now();
    match printed {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Err(rig.why_ended(run).await?),
        Err(_) => return Err(BenchError::Timeout { what: "the output of an agent" }),
    }
    let elapsed = stages.take(&events_of(rig, task).await?, at)?;
    let placement = rig.house().store.placement_of(handle.step).await?;
    let sandbox = placement.ok_or(BenchError::Ended { what: "a run" })?.sandbox;
    rig.until_removed(sandbox).await?;
    Ok(elapsed)
}

async fn events_of(rig: &Rig, task: TaskId) -> Result<Vec<EventView>, BenchError> {
    let filter = EventFilter { task: Some(task), after_seq: 0, limit: EVENTS_MAX };
    Ok(rig.house().store.events(filter).await?)
}

/// How long each stage took, in the order of the stages, as the events tell.
#[derive(Default)]
struct Stages {
    stages: Vec<(String, Vec<f64>)>,
}

impl Stages {
    /// Takes the times of one run out of its events; from the slot to `end`, in milliseconds. The time of an event is taken
    /// before its commit, so that the commit of the slot counts.
    fn take(&mut self, events: &[EventView], end: Timestamp) -> Result<f64, BenchError> {
        let is_slot =
            |event: &&EventView| matches!(event.kind, EventKind::PhaseChanged { to: Phase::Provisioning, .. });
        let slot = events.iter().find(is_slot).ok_or(BenchError::Ended { what: "a run" })?.at;
        let mut begun = vec![("slot", slot)];
        begun.extend(events.iter().filter_map(|event| {
            let EventKind::Provisioned { stage, .. } = &event.kind else { return None };
            Some((stage.as_str(), event.at))
        }));
        let ends = begun.iter().skip(1).map(|(_, at)| *at).chain([end]);
        for ((name, begun), end) in begun.iter().zip(ends) {
            let took = milliseconds(*begun, end);
            match self.stages.iter_mut().find(|(known, _)| known == name) {
                Some((_, sample)) => sample.push(took),
                None => self.stages.push(((*name).to_owned(), vec![took])),
            }
        }
        Ok(milliseconds(slot, end))
    }

    /// The medians, for a person.
    fn words(&self) -> String {
        let median = |(name, sample): &(String, Vec<f64>)| format!("{name} {:.0}", figures(None, sample).p50);
        let medians: Vec<_> = self.stages.iter().map(median).collect();
        format!("Medians of the stages in ms: {}.", medians.join(", "))
    }
}

fn milliseconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1e3
}

#[derive(Clone, Copy)]
enum Network {
    Usual,
    None,
}

async fn has_docker() -> bool {
    let version = Command::new("docker").arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    version.await.is_ok_and(|status| status.success())
}

/// What a person would type, on the same engine, to its first byte; returns when the container is removed.
async fn docker_run(rig: &Rig, network: Network) -> Result<f64, BenchError> {
    let mut command = Command::new("docker");
    let label = format!("{}={}", engine::labels::INSTALL, rig.house().install);
    command.env("DOCKER_HOST", rig.endpoint()).args(["run", "--rm", "--label", &label, "--entrypoint", ECHO[0]]);
    match network {
        Network::Usual => {}
        Network::None => drop(command.args(["--network", "none"])),
    }
    command.args([rig.image_ref().as_str(), ECHO[1]]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let sample = async {
        let failed = || BenchError::io("docker run");
        let begun = Instant::now();
        let mut child = command.spawn().map_err(failed())?;
        let mut stdout = child.stdout.take().ok_or(BenchError::Ended { what: "docker run" })?;
        stdout.read_u8().await.map_err(failed())?;
        let elapsed = begun.elapsed();
        child.wait().await.map_err(failed())?;
        Ok(ms(elapsed))
    };
    timeout(SAMPLE_WAIT_MAX, sample).await.unwrap_or(Err(BenchError::Timeout { what: "docker run" }))
}
