//! One of those who keep the Berth busy: hands in a task, does something to it, and checks what came of it.

use std::sync::Arc;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_tests::docker::Docker;
use sha2::{Digest as _, Sha256};
use wire::{
    Action, ErrorCode, Phase,
    call::{Act, CancelRun, CreateTask, ListResults, ListTasks, ReadResult, ShowRun, ShowTask, TaskCreated},
    ids::RunId,
    stream::{ShellProgram, StreamTarget, TerminalInput},
    task::{NewTask, ReviewGate},
    view::RunView,
};

use crate::{
    berth::{Watch, agent_name},
    bounds::{KEPT_READ_AGAIN, TASK_MAX},
    screen::{Cut, Screen, whole_output},
    task::{BEGAN, Lines, WITNESS, own, parting},
};

/// How often a run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(700);
/// How often something is tried that the app is in the way of by coming and going.
const TRIES_MAX: usize = 20;

/// What can be done with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Short,
    Loud,
    Long,
    Files,
    Cancel,
    Retry,
    Approve,
    Changes,
    Reject,
    Shell,
    Lost,
}

/// Each kind with how often it comes.
const KINDS: [(Kind, u32); 11] = [
    (Kind::Short, 5),
    (Kind::Loud, 3),
    (Kind::Long, 8),
    (Kind::Files, 2),
    (Kind::Cancel, 4),
    (Kind::Retry, 2),
    (Kind::Approve, 2),
    (Kind::Changes, 2),
    (Kind::Reject, 1),
    (Kind::Shell, 3),
    (Kind::Lost, 2),
];

/// A run whose output can be read again.
#[derive(Clone, Copy)]
struct Kept {
    run: RunId,
    lines: Lines,
    is_whole: bool,
}

/// What all workers found.
#[derive(Default)]
pub(crate) struct Tally {
    ends: Mutex<BTreeMap<(String, &'static str), u64>>,
    violations: Mutex<Vec<String>>,
    kept: Mutex<Vec<Kept>>,
}

impl Tally {
    pub(crate) fn violation(&self, words: String) {
        eprintln!("violation: {words}");
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(words);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs by kind and end.
    pub(crate) fn ends(&self) -> BTreeMap<(String, &'static str), u64> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs that have ended.
    pub(crate) fn runs(&self) -> u64 {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    fn ended(&self, kind: Kind, view: &RunView) {
        let key = (format!("{kind:?}").to_lowercase(), view.summary.phase.word());
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }

    fn keep(&self, kept: Kept) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
    }

    /// Reads some of the ended runs once more: what they printed must still be there.
    pub(crate) async fn verify_kept(&self, berth: &Watch, chance: &mut fastrand::Rng) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        chance.shuffle(&mut kept);
        for kept in kept.into_iter().take(KEPT_READ_AGAIN) {
            if let Err(words) = verify_output(berth, kept).await {
                self.violation(format!("run {} read again: {words}", kept.run));
            }
        }
    }
}

/// One of those who keep the Berth busy.
pub(crate) struct Worker {
    number: usize,
    chance: fastrand::Rng,
    berth: Watch,
    tally: Arc<Tally>,
    /// Tasks so far.
    count: u32,
}

/// What is wrong, in words.
type Checked<T = ()> = Result<T, String>;

impl Worker {
    pub(crate) fn new(number: usize, seed: u64, berth: Watch, tally: Arc<Tally>) -> Self {
        Self { number, chance: fastrand::Rng::with_seed(seed), berth, tally, count: 0 }
    }

    /// Works until then, and brings to its end what it has begun.
    pub(crate) async fn work(mut self, until: Instant) {
        while Instant::now() < until {
            let kind = self.choose();
            self.count += 1;
            let named = format!("{kind:?} {}", self.title());
            match tokio::time::timeout(TASK_MAX, Box::pin(self.carry_out(kind))).await {
                Ok(Ok(())) => {}
                Ok(Err(words)) => self.tally.violation(format!("{named}: {words}")),
                Err(_) => self.tally.violation(format!("{named} had not come to its end after {TASK_MAX:?}")),
            }
        }
    }

    fn choose(&mut self) -> Kind {
        let mut at = self.chance.u32(0..KINDS.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in KINDS {
            if at < weight {
                return kind;
            }
            at -= weight;
        }
        Kind::Short
    }

    /// No two tasks have the same.
    fn title(&self) -> String {
        format!("soak{}task{}", self.number, self.count)
    }

    fn lines(&mut self, kind: Kind) -> Lines {
        let seed = self.chance.u32(..);
        let lines = |count, padding, batch, pause_ms| Lines { seed, count, padding, batch, pause_ms };
        match kind {
            Kind::Short | Kind::Files | Kind::Retry => lines(self.chance.u32(1..200), 40, 20, 50),
            Kind::Loud => lines(self.chance.u32(2_000..20_000), 180, 500, 100),
            Kind::Long => lines(self.chance.u32(400..1_500), 60, 1, 100),
            Kind::Shell => lines(self.chance.u32(150..600), 60, 1, 100),
            Kind::Approve | Kind::Changes | Kind::Reject => lines(self.chance.u32(10..100), 30, 5, 100),
            Kind::Cancel | Kind::Lost => lines(self.chance.u32(20..400), 60, 2, 60),
        }
    }

    async fn carry_out(&mut self, kind: Kind) -> Checked {
        let lines = self.lines(kind);
        let mark = format!("mark-{}", self.title());
        let prompt = match kind {
            Kind::Cancel | Kind::Lost => lines.endless(),
            Kind::Retry => lines.failing_once(&mark),
            Kind::Files => lines.prompt(200),
            Kind::Short | Kind::Loud | Kind::Long | Kind::Approve | Kind::Changes | Kind::Reject | Kind::Shell => {
                lines.prompt(1)
            }
        };
        let created = self.create(kind, prompt).await?;
        let run = created.run;
        match kind {
            Kind::Short | Kind::Loud | Kind::Long => self.completes(kind, run, lines, 1).await,
            Kind::Files => {
                self.completes(kind, run, lines, 1).await?;
                let list = self.results(run).await?;
                let files = list.results.iter().filter(|result| result.path.starts_with("file-")).count();
                if files == 200 { Ok(()) } else { Err(format!("{files} of 200 files are results")) }
            }
            Kind::Cancel => {
                tokio::time::sleep(Duration::from_millis(self.chance.u64(0..15_000))).await;
                self.berth.call(CancelRun { run: run.to_string() }).await.map_err(|error| format!("{error:?}"))?;
                self.ends(kind, run, Phase::Cancelled).await?;
                verify_output(&self.berth, self.kept(run, lines, false)).await
            }
            Kind::Retry => {
                self.ends(kind, run, Phase::Failed).await?;
                verify_output(&self.berth, self.kept(run, lines, true)).await?;
                let next = self.retry(&created).await?;
                self.completes(kind, next, lines, 1).await
            }
            Kind::Approve | Kind::Changes | Kind::Reject => self.review(kind, run, lines).await,
            Kind::Shell => {
                self.use_shell(run).await?;
                self.completes(kind, run, lines, 1).await
            }
            Kind::Lost => self.lose(kind, run, lines).await,
        }
    }

    /// Hands a task in. Where nobody knows whether it arrived, it is looked for by its title first.
    async fn create(&mut self, kind: Kind, prompt: String) -> Checked<TaskCreated> {
        let review = match kind {
            Kind::Approve | Kind::Changes | Kind::Reject => ReviewGate::Ask,
            Kind::Short
            | Kind::Loud
            | Kind::Long
            | Kind::Files
            | Kind::Cancel
            | Kind::Retry
            | Kind::Shell
            | Kind::Lost => ReviewGate::Skip,
        };
        let title = self.title();
        for _ in 0..TRIES_MAX {
            let task = NewTask {
                title: Some(title.clone()),
                prompt: prompt.clone(),
                agent: Some(agent_name(self.number)),
                project: None,
                limits: None,
                review: Some(review),
                priority: None,
                attachments: Vec::new(),
            };
            if let Some(answer) = self.berth.call_once(CreateTask { task }).await {
                return answer.map_err(|error| format!("it is refused: {error:?}"));
            }
            let list = ListTasks { phases: Vec::new(), search: title.clone(), limit: 100, offset: 0 };
            let list = self.berth.call(list).await.map_err(|error| format!("{error:?}"))?;
            let same: Vec<_> = list.rows.iter().filter(|row| row.title == title).collect();
            if let Some(row) = same.first() {
                return Ok(TaskCreated { task: row.task, number: row.number, run: row.run });
            }
        }
        Err("it could not be handed in: the app is always away".to_owned())
    }

    async fn show(&self, run: RunId) -> Checked<RunView> {
        self.berth.call(ShowRun { run: run.to_string() }).await.map_err(|error| format!("{error:?}"))
    }

    async fn results(&self, run: RunId) -> Checked<wire::view::ResultList> {
        self.berth.call(ListResults { run: run.to_string() }).await.map_err(|error| format!("{error:?}"))
    }

    /// The run once `is` says so.
    async fn once(&self, run: RunId, is: impl Fn(&RunView) -> bool) -> Checked<RunView> {
        loop {
            let view = self.show(run).await?;
            if is(&view) {
                return Ok(view);
            }
            if view.summary.phase.is_final() {
                let error = view.summary.error.map(|error| format!("{error:?}")).unwrap_or_default();
                return Err(format!("it ended otherwise: {} {error}", view.summary.phase.word()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn ends(&self, kind: Kind, run: RunId, phase: Phase) -> Checked<RunView> {
        let view = self.once(run, |view| view.summary.phase == phase).await?;
        self.tally.ended(kind, &view);
        Ok(view)
    }

    fn kept(&self, run: RunId, lines: Lines, is_whole: bool) -> Kept {
        let kept = Kept { run, lines, is_whole };
        self.tally.keep(kept);
        kept
    }

    /// The run completes, with all of its output, once, and the results that prove it.
    async fn completes(&self, kind: Kind, run: RunId, lines: Lines, attempts: usize) -> Checked {
        let view = self.ends(kind, run, Phase::Completed).await?;
        verify_output(&self.berth, self.kept(run, lines, true)).await?;
        let said = self.read(run, WITNESS).await?;
        if said != hex::encode(Sha256::digest(lines.expected())) {
            return Err(format!("the agent says that it printed something else: {said}"));
        }
        let began = self.read(run, BEGAN).await?.lines().count();
        if began != attempts || view.steps.iter().any(|step| step.attempt as usize != attempts) {
            return Err(format!("the agent was started {began} times for {attempts} attempts: {:?}", view.steps));
        }
        let list = self.results(run).await?;
        match list.results.iter().find(|result| !result.is_final) {
            Some(result) => Err(format!("the result {} is not final", result.path)),
            None => Ok(()),
        }
    }

    /// A small result as text.
    async fn read(&self, run: RunId, name: &str) -> Checked<String> {
        let read = ReadResult { run: run.to_string(), key: name.to_owned(), offset: 0, length: 0 };
        let content = self.berth.call(read).await.map_err(|error| format!("{name} cannot be read: {error:?}"))?;
        let bytes = STANDARD.decode(&content.base64).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|error| error.to_string())
    }

    /// Runs the task once more; the new run.
    async fn retry(&self, created: &TaskCreated) -> Checked<RunId> {
        for _ in 0..TRIES_MAX {
            let view = self.show(created.run).await?;
            let step = view.steps.first().ok_or("a run without a step")?.step;
            let act = Act { step, action: Action::Retry, comment: String::new() };
            let answer = self.berth.call_once(act).await;
            let task = ShowTask { task: created.task.to_string() };
            let task = self.berth.call(task).await.map_err(|error| format!("{error:?}"))?;
            match (task.runs.as_slice(), answer) {
                ([_, next], _) => return Ok(next.summary.run),
                (_, Some(Err(error))) => return Err(format!("the retry is refused: {error:?}")),
                ([_], None) => {}
                (runs, _) => return Err(format!("{} runs after one retry", runs.len())),
            }
        }
        Err("it could not be retried: the app is always away".to_owned())
    }

    async fn review(&mut self, kind: Kind, run: RunId, lines: Lines) -> Checked {
        let waits = |attempt| {
            move |view: &RunView| {
                view.summary.phase == Phase::AwaitingReview && view.steps.iter().all(|step| step.attempt == attempt)
            }
        };
        self.once(run, waits(1)).await?;
        let attempts = match kind {
            Kind::Changes => {
                self.decide(run, Action::RequestChanges, "once more").await?;
                self.once(run, waits(2)).await?;
                2
            }
            Kind::Short
            | Kind::Loud
            | Kind::Long
            | Kind::Files
            | Kind::Cancel
            | Kind::Retry
            | Kind::Approve
            | Kind::Reject
            | Kind::Shell
            | Kind::Lost => 1,
        };
        tokio::time::sleep(Duration::from_millis(self.chance.u64(0..10_000))).await;
        if kind == Kind::Reject {
            self.decide(run, Action::Reject, "not wanted").await?;
            self.ends(kind, run, Phase::Failed).await?;
            return verify_output(&self.berth, self.kept(run, lines, true)).await;
        }
        self.decide(run, Action::Approve, "").await?;
        self.completes(kind, run, lines, attempts).await
    }

    /// Says something to a step that waits for review; said twice, where nobody knows whether it was heard, it is refused.
    async fn decide(&self, run: RunId, action: Action, comment: &str) -> Checked {
        for _ in 0..TRIES_MAX {
            let view = self.show(run).await?;
            let step = view.steps.first().ok_or("a run without a step")?;
            if step.phase != Phase::AwaitingReview {
                return Ok(());
            }
            let act = Act { step: step.step, action, comment: comment.to_owned() };
            match self.berth.call_once(act).await {
                Some(Ok(_)) => return Ok(()),
                Some(Err(error)) if error.code == ErrorCode::NotNow => {}
                Some(Err(error)) => return Err(format!("{action:?} is refused: {error:?}")),
                None => {}
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(format!("{action:?} was not heard"))
    }

    /// Types into a shell beside the agent, floods it, leaves it. It may be cut off with the app, and with the agent's end.
    async fn use_shell(&mut self, run: RunId) -> Checked {
        let view =
            self.once(run, |view| view.summary.phase != Phase::Queued && view.summary.phase != Phase::Provisioning);
        let view = view.await?;
        let step = view.steps.first().ok_or("a run without a step")?.step;
        let client = self.berth.client().await;
        let target = StreamTarget::Shell { step, columns: 120, rows: 40, program: ShellProgram::Shell };
        let used = async {
            let mut shell = Screen::open(&client, target).await?;
            shell.exchange("echo ready-$((6*7))\n", "ready-42").await?;
            shell.send(&TerminalInput::Resize { columns: 80, rows: 24 }).await?;
            shell.exchange("head -c 2000000 /dev/zero | base64; echo flooded-$((6*7))\n", "flooded-42").await?;
            let mut output = Screen::open(&client, StreamTarget::Output { step, from: 0 }).await?;
            for _ in 0..5 {
                output.next().await?;
            }
            Ok(())
        };
        let used: Result<(), Cut> = used.await;
        let is_over = self.show(run).await?.summary.phase != Phase::Executing;
        match used {
            Ok(()) | Err(Cut::Away) => Ok(()),
            Err(Cut::Ended(_)) if is_over => Ok(()),
            // The app has just come back, and is not connected to the guest yet.
            Err(Cut::Ended(reason)) if self.berth.pid() != Some(client.pid) || reason.contains("at the moment") => {
                Ok(())
            }
            Err(Cut::Ended(reason)) => Err(format!("the shell ended: {reason}")),
            Err(Cut::Silent(words)) => Err(words),
        }
    }

    /// Kills a sandbox from outside: the step fails and says so, with everything that was printed until then.
    async fn lose(&mut self, kind: Kind, run: RunId, lines: Lines) -> Checked {
        self.once(run, |view| {
            view.summary.phase == Phase::Executing && view.steps.iter().all(|step| step.output_bytes > 0)
        })
        .await?;
        tokio::time::sleep(Duration::from_millis(self.chance.u64(0..8_000))).await;
        let filter = format!("label=berth.run={run}");
        let is_removed = self.chance.bool();
        let killed = tokio::task::spawn_blocking(move || {
            let id = Docker::of_this_machine().try_run(&["ps", "--quiet", "--filter", &filter])?;
            let verb: &[&str] = if is_removed { &["container", "rm", "--force"] } else { &["container", "kill"] };
            id.lines().try_for_each(|id| Docker::of_this_machine().try_run(&[verb, &[id]].concat()).map(drop))
        });
        killed.await.map_err(|error| error.to_string())??;
        let view = self.ends(kind, run, Phase::Failed).await?;
        match view.summary.error {
            Some(error) if error.code == ErrorCode::SandboxLost => {}
            error => return Err(format!("a killed sandbox is explained with {error:?}")),
        }
        verify_output(&self.berth, self.kept(run, lines, false)).await
    }
}

/// What a run printed is what it was told to print: whole, or how that begins.
async fn verify_output(berth: &Watch, kept: Kept) -> Checked {
    let view = berth.call(ShowRun { run: kept.run.to_string() }).await.map_err(|error| format!("{error:?}"))?;
    let step = view.steps.first().ok_or("a run without a step")?;
    for _ in 0..TRIES_MAX {
        let client = berth.client().await;
        let output = match whole_output(&client, step.step).await {
            Ok(output) => output,
            Err(Cut::Away) => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            Err(cut) => return Err(format!("its output cannot be read: {cut:?}")),
        };
        if output.len() as u64 != step.output_bytes {
            return Err(format!("{} bytes of output are kept, and {} are named", output.len(), step.output_bytes));
        }
        let expected = kept.lines.expected();
        let found = match own(&output) {
            Some(found) => found,
            None if kept.is_whole => return Err(format!("nothing of its own in {} bytes of output", output.len())),
            None => return Ok(()),
        };
        if let Some(words) = parting(&expected, &found) {
            return Err(format!("output {words}"));
        }
        if kept.is_whole && found.len() != expected.len() {
            return Err(format!("{} of {} bytes of output", found.len(), expected.len()));
        }
        return Ok(());
    }
    Err("its output could not be read: the app is always away".to_owned())
}
