//! Answers requests. One arm per call; what is more than a few lines is elsewhere.

mod named;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use store::{AttachmentRecord, EventFilter, NewRun, NewStep, StepRecord, StoreError, TaskFilter};
use tracing::warn;
use wire::{
    Action, Call, ErrorCode, ErrorView, EventKind, Request,
    call::{
        Act, CancelRun, ChangeQueue, CreateTask, HelloReply, ListEvents, ListTasks, ReadResult, SetPriority,
        StreamTicket, TaskCreated,
    },
    queue::QueueView,
    stream::Update,
    task::NewTask,
    upkeep::{MarkSeen, Seen},
    view::{ContentView, RunSummary, StepView, TaskList, TaskRow},
};

pub(crate) use named::find_run;
use named::find_task;

use crate::access::{compute, costs, reach, requests, secrets};
use crate::clock::new_id;
use crate::fault_points::{Point, around};
use crate::house::House;
use crate::runner::handle::Away;
use crate::runner::step;
use crate::workspace::Workspace;
use crate::{
    agents, doctor, escape, faults, gallery, home, intake, line, news, projects, results, retention, upkeep, views,
};

/// A task file that shows Berth at work.
const SAMPLE: &str = include_str!("../../../docs/samples/hello.md");
/// Rows where a call names no number.
const LIMIT_DEFAULT: u32 = 200;
/// How long a person waits for what they asked for to be written down.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// Most rows of one call.
const LIMIT_MAX: u32 = 1_000;

/// Answers one request.
#[allow(clippy::too_many_lines, reason = "an arm a call, and nothing else")]
pub(crate) async fn answer(house: &Arc<House>, request: Request) -> Result<serde_json::Value, ErrorView> {
    match request {
        Request::Hello(call) => reply(&call, Ok(hello(house))),
        Request::Status(call) => reply(&call, views::status(house).await.map_err(|error| of_store(&error))),
        Request::PreviewTask(call) => {
            let source = call.source.clone();
            reply(&call, intake::preview(source).await)
        }
        Request::CreateTask(call) => {
            let (owner, task) = (house.clone(), call.clone());
            let created = whole(house, async move { create_task(&owner, &task).await }).await;
            reply(&call, created)
        }
        Request::ListTasks(call) => reply(&call, list_tasks(house, &call).await),
        Request::ShowTask(call) => {
            let found = find_task(house, &call.task).await;
            let view = match found {
                Ok(record) => views::task(house, record).await.map_err(|error| of_store(&error)),
                Err(error) => Err(error),
            };
            reply(&call, view)
        }
        Request::ShowRun(call) => {
            let view = match find_run(house, &call.run).await {
                Ok(record) => views::run(house, record).await.map_err(|error| of_store(&error)),
                Err(error) => Err(error),
            };
            reply(&call, view)
        }
        Request::Act(call) => {
            let (owner, action) = (house.clone(), call.clone());
            let acted = whole(house, async move { act(&owner, &action).await }).await;
            reply(&call, acted)
        }
        Request::CancelRun(call) => reply(&call, cancel_run(house, &call).await),
        Request::ShowQueue(call) => reply(&call, line::show(house).await),
        Request::ChangeQueue(call) => reply(&call, change_queue(house, &call).await),
        Request::SetPriority(call) => reply(&call, set_priority(house, &call).await),
        Request::ListResults(call) => {
            let list = match find_run(house, &call.run).await {
                Ok(record) => views::result_list(house, record.run).await.map_err(|error| of_store(&error)),
                Err(error) => Err(error),
            };
            reply(&call, list)
        }
        Request::ReadResult(call) => {
            let content = read_result(house, &call).await;
            reply(&call, content)
        }
        Request::ListEvents(call) => {
            let filter = filter_of(&call);
            reply(&call, house.store.events(filter).await.map_err(|error| of_store(&error)))
        }
        Request::ListNews(call) => reply(&call, news::list(house, &call).await),
        Request::ShowNewsSettings(call) => reply(&call, news::settings(house).await),
        Request::SetNews(call) => reply(&call, news::set(house, &call).await),
        Request::ListAgents(call) => reply(&call, agents::list(house).await),
        Request::CreateAgent(call) => {
            let created = agents::create(house, call.clone()).await;
            reply(&call, created)
        }
        Request::UpdateAgent(call) => {
            let (owner, change) = (house.clone(), call.clone());
            let updated = whole(house, async move { agents::update(&owner, change).await }).await;
            reply(&call, updated)
        }
        Request::DuplicateAgent(call) => {
            let made = agents::duplicate(house, &call).await;
            reply(&call, made)
        }
        Request::DeleteAgent(call) => {
            let (owner, delete) = (house.clone(), call.clone());
            let deleted = whole(house, async move { agents::delete(&owner, delete).await }).await;
            reply(&call, deleted)
        }
        Request::ListHomes(call) => reply(&call, home::list(house).await),
        Request::ResetHome(call) => {
            let (owner, reset) = (house.clone(), call.clone());
            let done = whole(house, async move { home::reset(&owner, &reset.home, &reset.confirm).await }).await;
            reply(&call, done)
        }
        Request::DeleteHome(call) => {
            let (owner, delete) = (house.clone(), call.clone());
            let done = whole(house, async move { home::delete(&owner, &delete.home, &delete.confirm).await }).await;
            reply(&call, done)
        }
        Request::MeasureHome(call) => {
            let measured = home::measure(house, &call.home).await;
            reply(&call, measured)
        }
        Request::CancelHomeWork(call) => {
            let cancelled = home::cancel(house, &call.home).await;
            reply(&call, cancelled)
        }
        Request::BrowseHome(call) => {
            let folder = home::browse(house, &call).await;
            reply(&call, folder)
        }
        Request::ReadHome(call) => {
            let content = home::read(house, &call).await;
            reply(&call, content)
        }
        Request::ListImages(call) => reply(&call, gallery::list(house).await),
        Request::BuildImage(call) => {
            let (owner, asked) = (house.clone(), call.clone());
            let done = whole(house, async move { gallery::build(&owner, &asked).await }).await;
            reply(&call, done)
        }
        Request::ShowBuild(call) => reply(&call, gallery::show(house, &call).await),
        Request::CancelBuild(call) => reply(&call, gallery::cancel(house, &call).await),
        Request::SmokeImage(call) => {
            let (owner, smoke) = (house.clone(), call.clone());
            let done = whole(house, async move { gallery::smoke(&owner, &smoke).await }).await;
            reply(&call, done)
        }
        Request::RemoveImage(call) => {
            let (owner, remove) = (house.clone(), call.clone());
            let done = whole(house, async move { gallery::remove(&owner, &remove).await }).await;
            reply(&call, done)
        }
        Request::AddImage(call) => {
            let (owner, add) = (house.clone(), call.clone());
            let done = whole(house, async move { gallery::add(&owner, add).await }).await;
            reply(&call, done)
        }
        Request::Doctor(call) => reply(&call, Ok(doctor::look(house).await)),
        Request::OpenStream(call) => {
            let ticket = house.tickets.issue(call.target.clone()).map(|ticket| StreamTicket { ticket });
            let none = || ErrorView::new(ErrorCode::Internal, "The system gives no randomness for a ticket.");
            reply(&call, ticket.ok_or_else(none))
        }
        Request::ListSecrets(call) => reply(&call, secrets::list(house).await),
        Request::SetSecret(call) => {
            let (owner, set) = (house.clone(), call.clone());
            let done = whole(house, async move { secrets::set(&owner, set).await }).await;
            reply(&call, done)
        }
        Request::RenameSecret(call) => {
            let (owner, rename) = (house.clone(), call.clone());
            let done = whole(house, async move { secrets::rename(&owner, &rename).await }).await;
            reply(&call, done)
        }
        Request::DeleteSecret(call) => {
            let (owner, delete) = (house.clone(), call.clone());
            let done = whole(house, async move { secrets::delete(&owner, &delete).await }).await;
            reply(&call, done)
        }
        Request::GrantSecret(call) => reply(&call, secrets::grant(house, &call).await),
        Request::RevokeSecret(call) => reply(&call, secrets::revoke(house, &call).await),
        Request::PreviewEnvFile(call) => reply(&call, secrets::preview(house, &call).await),
        Request::ImportEnvFile(call) => {
            let (owner, import) = (house.clone(), call.clone());
            let done = whole(house, async move { secrets::import(&owner, import).await }).await;
            reply(&call, done)
        }
        Request::ListRequests(call) => reply(&call, requests::list(house, &call).await),
        Request::AllowHost(call) => {
            let (owner, allow) = (house.clone(), call.clone());
            let done = whole(house, async move { reach::allow(&owner, allow).await }).await;
            reply(&call, done)
        }
        Request::ShowReach(call) => reply(&call, reach::show(house, &call).await),
        Request::ShowCosts(call) => reply(&call, costs::show(house, &call).await),
        Request::ListCostRuns(call) => reply(&call, costs::runs(house, &call).await),
        Request::ShowCompute(call) => reply(&call, compute::show(house, &call).await),
        Request::SetComputeRates(call) => reply(&call, compute::set_rates(house, &call).await),
        Request::SetBudget(call) => reply(&call, costs::set_budget(house, &call).await),
        Request::ListPrices(call) => reply(&call, costs::list_prices(house).await),
        Request::SetPrice(call) => reply(&call, costs::set_price(house, &call).await),
        Request::ListProjects(call) => reply(&call, projects::list(house).await),
        Request::CreateProject(call) => reply(&call, projects::create(house, &call).await),
        Request::UpdateProject(call) => {
            let (owner, change) = (house.clone(), call.clone());
            let done = whole(house, async move { projects::update(&owner, change).await }).await;
            reply(&call, done)
        }
        Request::DeleteProject(call) => reply(&call, projects::delete(house, &call).await),
        Request::Mend(call) => {
            let (owner, keys) = (house.clone(), call.keys.clone());
            let mended = whole(house, async move { upkeep::mend(&owner, keys).await }).await;
            reply(&call, mended)
        }
        Request::ShowRetention(call) => {
            let view = retention::view(house).await;
            reply(&call, view.map_err(|error| of_store(&error)))
        }
        Request::SetRetention(call) => {
            let view = retention::set_rules(house, call.rules).await;
            reply(&call, view)
        }
        Request::PlanReclaim(call) => {
            let plan = upkeep::plan_reclaim(house, call.older_than_s).await;
            reply(&call, plan)
        }
        Request::Reclaim(call) => {
            let (owner, named) = (house.clone(), call.clone());
            let reclaimed = whole(house, async move { upkeep::reclaim(&owner, named.keys, &named.unseen).await }).await;
            reply(&call, reclaimed)
        }
        Request::MarkSeen(call) => {
            let seen = mark_seen(house, &call).await;
            reply(&call, seen)
        }
    }
}

/// Notes that a person has opened a task.
async fn mark_seen(house: &House, call: &MarkSeen) -> Result<Seen, ErrorView> {
    let task = find_task(house, &call.task).await?.task;
    let runs = house.store.mark_seen(task, house.time.now()).await.map_err(|error| of_store(&error))?;
    if runs > 0 {
        house.retention_nudge.notify_one();
    }
    Ok(Seen { runs })
}

async fn change_queue(house: &Arc<House>, call: &ChangeQueue) -> Result<QueueView, ErrorView> {
    let (owner, change) = (house.clone(), call.clone());
    whole(house, async move { line::change(&owner, change).await }).await
}

async fn set_priority(house: &Arc<House>, call: &SetPriority) -> Result<TaskRow, ErrorView> {
    let task = find_task(house, &call.task).await?.task;
    let (owner, priority) = (house.clone(), call.priority);
    whole(house, async move { line::set_priority(&owner, task, priority).await }).await
}

/// Carries out what must not stop half-way because its caller has gone: a row without its actor would wait for the next start.
async fn whole<T: Send + 'static>(
    house: &House,
    work: impl Future<Output = Result<T, ErrorView>> + Send + 'static,
) -> Result<T, ErrorView> {
    match house.tasks.spawn(work).await {
        Ok(done) => done,
        Err(error) => Err(faults::internal("carry out the call", &error)),
    }
}

/// Ties a reply to its call's type, and writes it as JSON.
fn reply<C: Call>(_call: &C, reply: Result<C::Reply, ErrorView>) -> Result<serde_json::Value, ErrorView>
where
    C::Reply: Serialize,
{
    serde_json::to_value(reply?).map_err(|error| faults::internal("write its reply", &error))
}

fn hello(house: &House) -> HelloReply {
    HelloReply {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        stream_origin: house.stream_origin.get().cloned(),
        sample: SAMPLE.to_owned(),
    }
}

async fn create_task(house: &Arc<House>, call: &CreateTask) -> Result<TaskCreated, ErrorView> {
    let task = intake::accept(call.task.clone())?;
    let agent = agents::find(house, task.agent.as_deref().unwrap_or(agents::DEFAULT_AGENT)).await?;
    let project = match &task.project {
        Some(name) => Some(projects::find(house, name).await?.project),
        None => None,
    };
    let id = new_id();
    let staging = house.config.data_folder.join("attachments").join(wire::ids::TaskId::to_string(&id));
    let NewTask { title, prompt, limits, review, priority, attachments, .. } = task;
    let files = if attachments.is_empty() {
        Vec::new()
    } else {
        match around(Point::AttachmentsCopy, intake::copy_attachments(attachments, staging.clone())).await {
            Ok(files) => files,
            Err(error) => {
                discard(&staging).await;
                return Err(error);
            }
        }
    };
    let stored = format!("attachments/{id}");
    let attachments = files
        .into_iter()
        .map(|file| AttachmentRecord {
            stored_path: camino::Utf8PathBuf::from(&stored).join(&file.name),
            name: file.name,
            size_bytes: file.size_bytes,
            sha256: file.sha256,
        })
        .collect();
    let title = title.unwrap_or_default();
    let run = NewRun {
        run: new_id(),
        steps: vec![NewStep {
            step: new_id(),
            name: agent.name.clone(),
            agent: agent.agent,
            image: agent.image.clone(),
            review: review.unwrap_or(agent.review),
            limits: limits.unwrap_or_default().apply(&agent.limits),
            launch: agent.launch.clone(),
        }],
    };
    let new = store::NewTask {
        task: id,
        title: title.clone(),
        prompt: prompt.clone(),
        agent: agent.agent,
        project,
        priority: priority.unwrap_or_default(),
        attachments,
        run: run.clone(),
        events: vec![EventKind::TaskCreated { title }],
        at: house.time.now(),
    };
    let added = match around(Point::TaskRecord, house.store.create_task(new)).await {
        Ok(added) => added,
        Err(error) => {
            discard(&staging).await;
            return Err(of_store(&error));
        }
    };
    begin(house, &run, agent.launch, &prompt).await?;
    house.tell(Update::Task { task: id });
    Ok(TaskCreated { task: id, number: added.number, run: run.run })
}

/// Takes away what was copied for a task that did not come about.
pub(crate) async fn discard(staging: &camino::Utf8Path) {
    if let Err(error) = tokio::fs::remove_dir_all(staging).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        warn!(%error, %staging, "copied attachments could not be taken away");
    }
}

/// Begins the actors of a new run.
async fn begin(house: &Arc<House>, run: &NewRun, launch: wire::task::Launch, prompt: &str) -> Result<(), ErrorView> {
    for new in &run.steps {
        let record = house.store.step(new.step).await.map_err(|error| of_store(&error))?;
        step::spawn(house, record, launch.clone(), prompt.to_owned());
    }
    house.queue_nudge.notify_one();
    Ok(())
}

async fn list_tasks(house: &House, call: &ListTasks) -> Result<TaskList, ErrorView> {
    let filter = TaskFilter {
        phases: call.phases.clone(),
        search: call.search.clone(),
        limit: limit_of(call.limit),
        offset: call.offset,
    };
    let page = house.store.list_tasks(&filter).await.map_err(|error| of_store(&error))?;
    let rows = views::rows(house, page.rows).await.map_err(|error| of_store(&error))?;
    Ok(TaskList { rows, total: page.total })
}

async fn act(house: &Arc<House>, call: &Act) -> Result<StepView, ErrorView> {
    let record = house.store.step(call.step).await.map_err(|error| of_store(&error))?;
    let Some(input) = lifecycle::Input::of_action(call.action) else {
        return retry(house, record).await;
    };
    if call.action == Action::RequestChanges && call.comment.trim().is_empty() {
        return Err(ErrorView::new(ErrorCode::InvalidArgument, "Changes were requested without saying which.")
            .hint("Write what the agent shall do differently."));
    }
    match put(house, call.step, input, call.comment.clone()).await? {
        Ok(Ok(())) => step_view(house, call.step).await,
        Ok(Err(denied)) => Err(refused(denied)),
        Err(Away) => {
            Err(ErrorView::new(ErrorCode::NotNow, "The step ended at this very moment.").hint("Look at it again."))
        }
    }
}

/// Puts an input to a step. One without an actor is over, or is being let go of: then nothing can change it.
async fn put(
    house: &House,
    step: wire::ids::StepId,
    input: lifecycle::Input,
    comment: String,
) -> Result<Result<Result<(), lifecycle::Denied>, Away>, ErrorView> {
    if let Some(handle) = house.step(step) {
        let answered = tokio::time::timeout(WRITE_TIME_MAX, handle.input(input, comment)).await;
        return answered.map_err(|_| {
            ErrorView::new(ErrorCode::Storage, "Berth cannot write down at the moment what you asked for.")
                .hint("It is carried out as soon as it can be; `berth doctor` says what is in the way.")
        });
    }
    let record = house.store.step(step).await.map_err(|error| of_store(&error))?;
    Ok(match lifecycle::advance(&record.state, input) {
        Err(denied) => Ok(Err(denied)),
        Ok(_) => Err(Away),
    })
}

fn refused(denied: lifecycle::Denied) -> ErrorView {
    ErrorView::new(ErrorCode::NotNow, denied.reason())
}

/// Runs a task once more.
async fn retry(house: &Arc<House>, record: StepRecord) -> Result<StepView, ErrorView> {
    lifecycle::retry(&record.state).map_err(refused)?;
    // Two who retry at the same moment get one run: the second finds the first one's.
    let _turn = house.line.turn_soon().await?;
    let agent = house.store.agent(record.agent).await.map_err(|error| of_store(&error))?;
    if agent.removed_at.is_some() {
        let message = format!("The agent `{}` is deleted, so its tasks cannot run again.", agent.name);
        return Err(ErrorView::new(ErrorCode::NotNow, message).hint("Hand the task in anew for another agent."));
    }
    let task = house.store.task(record.task).await.map_err(|error| of_store(&error))?;
    if !task.phase.is_final() {
        let message = format!("Another run of #{} has not ended yet.", task.number);
        return Err(ErrorView::new(ErrorCode::NotNow, message).hint("Stop it first, then retry the task."));
    }
    let step = new_id();
    let run = NewRun {
        run: new_id(),
        steps: vec![NewStep {
            step,
            name: record.name,
            agent: agent.agent,
            image: agent.image.clone(),
            review: record.state.review(),
            limits: record.limits,
            launch: agent.launch.clone(),
        }],
    };
    let events = vec![EventKind::Note { text: "Retried".to_owned() }];
    let adding = house.store.add_run(task.task, &run, events, house.time.now());
    around(Point::RunRecord, adding).await.map_err(|error| of_store(&error))?;
    begin(house, &run, agent.launch, &task.prompt).await?;
    house.tell(Update::Task { task: task.task });
    step_view(house, step).await
}

async fn step_view(house: &House, step: wire::ids::StepId) -> Result<StepView, ErrorView> {
    let view = async {
        let record = house.store.step(step).await?;
        let timeline = house.store.timeline_of(record.run).await?.remove(&step).unwrap_or_default();
        views::step(house, record, timeline).await
    };
    view.await.map_err(|error| of_store(&error))
}

async fn cancel_run(house: &Arc<House>, call: &CancelRun) -> Result<RunSummary, ErrorView> {
    let run = find_run(house, &call.run).await?;
    let mut last_denied = None;
    let mut is_any_cancelled = false;
    for record in house.store.steps_of(run.run).await.map_err(|error| of_store(&error))? {
        match put(house, record.step, lifecycle::Input::Cancel, String::new()).await? {
            // Said twice is said once.
            Ok(Ok(()) | Err(lifecycle::Denied::AlreadyEnding | lifecycle::Denied::AlreadyCancelled)) => {
                is_any_cancelled = true;
            }
            Ok(Err(denied)) => last_denied = Some(denied),
            Err(Away) => {}
        }
    }
    if let (false, Some(denied)) = (is_any_cancelled, last_denied) {
        return Err(refused(denied));
    }
    let record = house.store.run(run.run).await.map_err(|error| of_store(&error))?;
    Ok(views::run(house, record).await.map_err(|error| of_store(&error))?.summary)
}

async fn read_result(house: &House, call: &ReadResult) -> Result<ContentView, ErrorView> {
    let run = find_run(house, &call.run).await?;
    let steps = house.store.steps_of(run.run).await.map_err(|error| of_store(&error))?;
    for record in steps {
        let folder = results::folder_of(house, record.step).await.map_err(|error| of_store(&error))?;
        let Some(folder) = folder else { continue };
        if let Some(taken) = house.store.taken_of(record.step).await.map_err(|error| of_store(&error))? {
            return Err(ErrorView::new(ErrorCode::NotFound, retention::taken_words("file", &taken))
                .hint("Retry the task to have it made again."));
        }
        let workspace = Workspace::open(house.config.data_folder.clone(), folder).await?;
        let piece = workspace.read(call.key.clone(), call.offset, call.length).await?;
        return Ok(ContentView {
            base64: STANDARD.encode(&piece.bytes),
            offset: piece.offset,
            size_bytes: piece.size_bytes,
        });
    }
    Err(ErrorView::new(ErrorCode::NotFound, "The run has no workspace yet."))
}

fn filter_of(call: &ListEvents) -> EventFilter {
    EventFilter { task: call.task, after_seq: call.after_seq, limit: limit_of(call.limit) }
}

pub(crate) fn limit_of(asked: u32) -> u32 {
    if asked == 0 { LIMIT_DEFAULT } else { asked.min(LIMIT_MAX) }
}

/// A store's error for a person.
pub(crate) fn of_store(error: &StoreError) -> ErrorView {
    match error {
        StoreError::NotFound { what, key } => {
            let shown = escape::visible(key.as_bytes());
            ErrorView::new(ErrorCode::NotFound, format!("There is no {what} {shown}."))
                .hint("`berth ls` lists the tasks.")
        }
        StoreError::Ambiguous { prefix } => {
            ErrorView::new(ErrorCode::InvalidArgument, format!("More than one id begins with {prefix}."))
                .hint("Give more of it.")
        }
        StoreError::Locked(_) => storage(
            error,
            "Another program holds the database, so this could not be done now.",
            "Close it (a database browser, a backup, `sqlite3`), then try again. Steps work on and wait for it.",
        ),
        StoreError::Full(_) => storage(
            error,
            "The disk of the data folder is full, so this could not be done.",
            "Free some space, then try again. Steps are held until then; nothing is lost.",
        ),
        StoreError::Corrupt(_) => storage(
            error,
            "The database is damaged, so this could not be done.",
            "Quit Berth and make a copy of the data folder before anything else; the next start says what to do.",
        ),
        StoreError::ReadOnly(_) => storage(
            error,
            "The data folder cannot be written, so this could not be done.",
            "Look whether its disk has become read-only, then try again.",
        ),
        StoreError::Newer { .. }
        | StoreError::NotBerth { .. }
        | StoreError::LogMissing { .. }
        | StoreError::Row { .. }
        | StoreError::State { .. }
        | StoreError::Io(_)
        | StoreError::Conflict { .. }
        | StoreError::NameTaken { .. }
        | StoreError::SecretNameTaken { .. }
        | StoreError::ProjectNameTaken { .. }
        | StoreError::ImageNameTaken { .. }
        | StoreError::VariableTaken { .. }
        | StoreError::Removed { .. }
        | StoreError::NoSteps
        | StoreError::Statement(_) => faults::of_storage("read or write its database", error),
    }
}

fn storage(error: &StoreError, message: &str, hint: &str) -> ErrorView {
    ErrorView::new(ErrorCode::Storage, message).hint(hint).detail(faults::chain(error))
}
