//! A Berth that plays its part, and the command run against it.

use std::{
    collections::{HashMap, VecDeque},
    ffi::OsStr,
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use berth_core::{Stream, Terminal};
use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;
use jiff::Timestamp;
use serde_json::{Value, to_value};
use server::{Backend, Server, ServerOptions};
use tokio::{io::AsyncWriteExt, process::Command, sync::mpsc, time::timeout};
use wire::{
    Action, ErrorCode, ErrorView, Limits, MicroUsd, Phase, Request,
    action::ActionView,
    call::{Deleted, HelloReply, StreamTicket, TaskCreated},
    ids::{AgentId, RunId, StepId, TaskId},
    network::{NetworkPolicy, RequestView},
    secret::VaultPlace,
    stream::{StreamTarget, TerminalOutput, Update},
    task::{Attachment, AttachmentContent, ReviewGate, TaskDraft},
    upkeep::{Finding, Mended, Outcome, ReclaimPlan, RetentionRules, RetentionView, Seen},
    view::{
        AgentView, CheckView, DoctorReport, PhaseSpan, ResultChange, ResultList, ResultView, RunSummary, RunView,
        SandboxView, StepView, TaskList, TaskRow, Verdict,
    },
};

mod access;
mod gallery;

pub(crate) use access::LOCKED;

/// How long one command may take.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(30);
/// Frames that fit into a scripted stream.
const FRAMES_MAX: usize = 64;

/// What the test writes, and what it reads afterwards.
pub(crate) struct Script {
    /// When everything happened.
    pub(crate) at: Timestamp,
    /// The phases of the run, one for each time it is looked at; the last stays.
    pub(crate) phases: Mutex<VecDeque<Phase>>,
    /// The frames of each output stream, in the order in which they are opened; the last is for all further ones.
    pub(crate) outputs: Mutex<VecDeque<Vec<TerminalOutput>>>,
    /// How the doctor's last check comes out.
    pub(crate) verdict: Mutex<Verdict>,
    /// What the doctor finds lying around.
    pub(crate) findings: Mutex<Vec<Finding>>,
    /// What could go to make room.
    pub(crate) plan: Mutex<ReclaimPlan>,
    /// Where secrets are kept.
    pub(crate) place: Mutex<VaultPlace>,
    /// What the one agent may reach.
    pub(crate) network: Mutex<NetworkPolicy>,
    /// The sandbox of the run's one step.
    pub(crate) sandbox: Mutex<Option<SandboxView>>,
    /// What the run asked of the network, oldest first.
    pub(crate) requests: Mutex<Vec<RequestView>>,
    /// What was asked, `Hello` aside.
    pub(crate) asked: Mutex<Vec<Request>>,
    tickets: Mutex<HashMap<String, StreamTarget>>,
    updates: Mutex<Vec<mpsc::Sender<Update>>>,
}

/// A Berth with a data folder of its own.
pub(crate) struct Berth {
    pub(crate) server: Server,
    pub(crate) script: Arc<Script>,
    pub(crate) folder: Utf8TempDir,
}

#[derive(Clone)]
struct Scripted(Arc<Script>);

impl Berth {
    /// One in which everything happened at a fixed time.
    pub(crate) async fn start() -> Self {
        Self::start_at("2026-03-01T12:00:00Z".parse().unwrap()).await
    }

    /// One in which everything happened five and a half minutes ago.
    pub(crate) async fn start_lately() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the command under test goes by the real clock")]
        let now = Timestamp::now();
        Self::start_at(now - jiff::SignedDuration::from_secs(330)).await
    }

    async fn start_at(at: Timestamp) -> Self {
        let script = Arc::new(Script {
            at,
            phases: Mutex::new([Phase::AwaitingReview].into()),
            outputs: Mutex::new([vec![output(0, b"hello\n"), TerminalOutput::Live, end()]].into()),
            verdict: Mutex::new(Verdict::Good),
            findings: Mutex::default(),
            plan: Mutex::new(ReclaimPlan {
                caches: Vec::new(),
                kept: Vec::new(),
                engine_error: None,
                retention: RetentionView {
                    rules: RetentionRules::default(),
                    runs: 0,
                    size_bytes: 0,
                    unseen_over: 0,
                    unseen_over_bytes: 0,
                },
            }),
            place: Mutex::new(VaultPlace::Keyring),
            network: Mutex::default(),
            sandbox: Mutex::default(),
            requests: Mutex::default(),
            asked: Mutex::default(),
            tickets: Mutex::default(),
            updates: Mutex::default(),
        });
        let folder = camino_tempfile::tempdir().unwrap();
        let server = Server::start(Scripted(script.clone()), folder.path(), ServerOptions::default()).await.unwrap();
        Self { server, script, folder }
    }

    pub(crate) fn phases(&self, phases: impl IntoIterator<Item = Phase>) {
        *self.script.phases.lock().unwrap() = phases.into_iter().collect();
    }

    pub(crate) fn outputs(&self, outputs: impl IntoIterator<Item = Vec<TerminalOutput>>) {
        *self.script.outputs.lock().unwrap() = outputs.into_iter().collect();
    }

    /// Runs `berth` on this data folder.
    pub(crate) async fn berth(&self, arguments: &[&str]) -> Ended {
        berth(self.folder.path(), arguments, b"").await
    }
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// What it printed, if it went well.
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.status, 0, "{}", self.stderr);
        self
    }

    /// The one JSON object that it printed.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        assert_eq!(self.text().lines().count(), 1, "one object on one line: {}", self.text());
        serde_json::from_slice(&self.stdout).unwrap()
    }
}

/// The command on that data folder, in the environment of a person who has a proxy: it has no business here.
pub(crate) fn command(home: &Utf8Path, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command
        .args(arguments)
        .env("BERTH_HOME", home)
        .env("BERTH_KEYRING", "none")
        .envs([
            ("http_proxy", "http://127.0.0.1:1"),
            ("HTTP_PROXY", "http://127.0.0.1:1"),
            ("ALL_PROXY", "http://127.0.0.1:1"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs the command to its end.
pub(crate) async fn berth(home: &Utf8Path, arguments: &[&str], input: &[u8]) -> Ended {
    let mut child = command(home, arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let running = async {
        // A command that does not read its input may be gone before it is written.
        let _ = stdin.write_all(input).await;
        drop(stdin);
        child.wait_with_output().await.unwrap()
    };
    let Output { status, stdout, stderr } = timeout(COMMAND_TIME_MAX, running).await.expect("the command ends");
    Ended { status: status.code().unwrap(), stdout, stderr: String::from_utf8(stderr).unwrap() }
}

pub(crate) fn output(offset: u64, bytes: &'static [u8]) -> TerminalOutput {
    TerminalOutput::Output { offset, bytes: bytes.into() }
}

pub(crate) fn end() -> TerminalOutput {
    TerminalOutput::End { reason: "the agent ended".to_owned() }
}

pub(crate) fn task_id() -> TaskId {
    "0195510f-5a00-7000-8000-000000000001".parse().unwrap()
}

pub(crate) fn run_id() -> RunId {
    "0195510f-5a00-7000-8000-000000000002".parse().unwrap()
}

pub(crate) fn step_id() -> StepId {
    "0195510f-5a00-7000-8000-000000000003".parse().unwrap()
}

#[async_trait]
impl Backend for Scripted {
    async fn dispatch(&self, request: Request) -> Result<Value, ErrorView> {
        let script = &self.0;
        if !matches!(request, Request::Hello(_)) {
            script.asked.lock().unwrap().push(request.clone());
        }
        let reply = match request {
            Request::Hello(_) => {
                to_value(HelloReply { version: "0.1.0".to_owned(), stream_origin: None, sample: String::new() })
            }
            Request::PreviewTask(_) => to_value(draft()),
            Request::CreateTask(_) => to_value(TaskCreated { task: task_id(), number: 12, run: run_id() }),
            Request::ListTasks(_) => to_value(script.task_list()),
            Request::ShowRun(show) if show.run == "99" => {
                return Err(ErrorView::new(ErrorCode::NotFound, "No run is called 99.").hint("Look at `berth ls`."));
            }
            Request::ShowRun(_) => to_value(script.run(script.next_phase())),
            Request::Act(_) => to_value(script.step(Phase::Completed)),
            Request::CancelRun(_) => to_value(Script::summary(Phase::Cancelled)),
            Request::ListResults(_) => to_value(script.results()),
            Request::CreateAgent(_) => to_value(script.agent()),
            Request::ListAgents(_) => to_value([script.agent()]),
            Request::ListImages(_) => to_value(gallery::all()),
            Request::BuildImage(build) => return gallery::built(&build.name).map(|image| to_value(image).unwrap()),
            Request::ShowBuild(show) => to_value(gallery::build(show.from_line)),
            Request::CancelBuild(_) | Request::AddImage(_) => to_value(&gallery::all()[2]),
            Request::SmokeImage(_) => to_value(&gallery::all()[1]),
            Request::RemoveImage(_) => to_value(Deleted {}),
            Request::Doctor(_) => to_value(script.doctor()),
            Request::MarkSeen(_) => to_value(Seen { runs: 1 }),
            Request::Mend(mend) => to_value(done(mend.keys)),
            Request::Reclaim(reclaim) => to_value(done(reclaim.keys)),
            Request::PlanReclaim(_) => to_value(&*script.plan.lock().unwrap()),
            Request::OpenStream(open) => {
                let mut tickets = script.tickets.lock().unwrap();
                let ticket = format!("ticket-{}", tickets.len());
                tickets.insert(ticket.clone(), open.target);
                to_value(StreamTicket { ticket })
            }
            other => return script.access(other),
        };
        Ok(reply.unwrap())
    }

    fn redeem(&self, ticket: &str) -> Option<StreamTarget> {
        self.0.tickets.lock().unwrap().get(ticket).cloned()
    }

    async fn open_stream(&self, target: StreamTarget) -> Result<Stream, ErrorView> {
        match target {
            StreamTarget::Updates => {
                let (sender, updates) = mpsc::channel(FRAMES_MAX);
                sender.try_send(Update::All).unwrap();
                self.0.updates.lock().unwrap().push(sender);
                Ok(Stream::Updates(updates))
            }
            StreamTarget::Output { .. } => {
                let mut outputs = self.0.outputs.lock().unwrap();
                let frames = if outputs.len() > 1 { outputs.pop_front().unwrap() } else { outputs[0].clone() };
                let (sender, output) = mpsc::channel(FRAMES_MAX);
                for frame in frames {
                    sender.try_send(frame).unwrap();
                }
                let (input, _) = mpsc::channel(1);
                Ok(Stream::Terminal(Terminal { output, input }))
            }
            StreamTarget::Shell { .. } | StreamTarget::ExportHome { .. } | StreamTarget::ImportHome { .. } => {
                Err(ErrorView::new(ErrorCode::NotNow, "The sandbox is gone."))
            }
        }
    }

    fn set_stream_origin(&self, _origin: String) {}
}

impl Script {
    /// The phase now. Each look is followed by a change, and whoever listens hears of it.
    fn next_phase(&self) -> Phase {
        for listener in self.updates.lock().unwrap().iter() {
            // One that is full has not been read for a while, and has enough reasons to look again.
            let _ = listener.try_send(Update::Task { task: task_id() });
        }
        let mut phases = self.phases.lock().unwrap();
        if phases.len() > 1 { phases.pop_front().unwrap() } else { phases[0] }
    }

    fn error(phase: Phase) -> Option<ErrorView> {
        (phase == Phase::Failed).then(|| {
            ErrorView::new(ErrorCode::AgentFailed, "Block 2 ended with exit code 1.")
                .hint("Look at `berth logs 12`, mend the block, and run it again.")
                .detail("make: *** [all] Error 1")
        })
    }

    fn summary(phase: Phase) -> RunSummary {
        RunSummary {
            run: run_id(),
            task: task_id(),
            number: 12,
            phase,
            workspace: Some("/data/workspaces/0195510f".to_owned()),
            error: Self::error(phase),
        }
    }

    fn run(&self, phase: Phase) -> RunView {
        RunView {
            summary: Self::summary(phase),
            ordinal: 1,
            created_at: self.at,
            ended_at: phase.is_final().then_some(self.at),
            steps: vec![self.step(phase)],
        }
    }

    fn step(&self, phase: Phase) -> StepView {
        StepView {
            is_interactive: false,
            step: step_id(),
            ordinal: 1,
            name: "work".to_owned(),
            agent: "script".to_owned(),
            image: "script".to_owned(),
            phase,
            holds: Vec::new(),
            attempt: 1,
            review: ReviewGate::Ask,
            wait: None,
            held_ms: 0,
            held_since: None,
            timeline: vec![PhaseSpan { phase: Phase::Queued, attempt: 1, entered_at: self.at, left_at: Some(self.at) }],
            progress: None,
            sandbox: self.sandbox.lock().unwrap().clone(),
            workspace: Some("/data/workspaces/0195510f".to_owned()),
            limits: Limits::default(),
            output_bytes: if phase == Phase::Queued { 0 } else { 6 },
            disk_bytes: None,
            compute: None,
            output_at: Some(self.at),
            error: Self::error(phase),
            actions: Action::ALL
                .into_iter()
                .map(|action| ActionView {
                    action,
                    denied: match action {
                        Action::Approve | Action::RequestChanges | Action::Reject if phase == Phase::AwaitingReview => {
                            None
                        }
                        Action::Cancel if !phase.is_final() => None,
                        Action::Approve
                        | Action::RequestChanges
                        | Action::Reject
                        | Action::Pause
                        | Action::Resume
                        | Action::Cancel
                        | Action::Retry => Some("not now".to_owned()),
                    },
                })
                .collect(),
        }
    }

    fn task_list(&self) -> TaskList {
        let row = |number: i64, title: &str, phase: Phase, note: &str| TaskRow {
            task: task_id(),
            number,
            title: title.to_owned(),
            agent: "script".to_owned(),
            call_sign: "SC".to_owned(),
            project: None,
            run: run_id(),
            phase,
            holds: Vec::new(),
            attempt: 1,
            priority: wire::Priority::Normal,
            wait: None,
            note: note.to_owned(),
            created_at: self.at,
            since: self.at,
            output_at: None,
            results: 2,
            cost: Some(wire::cost::Spent { amount: MicroUsd(1_920_000), requests: 3, ..wire::cost::Spent::default() }),
        };
        TaskList {
            rows: vec![
                row(12, "Say hello", Phase::AwaitingReview, "2 results"),
                row(11, "日本語の題", Phase::Executing, "[3/7] compiling"),
                row(9, "A title with \u{1b}[31ma colour and a\nline", Phase::Failed, "Block 2 ended with exit code 1."),
            ],
            total: 4,
        }
    }

    fn results(&self) -> ResultList {
        let result = |path: &str, change, size_bytes, unreadable: Option<&str>| ResultView {
            path: path.to_owned(),
            key: path.to_owned(),
            change,
            size_bytes,
            sha256: None,
            media_type: "text/plain".to_owned(),
            modified_at: Some(self.at),
            is_final: true,
            unreadable: unreadable.map(str::to_owned),
        };
        ResultList {
            results: vec![
                result("hello.txt", ResultChange::New, 6, None),
                result("notes/plan.md", ResultChange::Changed, 70_000, None),
                result("old.txt", ResultChange::Deleted, 0, None),
                result("pipe", ResultChange::New, 0, Some("a FIFO is not read")),
            ],
            left_out: 0,
            workspace: Some("/data/workspaces/0195510f".to_owned()),
        }
    }

    fn agent(&self) -> AgentView {
        AgentView {
            agent: "0195510f-5a00-7000-8000-000000000004".parse::<AgentId>().unwrap(),
            name: "script".to_owned(),
            image: "script".to_owned(),
            launch: wire::task::Launch::default(),
            call_sign: "SC".to_owned(),
            description: "Carries out the fenced blocks of a task.".to_owned(),
            limits: Limits { pids: 100, ..Limits::default() },
            review: ReviewGate::Skip,
            home: "berth-home-script".to_owned(),
            busy: Some(task_id()),
            colour: wire::view::AgentColour::Cyan,
            network: self.network.lock().unwrap().clone(),
            secrets: access::secrets_of_agent(),
            model: None,
            persona: Vec::new(),
            has_memory: true,
            tools: wire::image::Tools { apt: vec!["ripgrep".to_owned()], ..wire::image::Tools::default() },
            actions: Vec::new(),
        }
    }

    fn doctor(&self) -> DoctorReport {
        let check = |name: &str, verdict, message: &str, hint: &str| CheckView {
            name: name.to_owned(),
            verdict,
            message: message.to_owned(),
            hint: hint.to_owned(),
        };
        DoctorReport {
            checks: vec![
                check("Engine", Verdict::Good, "Docker 20.10.24, API 1.41.", ""),
                check("Disk", Verdict::Warning, "12 GiB are free.", "Remove what you no longer need."),
                check("Guest", *self.verdict.lock().unwrap(), "The volume is there.", ""),
            ],
            findings: self.findings.lock().unwrap().clone(),
            others: Vec::new(),
        }
    }
}

fn done(keys: Vec<String>) -> Vec<Mended> {
    let done = |key| Mended { key, outcome: Outcome::Done, words: "It was removed.".to_owned(), freed_bytes: 1 << 20 };
    keys.into_iter().map(done).collect()
}

fn draft() -> TaskDraft {
    TaskDraft {
        title: "Say hello".to_owned(),
        prompt: "Say hello.".to_owned(),
        agent: Some("script".to_owned()),
        project: None,
        limits: None,
        review: None,
        priority: None,
        attachments: vec![Attachment {
            name: "data.csv".to_owned(),
            size_bytes: 3,
            content: AttachmentContent::Path { path: "/tmp/data.csv".to_owned() },
        }],
        warnings: vec!["The front matter has a key that means nothing: `colour`.".to_owned()],
    }
}
