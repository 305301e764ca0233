//! Many bytes through the pipe: what a program prints, and what comes out of a port inside.

use std::time::{Duration, Instant};

use engine::{ContainerId, Engine, ExecSpec};
use pipe::host::{DialError, Guest, OutputEvent, Target};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{sleep, timeout};
use wire::bench::{BenchBar, BenchRow, BenchUnit};

use super::inside::{Obedient, SAMPLE_WAIT_MAX, program};
use super::pair::{in_turns, megabytes_per_second};
use super::{BenchError, Pair, Rig};

/// Bytes of one sample.
const BYTES: usize = 32 << 20;
/// At least this part of a raw exec stream.
const BAR: f64 = 0.5;
/// How much output may be unacknowledged: as the runner does it.
const ACKNOWLEDGE_EVERY: u64 = 4 << 20;
/// Size of one read.
const READ_BYTES: usize = 256 << 10;
/// The port inside.
const PORT: u16 = 7_777;
/// How often the port is tried until the program inside listens, and how often at most.
const DIAL_EVERY: Duration = Duration::from_millis(20);
const DIALS_MAX: usize = 500;
/// Serves zeroes to whoever connects: port and bytes are its arguments.
const SERVER: &str = r#"
use IO::Socket::INET;
my ($port, $bytes) = @ARGV;
my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", LocalPort => $port, ReuseAddr => 1) or die $!;
my $block = "\0" x 262144;
while (my $client = $listener->accept) {
    my $left = $bytes;
    while ($left > 0) {
        my $written = syswrite($client, $block, $left < 262144 ? $left : 262144) or last;
        $left -= $written;
    }
    close $client;
}
"#;

/// Measures both.
///
/// # Errors
/// Whatever kept it from being measured; the port needs perl in the image.
pub async fn bulk(rig: &Rig, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let warm = rig.warm().await?;
    let rows = measure(rig.engine(), &warm.container(), &warm.guest, n).await;
    rig.end(warm).await?;
    rows
}

async fn measure(
    engine: &dyn Engine,
    container: &ContainerId,
    guest: &Guest,
    n: u32,
) -> Result<Vec<BenchRow>, BenchError> {
    let exec = async || bounded(exec_stream(engine, container)).await;
    let printed = in_turns(n, async || bounded(printed(guest)).await, exec).await?;
    let (bytes, port) = (BYTES.to_string(), PORT.to_string());
    let _server = Obedient::start(guest, &["perl", "-e", SERVER, &port, &bytes]).await?;
    until_listening(guest).await?;
    let from_port = in_turns(n, async || bounded(from_port(guest)).await, exec).await?;
    let row = |what: &str, pair: Pair| {
        BenchRow::new("bulk", what, BenchUnit::MegabytesPerSecond, pair.berth)
            .beside("raw exec stream", pair.baseline)
            .held_to(BenchBar::RatioAtLeast { ratio: BAR })
    };
    let size = BYTES >> 20;
    Ok(vec![
        row(&format!("{size} MiB printed by a program, spooled and acknowledged"), printed),
        row(&format!("{size} MiB out of a port inside"), from_port),
    ])
}

async fn bounded(sample: impl Future<Output = Result<f64, BenchError>>) -> Result<f64, BenchError> {
    timeout(SAMPLE_WAIT_MAX, sample).await.unwrap_or(Err(BenchError::Timeout { what: "many bytes" }))
}

async fn printed(guest: &Guest) -> Result<f64, BenchError> {
    let start = program(&["head", "-c", &BYTES.to_string(), "/dev/zero"]);
    let (_, mut output) = guest.start_attached(&start).await?;
    let (mut begun, mut first, mut read, mut acknowledged) = (Instant::now(), 0, 0, 0);
    while let Some(event) = output.next().await? {
        match event {
            OutputEvent::Chunk { offset, bytes } => {
                read = offset + bytes.len() as u64;
                if first == 0 {
                    (begun, first) = (Instant::now(), read);
                }
                if read - acknowledged >= ACKNOWLEDGE_EVERY {
                    acknowledged = read;
                    guest.acknowledge(start.id, read).await?;
                }
            }
            OutputEvent::Gap { .. } => return Err(BenchError::Ended { what: "an output" }),
            OutputEvent::Exited(_) => break,
        }
    }
    let speed = megabytes_per_second(read - first, begun.elapsed());
    guest.acknowledge_exit(start.id).await?;
    if read == BYTES as u64 { Ok(speed) } else { Err(BenchError::Ended { what: "an output" }) }
}

async fn from_port(guest: &Guest) -> Result<f64, BenchError> {
    let stream = guest.dial(Target::Port { port: PORT }).await?;
    swallow(stream).await
}

async fn exec_stream(engine: &dyn Engine, container: &ContainerId) -> Result<f64, BenchError> {
    let spec = ExecSpec::new(["head", "-c", &BYTES.to_string(), "/dev/zero"]);
    swallow(engine.exec(container, &spec).await?.duplex).await
}

/// Reads to the end: the rate from the first piece on, so that what it took to start does not count.
async fn swallow(mut stream: impl AsyncRead + Unpin) -> Result<f64, BenchError> {
    let mut piece = vec![0; READ_BYTES];
    let failed = || BenchError::io("reading many bytes");
    let first = stream.read(&mut piece).await.map_err(failed())?;
    let begun = Instant::now();
    let mut rest = 0;
    loop {
        match stream.read(&mut piece).await.map_err(failed())? {
            0 => break,
            length => rest += length,
        }
    }
    let speed = megabytes_per_second(rest as u64, begun.elapsed());
    if first + rest == BYTES { Ok(speed) } else { Err(BenchError::Ended { what: "a stream" }) }
}

/// The first connection is a sample of nothing.
async fn until_listening(guest: &Guest) -> Result<(), BenchError> {
    for _ in 0..DIALS_MAX {
        match guest.dial(Target::Port { port: PORT }).await {
            Ok(stream) => return bounded(swallow(stream)).await.map(drop),
            Err(DialError::NotListening) => sleep(DIAL_EVERY).await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(BenchError::Timeout { what: "a program that listens (the image needs perl)" })
}
