//! A model's reply through the gateway: from a program inside over the guest's port, the pipe and the gateway to a server on this
//! machine's loopback and back, with a brokered key, its request written down before it leaves, and metered.
//!
//! It is compared with the same request of the same program directly to the same server, from a container of the same image that has
//! this machine's network. Both sides measure by the clock of the program that asks.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::process::Command;
use wire::{
    Limits,
    bench::{BenchFigures, BenchRow, BenchUnit},
    call::{GrantSecret, SetSecret},
    secret::{CredentialKind, Provider, SecretBinding, SecretText, SecretWay},
};

use super::asker::{Address, Asker, Connection, PROGRAM, PROMPT_BYTES, Took};
use super::far_end::{FarEnd, KEY, reply_bytes_min};
use super::pair::{figures, megabytes_per_second, ms, percent};
use super::processes::CpuClock;
use super::{BenchError, Rig, SAMPLES_MIN, Warm};
use crate::access::GATEWAY_PORT;
use crate::agents;

/// What the key is called.
const SECRET: &str = "bench-key";
const PROVIDER: Provider = Provider::Anthropic;
/// Below the base.
const CALL: &str = "/v1/messages";
/// A reply of which only the first event counts.
const TOKENS_FEW: u64 = 8;
/// A reply of which the speed counts: some 15 MB.
const TOKENS_MANY: u64 = 120_000;
/// A reply of one of many at once: some 2.5 MB.
const TOKENS_EACH: u64 = 20_000;
/// Sandboxes that are answered at once.
const SANDBOXES: usize = 20;
/// Twenty have to fit.
const LIMITS: Limits = Limits {
    memory_bytes: 128 << 20,
    cpu_milli: 2_000,
    pids: 64,
    wall_clock_s: 3_600,
    output_bytes: 1 << 20,
    disk_bytes: 1 << 30,
};
/// What the numbers are compared with.
const DIRECT: &str = "directly, from a container with this machine's network";

/// Measures it: the first event, the speed of a stream, and twenty sandboxes at once.
///
/// # Errors
/// Whatever kept it from being measured. It takes `docker` and an engine on this machine, and Python 3 in the image.
pub async fn gateway(rig: &Rig, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let model = FarEnd::start().await?;
    let binding =
        SecretBinding::Provider { provider: PROVIDER, base_url: Some(model.url()), credential: CredentialKind::Key };
    let value = SecretText::new(KEY.to_owned());
    rig.api().call(SetSecret { name: SECRET.to_owned(), value, binding: Some(binding) }).await?;
    let mut sandboxes = Vec::new();
    let mut askers = (Vec::new(), Vec::new());
    for _ in 0..SANDBOXES {
        let (warm, address) = sandbox(rig).await?;
        askers.0.push(Asker::inside(&warm.guest, &address).await?);
        sandboxes.push(warm);
        askers.1.push(Asker::beside(container(rig), &direct(&model)).await?);
    }
    let mut rows = Vec::new();
    if let (Some(inside), Some(beside)) = (askers.0.first_mut(), askers.1.first_mut()) {
        rows.extend(first_event(inside, beside, n).await?);
        rows.push(speed(inside, beside, n).await?);
    }
    rows.extend(at_once(&mut askers.0, &mut askers.1, n).await?);
    for asker in askers.0.into_iter().chain(askers.1) {
        asker.end().await?;
    }
    for warm in sandboxes {
        rig.end(warm).await?;
    }
    Ok(rows)
}

/// A sandbox whose agent has the key, and where its programs ask.
async fn sandbox(rig: &Rig) -> Result<(Warm, Address), BenchError> {
    let agent = rig.agent(&["/bin/sleep", "infinity"], LIMITS).await?;
    let (secret, way) = (SECRET.to_owned(), Some(SecretWay::Brokered));
    rig.api().call(GrantSecret { secret, agent: agent.clone(), way, variable: None }).await?;
    let record = agents::find(rig.house(), &agent).await?;
    let granted = rig.house().store.secrets_of(record.agent).await?;
    let granted = granted.into_iter().next().ok_or(BenchError::Ended { what: "a grant" })?;
    let (task, run) = rig.task(&agent).await?;
    let warm = rig.at_work(task, run).await?;
    let path = format!("/model/{}{CALL}", PROVIDER.name());
    Ok((warm, Address { port: GATEWAY_PORT, path, key: granted.placeholder }))
}

fn direct(model: &FarEnd) -> Address {
    Address { port: model.port(), path: CALL.to_owned(), key: KEY.to_owned() }
}

/// The program in a container that reaches this machine's loopback.
fn container(rig: &Rig) -> Command {
    let mut command = Command::new("docker");
    let label = format!("{}={}", engine::labels::INSTALL, rig.house().install);
    command.env("DOCKER_HOST", rig.endpoint());
    command.args(["run", "--rm", "--interactive", "--network", "host", "--label", &label, "--entrypoint", "python3"]);
    command.args([rig.image_ref().as_str(), "-c", PROGRAM]);
    command
}

/// Samples of both sides in turns, the first of each apart.
#[derive(Default)]
struct Turns {
    cold: Option<[f64; 2]>,
    samples: Vec<[f64; 2]>,
}

impl Turns {
    fn take(&mut self, sample: [f64; 2]) {
        match self.cold {
            None => self.cold = Some(sample),
            Some(_) => self.samples.push(sample),
        }
    }

    fn side(&self, side: fn([f64; 2]) -> f64) -> BenchFigures {
        let sample: Vec<_> = self.samples.iter().copied().map(side).collect();
        figures(self.cold.map(side), &sample)
    }

    fn row(&self, what: &str, unit: BenchUnit) -> BenchRow {
        let [berth, baseline] = [self.side(|[berth, _]| berth), self.side(|[_, direct]| direct)];
        BenchRow::new("gateway", what, unit, berth).beside(DIRECT, baseline)
    }

    /// What Berth adds, turn by turn.
    fn added(&self, what: &str, unit: BenchUnit) -> BenchRow {
        BenchRow::new("gateway", what, unit, self.side(|[berth, direct]| berth - direct))
    }
}

/// From the request to the first event of its reply.
async fn first_event(inside: &mut Asker, beside: &mut Asker, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let unit = BenchUnit::Milliseconds;
    let mut rows = Vec::new();
    for (connection, what, added) in [
        (
            Connection::Own,
            "request to first event of a model's reply, on a connection of its own",
            "added to it, each from the direct request after it",
        ),
        (Connection::Kept, "the same, on a connection that is kept", "added to that"),
    ] {
        let mut turns = Turns::default();
        for _ in 0..=n.max(SAMPLES_MIN) {
            let first =
                async |asker: &mut Asker| Ok::<_, BenchError>(ms(asker.ask(connection, TOKENS_FEW).await?.first));
            turns.take([first(inside).await?, first(beside).await?]);
        }
        let prompt = PROMPT_BYTES >> 10;
        let note = format!(
            "A prompt of {prompt} KiB. The request's row in the store (synchronous=FULL) comes before it leaves."
        );
        rows.push(turns.row(what, unit).note(note));
        rows.push(turns.added(added, unit));
    }
    Ok(rows)
}

/// From the first event to the last byte.
async fn speed(inside: &mut Asker, beside: &mut Asker, n: u32) -> Result<BenchRow, BenchError> {
    let mut turns = Turns::default();
    for _ in 0..=n.max(SAMPLES_MIN) {
        let speed = async |asker: &mut Asker| {
            let Took { rest, rest_bytes, .. } = asker.ask(Connection::Own, TOKENS_MANY).await?;
            Ok::<_, BenchError>(megabytes_per_second(rest_bytes, rest))
        };
        turns.take([speed(inside).await?, speed(beside).await?]);
    }
    let size = reply_bytes_min(TOKENS_MANY) / 1_000_000;
    let what = format!("{size} MB of a model's events, one for each token, metered");
    Ok(turns.row(&what, BenchUnit::MegabytesPerSecond))
}

/// One round of all at once.
struct Round {
    /// Each one's first event, in milliseconds.
    firsts: Vec<f64>,
    /// Of all together.
    speed: f64,
    /// Of this process.
    cpu: f64,
}

impl Round {
    async fn of(askers: &mut [Asker]) -> Result<Self, BenchError> {
        let (before, begun) = (CpuClock::read()?.own, Instant::now());
        let asked = askers.iter_mut().map(|asker| asker.ask(Connection::Own, TOKENS_EACH));
        let took = try_join_all(asked).await?;
        let wall: Duration = begun.elapsed();
        let cpu = percent(CpuClock::read()?.own.saturating_sub(before), wall);
        let bytes = took.iter().map(|took| took.bytes).sum();
        let firsts = took.iter().map(|took| ms(took.first)).collect();
        Ok(Self { firsts, speed: megabytes_per_second(bytes, wall), cpu })
    }
}

/// Twenty ask at the same time, and are answered as fast as they read.
async fn at_once(inside: &mut [Asker], beside: &mut [Asker], n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let mut rounds = [Vec::new(), Vec::new()];
    // The first round of each is the cold one, which has no one number.
    for round in 0..=n.max(SAMPLES_MIN) {
        let sides = [Round::of(inside).await?, Round::of(beside).await?];
        if round > 0 {
            for (rounds, side) in rounds.iter_mut().zip(sides) {
                rounds.push(side);
            }
        }
    }
    let row = |what: &str, unit, of: fn(&Round) -> Vec<f64>| {
        let [berth, direct] =
            rounds.each_ref().map(|rounds| figures(None, &rounds.iter().flat_map(of).collect::<Vec<_>>()));
        BenchRow::new("gateway", what, unit, berth).beside(DIRECT, direct)
    };
    let count = inside.len();
    let first = format!("request to first event, {count} sandboxes at once");
    let speed = format!("all {count} together, from the word to ask to the last one's end");
    Ok(vec![
        row(&first, BenchUnit::Milliseconds, |round| round.firsts.clone()),
        row(&speed, BenchUnit::MegabytesPerSecond, |round| vec![round.speed]),
        row("the app's processor time meanwhile", BenchUnit::PercentOfCore, |round| vec![round.cpu])
            .note("The server that answers runs in the app's process: what it takes, the direct side shows."),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_told_of_each_turn_and_the_first_is_apart() {
        let mut turns = Turns::default();
        for sample in [[100.0, 1.0], [5.0, 2.0], [9.0, 3.0], [4.0, 3.0]] {
            turns.take(sample);
        }
        let row = turns.row("what", BenchUnit::Milliseconds);
        assert_eq!((row.berth.n, row.berth.p50, row.berth.cold), (3, 5.0, Some(100.0)));
        assert_eq!(row.baseline.unwrap().figures.p50.to_bits(), 3.0_f64.to_bits());
        let added = turns.added("added", BenchUnit::Milliseconds).berth;
        assert_eq!((added.n, added.p50, added.p99, added.cold), (3, 3.0, 6.0, Some(99.0)));
    }
}
