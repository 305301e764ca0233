//! CONNECT (RFC 9110 §9.3.6): a tunnel to one host, whose bytes are not read but for its beginning; of an inspected host see
//! [`inspect`].

use std::io;

use hyper::Request;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::bounds::Bounds;
use crate::denied::{Denied, WrongOpening};
use crate::hello::{NoOpening, opening};
use crate::inspect::{self, Visit};
use crate::ledger::{Begun, Outcome, Way};
use crate::open::{Counter, Open};
use crate::passage::{Passage, Rules};
use crate::serve::Gateway;
use crate::stop::Stop;
use crate::target::Target;

/// How much of a tunnel is held in each direction.
const PIECE_BYTES: usize = 16 << 10;

/// A tunnel. It begins once the client has read that it may.
pub(crate) enum Tunnel {
    /// Its bytes are passed.
    Passed(Passed),
    /// Its requests are read.
    Inspected(Visit),
}

/// A tunnel whose host is connected.
pub(crate) struct Passed {
    target: Target,
    client: OnUpgrade,
    host: TcpStream,
    open: Open,
}

/// Why a tunnel ends before both sides have.
enum End {
    Wrong(WrongOpening),
    Broken(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<NoOpening> for End {
    fn from(no_opening: NoOpening) -> Self {
        match no_opening {
            NoOpening::Wrong(wrong) => Self::Wrong(wrong),
            NoOpening::Broken(error) => Self::Broken(error),
        }
    }
}

pub(crate) async fn answer(
    gateway: &Gateway,
    passage: &Passage,
    rules: &Rules,
    request: Request<Incoming>,
    permit: OwnedSemaphorePermit,
) -> Result<Tunnel, Stop> {
    let target = Target::read(request.uri(), None)?;
    if let Some(inspected) = target.inspected(rules)? {
        let inspected = inspected.clone();
        return inspect::begin(passage, target, inspected, request, permit).await.map(Tunnel::Inspected);
    }
    let allowed = target.judge(rules)?;
    let addresses = gateway.dialer.resolve(&target.host, &allowed).await?;
    let begun = Begun {
        sandbox: passage.sandbox,
        host: target.host.to_string(),
        port: target.port,
        method: "CONNECT".to_owned(),
        path: String::new(),
        way: Way::Tunnel,
        secret: None,
    };
    let mut open = Open::begin(passage, begun, permit).await?;
    match gateway.dialer.connect(&target.host, target.port, &addresses).await {
        Ok(host) => {
            open.answered(200);
            Ok(Tunnel::Passed(Passed { target, client: hyper::upgrade::on(request), host, open }))
        }
        Err(error) => Err(Stop::failed(open, &error)),
    }
}

impl Tunnel {
    /// Goes on until both sides have ended.
    pub(crate) async fn run(self, gateway: &Gateway, passage: &Passage) {
        match self {
            Self::Passed(passed) => passed.run(&gateway.bounds).await,
            Self::Inspected(visit) => visit.run(gateway, passage).await,
        }
    }
}

impl Passed {
    /// Passes bytes both ways until both sides have ended.
    async fn run(self, bounds: &Bounds) {
        let Self { target, client, host, open } = self;
        let ended = match client.await {
            Ok(client) => pass(TokioIo::new(client), host, &target, bounds, &open).await,
            Err(error) => Err(End::Broken(io::Error::other(error))),
        };
        let outcome = match ended {
            Ok(()) => Outcome::Whole,
            Err(End::Broken(error)) => Outcome::Cut { why: error.to_string() },
            Err(End::Wrong(why)) => Outcome::Refused { why: Denied::Opening { host: target.host, why }.to_string() },
        };
        open.end(outcome, None);
    }
}

async fn pass(
    client: impl AsyncRead + AsyncWrite,
    host: TcpStream,
    target: &Target,
    bounds: &Bounds,
    open: &Open,
) -> Result<(), End> {
    let (mut from_client, to_client) = tokio::io::split(client);
    let (from_host, mut to_host) = host.into_split();
    let up = async {
        let first = opening(&mut from_client, target, bounds).await?;
        to_host.write_all(&first).await?;
        open.up.add(first.len());
        Ok(copy(from_client, to_host, &open.up).await?)
    };
    let down = async { Ok(copy(from_host, to_client, &open.down).await?) };
    tokio::try_join!(up, down).map(|((), ())| ())
}

/// Copies until one side ends, and tells the other so.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    counter: &Counter,
) -> Result<(), io::Error> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..count]).await?;
        counter.add(count);
    }
}
