//! The New task dialog, over anything. What is written in it is kept until it is queued or thrown away, however it is closed.

pub mod draft;
mod offer;
mod project;

use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement};
use wire::{
    Priority,
    call::CreateTask,
    task::{Attachment, TaskDraft},
    view::AgentView,
};
use yew::prelude::*;
use yew_router::prelude::*;

use self::{
    draft::{ATTACHMENTS_MAX, Draft},
    offer::Offer,
    project::ProjectField,
};
use crate::{
    backend::{self, CallError, files},
    context::{Place, use_desk, use_known},
    icon::{Glyph, icon, small_icon},
    keys::{Scope, Taken, has_command, use_keys},
    parts::{key, refusal},
    policy,
    route::{Route, TaskTab},
    say,
};

/// The dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialog {
    is_open: bool,
    draft: Draft,
    error: Option<CallError>,
    is_sending: bool,
}

impl Dialog {
    /// Whether it covers the page.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }
}

/// What happens to the [`Dialog`].
#[derive(Clone, Debug)]
pub enum DialogAction {
    /// Show it, with what a file says where there is one.
    Open(Option<TaskDraft>),
    /// Hide it; the draft is kept.
    Close,
    /// Throw the draft away.
    Clear,
    /// Something was typed.
    Edit(Edit),
    /// What stood there was read as a task file, or the sample was.
    Read { prompt: String, draft: TaskDraft },
    /// Files were picked.
    Attach(Vec<Attachment>),
    /// A file was taken off.
    Detach(usize),
    /// The task is on its way.
    Sending,
    /// Something was refused: say so where the draft is.
    Refused(CallError),
    /// The task is queued.
    Queued,
}

/// Something that was typed.
#[derive(Clone, Debug)]
pub enum Edit {
    Prompt(String),
    Agent(Option<String>),
    Project(Option<String>),
    Priority(Option<Priority>),
    Minutes(String),
    Memory(String),
}

impl Reducible for Dialog {
    type Action = DialogAction;

    fn reduce(self: Rc<Self>, action: DialogAction) -> Rc<Self> {
        let mut dialog = Self::clone(&self);
        match action {
            DialogAction::Open(draft) => {
                dialog.is_open = true;
                dialog.error = None;
                if let Some(draft) = draft {
                    dialog.draft.take(draft);
                }
            }
            DialogAction::Close => dialog.is_open = false,
            DialogAction::Clear => dialog = Self { is_open: dialog.is_open, ..Self::default() },
            DialogAction::Edit(edit) => {
                dialog.error = None;
                match edit {
                    Edit::Prompt(prompt) => dialog.draft.write(prompt),
                    Edit::Agent(agent) => dialog.draft.agent = agent,
                    Edit::Project(project) => dialog.draft.project = project,
                    Edit::Priority(priority) => dialog.draft.priority = priority,
                    Edit::Minutes(minutes) => dialog.draft.minutes = minutes,
                    Edit::Memory(memory_mib) => dialog.draft.memory_mib = memory_mib,
                }
            }
            // It may have been closed, or its task queued, meanwhile.
            DialogAction::Read { .. } if !dialog.is_open || dialog.is_sending => {}
            DialogAction::Read { prompt, draft } => {
                dialog.error = None;
                dialog.draft.replace(&prompt, draft);
            }
            DialogAction::Attach(attachments) => dialog.draft.attach(attachments),
            DialogAction::Detach(at) => {
                if at < dialog.draft.attachments.len() {
                    dialog.draft.attachments.remove(at);
                }
            }
            DialogAction::Sending => dialog.is_sending = true,
            DialogAction::Refused(error) => {
                dialog.is_open = true;
                dialog.is_sending = false;
                dialog.error = Some(error);
            }
            DialogAction::Queued => dialog = Self::default(),
        }
        Rc::new(dialog)
    }
}

#[derive(PartialEq, Properties)]
pub struct NewTaskProps {
    pub dialog: UseReducerHandle<Dialog>,
}

/// What follows once the task is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Stay,
    Watch,
}

/// The dialog, where it is open.
#[component]
pub fn NewTaskDialog(props: &NewTaskProps) -> Html {
    if props.dialog.is_open {
        html! { <Form dialog={props.dialog.clone()} /> }
    } else {
        Html::default()
    }
}

#[component]
fn Form(props: &NewTaskProps) -> Html {
    let known = use_known();
    let desk = use_desk();
    let navigator = use_navigator();
    let prompt = use_node_ref();
    let dialog = &props.dialog;
    let draft = &dialog.draft;
    let agent = known.agents.data.as_ref().and_then(|agents| chosen(agents, draft.agent.as_deref()).cloned());
    {
        let prompt = prompt.clone();
        use_effect_with((), move |()| {
            let before =
                web_sys::window().and_then(|window| window.document()).and_then(|document| document.active_element());
            if let Some(prompt) = prompt.cast::<HtmlElement>() {
                let _ = prompt.focus();
            }
            // Whoever had the focus gets it back.
            move || {
                if let Some(before) = before.and_then(|before| before.dyn_into::<HtmlElement>().ok()) {
                    let _ = before.focus();
                }
            }
        });
    }
    let submit = {
        let (dialog, place) = (dialog.clone(), desk.place.clone());
        Callback::from(move |then: Then| {
            let Ok(task) = dialog.draft.new_task() else { return };
            if dialog.is_sending {
                return;
            }
            let (dispatcher, place, navigator) = (dialog.dispatcher(), place.clone(), navigator.clone());
            dispatcher.dispatch(DialogAction::Sending);
            wasm_bindgen_futures::spawn_local(async move {
                match backend::call(CreateTask { task }).await {
                    Ok(created) => {
                        dispatcher.dispatch(DialogAction::Queued);
                        place.set(Place { selected: Some(created.task), ..(*place).clone() });
                        if let (Then::Watch, Some(navigator)) = (then, navigator) {
                            navigator.push(&Route::task_tab(created.number, TaskTab::Terminal));
                        }
                    }
                    Err(error) => dispatcher.dispatch(DialogAction::Refused(error)),
                }
            });
        })
    };
    let close = {
        let dispatcher = dialog.dispatcher();
        Callback::from(move |()| dispatcher.dispatch(DialogAction::Close))
    };
    let sample = known.hello.data.as_ref().map(|hello| hello.sample.clone());
    // What would be read, where something is offered.
    let offered = Offer::of(&draft.prompt).and_then(|offer| match offer {
        Offer::Sample => sample.map(|sample| (offer, sample)),
        Offer::TaskFile => Some((offer, draft.prompt.clone())),
    });
    let on_read = {
        let (dispatcher, written, offered) = (dialog.dispatcher(), draft.prompt.clone(), offered.clone());
        let prompt = prompt.clone();
        Callback::from(move |()| {
            if let Some((_, text)) = &offered {
                offer::read(dispatcher.clone(), written.clone(), text.clone());
            }
            // The button goes; who pressed it writes on.
            if let Some(prompt) = prompt.cast::<HtmlElement>() {
                let _ = prompt.focus();
            }
        })
    };
    let offer = offered.map(|(offer, _)| offer);
    {
        let (submit, close, on_read) = (submit.clone(), close.clone(), on_read.clone());
        use_keys(Scope::Everything, move |event| match event.key().as_str() {
            "i" if has_command(event) && offer.is_some() => {
                on_read.emit(());
                Taken::Yes
            }
            "Enter" if has_command(event) && event.shift_key() => {
                submit.emit(Then::Watch);
                Taken::Yes
            }
            "Enter" if has_command(event) => {
                submit.emit(Then::Stay);
                Taken::Yes
            }
            "Escape" => {
                close.emit(());
                Taken::Yes
            }
            _ => Taken::No,
        });
    }
    let edit = |make: fn(String) -> Edit| {
        let dispatcher = dialog.dispatcher();
        Callback::from(move |event: InputEvent| {
            let Some(target) = event.target() else { return };
            let typed = match target.dyn_into::<HtmlInputElement>() {
                Ok(input) => input.value(),
                Err(target) => match target.dyn_into::<HtmlTextAreaElement>() {
                    Ok(area) => area.value(),
                    Err(_) => return,
                },
            };
            dispatcher.dispatch(DialogAction::Edit(make(typed)));
        })
    };
    let on_clear = {
        let dispatcher = dialog.dispatcher();
        Callback::from(move |_: MouseEvent| dispatcher.dispatch(DialogAction::Clear))
    };
    let problem = draft.problem();
    let is_agent_unknown = agent.is_none() && draft.agent.is_some() && known.agents.data.is_some();
    let reason = if dialog.is_sending {
        Some("Queueing".to_owned())
    } else {
        let no_agent = is_agent_unknown.then(|| "Choose an agent first".to_owned());
        problem.map(|problem| problem.to_string()).or(no_agent)
    };
    let button = |then: Then| {
        let submit = submit.clone();
        Callback::from(move |_: MouseEvent| submit.emit(then))
    };
    html! {
        <div class="scrim">
            <div class="dialog new-task" role="dialog" aria-modal="true" aria-label="New task" data-test="new-task-dialog">
                <div class="head">
                    { "New task" }
                    if let Some(title) = &draft.title { <span class="weak from-file">{ say::visible(title) }</span> }
                    <span class="spring"></span>
                    if offer == Some(Offer::Sample) {
                        <button class="button" data-kind="quiet" data-size="s" data-test="insert-sample" onclick={on_read.reform(|_: MouseEvent| ())}>
                            { "Insert the sample" }{ key("Ctrl I") }
                        </button>
                    }
                    if !draft.is_blank() {
                        <button class="button" data-kind="quiet" data-size="s" data-test="clear-draft" onclick={on_clear}>{ "Throw this away" }</button>
                    }
                    <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label="Close, keep what is written" title="Close, keep what is written"
                        onclick={close.reform(|_: MouseEvent| ())}>{ icon(Glyph::X) }</button>
                </div>
                <div class="body">
                    <textarea ref={prompt} class="input prompt" data-kind="area" rows="7" spellcheck="true" aria-label="What to do" data-test="prompt"
                        placeholder="What should the agent do?" value={draft.prompt.clone()} oninput={edit(Edit::Prompt)} />
                    if offer == Some(Offer::TaskFile) {
                        <div class="warning" data-tone="review" role="status" data-test="task-file">
                            <span class="toned">{ small_icon(Glyph::Triangle) }</span>
                            { "This begins as a task file does. What its first lines set does not count yet." }
                            <span class="spring"></span>
                            <button class="button" data-kind="quiet" data-size="s" data-test="read-task-file" onclick={on_read.reform(|_: MouseEvent| ())}>
                                { "Read it as one" }{ key("Ctrl I") }
                            </button>
                        </div>
                    }
                    <Attached dialog={dialog.clone()} />
                    <div class="form">
                        <AgentField dialog={dialog.clone()} />
                        <ProjectField dialog={dialog.clone()} />
                        <PriorityField dialog={dialog.clone()} />
                        { number_field("Time", "min", "minutes", &draft.minutes, agent.as_ref().map(|agent| agent.limits.wall_clock_s.div_ceil(60)),
                            problem == Some(draft::Problem::Minutes), edit(Edit::Minutes)) }
                        { number_field("Memory", "MiB", "memory", &draft.memory_mib, agent.as_ref().map(|agent| agent.limits.memory_bytes >> 20),
                            problem == Some(draft::Problem::Memory), edit(Edit::Memory)) }
                    </div>
                    { for draft.warnings.iter().map(|warning| html! {
                        <div class="warning" data-tone="review" role="status" data-test="warning"><span class="toned">{ small_icon(Glyph::Triangle) }</span>{ say::visible(warning) }</div>
                    }) }
                    if let Some(error) = &dialog.error { <div data-test="dialog-error">{ refusal(error) }</div> }
                    { promise(agent.as_ref()) }
                </div>
                <div class="foot">
                    <span class="note" data-test="note-line" role="status">
                        { match &reason {
                            Some(reason) => reason.clone(),
                            None if known.engine_down().is_some() => "Starts when the engine answers".to_owned(),
                            None => line(&known).to_owned(),
                        } }
                    </span>
                    <span class="spring"></span>
                    <button class="button" data-test="queue-and-watch" aria-disabled={reason.is_some().then_some("true")} onclick={button(Then::Watch)}>
                        { "Queue and watch" }{ key("Ctrl ⇧ ↵") }
                    </button>
                    <button class="button" data-kind="primary" data-test="queue" aria-disabled={reason.is_some().then_some("true")} onclick={button(Then::Stay)}>
                        { "Queue" }{ key("Ctrl ↵") }
                    </button>
                </div>
            </div>
        </div>
    }
}

/// When it would start.
fn line(known: &crate::context::Known) -> &'static str {
    match &known.status.data {
        Some(_) if known.is_queue_paused() => "Starts when the queue goes on",
        Some(status) if status.slots_used >= status.slots_max => "Starts when a slot is free",
        Some(_) => "Starts at once",
        None => "",
    }
}

/// What a sandbox of that agent cannot do, or what it can that others cannot.
fn promise(agent: Option<&AgentView>) -> Html {
    let (glyph, words) = match agent.and_then(|agent| policy::card_of(&agent.network)) {
        Some(card) => (Glyph::Triangle, card),
        None => (Glyph::Shield, "No network card."),
    };
    let tone = (glyph == Glyph::Triangle).then_some("review");
    html! {
        <div class="promise-line" data-test="promise" data-tone={tone}>
            { small_icon(glyph) }
            <span><b>{ words }</b>{ " Of your files it sees one folder, made for it." }</span>
        </div>
    }
}

/// The agent of that name; the first, which is the default, where none is named.
fn chosen<'a>(agents: &'a [AgentView], name: Option<&str>) -> Option<&'a AgentView> {
    match name {
        Some(name) => agents.iter().find(|agent| agent.name == name),
        None => agents.first(),
    }
}

/// What a person chose of a list.
fn chosen_value(event: &Event) -> Option<String> {
    let select = event.target()?.dyn_into::<HtmlSelectElement>().ok()?;
    Some(select.value())
}

#[component]
fn AgentField(props: &NewTaskProps) -> Html {
    let known = use_known();
    let dialog = &props.dialog;
    let onchange = {
        let dispatcher = dialog.dispatcher();
        Callback::from(move |event: Event| {
            if let Some(value) = chosen_value(&event) {
                let name = Some(value).filter(|name| !name.is_empty());
                dispatcher.dispatch(DialogAction::Edit(Edit::Agent(name)));
            }
        })
    };
    let agents = known.agents.data.as_ref().map(|agents| agents.as_slice()).unwrap_or_default();
    let name = dialog.draft.agent.as_deref();
    let agent = chosen(agents, name);
    html! {
        <label class="field">
            <span class="label">{ "Agent" }</span>
            <span class="input">
                if let Some(agent) = agent { <span class="pennant" aria-hidden="true">{ &agent.call_sign }</span> }
                <select class="value" data-test="agent" {onchange}>
                    { for agents.iter().enumerate().map(|(at, other)| html! {
                        <option key={other.name.clone()} value={other.name.clone()} selected={name.map_or(at == 0, |name| name == other.name)}>{ &other.name }</option>
                    }) }
                    if let (Some(name), None) = (name, agent) { <option value={name.to_owned()} selected=true>{ name }</option> }
                </select>
                if let Some(agent) = agent.filter(|agent| agent.image != agent.name) { <span class="unit">{ &agent.image }</span> }
            </span>
            { match (agent, name) {
                (Some(agent), _) if agent.busy.is_some() => html! { <span class="hint">{ "At work: this waits for its home" }</span> },
                (Some(agent), _) => html! { <span class="hint">{ &agent.description }</span> },
                (None, Some(_)) => html! { <span class="hint" data-tone="fail">{ "There is no agent of that name" }</span> },
                (None, None) => html! { <span class="hint">{ "The default agent" }</span> },
            } }
        </label>
    }
}

#[component]
fn PriorityField(props: &NewTaskProps) -> Html {
    let dialog = &props.dialog;
    let onchange = {
        let dispatcher = dialog.dispatcher();
        Callback::from(move |event: Event| {
            if let Some(value) = chosen_value(&event) {
                dispatcher.dispatch(DialogAction::Edit(Edit::Priority(Priority::from_name(&value))));
            }
        })
    };
    let chosen = dialog.draft.priority.unwrap_or_default();
    html! {
        <label class="field">
            <span class="label">{ "Priority" }</span>
            <span class="input">
                <select class="value" data-test="priority" {onchange}>
                    { for Priority::ALL.into_iter().map(|priority| html! {
                        <option key={priority.name()} value={priority.name()} selected={priority == chosen}>{ priority.word() }</option>
                    }) }
                </select>
            </span>
            <span class="hint">
                { match chosen {
                    Priority::High => "Goes first",
                    Priority::Normal => "In its turn",
                    Priority::Low => "Goes last",
                } }
            </span>
        </label>
    }
}

fn number_field(
    label: &'static str,
    unit: &'static str,
    test: &'static str,
    value: &str,
    default: Option<u64>,
    is_wrong: bool,
    oninput: Callback<InputEvent>,
) -> Html {
    html! {
        <label class="field">
            <span class="label">{ label }</span>
            <span class="input" aria-invalid={is_wrong.then_some("true")}>
                <input class="value" inputmode="numeric" autocomplete="off" data-test={test} value={value.to_owned()}
                    placeholder={default.map(|default| default.to_string())} {oninput} />
                <span class="unit">{ unit }</span>
            </span>
            <span class="hint">{ if value.trim().is_empty() { "As the agent has it" } else { "For this task" } }</span>
        </label>
    }
}

#[component]
fn Attached(props: &NewTaskProps) -> Html {
    let picker = use_node_ref();
    let dialog = &props.dialog;
    let draft = &dialog.draft;
    let on_pick = {
        let dispatcher = dialog.dispatcher();
        Callback::from(move |event: Event| {
            let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else {
                return;
            };
            let picked = files::picked(input.files().as_ref(), u32::try_from(ATTACHMENTS_MAX).unwrap_or(u32::MAX));
            input.set_value("");
            let dispatcher = dispatcher.clone();
            wasm_bindgen_futures::spawn_local(async move {
                let mut read = Vec::new();
                let mut total = 0;
                for file in picked {
                    total += file.size_bytes;
                    if total > draft::INLINE_BYTES_MAX {
                        // Not read, but told to the draft, which says why it is not there.
                        let content = wire::task::AttachmentContent::Inline { base64: String::new() };
                        read.push(Attachment { name: file.name, size_bytes: draft::INLINE_BYTES_MAX + 1, content });
                    } else if let Some(bytes) = file.read().await {
                        read.push(files::attachment(file.name, &bytes));
                    }
                }
                dispatcher.dispatch(DialogAction::Attach(read));
            });
        })
    };
    let on_attach = {
        let picker = picker.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(picker) = picker.cast::<HtmlElement>() {
                picker.click();
            }
        })
    };
    let total: u64 = draft.attachments.iter().map(|attachment| attachment.size_bytes).sum();
    html! {
        <div class="attached">
            { for draft.attachments.iter().enumerate().map(|(at, attachment)| {
                let dispatcher = dialog.dispatcher();
                let on_remove = Callback::from(move |_: MouseEvent| dispatcher.dispatch(DialogAction::Detach(at)));
                html! {
                    <span class="chip" key={attachment.name.clone()} data-test="attachment" data-name={attachment.name.clone()}>
                        { small_icon(glyph_of(&attachment.name)) }
                        <span class="chip-name" title={attachment.name.clone()}>{ say::visible(&attachment.name) }</span>
                        if attachment.size_bytes > 0 { <span class="weak">{ say::bytes(attachment.size_bytes) }</span> }
                        <button aria-label={format!("Remove {}", attachment.name)} title="Remove" onclick={on_remove}>{ small_icon(Glyph::X) }</button>
                    </span>
                }
            }) }
            <input ref={picker} type="file" multiple=true hidden=true onchange={on_pick} data-test="file-picker" />
            <button class="button" data-kind="quiet" data-size="s" onclick={on_attach}>{ icon(Glyph::Paperclip) }{ "Attach" }</button>
            <span class="weak">
                { if draft.attachments.is_empty() {
                    "Files that you drop here are copied into the workspace".to_owned()
                } else {
                    format!("{}, {}, copied into the workspace", say::count(draft.attachments.len() as u64, "file", "files"), say::bytes(total))
                } }
            </span>
        </div>
    }
}

/// The icon of a file, by its name alone.
pub fn glyph_of(name: &str) -> Glyph {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "svg" | "bmp" | "avif" => Glyph::FileImage,
        "md" | "txt" | "csv" | "log" | "pdf" | "rst" => Glyph::FileText,
        "rs" | "py" | "js" | "ts" | "sh" | "c" | "h" | "go" | "java" | "json" | "toml" | "yaml" | "yml" | "html"
        | "css" => Glyph::FileCode,
        _ => Glyph::File,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(actions: impl IntoIterator<Item = DialogAction>) -> Rc<Dialog> {
        actions.into_iter().fold(Rc::default(), |dialog: Rc<Dialog>, action| dialog.reduce(action))
    }

    fn typed(prompt: &str) -> DialogAction {
        DialogAction::Edit(Edit::Prompt(prompt.to_owned()))
    }

    #[test]
    fn closing_keeps_what_is_written_and_queueing_does_not() {
        let closed = after([DialogAction::Open(None), typed("Do it"), DialogAction::Close]);
        assert_eq!((closed.is_open(), closed.draft.prompt.as_str()), (false, "Do it"));
        let opened = closed.reduce(DialogAction::Open(None));
        assert_eq!((opened.is_open(), opened.draft.prompt.as_str()), (true, "Do it"));
        assert_eq!(*opened.reduce(DialogAction::Queued), Dialog::default());
    }

    #[test]
    fn a_refusal_shows_the_draft_with_the_reason_until_something_is_typed() {
        let refused = after([
            DialogAction::Open(None),
            typed("Do it"),
            DialogAction::Sending,
            DialogAction::Refused(CallError::Away),
        ]);
        assert!(refused.is_open() && !refused.is_sending);
        assert_eq!((refused.draft.prompt.as_str(), &refused.error), ("Do it", &Some(CallError::Away)));
        assert_eq!(refused.reduce(typed("Do it now")).error, None);
    }

    #[test]
    fn throwing_away_leaves_an_open_and_empty_dialog() {
        let cleared = after([DialogAction::Open(None), typed("Do it"), DialogAction::Clear]);
        assert!(cleared.is_open() && cleared.draft.is_blank());
    }

    #[test]
    fn the_sample_fills_an_empty_dialog_and_replaces_nothing_that_was_written_meanwhile() {
        let sample = || DialogAction::Read {
            prompt: String::new(),
            draft: TaskDraft {
                title: "Count the primes".to_owned(),
                prompt: "Count".to_owned(),
                agent: Some("script".to_owned()),
                ..draft::empty()
            },
        };
        let filled = after([DialogAction::Open(None), DialogAction::Refused(CallError::Away), sample()]);
        let task = filled.draft.new_task().unwrap();
        assert_eq!((task.prompt.as_str(), task.title.as_deref()), ("Count", Some("Count the primes")));
        assert_eq!((task.agent.as_deref(), &filled.error), (Some("script"), &None));

        let written = after([DialogAction::Open(None), typed("Do it"), sample()]);
        assert_eq!((written.draft.prompt.as_str(), written.draft.title.as_deref()), ("Do it", None));
        for meanwhile in [DialogAction::Close, DialogAction::Queued] {
            assert!(after([DialogAction::Open(None), meanwhile, sample()]).draft.is_blank());
        }
    }

    #[test]
    fn taking_off_a_file_that_is_not_there_changes_nothing() {
        let dialog = after([DialogAction::Open(None)]);
        assert_eq!(dialog.clone().reduce(DialogAction::Detach(3)), dialog);
    }
}
