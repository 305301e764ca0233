//! Looking into a home: a sandbox without a network in which nothing but the guest runs, with the home mounted read-only.
//!
//! ```text
//! question ─▶ Readers ─▶ the home's one task ─▶ container (`berth-guest browse`) ─▶ answer
//!                            │
//!                            └── quiet for a while, or the home is to be changed: the container goes
//! ```
//!
//! Why not the engine's archive: it tars all that lies beneath a folder, so that listing a home of gigabytes would read all of it.
//! A container costs about half a second once; every question after that about a millisecond. It may stand beside a
//! sandbox that is at work in the same home.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{
    ContainerId, ContainerName, ContainerSpec, Diagnostics, Duplex, Engine, EngineError, Limits, Log, Mount, Network,
    Ownership, Role, RootFilesystem, Seccomp, Tmpfs, VolumeName,
    spec::{Access, FirstUse, LoopbackV6},
};
use pipe::browse::{BrowseError, Browser, EntryKind, Name, Page, Piece, Renaming, Why};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use wire::{ErrorCode, ErrorView, ids::AgentId, secret::InsideLogin};

use super::HOME_FOLDER;
use crate::engine_link::Up;
use crate::guest_volume::{GUEST_FOLDER, GUEST_PROGRAM, create_of_image, empty_image};
use crate::house::House;
use crate::{escape, faults};

/// Questions that may wait for one home.
const QUESTIONS_MAX: usize = 16;
/// How long a reader stays without a question.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Entries that are looked at for the file of a sign-in: its own, and what an agent may have put just before it.
const LOGIN_ENTRIES_MAX: u32 = 8;
/// How often a question is asked at most.
const ASKED_MAX: usize = 3;
/// How long one question may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long measuring may take.
const MEASURE_TIME_MAX: Duration = Duration::from_mins(10);
/// Memory of a reader: the guest holds at most the names of one folder for each part of a path.
const MEMORY_BYTES: u64 = 256 << 20;

/// The readers that there are.
#[derive(Default)]
pub(crate) struct Readers {
    // A std mutex: held for a map operation, never over an await.
    open: Mutex<HashMap<VolumeName, Handle>>,
}

#[derive(Clone)]
struct Handle {
    questions: mpsc::Sender<Question>,
    /// It is to end, whatever it is asked.
    end: CancellationToken,
    /// It is to end once it is asked nothing.
    rest: CancellationToken,
    gone: CancellationToken,
    /// Whether a person looks into it.
    is_shown: Arc<AtomicBool>,
}

enum Question {
    List { path: Vec<Name>, after: Option<Name>, limit: u32, answer: oneshot::Sender<Result<Page, ErrorView>> },
    Read { path: Vec<Name>, offset: u64, length: u32, answer: oneshot::Sender<Result<Piece, ErrorView>> },
    Measure { answer: oneshot::Sender<Result<Measured, ErrorView>> },
}

/// A home to be read.
#[derive(Clone)]
pub(crate) struct Readable {
    pub(crate) agent: AgentId,
    pub(crate) volume: VolumeName,
}

/// A page of a folder.
pub(crate) async fn list(
    house: &Arc<House>,
    home: &Readable,
    path: Vec<Name>,
    after: Option<Name>,
    limit: u32,
) -> Result<Page, ErrorView> {
    ask(house, home, |answer| Question::List { path: path.clone(), after: after.clone(), limit, answer }).await
}

/// A piece of a file.
pub(crate) async fn read(
    house: &Arc<House>,
    home: &Readable,
    path: Vec<Name>,
    offset: u64,
    length: u32,
) -> Result<Piece, ErrorView> {
    ask(house, home, |answer| Question::Read { path: path.clone(), offset, length, answer }).await
}

/// What there is in a home.
pub(crate) struct Measured {
    pub(crate) size_bytes: u64,
    pub(crate) files: u64,
    /// To what its programs are signed in: by the names of files alone, whose contents nobody looks at.
    pub(crate) logins: Vec<InsideLogin>,
}

/// How much there is in it, and to what its programs are signed in.
pub(crate) async fn measure(house: &Arc<House>, home: &Readable) -> Result<Measured, ErrorView> {
    ask(house, home, |answer| Question::Measure { answer }).await
}

async fn ask<T>(
    house: &Arc<House>,
    home: &Readable,
    question: impl Fn(oneshot::Sender<Result<T, ErrorView>>) -> Question,
) -> Result<T, ErrorView> {
    let up = house.link.up()?;
    for _ in 0..ASKED_MAX {
        let (answer, answered) = oneshot::channel();
        let question = question(answer);
        let is_for_a_person = !matches!(question, Question::Measure { .. });
        let handle = open(house, &up, home).await;
        handle.is_shown.fetch_or(is_for_a_person, Ordering::Relaxed);
        // One that rests at this very moment leaves the question unheard: the next is asked.
        if handle.questions.send(question).await.is_ok()
            && let Ok(answer) = answered.await
        {
            return answer;
        }
    }
    Err(gone())
}

fn gone() -> ErrorView {
    ErrorView::new(ErrorCode::NotNow, "The home is no longer being shown.").hint("Try again in a moment.")
}

/// The reader of a home; a new one where there is none, once the one before is gone: its container has the same name.
async fn open(house: &Arc<House>, up: &Arc<Up>, home: &Readable) -> Handle {
    loop {
        let closing = {
            let mut open = house.homes.readers.open.lock().unwrap_or_else(PoisonError::into_inner);
            match open.get(&home.volume) {
                None => return begin(house, up, home, &mut open),
                Some(handle) if !handle.questions.is_closed() => return handle.clone(),
                Some(handle) => handle.gone.clone(),
            }
        };
        closing.cancelled().await;
    }
}

fn begin(house: &Arc<House>, up: &Arc<Up>, home: &Readable, open: &mut HashMap<VolumeName, Handle>) -> Handle {
    let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
    let end = house.stop.child_token();
    let rest = end.child_token();
    let handle = Handle { questions, end, rest, gone: CancellationToken::new(), is_shown: Arc::default() };
    open.insert(home.volume.clone(), handle.clone());
    let (owner, up, home, of_task) = (house.clone(), up.clone(), home.clone(), handle.clone());
    house.tasks.spawn(async move {
        let Handle { questions, end, rest, gone, .. } = of_task;
        // Its own end of the questions would keep them open.
        drop(questions);
        let _gone = gone.drop_guard();
        serve(&owner, &up, &home, asked, &end, &rest).await;
        let mut open = owner.homes.readers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&home.volume).is_some_and(|handle| handle.questions.is_closed()) {
            open.remove(&home.volume);
        }
    });
    handle
}

impl Readers {
    /// Ends the reader of a home, if there is one, and returns when its container is gone.
    pub(crate) async fn end(&self, volume: &VolumeName) {
        let handle = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(volume).cloned();
        if let Some(handle) = handle {
            handle.end.cancel();
            handle.gone.cancelled().await;
        }
    }

    /// Ends the reader of a home where nobody has asked it a thing for a moment; waits for nothing.
    pub(crate) fn end_unasked(&self, volume: &VolumeName) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = open.get(volume).filter(|handle| !handle.is_shown.load(Ordering::Relaxed)) {
            handle.rest.cancel();
        }
    }

    /// The containers of the readers at work.
    pub(crate) fn names(&self) -> HashSet<String> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.keys().map(|volume| container_name(volume, Access::ReadOnly).as_str().to_owned()).collect()
    }

    /// Whether that container is a reader at work.
    pub(crate) fn has(&self, name: &str) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.keys().any(|volume| container_name(volume, Access::ReadOnly).as_str() == name)
    }
}

async fn serve(
    house: &Arc<House>,
    up: &Up,
    home: &Readable,
    mut asked: mpsc::Receiver<Question>,
    end: &CancellationToken,
    rest: &CancellationToken,
) {
    let opened = tokio::select! {
        () = end.cancelled() => None,
        opened = start(house, up, home, Access::ReadOnly) => Some(opened),
    };
    let mut failed = gone();
    let was_opened = matches!(opened, Some(Ok(_)));
    match opened {
        Some(Ok(reader)) => {
            let mut browser = Browser::new(reader.duplex);
            loop {
                let question = tokio::select! {
                    biased;
                    () = end.cancelled() => break,
                    () = rest.cancelled() => break,
                    question = timeout(IDLE_MAX, asked.recv()) => question,
                };
                let Ok(Some(question)) = question else { break };
                let answered = tokio::select! {
                    () = end.cancelled() => break,
                    answered = answer(&mut browser, question) => answered,
                };
                if let Err(error) = answered {
                    let said = escape::visible(reader.diagnostics.text().as_bytes());
                    warn!(%error, %said, "a home is no longer shown");
                    break;
                }
            }
        }
        Some(Err(error)) => failed = error,
        None => {}
    }
    asked.close();
    let name: ContainerId = container_name(&home.volume, Access::ReadOnly).into();
    if let Err(error) = up.engine.remove(&name).await {
        debug!(%error, "the container that shows a home is taken away later");
    }
    while let Some(question) = asked.recv().await {
        // Where it only rests, whoever asked asks the next one.
        if !was_opened || end.is_cancelled() {
            refuse(question, &failed);
        }
    }
}

/// Answers one question. `Err` where the guest is of no use any more.
async fn answer(browser: &mut Browser<Duplex>, question: Question) -> Result<(), BrowseError> {
    fn said<T>(
        answer: oneshot::Sender<Result<T, ErrorView>>,
        answered: Result<Result<T, BrowseError>, tokio::time::error::Elapsed>,
    ) -> Result<(), BrowseError> {
        let (view, ended) = match answered {
            Ok(Ok(value)) => (Ok(value), Ok(())),
            Ok(Err(BrowseError::Refused(why))) => (Err(refused(why)), Ok(())),
            Ok(Err(error @ BrowseError::Broken(_))) => (Err(broken(&error)), Err(error)),
            Err(_elapsed) => {
                let error =
                    BrowseError::Broken(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time").into());
                (Err(broken(&error)), Err(error))
            }
        };
        // Whoever asked may have gone.
        let _ = answer.send(view);
        ended
    }
    match question {
        Question::List { path, after, limit, answer } => {
            said(answer, timeout(ANSWER_TIME_MAX, browser.list(path, after, limit)).await)
        }
        Question::Read { path, offset, length, answer } => {
            said(answer, timeout(ANSWER_TIME_MAX, browser.read(path, offset, length)).await)
        }
        Question::Measure { answer } => said(answer, timeout(MEASURE_TIME_MAX, measured(browser)).await),
    }
}

async fn measured(browser: &mut Browser<Duplex>) -> Result<Measured, BrowseError> {
    browser.measure().await?;
    let (size_bytes, files) = loop {
        let (size_bytes, files, is_done) = browser.measured().await?;
        if is_done {
            break (size_bytes, files);
        }
    };
    let mut logins = Vec::new();
    for login in InsideLogin::ALL {
        if is_signed_in(browser, login).await? {
            logins.push(login);
        }
    }
    Ok(Measured { size_bytes, files, logins })
}

async fn is_signed_in(browser: &mut Browser<Duplex>, login: InsideLogin) -> Result<bool, BrowseError> {
    let (folder, file) = login.kept_in();
    let named = |name: &str| Name::new(name).expect("invariant: the names of sign-ins are names");
    let folder = folder.iter().map(|name| named(name)).collect();
    // A page of the folder that begins just before it.
    let before = named(&file[..file.len() - 1]);
    match browser.list(folder, Some(before), LOGIN_ENTRIES_MAX).await {
        Ok(page) => Ok(page
            .entries
            .iter()
            .any(|entry| entry.name.as_bytes() == file.as_bytes() && entry.kind == EntryKind::File)),
        Err(BrowseError::Refused(_)) => Ok(false),
        Err(error @ BrowseError::Broken(_)) => Err(error),
    }
}

fn refuse(question: Question, error: &ErrorView) {
    // Whoever asked may have gone.
    match question {
        Question::List { answer, .. } => drop(answer.send(Err(error.clone()))),
        Question::Read { answer, .. } => drop(answer.send(Err(error.clone()))),
        Question::Measure { answer } => drop(answer.send(Err(error.clone()))),
    }
}

fn refused(why: Why) -> ErrorView {
    let (code, message, hint) = match why {
        Why::Gone => (ErrorCode::NotFound, "There is no such file or folder in the home.", "Go up and look again."),
        Why::NotAFolder => (
            ErrorCode::InvalidArgument,
            "This is no folder, or the way to it leads through a link, which is never followed.",
            "Go up and look again.",
        ),
        Why::NotAFile => (
            ErrorCode::InvalidArgument,
            "This is no file to be read: a link, which is never followed, or something that has no content.",
            "",
        ),
        Why::Denied => (
            ErrorCode::InvalidArgument,
            "The agent has taken the permission to read this away from itself.",
            "Its permissions can be changed by the agent, or from a shell in its sandbox.",
        ),
        Why::Unasked | Why::Failed => (ErrorCode::EngineFailed, "The home could not be read there.", "Try again."),
    };
    ErrorView::new(code, message).hint(hint)
}

fn broken(error: &BrowseError) -> ErrorView {
    ErrorView::new(ErrorCode::GuestBroken, "What shows the home broke off.")
        .hint("Try again.")
        .detail(faults::chain(error))
}

/// Gives the folder of an agent's memory another name, in a container of its own that may write.
pub(crate) async fn rename_memory(
    house: &Arc<House>,
    up: &Up,
    home: &Readable,
    from: &str,
    to: &str,
) -> Result<Renaming, ErrorView> {
    let name = |text: &str| Name::new(text.as_bytes()).expect("invariant: an agent's name is a file's name");
    house.homes.readers.end(&home.volume).await;
    // Until it is done: reconcile would take its container for a leftover.
    let _filling = house.filling.read().await;
    let reader = start(house, up, home, Access::ReadWrite).await?;
    let mut browser = Browser::new(reader.duplex);
    let renaming = timeout(ANSWER_TIME_MAX, browser.rename(vec![name("clawvault")], name(from), name(to))).await;
    let id: ContainerId = container_name(&home.volume, Access::ReadWrite).into();
    up.engine.remove(&id).await.map_err(|error| faults::of_engine(&error))?;
    match renaming {
        Ok(Ok(renaming)) => Ok(renaming),
        // What an agent has made of its memory is its own, and no reason why it could not work.
        Ok(Err(BrowseError::Refused(Why::NotAFolder | Why::Denied))) => Ok(Renaming::Taken),
        Ok(Err(BrowseError::Refused(why))) => Err(refused(why)),
        Ok(Err(error @ BrowseError::Broken(_))) => Err(broken(&error)),
        Err(_elapsed) => Err(gone()),
    }
}

struct Started {
    duplex: Duplex,
    diagnostics: Diagnostics,
}

async fn start(house: &Arc<House>, up: &Up, home: &Readable, access: Access) -> Result<Started, ErrorView> {
    let guest_volume = crate::guest_volume::of_link(house, up).await?;
    make(house, up.engine.as_ref(), guest_volume, home, access).await.map_err(|error| faults::of_engine(&error))
}

async fn make(
    house: &House,
    engine: &dyn Engine,
    guest_volume: VolumeName,
    home: &Readable,
    access: Access,
) -> Result<Started, EngineError> {
    let spec = spec(house, guest_volume, home, access);
    let name: ContainerId = spec.name.clone().into();
    // One that an earlier process left.
    engine.remove(&name).await?;
    let id = create_of_image(engine, &spec).await?;
    let started = async {
        let attached = engine.attach(&id).await?;
        engine.start(&id).await?;
        Ok(Started { duplex: attached.duplex, diagnostics: attached.diagnostics })
    };
    let started = started.await;
    if started.is_err() {
        engine.remove(&id).await?;
    }
    started
}

/// Of what shows a home and of what changes it: one may begin while the other is there, and each takes away what has its name.
fn container_name(volume: &VolumeName, access: Access) -> ContainerName {
    let role = match access {
        Access::ReadOnly => "reader",
        Access::ReadWrite => "renamer",
    };
    ContainerName::parse(format!("{volume}-{role}")).expect("invariant: a volume's name and letters")
}

fn spec(house: &House, guest_volume: VolumeName, home: &Readable, access: Access) -> ContainerSpec {
    let volume = |name: VolumeName, target: &str, access| Mount::Volume {
        name,
        target: target.into(),
        access,
        first_use: FirstUse::Empty,
    };
    ContainerSpec {
        name: container_name(&home.volume, access),
        image: empty_image(),
        argv: [GUEST_PROGRAM, "browse", HOME_FOLDER].map(str::to_owned).to_vec(),
        env: BTreeMap::new(),
        identity: house.owner.identity(),
        working_dir: "/".into(),
        hostname: "reader".to_owned(),
        ownership: Ownership {
            agent: Some(home.agent.to_string()),
            ..Ownership::of_install(house.install.to_string(), Role::Reader)
        },
        mounts: vec![
            volume(guest_volume, GUEST_FOLDER, Access::ReadOnly),
            volume(home.volume.clone(), HOME_FOLDER, access),
        ],
        // It needs neither; whatever runs has them in memory.
        tmpfs: Tmpfs::usual(1 << 20),
        limits: Limits { memory_bytes: MEMORY_BYTES, cpu_milli: 1_000, pids: 8, shm_bytes: 1 << 20 },
        network: Network::None { loopback_v6: LoopbackV6::Engine },
        log: Log::None,
        root_filesystem: RootFilesystem::ReadOnly,
        seccomp: Seccomp::EngineDefault,
        stop_timeout: Duration::from_secs(1),
    }
}
