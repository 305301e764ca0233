//! The kill matrix: the app dies, as by `kill -9`, before and after every effect that a run has on the world, one after the other.
//! After the restart each run goes on or is truthfully ended, its output is complete, its agent was started once, and nothing is left.
//!
//! The program itself says which points there are (`berth fault-points`), so a new one is tried without being listed here; one that
//! its scene never reaches fails the test, since nobody would know what happens there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and so do its helpers; its numbers are printed"
)]

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_tests::{
    OwnImage, TestApp,
    app::RUN_TIME_MAX,
    binaries, docker, sample,
    truth::{self, Recoveries},
    until,
};
use camino::Utf8PathBuf;
use camino_tempfile::Utf8TempDir;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use wire::{
    Action, ErrorCode, Hold, LimitsPatch, Phase,
    call::{Act, CancelRun, CreateAgent, CreateTask, ListTasks, ShowRun, ShowTask, TaskCreated, UpdateAgent},
    network::NetworkPolicy,
    task::{Attachment, AttachmentContent, Launch, NewTask, ReviewGate},
    view::{RunView, StepView},
};

/// How long an app may take to come to the point at which it is to die.
const DEATH_TIME_MAX: Duration = Duration::from_mins(3);
/// What an agent may print that prints too much.
const OUTPUT_BYTES_MAX: u64 = 100_000;

/// What has to happen for a point to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// A task from its beginning to its end.
    Whole,
    /// A person reviews finished work.
    Reviewed(Action),
    /// A person cancels an agent at work.
    Cancelled,
    /// A person pauses and resumes.
    Held,
    /// An agent prints too much.
    Limited,
    /// A container is killed from outside.
    Lost,
    /// An agent is at work when the app starts.
    Adopted,
    /// A task is run again.
    Retried,
    /// A container is paused from outside, and a person lets it go on.
    Paused,
    /// A person cancels an agent whose guest does not hear it.
    Deaf,
    /// The image of the Gallery is not there yet.
    Built,
    /// An image of a person's own needs a line for the sandbox's user.
    Adapted,
    /// The sandbox is on a network of its own.
    Bridged,
}

impl Scene {
    /// The scene of a point, `SIDE-POINT` or `SIDE-POINT:N`.
    fn of(fault: &str) -> Self {
        let name = fault.split(':').next().unwrap();
        match name.split_once('-').unwrap().1 {
            "approve" => Self::Reviewed(Action::Approve),
            "request-changes" => Self::Reviewed(Action::RequestChanges),
            "reject" => Self::Reviewed(Action::Reject),
            "cancel" | "agent-end" => Self::Cancelled,
            "hold-record" | "agent-stop" | "agent-continue" => Self::Held,
            "limit-record" => Self::Limited,
            "failure-record" | "spool-read" => Self::Lost,
            "container-exec" | "guest-reconnect" => Self::Adopted,
            "run-record" => Self::Retried,
            "container-unpause" => Self::Paused,
            "container-kill" => Self::Deaf,
            "image-build" | "image-tag" | "build-record" => Self::Built,
            "image-fill" | "image-commit" => Self::Adapted,
            "network-create" | "network-remove" => Self::Bridged,
            _ => Self::Whole,
        }
    }
}

/// All points, as the program lists them, and those that are passed more than once with different meanings.
fn faults() -> Vec<String> {
    let listed = std::process::Command::new(binaries::program("berth")).arg("fault-points").output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let mut faults: Vec<String> = String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    assert!(faults.len() > 80, "{faults:?}");
    // The guest's volume is filled first; then a new home is read out of its image and filled; then comes the spool.
    for point in ["before-filler-create", "after-filler-create", "before-filler-remove", "after-filler-remove"] {
        assert!(faults.iter().any(|fault| fault == point), "{point}");
        faults.extend([2, 3, 4].map(|nth| format!("{point}:{nth}")));
    }
    faults
}

/// An app that is killed again and again on one data folder.
struct Matrix {
    app: TestApp,
    /// What the app has in its environment besides the point at which it dies.
    environment: Vec<(&'static str, String)>,
    agents: usize,
    /// The image that was built for it, which goes with it.
    built: Option<Built>,
    recoveries: Recoveries,
}

impl Matrix {
    async fn start() -> Self {
        let app = TestApp::start().await;
        Self { app, environment: Vec::new(), agents: 0, built: None, recoveries: Recoveries::default() }
    }

    /// An agent that has never worked, so that its home is new.
    async fn agent(&mut self, review: ReviewGate) -> String {
        self.agent_in("script", Launch::Image, review).await
    }

    async fn agent_in(&mut self, image: &str, launch: Launch, review: ReviewGate) -> String {
        self.agents += 1;
        let name = format!("agent-{}", self.agents);
        let create = CreateAgent {
            name: name.clone(),
            image: image.to_owned(),
            launch,
            limits: wire::Limits::default(),
            review,
            ..CreateAgent::default()
        };
        self.app.call(create).await.unwrap();
        name
    }

    /// The app is killed, and started to die at that point: before it serves, perhaps.
    async fn arm(&mut self, fault: &str) {
        self.app.kill().await;
        self.set_environment(Some(fault));
        self.app.try_restart().await;
    }

    fn set_environment(&mut self, fault: Option<&str>) {
        let always = self.environment.iter().map(|(name, value)| (*name, value.as_str()));
        let environment: Vec<_> = fault.map(|fault| ("BERTH_FAULT", fault)).into_iter().chain(always).collect();
        self.app.set_environment(&environment);
    }

    /// Makes a call, if there is still somebody to answer it. Whether it was carried out is seen after the restart.
    async fn attempt<C: wire::Call>(&mut self, call: C) {
        if !self.app.is_dead() {
            let _unknown = self.app.client().try_call(call).await;
        }
    }

    /// Waits for the death, and starts the app again.
    async fn outlives(&mut self, fault: &str) -> Instant {
        until(&format!("the app to reach `{fault}`"), DEATH_TIME_MAX, async || self.app.is_dead().then_some(())).await;
        self.set_environment(None);
        let began = Instant::now();
        self.app.restart().await;
        began
    }

    /// What it takes for a run to end well, counted.
    async fn recovers(&mut self, fault: &str, created: &TaskCreated, phase: Phase, since: Instant) -> RunView {
        let view = self.app.reaches(created, phase).await;
        self.recoveries.add(fault, since.elapsed());
        view
    }

    async fn task(&mut self, agent: &str, prompt: &str) -> TaskCreated {
        let task = NewTask { agent: Some(agent.to_owned()), ..new_task("before", prompt) };
        self.app.call(CreateTask { task }).await.unwrap()
    }

    /// A task of the fault's name, handed in to an app that dies of it, and again where the app took no note.
    async fn hands_in(&mut self, fault: &str, task: NewTask) -> (TaskCreated, Instant) {
        self.attempt(CreateTask { task: task.clone() }).await;
        let since = self.outlives(fault).await;
        let created = match self.find(fault).await {
            Some(created) => created,
            None => self.app.call(CreateTask { task }).await.unwrap(),
        };
        (created, since)
    }

    /// The task of that title, if it was taken in.
    async fn find(&self, title: &str) -> Option<TaskCreated> {
        let list = self.app.call(ListTasks { limit: 1_000, ..ListTasks::default() }).await.unwrap();
        let mut rows = list.rows.into_iter().filter(|row| row.title == title);
        let found = rows.next().map(|row| TaskCreated { task: row.task, number: row.number, run: row.run });
        assert!(rows.next().is_none(), "`{title}` was taken in twice");
        found
    }

    async fn step(&self, created: &TaskCreated) -> StepView {
        self.app.show(created).await.steps.remove(0)
    }

    async fn act(&mut self, created: &TaskCreated, action: Action, comment: &str) {
        let step = self.step(created).await.step;
        self.app.call(Act { step, action, comment: comment.to_owned() }).await.unwrap();
    }

    /// Goes through one point.
    async fn survives(&mut self, fault: &str) {
        match Scene::of(fault) {
            Scene::Whole => self.survives_whole(fault).await,
            Scene::Reviewed(action) => self.survives_review(fault, action).await,
            Scene::Cancelled => self.survives_cancel(fault).await,
            Scene::Held => self.survives_hold(fault).await,
            Scene::Limited => self.survives_limit(fault).await,
            Scene::Lost => self.survives_loss(fault).await,
            Scene::Adopted => self.survives_adoption(fault).await,
            Scene::Retried => self.survives_retry(fault).await,
            Scene::Paused => self.survives_pause(fault).await,
            Scene::Deaf => self.survives_deafness(fault).await,
            Scene::Built => self.survives_build(fault).await,
            Scene::Adapted => self.survives_adaption(fault).await,
            Scene::Bridged => self.survives_bridge(fault).await,
        }
        self.app.is_swept().await;
        truth::attachments_have_tasks(&self.app).await;
    }

    async fn survives_whole(&mut self, fault: &str) {
        let agent = self.agent(ReviewGate::Skip).await;
        // Whoever comes next has to bring the guest again.
        for volume in self.app.volumes().iter().filter(|volume| docker::role(volume) == "guest") {
            docker::docker(&["volume", "rm", docker::name(volume)]);
        }
        self.arm(fault).await;
        let file = Attachment {
            name: "notes.txt".to_owned(),
            size_bytes: 5,
            content: AttachmentContent::Inline { base64: STANDARD.encode("hello") },
        };
        let task = NewTask { agent: Some(agent), attachments: vec![file], ..new_task(fault, truth::WITNESS) };
        let (created, since) = self.hands_in(fault, task).await;
        let view = self.recovers(fault, &created, Phase::Completed, since).await;
        let workspace = truth::is_complete(&self.app, &view, 1).await;
        assert_eq!(std::fs::read_to_string(workspace.join("notes.txt")).unwrap(), "hello");
        truth::is_accounted_for(&self.app, &view, 1).await;
    }

    async fn survives_review(&mut self, fault: &str, action: Action) {
        let agent = self.agent(ReviewGate::Ask).await;
        let created = self.task(&agent, truth::WITNESS).await;
        let step = self.app.reaches(&created, Phase::AwaitingReview).await.steps.remove(0).step;
        self.arm(fault).await;
        self.attempt(Act { step, action, comment: "because".to_owned() }).await;
        let since = self.outlives(fault).await;
        let now = self.step(&created).await;
        if now.phase == Phase::AwaitingReview && now.attempt == 1 {
            assert!(fault.starts_with("before-"), "{fault}: what was written down is forgotten");
            self.act(&created, action, "because").await;
        } else {
            assert!(fault.starts_with("after-"), "{fault}: it was not written down");
        }
        let mut attempts = 1;
        let view = match action {
            Action::RequestChanges => {
                until("the second attempt to end", RUN_TIME_MAX, async || {
                    let step = self.step(&created).await;
                    (step.attempt == 2 && step.phase == Phase::AwaitingReview).then_some(())
                })
                .await;
                attempts = 2;
                self.act(&created, Action::Approve, "").await;
                self.recovers(fault, &created, Phase::Completed, since).await
            }
            Action::Reject => {
                let view = self.recovers(fault, &created, Phase::Failed, since).await;
                let error = view.summary.error.clone().unwrap();
                assert_eq!((error.code, error.detail.as_str()), (ErrorCode::Rejected, "because"));
                view
            }
            Action::Approve | Action::Pause | Action::Resume | Action::Cancel | Action::Retry => {
                self.recovers(fault, &created, Phase::Completed, since).await
            }
        };
        truth::is_complete(&self.app, &view, attempts).await;
        truth::is_accounted_for(&self.app, &view, attempts).await;
    }

    async fn survives_cancel(&mut self, fault: &str) {
        let (created, workspace) = self.sleeper().await;
        self.arm(fault).await;
        let cancel = CancelRun { run: created.run.to_string() };
        self.attempt(cancel.clone()).await;
        let since = self.outlives(fault).await;
        // Said twice is said once; said after the end is too late.
        let _ended = self.app.call(cancel).await;
        let view = self.recovers(fault, &created, Phase::Cancelled, since).await;
        assert_eq!(std::fs::read_to_string(workspace.join("began")).unwrap(), "1\n");
        truth::is_accounted_for(&self.app, &view, 1).await;
    }

    async fn survives_hold(&mut self, fault: &str) {
        let agent = self.agent(ReviewGate::Skip).await;
        let created = self.task(&agent, &sample::witness(4, 1)).await;
        let workspace = self.app.leaves_file(&created, "half").await;
        let step = self.step(&created).await.step;
        self.arm(fault).await;
        self.takes_over(&created).await;
        for action in [Action::Pause, Action::Resume] {
            self.attempt(Act { step, action, comment: String::new() }).await;
        }
        let since = self.outlives(fault).await;
        if self.step(&created).await.holds.contains(&Hold::Person) {
            self.act(&created, Action::Resume, "").await;
        }
        sample::write(&workspace, "go", "");
        let view = self.recovers(fault, &created, Phase::Completed, since).await;
        truth::witness_is_whole(&self.app, &view, &workspace).await;
        truth::is_accounted_for(&self.app, &view, 1).await;
    }

    async fn survives_limit(&mut self, fault: &str) {
        let agent = self.agent(ReviewGate::Skip).await;
        self.arm(fault).await;
        let limits = LimitsPatch { output_bytes: Some(OUTPUT_BYTES_MAX), ..LimitsPatch::default() };
        let prompt = sample::script(&["echo 1 >> began", "head -c 1000000 /dev/zero | tr '\\0' x", "sleep 600"]);
        let task = NewTask { agent: Some(agent), limits: Some(limits), ..new_task(fault, &prompt) };
        self.attempt(CreateTask { task }).await;
        let since = self.outlives(fault).await;
        let created = self.find(fault).await.expect("the task was taken in long before");
        let view = self.recovers(fault, &created, Phase::Failed, since).await;
        assert_eq!(view.summary.error.as_ref().unwrap().code, ErrorCode::LimitReached);
        assert_eq!(view.steps[0].output_bytes, OUTPUT_BYTES_MAX);
        let workspace = Utf8PathBuf::from(view.summary.workspace.as_deref().unwrap());
        assert_eq!(std::fs::read_to_string(workspace.join("began")).unwrap(), "1\n");
        truth::is_accounted_for(&self.app, &view, 1).await;
    }

    async fn survives_loss(&mut self, fault: &str) {
        let (created, _) = self.sleeper().await;
        let container = self.step(&created).await.sandbox.unwrap().container;
        self.arm(fault).await;
        docker::docker(&["container", "kill", &container]);
        let since = self.outlives(fault).await;
        let view = self.recovers(fault, &created, Phase::Failed, since).await;
        let error = view.summary.error.as_ref().unwrap();
        assert_eq!(error.code, ErrorCode::SandboxLost, "{fault}: {error:?}");
        assert!(error.message.contains("killed from outside"), "{fault}: {error:?}");
        truth::is_accounted_for(&self.app, &view, 1).await;
    }

    async fn survives_adoption(&mut self, fault: &str) {
        let agent = self.agent(ReviewGate::Skip).await;
        let created = self.task(&agent, &sample::witness(5, 1)).await;
        let workspace = self.app.leaves_file(&created, "half").await;
        self.arm(fault).await;
        let since = self.outlives(fault).await;
        sample::write(&workspace, "go", "");
        let view = self.recovers(fault, &created, Phase::Completed, since).await;
        truth::witness_is_whole(&self.app, &view, &workspace).await;
        truth::is_accounted_for(&self.app, &view, 1).await;
    }

    async fn survives_retry(&mut self, fault: &str) {
        let agent = self.agent(ReviewGate::Skip).await;
        let created = self.task(&agent, truth::WITNESS).await;
        let step = self.app.reaches(&created, Phase::Completed).await.steps.remove(0).step;
        self.arm(fault).await;
        self.attempt(Act { step, action: Action::Retry, comment: String::new() }).await;
        let since = self.outlives(fault).await;
        let runs = async |app: &TestApp| {
            app.call(ShowTask { task: created.number.to_string() })
                .await
                .unwrap()
                .runs
                .into_iter()
                .map(|run| run.summary.run)
        };
        if runs(&self.app).await.len() == 1 {
            assert!(fault.starts_with("before-"), "{fault}: what was written down is forgotten");
            self.act(&created, Action::Retry, "").await;
        }
        let all: Vec<_> = runs(&self.app).await.collect();
        assert_eq!(all.len(), 2, "{fault}");
        for run in all {
            let of_run = TaskCreated { run, ..created.clone() };
            let view = self.recovers(fault, &of_run, Phase::Completed, since).await;
            truth::is_complete(&self.app, &view, 1).await;
            truth::is_accounted_for(&self.app, &view, 1).await;
        }
    }

    async fn survives_pause(&mut self, fault: &str) {
        let agent = self.agent(ReviewGate::Skip).await;
        let created = self.task(&agent, &sample::witness(6, 1)).await;
        let workspace = self.app.leaves_file(&created, "half").await;
        let sandbox = self.step(&created).await;
        self.arm(fault).await;
        self.takes_over(&created).await;
        docker::docker(&["container", "pause", &sandbox.sandbox.unwrap().container]);
        self.is_held(&created).await;
        self.act(&created, Action::Resume, "").await;
        let since = self.outlives(fault).await;
        if fault.starts_with("before-") {
            // It is found paused again, and nobody but a person lets it go on.
            self.is_held(&created).await;
            self.act(&created, Action::Resume, "").await;
        }
        sample::write(&workspace, "go", "");
        let view = self.recovers(fault, &created, Phase::Completed, since).await;
        truth::witness_is_whole(&self.app, &view, &workspace).await;
        truth::is_accounted_for(&self.app, &view, 1).await;
    }

    async fn is_held(&self, created: &TaskCreated) {
        until("the step to be held", RUN_TIME_MAX, async || {
            self.step(created).await.holds.contains(&Hold::Person).then_some(())
        })
        .await;
    }

    async fn survives_deafness(&mut self, fault: &str) {
        let (created, workspace) = self.sleeper().await;
        let container = self.step(&created).await.sandbox.unwrap().container;
        self.arm(fault).await;
        self.takes_over(&created).await;
        stop_guest(&container);
        let cancel = CancelRun { run: created.run.to_string() };
        self.attempt(cancel).await;
        let since = self.outlives(fault).await;
        let view = self.recovers(fault, &created, Phase::Cancelled, since).await;
        assert_eq!(std::fs::read_to_string(workspace.join("began")).unwrap(), "1\n");
        truth::is_accounted_for(&self.app, &view, 1).await;
    }

    async fn survives_build(&mut self, fault: &str) {
        let built = self.built.get_or_insert_with(Built::nothing);
        built.forget();
        let authority = built.authority().into_string();
        let agent = self.agent(ReviewGate::Skip).await;
        self.environment.push(("BERTH_EXTRA_CERTIFICATES", authority));
        self.arm(fault).await;
        let task = NewTask { agent: Some(agent), ..new_task(fault, truth::WITNESS) };
        let (created, since) = self.hands_in(fault, task).await;
        let view = self.recovers(fault, &created, Phase::Completed, since).await;
        truth::is_complete(&self.app, &view, 1).await;
        truth::is_accounted_for(&self.app, &view, 1).await;
        self.environment.clear();
        let install = format!("label=berth.install={}", self.app.install().unwrap());
        let list = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", &install, "berth/script"];
        self.built.as_mut().unwrap().tags = docker::docker(&list).lines().map(str::to_owned).collect();
    }

    async fn survives_adaption(&mut self, fault: &str) {
        // Debian's own has no line for the sandbox's user, and other tests adapt it.
        let image =
            OwnImage::build(&format!("adapted-{fault}"), &format!("FROM debian:bookworm-slim\nLABEL of={fault}\n"));
        let script = truth::WITNESS.split("```").nth(1).and_then(|block| block.strip_prefix("sh\n")).unwrap();
        let launch = Launch::Command { argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec() };
        let agent = self.agent_in(&image.tag, launch, ReviewGate::Skip).await;
        self.arm(fault).await;
        let task = NewTask { agent: Some(agent), ..new_task(fault, "anything") };
        let (created, since) = self.hands_in(fault, task).await;
        let view = self.recovers(fault, &created, Phase::Completed, since).await;
        truth::is_complete(&self.app, &view, 1).await;
        truth::is_accounted_for(&self.app, &view, 1).await;
    }

    async fn survives_bridge(&mut self, fault: &str) {
        let agent = self.agent(ReviewGate::Skip).await;
        let network = Some(NetworkPolicy::Bridge);
        self.app.call(UpdateAgent { agent: agent.clone(), network, ..UpdateAgent::default() }).await.unwrap();
        self.arm(fault).await;
        let task = NewTask { agent: Some(agent), ..new_task(fault, truth::WITNESS) };
        let (created, since) = self.hands_in(fault, task).await;
        let view = self.recovers(fault, &created, Phase::Completed, since).await;
        assert!(view.steps[0].sandbox.as_ref().unwrap().has_network_card(), "{fault}: {view:#?}");
        truth::is_complete(&self.app, &view, 1).await;
        truth::is_accounted_for(&self.app, &view, 1).await;
    }

    /// Waits until the app speaks with the guest of an agent at work, or is dead.
    async fn takes_over(&mut self, created: &TaskCreated) {
        until("the sandbox to be taken over", RUN_TIME_MAX, async || {
            if self.app.is_dead() {
                return Some(());
            }
            let view = truth::answered(self.app.client().try_call(ShowRun { run: created.run.to_string() }).await)?;
            let sandbox = view.expect("a run that is there is shown").steps.remove(0).sandbox;
            sandbox.is_some_and(|sandbox| sandbox.connected).then_some(())
        })
        .await;
    }

    /// A task whose agent does nothing for a long time, once it does.
    async fn sleeper(&mut self) -> (TaskCreated, Utf8PathBuf) {
        let agent = self.agent(ReviewGate::Skip).await;
        let created = self.task(&agent, &sample::script(&["echo \"$BERTH_ATTEMPT\" >> began", "sleep 600"])).await;
        let workspace = self.app.leaves_file(&created, "began").await;
        (created, workspace)
    }
}

/// The Gallery's image for whoever trusts an authority that nobody else knows: so it is there for this test alone.
struct Built {
    folder: Utf8TempDir,
    /// What it is called, once it was built. One that was killed between its two names has the trial's still.
    tags: Vec<String>,
}

impl Built {
    /// The authority, and no image yet.
    fn nothing() -> Self {
        let built = Self { folder: camino_tempfile::tempdir().unwrap(), tags: Vec::new() };
        let mut command = std::process::Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-keyout", "/dev/null"]);
        command
            .args(["-subj", &format!("/CN=Berth's test {}", built.folder.path().file_name().unwrap()), "-out"])
            .arg(built.authority());
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        built
    }

    fn authority(&self) -> Utf8PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Another name for the image, by which the engine knows that it has made all of it before.
    fn kept() -> String {
        format!("berth-test/built:{}", std::process::id())
    }

    /// Takes the image away, so that it has to be built again: in a moment.
    fn forget(&mut self) {
        for tag in self.tags.drain(..) {
            docker::docker(&["image", "tag", &tag, &Self::kept()]);
            docker::docker(&["image", "rm", &tag]);
        }
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        for name in self.tags.drain(..).chain([Self::kept()]) {
            let _never_made = docker::Docker::of_this_machine().try_run(&["image", "rm", "--force", &name]);
        }
    }
}

fn new_task(title: &str, prompt: &str) -> NewTask {
    NewTask {
        title: Some(title.to_owned()),
        prompt: prompt.to_owned(),
        agent: None,
        project: None,
        limits: None,
        review: None,
        priority: None,
        attachments: Vec::new(),
    }
}

/// The first process of a container rests, and with it the guest: nobody inside can do that to it.
fn stop_guest(container: &str) {
    let pid = docker::docker(&["container", "inspect", "--format", "{{.State.Pid}}", container]);
    let pid = Pid::from_raw(pid.trim().parse().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
}

/// Goes through all points of which that holds.
async fn survives_all(holds: impl Fn(usize, Scene) -> bool) {
    let faults: Vec<_> = faults().into_iter().enumerate().filter(|(n, fault)| holds(*n, Scene::of(fault))).collect();
    let mut matrix = Matrix::start().await;
    let began = Instant::now();
    for (_, fault) in &faults {
        println!("{:>6.1} s  {fault}", began.elapsed().as_secs_f32());
        matrix.survives(fault).await;
    }
    println!("{}; {:?} in all", matrix.recoveries, began.elapsed());
    matrix.recoveries.are_bounded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_other_effect_of_a_run_loses_nothing() {
    survives_all(|number, scene| scene == Scene::Whole && number % 2 == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_the_effects_between_them_loses_nothing() {
    survives_all(|number, scene| scene == Scene::Whole && number % 2 == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_a_person_decides_or_something_ends_loses_nothing() {
    let is_elsewhere = |scene| {
        matches!(scene, Scene::Whole | Scene::Paused | Scene::Deaf | Scene::Built | Scene::Adapted | Scene::Bridged)
    };
    survives_all(|_, scene| !is_elsewhere(scene)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_around_the_end_of_a_paused_sandbox_loses_nothing() {
    survives_all(|_, scene| matches!(scene, Scene::Paused | Scene::Deaf)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_an_image_is_made_loses_nothing() {
    survives_all(|_, scene| matches!(scene, Scene::Built | Scene::Adapted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_around_the_network_of_a_sandbox_leaves_none_behind() {
    survives_all(|_, scene| scene == Scene::Bridged).await;
}
