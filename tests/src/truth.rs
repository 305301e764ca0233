//! What must hold of a run once an app that was killed has come back and the run is over.

use std::{collections::BTreeSet, fmt, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};
use wire::{
    ErrorView,
    call::{ListEvents, ListTasks},
    event::EventKind,
    view::RunView,
};

use crate::{TestApp, client::CallError, sample, until};

/// A task that proves itself in a second: a line in `began` for each time that it is started, with the attempt's number; 80 KB of
/// output that nobody could guess, and their SHA-256 in `sha256`.
pub const WITNESS: &str = r#"# A small witness

```sh
echo "$BERTH_ATTEMPT" >> began
{ echo '<begin>'; head -c 60000 /dev/urandom | base64; echo '<end>'; } > all
sha256sum all | cut -d ' ' -f 1 > sha256
cat all
rm all
sleep 0.6
```
"#;

/// How long it may take until what has happened is written down.
const RECORD_TIME_MAX: Duration = Duration::from_secs(30);
/// No recovery takes longer, the work that is left to do and a busy machine included.
const RECOVERY_TIME_MAX: Duration = Duration::from_mins(2);

/// Asserts that [`WITNESS`] was started once per attempt and that all of its last attempt's output is there. Returns its workspace.
pub async fn is_complete(app: &TestApp, view: &RunView, attempts: u32) -> Utf8PathBuf {
    let workspace = Utf8PathBuf::from(view.summary.workspace.as_deref().expect("a run that worked has a workspace"));
    let began = std::fs::read_to_string(workspace.join("began")).expect("the agent began");
    let expected: Vec<_> = (1..=attempts).map(|attempt| attempt.to_string()).collect();
    assert_eq!(began.lines().collect::<Vec<_>>(), expected, "each attempt begins once: {view:#?}");
    output_is_whole(app, view, workspace.join("sha256")).await;
    workspace
}

/// The same for the task of [`sample::witness`], which has one attempt.
pub async fn witness_is_whole(app: &TestApp, view: &RunView, workspace: &Utf8Path) {
    assert_eq!(std::fs::read_to_string(workspace.join("began")).expect("the agent began"), "once\n");
    output_is_whole(app, view, workspace.join("sha256")).await;
}

async fn output_is_whole(app: &TestApp, view: &RunView, said: Utf8PathBuf) {
    let output = app.run(["logs", &view.summary.run.to_string()]).await.good().stdout;
    let kept = sample::witnessed(&output);
    let said = std::fs::read_to_string(said).expect("the agent said what it wrote");
    assert_eq!(hex::encode(Sha256::digest(&kept)), said.trim(), "{} bytes of output were kept: {view:#?}", kept.len());
}

/// Asserts that the log of a run tells of each sandbox that it was made and is gone, once, and of the results once per attempt.
pub async fn is_accounted_for(app: &TestApp, view: &RunView, attempts: u32) {
    let attempts = usize::try_from(attempts).expect("attempts are few");
    let run = view.summary.run;
    until("every sandbox to be told of as removed", RECORD_TIME_MAX, async || {
        let list = ListEvents { task: Some(view.summary.task), after_seq: 0, limit: 1_000 };
        let events = app.call(list).await.expect("a task has a log");
        let of_run = || events.iter().filter(|event| event.run == Some(run)).map(|event| &event.kind);
        let made: Vec<_> = of_run()
            .filter_map(|kind| if let EventKind::SandboxCreated { sandbox } = kind { Some(sandbox) } else { None })
            .collect();
        let removed: Vec<_> = of_run()
            .filter_map(|kind| if let EventKind::SandboxRemoved { sandbox } = kind { Some(sandbox) } else { None })
            .collect();
        let finals = of_run().filter(|kind| matches!(kind, EventKind::ResultsFinal { .. })).count();
        assert_eq!(made.len(), attempts, "one sandbox for each attempt: {events:#?}");
        assert_eq!(finals, attempts, "the results of each attempt are told of once: {events:#?}");
        let is_each_once = removed.iter().collect::<BTreeSet<_>>().len() == removed.len();
        assert!(is_each_once, "a sandbox is removed once: {events:#?}");
        (made.iter().collect::<BTreeSet<_>>() == removed.iter().collect()).then_some(())
    })
    .await;
}

/// Waits until every folder of attached files belongs to a task.
pub async fn attachments_have_tasks(app: &TestApp) {
    until("attached files without a task to be taken away", RECORD_TIME_MAX, async || {
        let list = app.call(ListTasks { limit: 1_000, ..ListTasks::default() }).await.expect("there is a list");
        let tasks: BTreeSet<_> = list.rows.into_iter().map(|row| row.task.to_string()).collect();
        let folders = std::fs::read_dir(app.home().join("attachments")).into_iter().flatten().flatten();
        folders
            .map(|folder| folder.file_name().to_string_lossy().into_owned())
            .all(|name| tasks.contains(&name))
            .then_some(())
    })
    .await;
}

/// What an app answered; `None` where it did not live to.
///
/// # Errors
/// What it answered in place of a reply.
pub fn answered<T>(answer: Result<T, CallError>) -> Option<Result<T, ErrorView>> {
    match answer {
        Ok(reply) => Some(Ok(reply)),
        Err(CallError::Refused(error)) => Some(Err(error)),
        Err(CallError::Away(_)) => None,
    }
}

/// How long runs took from the start of an app that follows on a killed one to their good end.
#[derive(Debug, Default)]
pub struct Recoveries {
    all: Vec<(Duration, String)>,
}

impl Recoveries {
    /// Takes one down.
    pub fn add(&mut self, what: &str, took: Duration) {
        self.all.push((took, what.to_owned()));
        self.all.sort();
    }

    /// Asserts that none took unreasonably long.
    pub fn are_bounded(&self) {
        let (longest, what) = self.all.last().expect("there were some");
        assert!(*longest < RECOVERY_TIME_MAX, "{what} took {longest:?}");
    }
}

impl fmt::Display for Recoveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |percent: usize| self.all.get(self.all.len().saturating_sub(1) * percent / 100);
        write!(f, "{} recoveries", self.all.len())?;
        for (name, percent) in [("p50", 50), ("p95", 95), ("max", 100)] {
            if let Some((took, what)) = at(percent) {
                write!(f, ", {name} {:.2} s ({what})", took.as_secs_f32())?;
            }
        }
        Ok(())
    }
}
