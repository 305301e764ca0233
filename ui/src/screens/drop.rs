//! Files dropped anywhere on the window fill in the New task dialog. In Berth's own window the system gives paths, in a browser
//! names and bytes; what follows is the same.

mod plan;

use gloo_events::{EventListener, EventListenerOptions};
use wasm_bindgen::JsCast;
use web_sys::DragEvent;
use wire::{
    call::PreviewTask,
    task::{TaskDraft, TaskSource},
};
use yew::prelude::*;

use self::plan::plan;
use crate::{
    backend::{
        self, CallError,
        desktop::{FileDrag, FileDrags, is_desktop},
        files::{self, Picked},
    },
    context::use_known,
    keys::{Scope, Taken, use_keys},
    parts::key,
    say,
    screens::new_task::{Dialog, DialogAction, draft},
};

/// How many agents can be dropped on.
const TARGETS_MAX: usize = 5;
/// How many files of one drop are looked at.
const FILES_MAX: u32 = 400;

/// Files over the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Over {
    /// How many, where that is told.
    count: Option<usize>,
    /// The agent below them.
    agent: Option<String>,
}

#[derive(PartialEq, Properties)]
pub struct DropProps {
    pub dialog: UseReducerHandle<Dialog>,
}

/// Listens to files dragged over the window, and covers it while they are.
#[component]
pub fn DropTarget(props: &DropProps) -> Html {
    let over = use_state_eq(|| None::<Over>);
    {
        let (over, dispatcher) = (over.setter(), props.dialog.dispatcher());
        use_effect_with((), move |()| {
            let listening = if is_desktop() {
                Listening::Desktop(follow_desktop(over, dispatcher))
            } else {
                Listening::Browser(follow_browser(&over, &dispatcher))
            };
            move || drop(listening)
        });
    }
    {
        let over = over.clone();
        use_keys(Scope::Everything, move |event| {
            if event.key() != "Escape" || over.is_none() {
                return Taken::No;
            }
            over.set(None);
            Taken::Yes
        });
    }
    match &*over {
        Some(over) => html! { <Overlay over={over.clone()} /> },
        None => Html::default(),
    }
}

/// What keeps the listeners alive.
enum Listening {
    Desktop(#[expect(dead_code, reason = "held for its drop")] FileDrags),
    Browser(#[expect(dead_code, reason = "held for its drop")] Vec<EventListener>),
}

fn follow_desktop(over: UseStateSetter<Option<Over>>, dispatcher: UseReducerDispatcher<Dialog>) -> FileDrags {
    let count = std::cell::Cell::new(None);
    FileDrags::follow(move |drag| match drag {
        FileDrag::Over { .. } | FileDrag::Dropped { .. } if form_takes_files() => {}
        FileDrag::Over { x, y, count: told } => {
            if told.is_some() {
                count.set(told);
            }
            over.set(Some(Over { count: count.get(), agent: agent_at(x, y) }));
        }
        FileDrag::Dropped { paths, x, y } => {
            let agent = agent_at(x, y);
            over.set(None);
            if paths.is_empty() {
                return;
            }
            let dispatcher = dispatcher.clone();
            wasm_bindgen_futures::spawn_local(async move {
                let answer = backend::call(PreviewTask { source: TaskSource::Paths { paths } }).await;
                fill_in(&dispatcher, answer, agent);
            });
        }
        FileDrag::Gone => over.set(None),
    })
}

fn follow_browser(
    over: &UseStateSetter<Option<Over>>,
    dispatcher: &UseReducerDispatcher<Dialog>,
) -> Vec<EventListener> {
    let Some(window) = web_sys::window() else { return Vec::new() };
    let listen = |name: &'static str, on_drag: Box<dyn Fn(&DragEvent)>| {
        EventListener::new_with_options(&window, name, EventListenerOptions::enable_prevent_default(), move |event| {
            if let Some(event) = event.dyn_ref::<DragEvent>().filter(|event| files::are_carried(event)) {
                event.prevent_default();
                if !form_takes_files() {
                    on_drag(event);
                }
            }
        })
    };
    let at = |event: &DragEvent| agent_at(f64::from(event.client_x()), f64::from(event.client_y()));
    let (on_over, on_leave, on_drop, dispatcher) = (over.clone(), over.clone(), over.clone(), dispatcher.clone());
    let show = move |event: &DragEvent| {
        let count = event.data_transfer().map(|transfer| transfer.items().length() as usize).filter(|count| *count > 0);
        on_over.set(Some(Over { count, agent: at(event) }));
    };
    vec![
        listen("dragover", Box::new(show)),
        // Leaving the page has no element that is entered; between its elements there is one.
        listen(
            "dragleave",
            Box::new(move |event| {
                if event.related_target().is_none() {
                    on_leave.set(None);
                }
            }),
        ),
        listen(
            "drop",
            Box::new(move |event| {
                on_drop.set(None);
                let files =
                    files::picked(event.data_transfer().and_then(|transfer| transfer.files()).as_ref(), FILES_MAX);
                let (agent, dispatcher) = (at(event), dispatcher.clone());
                if !files.is_empty() {
                    wasm_bindgen_futures::spawn_local(
                        async move { fill_in(&dispatcher, draft_of(files).await, agent) },
                    );
                }
            }),
        ),
    ]
}

/// Whether a form is open that takes files itself: what is dropped beside it is nothing.
fn form_takes_files() -> bool {
    web_sys::window()
        .and_then(|window| window.document())
        .and_then(|document| document.query_selector("[data-takes-files]").ok().flatten())
        .is_some()
}

/// The agent whose slip lies at these pixels of the page.
fn agent_at(x: f64, y: f64) -> Option<String> {
    #[expect(clippy::cast_possible_truncation, reason = "pixels of a page")]
    let element = web_sys::window()?.document()?.element_from_point(x as f32, y as f32)?;
    element.closest("[data-drop-agent]").ok()??.get_attribute("data-drop-agent")
}

/// Reads what was dropped, within the bounds of the plan.
async fn draft_of(files: Vec<Picked>) -> Result<TaskDraft, CallError> {
    let mut plan = plan(files.iter().map(|file| (file.name.as_str(), file.size_bytes)));
    let mut draft = draft::empty();
    if let Some(at) = plan.task {
        match files[at].read().await.map(String::from_utf8) {
            Some(Ok(text)) => draft = backend::call(PreviewTask { source: TaskSource::Text { text } }).await?,
            // Not a text after all: it comes along as it is.
            Some(Err(bytes)) => draft.attachments.push(files::attachment(files[at].name.clone(), bytes.as_bytes())),
            None => plan.refused.push(unreadable(&files[at].name)),
        }
    }
    for at in plan.attached {
        match files[at].read().await {
            Some(bytes) => draft.attachments.push(files::attachment(files[at].name.clone(), &bytes)),
            None => plan.refused.push(unreadable(&files[at].name)),
        }
    }
    draft.warnings.append(&mut plan.refused);
    Ok(draft)
}

fn unreadable(name: &str) -> String {
    format!("{name} could not be read: a browser gives no folders, drop the files in it")
}

fn fill_in(dispatcher: &UseReducerDispatcher<Dialog>, answer: Result<TaskDraft, CallError>, agent: Option<String>) {
    match answer {
        Ok(mut draft) => {
            draft.agent = agent.or(draft.agent);
            dispatcher.dispatch(DialogAction::Open(Some(draft)));
        }
        Err(error) => dispatcher.dispatch(DialogAction::Refused(error)),
    }
}

#[derive(PartialEq, Properties)]
struct OverlayProps {
    over: Over,
}

#[component]
fn Overlay(props: &OverlayProps) -> Html {
    let known = use_known();
    let over = &props.over;
    let agents = known.agents.data.as_ref().map(|agents| agents.as_slice()).unwrap_or_default();
    html! {
        <div class="drop" data-test="drop-overlay">
            <div class="drop-frame">
                <div class="drop-main">
                    <svg class="slip-art" viewBox="0 0 16 16" aria-hidden="true">
                        <path class="quay" d="M2 2.5A.5.5 0 0 1 2.5 2H4v11h8V6.5h1.5a.5.5 0 0 1 .5.5v7a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1Z" />
                        <path class="hull" d="M8 .7C9.8 2 10.8 4.2 10.8 6.6c0 1.7-.2 3.2-.6 4.5a.6.6 0 0 1-.6.4H6.4a.6.6 0 0 1-.6-.4c-.4-1.3-.6-2.8-.6-4.5C5.2 4.2 6.2 2 8 .7Z" />
                    </svg>
                    <h2>{ match &over.agent { Some(agent) => format!("Drop to give {agent} a task"), None => "Drop to make a task".to_owned() } }</h2>
                    <p>
                        if let Some(count) = over.count { { say::count(count as u64, "file", "files") }{ ". " } }
                        { "A text is the task, everything else comes along. You look at it before it is queued." }
                    </p>
                </div>
                if !agents.is_empty() {
                    <div class="drop-agents">
                        <div class="drop-title">{ "Drop anywhere else to choose the agent later" }</div>
                        <div class="drop-row" data-count={agents.len().min(TARGETS_MAX).to_string()}>
                            { for agents.iter().take(TARGETS_MAX).map(|agent| html! {
                                <div class="drop-target" key={agent.name.clone()} data-drop-agent={agent.name.clone()}
                                    data-over={(over.agent.as_deref() == Some(agent.name.as_str())).then_some("")}>
                                    <span class="pennant" data-size="l" aria-hidden="true">{ &agent.call_sign }</span>
                                    <span class="name">{ &agent.name }</span>
                                    <span class="weak">{ if agent.busy.is_some() { "Busy, queues behind its task" } else { "Idle" } }</span>
                                </div>
                            }) }
                        </div>
                    </div>
                }
                <div class="drop-foot">
                    <span>{ "The files are copied into the workspace; the originals stay where they are." }</span>
                    <span>{ key("Esc") }{ "cancel" }</span>
                </div>
            </div>
        </div>
    }
}
