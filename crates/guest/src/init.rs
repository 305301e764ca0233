//! PID 1: makes itself safe, serves the pipe, and ends when it is told to or has no reason to stay.

use std::error::Error;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipe::guest::{Connection, Facts, Options};
use pipe::message::ExitStatus;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::arguments::Settings;
use crate::fd::Fd;
use crate::outward::WayOut;
use crate::reaper::{self, Shims};
use crate::serve::{World, serve};
use crate::table::Table;
use crate::{CONNECT_UID, Outwards, SOCKET_NAME, diagnostic, harden};

/// Between TERM and KILL when the guest ends everything. An engine that stops a container waits 10 s.
const END_GRACE: Duration = Duration::from_secs(4);
/// Longest wait for connections to close when the guest ends.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);
/// The host attaches to standard input and output before the start, and speaks when it has seen it.
const STDIO_HELLO_WAIT_MAX: Duration = Duration::from_mins(1);
/// Connections that have not yet greeted.
const GREETING_MAX: usize = 8;

const EXIT_FINISHED: u8 = 0;
const EXIT_WALL_CLOCK: u8 = 4;
const EXIT_LONELY: u8 = 5;
const EXIT_TERMINATED: u8 = 143;

/// Runs until the guest's end; the exit code says why it ended.
pub(crate) fn run(settings: &Settings) -> Result<u8, Box<dyn Error>> {
    diagnostic::never_wait();
    harden::close_memory()?;
    let signals = harden::take_signals()?;
    harden::adopt_orphans()?;
    // Before the first child: later someone else could have the name.
    let listener = bind()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let tasks = TaskTracker::new();
        let terminated = CancellationToken::new();
        let reaper_cancel = CancellationToken::new();
        let shims = Shims::default();
        let reaping = reaper::reap(signals, shims.clone(), terminated.clone(), reaper_cancel.clone());
        tasks.spawn(async move {
            if let Err(error) = reaping.await {
                diagnostic::note(&format!("cannot reap: {error}"));
            }
        });

        let boot = boot_id()?;
        let table = Table::new(settings.spool.clone(), settings.reports.clone(), boot.clone(), shims, tasks.clone());
        let (outwards, cancel) = (Outwards::default(), CancellationToken::new());
        let way_out = WayOut::new(outwards.clone(), tasks.clone(), cancel.clone());
        let world = World { table, way_out, finish: CancellationToken::new() };
        let facts = Facts { version: env!("CARGO_PKG_VERSION").to_owned(), boot };
        let doors = Doors::new(world.clone(), facts, outwards, tasks.clone(), cancel);
        if let Some(stdio) = standard_streams() {
            doors.let_in(stdio, Options { hello_wait_max: STDIO_HELLO_WAIT_MAX, ..Options::default() });
        }
        let listener = listener.map(UnixListener::from_std).transpose()?;

        let code = tokio::select! {
            biased;
            () = world.finish.cancelled() => EXIT_FINISHED,
            () = terminated.cancelled() => EXIT_TERMINATED,
            () = wall_clock(settings.wall_clock) => EXIT_WALL_CLOCK,
            () = doors.lonely_for(settings.lonely_max) => EXIT_LONELY,
            error = doors.receive(listener) => return Err(error.into()),
        };
        let why = if code == EXIT_WALL_CLOCK { ExitStatus::WallClock } else { ExitStatus::GuestEnded };
        world.table.end_all(why, END_GRACE).await;
        doors.close();
        reaper_cancel.cancel();
        tasks.close();
        if timeout(CLOSE_WAIT_MAX, tasks.wait()).await.is_err() {
            diagnostic::note("some tasks did not end in time");
        }
        Ok(code)
    })
}

/// `None` where the network has no room for the name: two guests share it (only ever in tests).
fn bind() -> io::Result<Option<StdListener>> {
    let listener = StdListener::bind_addr(&SocketAddr::from_abstract_name(SOCKET_NAME)?);
    match listener {
        Ok(listener) => {
            listener.set_nonblocking(true)?;
            Ok(Some(listener))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && nix::unistd::getpid().as_raw() != 1 => Ok(None),
        Err(error) => Err(error),
    }
}

fn boot_id() -> io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Standard input and output as one stream; `None` where they are no pipes or sockets.
fn standard_streams() -> Option<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let own = |fd: io::Result<OwnedFd>| Fd::new(fd.ok()?).ok();
    let input = own(io::stdin().as_fd().try_clone_to_owned())?;
    let output = own(io::stdout().as_fd().try_clone_to_owned())?;
    output.widen();
    Some(tokio::io::join(input, output))
}

async fn wall_clock(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// The ways in. The newest connection wins: the one before is closed.
#[derive(Debug, Clone)]
struct Doors {
    world: World,
    facts: Arc<Facts>,
    outwards: Outwards,
    tasks: TaskTracker,
    /// Cancels the connection that is served.
    current: Arc<Mutex<CancellationToken>>,
    /// How many are served.
    served: Arc<watch::Sender<usize>>,
    greeting: Arc<Semaphore>,
    cancel: CancellationToken,
}

impl Doors {
    fn new(world: World, facts: Facts, outwards: Outwards, tasks: TaskTracker, cancel: CancellationToken) -> Self {
        Self {
            world,
            facts: Arc::new(facts),
            outwards,
            tasks,
            current: Arc::default(),
            served: Arc::new(watch::Sender::new(0)),
            greeting: Arc::new(Semaphore::new(GREETING_MAX)),
            cancel,
        }
    }

    /// Takes connections from the socket, those of [`CONNECT_UID`] alone. Returns only where it cannot.
    async fn receive(&self, listener: Option<UnixListener>) -> io::Error {
        let Some(listener) = listener else { return std::future::pending().await };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(peer) if peer.uid() == CONNECT_UID => self.let_in(stream, Options::default()),
                    Ok(_) | Err(_) => diagnostic::note("a connection of another uid was refused"),
                },
                // The descriptors have run out, or the peer has gone: neither is a reason to die.
                Err(error) => {
                    diagnostic::note(&format!("cannot accept: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn let_in<T>(&self, io: T, options: Options)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.greeting).try_acquire_owned() else { return };
        let doors = self.clone();
        self.tasks.spawn(async move {
            let accepting = Connection::accept(io, &doors.facts, options);
            let accepted = tokio::select! {
                biased;
                () = doors.cancel.cancelled() => return,
                accepted = accepting => accepted,
            };
            drop(permit);
            match accepted {
                Ok(connection) => doors.serve(connection).await,
                Err(error) => diagnostic::note(&diagnostic::chain(&error)),
            }
        });
    }

    async fn serve(&self, mut connection: Connection) {
        let replaced = self.cancel.child_token();
        {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, replaced.clone()).cancel();
        }
        self.served.send_modify(|served| *served += 1);
        self.outwards.set_host(Some(connection.outward()));
        serve(&mut connection, &self.world, &replaced).await;
        if !replaced.is_cancelled() {
            self.outwards.set_host(None);
        }
        connection.close().await;
        self.served.send_modify(|served| *served -= 1);
    }

    /// Resolves when nobody was served for `limit`.
    async fn lonely_for(&self, limit: Duration) {
        let mut served = self.served.subscribe();
        loop {
            if *served.borrow_and_update() > 0 {
                if served.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let until = Instant::now() + limit;
            tokio::select! {
                biased;
                _ = served.changed() => {}
                () = sleep_until(until) => return,
            }
        }
    }

    fn close(&self) {
        self.cancel.cancel();
    }
}
