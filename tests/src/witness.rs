//! Sees every container that is made through a socket, and compares it with DESIGN §7 before whoever asked for it hears that it
//! is there.
//!
//! ```text
//! tests, berth, docker ──▶ front socket ──▶ witness ──▶ back socket (the engine)
//!                                             │  POST …/containers/create: once the engine has made it, and before the answer
//!                                             │  goes back, it is inspected and compared
//!                                             └  everything else passes as it comes, upgraded connections byte by byte
//! ```
//!
//! A look at the engine's events alone would be too late for containers that live for a moment (the fillers): here the answer
//! waits for the look, so that nobody can remove what was not seen; and it is looked at also where whoever asked was killed meanwhile. The events are counted as well: what they tell of and the
//! socket did not bring was made behind the witness's back, which its report says ([`Report::is_good`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::Write as _,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use camino::{Utf8Path, Utf8PathBuf};
use engine::contract::hardening::{Declared, ON_PURPOSE, violations_of};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1 as client,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{RwLock, oneshot, watch},
    task::JoinSet,
};

use crate::profiles;

/// The largest request or answer about a new container that is read whole, in bytes.
const BODY_BYTES_MAX: usize = 8 << 20;

/// The profiles that images declare.
static KNOWN_PROFILES: LazyLock<BTreeSet<String>> = LazyLock::new(profiles::declared);

/// A body that passes by, or one that was read.
type Body = Either<Incoming, Full<Bytes>>;

/// One container as it was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sighting {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What role its label says, `none` where it has none of Berth's labels.
    pub role: String,
    /// The install that its label names; empty where there is none.
    pub install: String,
    /// Whether its label says that it deviates because a test wants it to.
    pub is_on_purpose: bool,
    /// Whether it has a network card.
    #[serde(default)]
    pub has_network: bool,
    /// Whether it has the profile of system calls that an image of the Gallery declares.
    #[serde(default)]
    pub has_profile: bool,
    /// Where it deviates.
    pub deviations: Vec<String>,
}

impl Sighting {
    /// Of what the engine shows of a container.
    pub fn of(raw: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = &raw["Config"]["Labels"];
        let role = text(&labels["berth.role"]);
        let is_berths = !labels["berth.install"].is_null();
        // What never runs needs no read-only root, which would refuse the archives that it is there for (0004).
        // What its agent's policy is nobody knows here: if it is on a network, then on its own.
        let has_network = raw["HostConfig"]["NetworkMode"] != "none";
        // Which image it is made of nobody knows either, since one may be adapted or have tools on top: but only a sandbox has a profile,
        // and only one that an image declares.
        let seccomp_sha256 = (role == "sandbox").then(|| profiles::of_container(raw, &KNOWN_PROFILES)).flatten();
        let has_profile = seccomp_sha256.is_some();
        let declared =
            Declared { is_never_started: role == "filler", has_network, seccomp_sha256, ..Declared::default() };
        let deviations = if is_berths {
            violations_of(raw, &declared)
        } else {
            vec!["it has none of Berth's labels, and none that says why not".to_owned()]
        };
        Self {
            id: text(&raw["Id"]),
            name: text(&raw["Name"]).trim_start_matches('/').to_owned(),
            role: if role.is_empty() { "none".to_owned() } else { role },
            install: text(&labels["berth.install"]),
            is_on_purpose: labels["berth.run"] == ON_PURPOSE,
            has_network,
            has_profile,
            deviations,
        }
    }
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Every container that was made through the socket, by id.
    pub seen: BTreeMap<String, Sighting>,
    /// The ids of containers that were started.
    pub started: BTreeSet<String>,
    /// Looks that failed: containers of which nobody knows how they were made.
    pub unseen: Vec<String>,
    /// How many builds of images were asked for: the engine makes containers of its own for those.
    pub build_count: usize,
    /// Containers with Berth's labels that the engine's events told of, with their installs, and the socket did not bring.
    pub behind: BTreeMap<String, String>,
}

impl Report {
    /// Everything that is wrong, in words.
    pub fn complaints(&self) -> Vec<String> {
        let mut wrong = self.unseen.clone();
        for sighting in self.seen.values().filter(|sighting| !sighting.is_on_purpose) {
            let what = format!("{} {} ({})", sighting.role, sighting.name, sighting.id.get(..12).unwrap_or_default());
            wrong.extend(sighting.deviations.iter().map(|deviation| format!("{what}: {deviation}")));
            if sighting.role == "filler" && self.started.contains(&sighting.id) {
                wrong.push(format!("{what}: it was started, and is made never to be"));
            }
        }
        let behind = self.behind.iter();
        let behind =
            behind.map(|(id, install)| format!("container {id} of {install} was made behind the witness's back"));
        wrong.into_iter().chain(behind).collect()
    }

    /// Whether something was seen, all of it, and nothing is wrong with it.
    pub fn is_good(&self) -> bool {
        !self.seen.is_empty() && self.complaints().is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_role = BTreeMap::<&str, usize>::new();
        let (on_purpose, plain): (Vec<_>, Vec<_>) = self.seen.values().partition(|sighting| sighting.is_on_purpose);
        for sighting in &plain {
            *by_role.entry(&sighting.role).or_default() += 1;
        }
        let roles: Vec<String> = by_role.iter().map(|(role, count)| format!("{count} {role}")).collect();
        write!(f, "{} containers were made: {}", self.seen.len(), roles.join(", "))?;
        let bridged = plain.iter().filter(|sighting| sighting.has_network).count();
        write!(f, "; {bridged} on a network of their own")?;
        let profiled = plain.iter().filter(|sighting| sighting.has_profile).count();
        write!(f, "; {profiled} with a profile of system calls that their image declares")?;
        writeln!(f, "; {} that a test wanted otherwise, and said so", on_purpose.len())?;
        for complaint in self.complaints() {
            writeln!(f, "deviation: {complaint}")?;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Shared {
    report: Mutex<Report>,
    /// Held by whoever makes a container until it was looked at. Removals wait: an app that finds what a killed one has just made would
    /// take it away before anybody saw it.
    making: RwLock<()>,
}

impl Shared {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A witness at work, in a thread of its own so that tests may block theirs.
#[derive(Debug)]
pub struct Witness {
    shared: Arc<Shared>,
    front: Utf8PathBuf,
    /// Whether new connections are taken: an engine that is away takes none.
    is_open: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Begins to listen at `front` for what `back` shall do.
    ///
    /// # Panics
    /// Where it cannot listen there.
    pub fn begin(front: &Utf8Path, back: &Utf8Path) -> Self {
        let shared = Arc::new(Shared::default());
        let (is_open, open) = watch::channel(true);
        let (stop, stopped) = watch::channel(false);
        let proxy = Proxy { back: back.to_owned(), shared: shared.clone() };
        let listener = std::os::unix::net::UnixListener::bind(front).expect("a witness can listen");
        listener.set_nonblocking(true).expect("a listener can be made so");
        let path = front.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a thread can have a runtime").block_on(proxy.run(path, listener, open, stopped));
        });
        Self { shared, front: front.to_owned(), is_open, stop, thread: Some(thread) }
    }

    /// Takes no new connections, as an engine that is away. Those that are open stay.
    ///
    /// # Panics
    /// Where its thread has ended.
    pub fn close(&self) {
        self.is_open.send(false).expect("the witness is at work");
        // A socket that is gone refuses at once.
        let _gone_already = std::fs::remove_file(&self.front);
    }

    /// Takes connections again.
    ///
    /// # Panics
    /// Where its thread has ended.
    pub fn open(&self) {
        self.is_open.send(true).expect("the witness is at work");
    }

    /// What was seen so far.
    pub fn report(&self) -> Report {
        self.shared.report().clone()
    }

    /// What was seen so far, and begins anew.
    pub fn forget(&self) -> Report {
        std::mem::take(&mut *self.shared.report())
    }

    /// Appends what was seen to a file, a line each, for a report over many.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn append_to(&self, file: &Utf8Path) -> std::io::Result<()> {
        let mut lines = String::new();
        for sighting in self.shared.report().seen.values() {
            lines.push_str(&serde_json::to_string(sighting)?);
            lines.push('\n');
        }
        std::fs::File::options().create(true).append(true).open(file)?.write_all(lines.as_bytes())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ended_already = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _its_panic_is_shown = thread.join();
        }
        let _gone_already = std::fs::remove_file(&self.front);
    }
}

/// What goes on for a connection beside its requests, and after it has ended.
type Tunnels = tokio::sync::Mutex<JoinSet<()>>;

/// The way from one socket to the other.
#[derive(Clone, Debug)]
struct Proxy {
    back: Utf8PathBuf,
    shared: Arc<Shared>,
}

impl Proxy {
    async fn run(
        self,
        front: Utf8PathBuf,
        listener: std::os::unix::net::UnixListener,
        mut open: watch::Receiver<bool>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut connections = JoinSet::new();
        let mut listener = Some(UnixListener::from_std(listener).expect("the runtime is running"));
        loop {
            let accepted = async {
                match &listener {
                    Some(listener) => listener.accept().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stopped.changed() => return,
                Some(_ended) = connections.join_next() => {}
                changed = open.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    listener = if *open.borrow_and_update() { UnixListener::bind(&front).ok() } else { None };
                }
                accepted = accepted => if let Ok((stream, _)) = accepted {
                    let proxy = self.clone();
                    connections.spawn(async move { proxy.serve(stream).await });
                }
            }
        }
    }

    async fn serve(self, stream: UnixStream) {
        let tunnels = Arc::new(Tunnels::default());
        let service = service_fn(|request| {
            let (proxy, tunnels) = (self.clone(), tunnels.clone());
            async move { proxy.pass(request, &tunnels).await }
        });
        // Whoever asked sees a broken connection where the engine's broke: as without a witness.
        let _ended = server::Builder::new()
            .preserve_header_case(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        let mut tunnels = std::mem::take(&mut *tunnels.lock().await);
        while tunnels.join_next().await.is_some() {}
    }

    async fn pass(&self, mut request: Request<Incoming>, tunnels: &Arc<Tunnels>) -> Result<Response<Body>, PassError> {
        let path = request.uri().path().to_owned();
        let is_create = request.method() == Method::POST && path.ends_with("/containers/create");
        if request.method() == Method::POST && path.ends_with("/build") {
            self.shared.report().build_count += 1;
        }
        if is_create {
            return self.make(request, tunnels).await;
        }
        if request.method() == Method::DELETE {
            drop(self.shared.making.write().await);
        }
        let started = (request.method() == Method::POST).then(|| started_id(&path)).flatten();
        let upgrade = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
        let mut response = self.ask(request.map(Either::Left), tunnels).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(near) = upgrade
        {
            let far = hyper::upgrade::on(&mut response);
            tunnels.lock().await.spawn(async move {
                if let (Ok(near), Ok(far)) = tokio::join!(near, far) {
                    // Its end is seen by both sides.
                    let _ended = tokio::io::copy_bidirectional(&mut TokioIo::new(near), &mut TokioIo::new(far)).await;
                }
            });
            return Ok(response.map(|_| Either::Right(Full::default())));
        }
        if let Some(id) = started
            && response.status().is_success()
        {
            self.note_start(&id, tunnels).await;
        }
        Ok(response.map(Either::Left))
    }

    /// Asks for a container, and looks at it once it is made. Goes on where whoever asked is gone before the answer: the engine may have
    /// made it by then.
    async fn make(&self, request: Request<Incoming>, tunnels: &Arc<Tunnels>) -> Result<Response<Body>, PassError> {
        let (parts, body) = request.into_parts();
        let asked = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(PassError)?.to_bytes();
        let request = Request::from_parts(parts, Either::Right(Full::new(asked)));
        let (tell, told) = oneshot::channel();
        let (proxy, its_tunnels) = (self.clone(), tunnels.clone());
        tunnels.lock().await.spawn(async move {
            let _making = proxy.shared.making.read().await;
            // Nobody may be there to hear it.
            let _told = tell.send(proxy.make_and_look(request, &its_tunnels).await);
        });
        told.await.map_err(|gone| PassError(gone.into()))?
    }

    async fn make_and_look(&self, request: Request<Body>, tunnels: &Arc<Tunnels>) -> Result<Response<Body>, PassError> {
        let response = self.ask(request, tunnels).await?;
        if response.status() != StatusCode::CREATED {
            return Ok(response.map(Either::Left));
        }
        let (mut parts, body) = response.into_parts();
        let bytes = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(PassError)?.to_bytes();
        self.look_at(&bytes, tunnels).await;
        parts.headers.remove(TRANSFER_ENCODING);
        parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
        Ok(Response::from_parts(parts, Either::Right(Full::new(bytes))))
    }

    async fn ask(&self, request: Request<Body>, tunnels: &Arc<Tunnels>) -> Result<Response<Incoming>, PassError> {
        let stream = UnixStream::connect(&self.back).await.map_err(|error| PassError(error.into()))?;
        let (mut sender, connection) = client::Builder::new()
            .preserve_header_case(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| PassError(error.into()))?;
        tunnels.lock().await.spawn(async move {
            // Its end is seen in the answer.
            let _ended = connection.with_upgrades().await;
        });
        sender.send_request(request).await.map_err(|error| PassError(error.into()))
    }

    async fn inspect(&self, id: &str, tunnels: &Arc<Tunnels>) -> Result<Value, PassError> {
        let request = Request::get(format!("/containers/{id}/json")).header(HOST, "docker");
        let request = request.body(Either::Right(Full::default())).map_err(|error| PassError(error.into()))?;
        let body = self.ask(request, tunnels).await?.into_body();
        let bytes = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(PassError)?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| PassError(error.into()))
    }

    async fn look_at(&self, answer: &[u8], tunnels: &Arc<Tunnels>) {
        let made: Value = serde_json::from_slice(answer).unwrap_or_default();
        let id = made["Id"].as_str().unwrap_or_default().to_owned();
        let looked = self.inspect(&id, tunnels).await;
        let mut report = self.shared.report();
        match looked {
            Ok(raw) if raw["Id"] == id.as_str() => {
                report.seen.insert(id, Sighting::of(&raw));
            }
            Ok(raw) => report.unseen.push(format!("container {id:?} could not be looked at: {raw}")),
            Err(error) => report.unseen.push(format!("container {id:?} could not be looked at: {error}")),
        }
    }

    /// A container may be named by its name, or by the beginning of its id.
    async fn note_start(&self, named: &str, tunnels: &Arc<Tunnels>) {
        let known = {
            let report = self.shared.report();
            let found = report.seen.values().find(|sighting| sighting.id == named || sighting.name == named);
            found.map(|sighting| sighting.id.clone())
        };
        let id = match known {
            Some(id) => Some(id),
            None => self.inspect(named, tunnels).await.ok().and_then(|raw| raw["Id"].as_str().map(str::to_owned)),
        };
        if let Some(id) = id {
            self.shared.report().started.insert(id);
        }
    }
}

/// The container of `…/containers/ID/start`.
fn started_id(path: &str) -> Option<String> {
    let (before, id) = path.strip_suffix("/start")?.rsplit_once('/')?;
    before.ends_with("/containers").then(|| id.to_owned())
}

/// A request that could not be passed on.
#[derive(Debug)]
struct PassError(Box<dyn std::error::Error + Send + Sync>);

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for PassError {}
