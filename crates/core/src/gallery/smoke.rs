//! Tries an image: in a sandbox without a network card, as the agent's user, the image's own test says of each thing whether it works.
//!
//! It is a sandbox like any other but for its home and its workspace, which are in memory. Nothing that it says is believed beyond
//! whether the image may be used: it is bounded in time, in bytes and in lines, and made safe to show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::{Engine, EngineError, Image};
use newtype_uuid::GenericUuid as _;
use pipe::PipeError;
use pipe::host::{CallError, ExitRecord, ExitStatus, Guest, Options, Output, OutputEvent, Start, StartError};
use store::SmokeRecord;
use tokio::time::timeout;
use tracing::warn;
use wire::{
    Limits,
    ids::{ProcessKind, SandboxId},
    image::SmokeView,
};

use crate::clock::new_id;
use crate::engine_link::Up;
use crate::fault_points::{Point, around};
use crate::guest_volume::{self, GuestVolumeError};
use crate::home::HOME_FOLDER;
use crate::house::House;
use crate::images::fit::FitError;
use crate::images::needs::Needs;
use crate::images::record::Recorder;
use crate::images::{ImageError, Recipe, Trial};
use crate::sandbox::{self, Card, PATH, Plan, Rooms};
use crate::{escape, faults};

/// The image's own test.
const TEST: &str = "/usr/local/share/berth/smoke";
/// How long it may take.
const TIME_MAX: Duration = Duration::from_mins(3);
/// How long all of it may take, the sandbox's making and end included.
const WHOLE_TIME_MAX: Duration = Duration::from_mins(5);
/// Most bytes of its output that are looked at.
const OUTPUT_BYTES_MAX: usize = 256 << 10;
/// Most things that are said to have failed.
const FAILED_MAX: usize = 50;
/// Longest line of these, in bytes.
const LINE_BYTES_MAX: usize = 500;
/// How a line begins of what works, and of what does not.
const OK: &str = "ok ";
const FAILED: &str = "FAILED ";

/// Why an image could not be tried.
#[derive(Debug, thiserror::Error)]
pub(super) enum SmokeError {
    /// The engine's.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Something of the image is in the way, Berth's own program is missing, or the guest did not do its part: in words.
    #[error("{0}")]
    Unusable(String),
}

impl From<PipeError> for SmokeError {
    fn from(error: PipeError) -> Self {
        Self::Unusable(escape::visible(format!("its sandbox does not answer: {}", faults::chain(&error)).as_bytes()))
    }
}

impl From<CallError> for SmokeError {
    fn from(error: CallError) -> Self {
        Self::Unusable(escape::visible(format!("its sandbox does not answer: {}", faults::chain(&error)).as_bytes()))
    }
}

/// The sandboxes in which images are tried. Nothing of them is written down; while one is here nobody takes it for a leftover.
pub(super) struct Listed<'a> {
    house: &'a House,
    sandbox: SandboxId,
}

impl<'a> Listed<'a> {
    fn new(house: &'a House, sandbox: SandboxId) -> Self {
        house.builds.set_trial(sandbox, true);
        Self { house, sandbox }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.house.builds.set_trial(self.sandbox, false);
        // Where this was given up half-way, something is left to be found.
        self.house.compare_nudge.notify_one();
    }
}

/// Tries an image; `None` where it brings no test.
///
/// # Cancel safety
/// Dropping the future leaves the sandbox to whoever looks for leftovers.
pub(super) async fn run(house: &House, up: &Up, image: &Image, needs: Needs) -> Result<Option<SmokeView>, SmokeError> {
    let engine = up.engine.as_ref();
    let listed = Listed::new(house, new_id());
    let trying = async {
        let container = {
            // Until the container is made: what is filled goes through containers that would be taken for leftovers.
            let _filling = house.filling.read().await;
            let plan = plan(house, up, listed.sandbox, image, needs).await?;
            plan.make(engine, &up.facts).await?
        };
        inside(house, engine, &container.id, image).await
    };
    let tried = timeout(WHOLE_TIME_MAX, trying).await;
    let removed = sandbox::remove(engine, listed.sandbox).await;
    let tried = tried.unwrap_or_else(|_elapsed| {
        Err(SmokeError::Unusable(format!("it was not done after {} minutes", WHOLE_TIME_MAX.as_secs() / 60)))
    });
    if let Err(error) = removed {
        warn!(%error, sandbox = %listed.sandbox, "the sandbox in which an image was tried is taken away later");
    }
    tried
}

async fn plan(house: &House, up: &Up, sandbox: SandboxId, image: &Image, needs: Needs) -> Result<Plan, SmokeError> {
    let engine = up.engine.as_ref();
    let fitted = house.fitting.fit(engine, &house.install.to_string(), house.owner, image).await;
    let fitted = fitted.map_err(|error| match error {
        FitError::Engine(error) => SmokeError::Engine(error),
        error @ FitError::InTheWay { .. } => SmokeError::Unusable(error.to_string()),
    })?;
    let guest_volume = guest_volume::made_sure(house, up).await.map_err(|error| match error {
        GuestVolumeError::Engine(error) => SmokeError::Engine(error),
        error @ (GuestVolumeError::NoGuest { .. } | GuestVolumeError::Changed { .. }) => {
            SmokeError::Unusable(faults::chain(&error))
        }
    })?;
    Ok(Plan {
        install: house.install,
        sandbox,
        // Of no run and no agent that anybody knows.
        run: new_id(),
        agent: new_id(),
        image: fitted.into(),
        guest_volume,
        rooms: Rooms::InMemory,
        limits: Limits::default(),
        owner: house.owner,
        card: Card::None,
        needs,
    })
}

async fn inside(
    house: &House,
    engine: &dyn Engine,
    container: &engine::ContainerId,
    image: &Image,
) -> Result<Option<SmokeView>, SmokeError> {
    let opened = sandbox::start(engine, container).await?;
    let guest = around(Point::GuestConnect, Guest::connect(opened.duplex, Options::default())).await?;
    let id = pipe::ProcessId::from_bytes(*new_id::<ProcessKind>().into_untyped_uuid().as_bytes());
    let start = Start { env: environment(image), wall_clock: Some(TIME_MAX), ..Start::new(id, [TEST], HOME_FOLDER) };
    let (text, exit) = match guest.start_attached(&start).await {
        Ok((_, mut output)) => read(&guest, id, &mut output).await?,
        Err(StartError::ProgramNotFound { .. }) => return Ok(None),
        Err(StartError::Pipe(error)) => return Err(error.into()),
        Err(error) => {
            let failed = vec![shown(&format!("{TEST}: {error}"))];
            return Ok(Some(SmokeView { passed: false, tried: 1, failed, at: house.time.now() }));
        }
    };
    let (tried, failed) = judged(&text, exit.status);
    Ok(Some(SmokeView { passed: failed.is_empty(), tried, failed, at: house.time.now() }))
}

/// What an agent's process in the image would have, and no agent's own.
fn environment(image: &Image) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut all = BTreeMap::from([pair("PATH", PATH), pair("LANG", "C.UTF-8")]);
    all.extend(image.env.iter().filter_map(|variable| variable.split_once('=')).map(|(name, value)| pair(name, value)));
    all.extend([pair("HOME", HOME_FOLDER), pair("USER", "agent"), pair("LOGNAME", "agent")]);
    all.into_iter().collect()
}

/// Its output to its end, as far as it is looked at, and how it ended.
async fn read(guest: &Guest, id: pipe::ProcessId, output: &mut Output) -> Result<(Vec<u8>, ExitRecord), SmokeError> {
    let mut text = Vec::new();
    loop {
        match output.next().await? {
            Some(OutputEvent::Chunk { offset, bytes }) => {
                let room = OUTPUT_BYTES_MAX.saturating_sub(text.len());
                text.extend_from_slice(&bytes[..bytes.len().min(room)]);
                guest.acknowledge(id, offset + bytes.len() as u64).await?;
            }
            Some(OutputEvent::Gap { .. }) => {}
            Some(OutputEvent::Exited(exit)) => return Ok((text, exit)),
            None => return Err(SmokeError::Unusable("its sandbox ended in the middle of it".to_owned())),
        }
    }
}

/// How many things were tried, and which failed. A test that says nothing, or that ends badly, has failed itself.
fn judged(text: &[u8], status: ExitStatus) -> (u32, Vec<String>) {
    let text = String::from_utf8_lossy(text);
    let mut failed: Vec<String> = text.lines().filter_map(|line| line.strip_prefix(FAILED)).map(shown).collect();
    let worked = text.lines().filter(|line| line.starts_with(OK)).count();
    let mut tried = u32::try_from(worked + failed.len()).unwrap_or(u32::MAX);
    let ended_badly = match status {
        ExitStatus::Exited { code: 0 } if tried == 0 => Some("the test says nothing of what it tried".to_owned()),
        ExitStatus::Exited { code: 0 } => None,
        ExitStatus::Exited { code } => Some(format!("the test ended with exit code {code}")),
        ExitStatus::Signaled { number } => Some(format!("the test was ended by signal {number}")),
        ExitStatus::WallClock => Some(format!("the test was not done after {} minutes", TIME_MAX.as_secs() / 60)),
        ExitStatus::Lost => Some("nobody knows how the test ended".to_owned()),
        ExitStatus::GuestEnded => Some("its sandbox was ended from outside".to_owned()),
    };
    if failed.is_empty()
        && let Some(mut why) = ended_badly
    {
        if let Some(last) = text.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with(OK)) {
            why = format!("{why}: {}", shown(last));
        }
        failed.push(why);
        tried += 1;
    }
    failed.truncate(FAILED_MAX);
    (tried, failed)
}

fn shown(line: &str) -> String {
    escape::visible(&line.as_bytes()[..line.floor_char_boundary(LINE_BYTES_MAX)])
}

/// Tries what was built before it gets its name, and writes down how it went.
pub(super) struct Tried {
    pub(super) house: Arc<House>,
    pub(super) up: Arc<Up>,
}

#[async_trait]
impl Trial for Tried {
    async fn run(&self, recipe: &Recipe, image: &Image, record: &Recorder) -> Result<(), ImageError> {
        let name = || recipe.name.clone();
        let view = match run(&self.house, &self.up, image, recipe.needs.clone()).await {
            Ok(Some(view)) => view,
            Ok(None) => {
                record.say(&format!("It brings no test ({TEST}): that its sandbox starts was tried."));
                return Ok(());
            }
            Err(SmokeError::Engine(source)) => return Err(ImageError::Engine { name: name(), source }),
            Err(SmokeError::Unusable(why)) => return Err(ImageError::Untried { name: name(), why }),
        };
        for failed in &view.failed {
            record.say(&format!("{FAILED}{failed}"));
        }
        record.say(&format!(
            "{} of {} things that were tried work.",
            view.tried as usize - view.failed.len(),
            view.tried
        ));
        note(&self.house, &recipe.name, image, &view).await;
        if view.passed {
            return Ok(());
        }
        Err(ImageError::Smoke { name: name(), tried: view.tried, failed: view.failed })
    }
}

/// Writes down how an image did. Where that fails it is not known later, and nothing else is wrong.
pub(super) async fn note(house: &House, name: &str, image: &Image, view: &SmokeView) {
    let record = SmokeRecord { image: name.to_owned(), image_id: image.id.as_str().to_owned(), view: view.clone() };
    if let Err(error) = house.store.set_smoke(&record).await {
        warn!(%error, image = name, "how an image did could not be written down");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_fails_by_a_line_by_its_exit_and_by_saying_nothing() {
        let good = ExitStatus::Exited { code: 0 };
        assert_eq!(judged(b"ok git\nok node 24\nchatter\n", good), (2, Vec::new()));
        assert_eq!(
            judged(b"ok git\nFAILED node: \x1b[2Jnot found\n", good),
            (2, vec!["node: \\u{1b}[2Jnot found".to_owned()])
        );
        assert_eq!(judged(b"", good).1, ["the test says nothing of what it tried"]);
        let bad = ExitStatus::Exited { code: 127 };
        assert_eq!(
            judged(b"ok git\nsh: claude: not found\n", bad),
            (2, vec!["the test ended with exit code 127: sh: claude: not found".to_owned()])
        );
        assert_eq!(judged(b"ok git\n", ExitStatus::WallClock).1, ["the test was not done after 3 minutes"]);
    }

    #[test]
    fn what_a_hostile_test_says_is_bounded() {
        let flood = format!("FAILED {}\n", "x".repeat(2_000)).repeat(100);
        let (tried, failed) = judged(flood.as_bytes(), ExitStatus::Exited { code: 1 });
        assert_eq!((tried, failed.len()), (100, FAILED_MAX));
        assert!(failed.iter().all(|line| line.len() <= LINE_BYTES_MAX));
    }
}
