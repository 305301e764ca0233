//! The task list: what needs me, what happens, what came of it.

pub mod list;

use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::{HtmlInputElement, HtmlSelectElement};
use wire::{
    Phase, Priority,
    call::ListTasks,
    ids::TaskId,
    queue::QueueState,
    view::{TaskList, TaskRow},
};
use yew::prelude::*;
use yew_router::prelude::*;

use self::list::{Step, grouped, stepped};
use crate::{
    clock::use_moment,
    context::{Place, use_desk, use_feed, use_known},
    icon::{Glyph, icon, phase_icon},
    keys::{Scope, Taken, use_keys},
    parts::{Age, Broken, Skeletons, Stopwatch, key, refusal},
    query::{Look, Query, use_call},
    queue::use_queue,
    route::Route,
    say,
};

/// How many rows are asked for at first, and how many more with each press.
pub const PAGE_ROWS: u32 = 200;
/// The most that one call gives.
const ROWS_MAX: u32 = 1_000;
/// The longest search.
const SEARCH_CHARS_MAX: u32 = 200;

/// The screen.
#[component]
pub fn Tasks() -> Html {
    let known = use_known();
    let desk = use_desk();
    let feed = use_feed();
    let place = (*desk.place).clone();
    let is_plain = place.search.trim().is_empty() && place.phase.is_none() && place.limit <= PAGE_ROWS;
    let filtered = use_call((!is_plain).then(|| call_of(&place)), feed.tasks());
    // Without a filter these are the rows that the house knows anyway.
    let query = if is_plain { known.tasks.clone() } else { filtered };
    html! {
        <main class="content" data-test="screen-tasks">
            <TasksHeader is_empty={is_plain && query.data.as_ref().is_some_and(|list| list.rows.is_empty())} />
            { body(&query, &place, desk.refresh.clone()) }
        </main>
    }
}

/// What to ask for at a place in the list.
fn call_of(place: &Place) -> ListTasks {
    ListTasks {
        phases: match place.phase {
            // A person who looks at what executes means what is being prepared, too: they are one group.
            Some(Phase::Executing) => vec![Phase::Provisioning, Phase::Executing],
            Some(phase) => vec![phase],
            None => Vec::new(),
        },
        search: place.search.trim().to_owned(),
        limit: place.limit.clamp(PAGE_ROWS, ROWS_MAX),
        offset: 0,
    }
}

fn body(query: &Query<TaskList>, place: &Place, on_retry: Callback<()>) -> Html {
    match query.look() {
        Look::Loading => html! { <div class="scroll"><Skeletons rows={8} /></div> },
        Look::Broken(error) => html! { <Broken what="The task list" error={error.clone()} {on_retry} /> },
        Look::Known(list) if list.rows.is_empty() && (place.phase.is_some() || !place.search.trim().is_empty()) => {
            html! { <NothingFound /> }
        }
        Look::Known(list) if list.rows.is_empty() => html! { <NoTasks /> },
        Look::Known(_) => match &query.data {
            Some(list) => html! { <Rows list={list.clone()} /> },
            None => Html::default(),
        },
    }
}

#[derive(PartialEq, Properties)]
struct TasksHeaderProps {
    /// Whether there is no task at all: the list's own button is the primary one then.
    is_empty: bool,
}

#[component]
fn TasksHeader(props: &TasksHeaderProps) -> Html {
    let desk = use_desk();
    let search = use_node_ref();
    let filter = use_node_ref();
    {
        let (search, filter) = (search.clone(), filter.clone());
        use_keys(Scope::Page, move |event| {
            let field = match event.key().as_str() {
                "/" => &search,
                "f" => &filter,
                _ => return Taken::No,
            };
            if let Some(element) = field.cast::<web_sys::HtmlElement>() {
                let _ = element.focus();
            }
            Taken::Yes
        });
    }
    let on_search = {
        let place = desk.place.clone();
        Callback::from(move |event: InputEvent| {
            let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else {
                return;
            };
            place.set(Place { search: input.value(), ..(*place).clone() });
        })
    };
    let on_leave = Callback::from(|event: KeyboardEvent| {
        // Escape and Enter give the keys back to the list.
        if matches!(event.key().as_str(), "Escape" | "Enter") {
            if let Some(input) = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlElement>().ok()) {
                let _ = input.blur();
            }
            event.prevent_default();
        }
    });
    let on_filter = {
        let place = desk.place.clone();
        Callback::from(move |event: Event| {
            let Some(select) = event.target().and_then(|target| target.dyn_into::<HtmlSelectElement>().ok()) else {
                return;
            };
            place.set(Place { phase: Phase::from_name(&select.value()), ..(*place).clone() });
        })
    };
    html! {
        <header class="header">
            <h1>{ "Tasks" }</h1>
            <span class="rule"></span>
            <label class="input header-search">
                { icon(Glyph::Search) }
                <input ref={search} type="search" aria-label="Search the tasks" placeholder="Search" data-test="search" autocomplete="off"
                    maxlength={SEARCH_CHARS_MAX.to_string()} value={desk.place.search.clone()} oninput={on_search} onkeydown={on_leave.clone()} />
                { key("/") }
            </label>
            <label class="input header-filter" data-on={desk.place.phase.is_some().then_some("")}>
                { icon(Glyph::Filter) }
                <select ref={filter} aria-label="Show only one phase" data-test="filter" onchange={on_filter} onkeydown={on_leave}>
                    <option value="" selected={desk.place.phase.is_none()}>{ "Every phase" }</option>
                    { for Phase::ALL.into_iter().filter(|phase| *phase != Phase::Provisioning).map(|phase| html! {
                        <option key={phase.name()} value={phase.name()} selected={desk.place.phase == Some(phase)}>{ phase.word() }</option>
                    }) }
                </select>
                { key("F") }
            </label>
            <span class="spring"></span>
            <PauseQueue />
            <button class="button" data-kind={(!props.is_empty).then_some("primary")} data-test="new-task-header" onclick={desk.new_task.reform(|_: MouseEvent| None)}>
                { icon(Glyph::Plus) }{ "New task" }{ key("N") }
            </button>
        </header>
    }
}

/// Pauses the queue, or lets it go on: the button and its key.
#[component]
fn PauseQueue() -> Html {
    let known = use_known();
    let queue = use_queue();
    let is_known = known.status.data.is_some();
    let (label, glyph, next) = if known.is_queue_paused() {
        ("Resume queue", Glyph::Play, QueueState::Open)
    } else {
        ("Pause queue", Glyph::Pause, QueueState::Paused)
    };
    {
        let set = queue.set.clone();
        use_keys(Scope::Page, move |event| {
            if event.key() != "q" || !is_known {
                return Taken::No;
            }
            set.emit(next);
            Taken::Yes
        });
    }
    html! {
        <>
            if let Some(error) = &queue.refused { { refusal(error) } }
            <button class="button" data-kind="quiet" data-test="pause-queue" title="Whether queued tasks start; what works works on"
                aria-disabled={(queue.is_asking || !is_known).then_some("true")} onclick={queue.set.reform(move |_: MouseEvent| next)}>
                { icon(glyph) }{ label }{ key("Q") }
            </button>
        </>
    }
}

#[derive(PartialEq, Properties)]
struct RowsProps {
    list: Rc<TaskList>,
}

#[component]
fn Rows(props: &RowsProps) -> Html {
    let desk = use_desk();
    let known = use_known();
    let moment = use_moment();
    let navigator = use_navigator();
    let down = known.engine_down().map(|(_, since)| since);
    let lost = use_feed().lost_since();
    let day_start = say::day_start(moment.now, moment.zone_s);
    let groups = use_memo((props.list.clone(), day_start), |(list, day_start)| {
        grouped(&list.rows, *day_start)
            .into_iter()
            .map(|(group, rows)| (group, rows.into_iter().cloned().map(Rc::new).collect::<Vec<_>>()))
            .collect::<Vec<_>>()
    });
    let order: Vec<(TaskId, i64)> =
        groups.iter().flat_map(|(_, rows)| rows.iter().map(|row| (row.task, row.number))).collect();
    {
        let (place, order, navigator) = (desk.place.clone(), order.clone(), navigator.clone());
        use_keys(Scope::Page, move |event| {
            let tasks: Vec<_> = order.iter().map(|(task, _)| *task).collect();
            if let Some(step) = Step::of_key(&event.key()) {
                place.set(Place { selected: stepped(&tasks, place.selected, step), ..(*place).clone() });
                return Taken::Yes;
            }
            let is_on_control = event
                .target()
                .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
                .is_some_and(|element| matches!(element.tag_name().as_str(), "A" | "BUTTON"));
            if event.key() == "Enter" && !is_on_control {
                let number = order.iter().find(|(task, _)| Some(*task) == place.selected).map(|(_, number)| *number);
                if let (Some(number), Some(navigator)) = (number, &navigator) {
                    navigator.push(&Route::task(number));
                    return Taken::Yes;
                }
            }
            Taken::No
        });
    }
    let on_open = {
        let place = desk.place.clone();
        Callback::from(move |(task, number): (TaskId, i64)| {
            place.set(Place { selected: Some(task), ..(*place).clone() });
            if let Some(navigator) = &navigator {
                navigator.push(&Route::task(number));
            }
        })
    };
    let on_more = {
        let place = desk.place.clone();
        Callback::from(move |_: MouseEvent| {
            let limit = place.limit.max(PAGE_ROWS).saturating_add(PAGE_ROWS);
            place.set(Place { limit, ..(*place).clone() });
        })
    };
    let has_costs = props.list.rows.iter().any(|row| row.cost.is_some());
    let shown = props.list.rows.len();
    html! {
        <div class="scroll">
            <div class="list task-list" role="grid" aria-label="Tasks" aria-rowcount={props.list.total.to_string()} data-test="task-list"
                data-costs={has_costs.then_some("")}>
                { for groups.iter().map(|(group, rows)| html! {
                    <>
                        <div class="group" role="row" key={group.label()} data-test="group">
                            <span class="phase-slot">{ phase_icon(group.phase()) }</span>
                            <span class="what" role="rowheader">{ group.label() }{ " " }<span class="tally">{ rows.len() }</span></span>
                        </div>
                        { for rows.iter().map(|row| html! {
                            <Row key={row.number} row={row.clone()} is_selected={desk.place.selected == Some(row.task)}
                                {down} {lost} is_today={row.since >= day_start} {has_costs} zone_s={moment.zone_s} on_open={on_open.clone()} />
                        }) }
                    </>
                }) }
            </div>
            if (shown as u64) < props.list.total {
                <div class="more">
                    { format!("{shown} of {} are shown.", props.list.total) }
                    if shown < ROWS_MAX as usize {
                        <button class="button" data-size="s" onclick={on_more}>{ format!("Show {PAGE_ROWS} more") }</button>
                    } else {
                        { " Search for the others." }
                    }
                </div>
            }
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct RowProps {
    row: Rc<TaskRow>,
    is_selected: bool,
    /// Since when the engine is down, if it is.
    down: Option<jiff::Timestamp>,
    /// Since when the core is away, if it is: no time runs on that nobody sees.
    lost: Option<jiff::Timestamp>,
    is_today: bool,
    has_costs: bool,
    zone_s: i64,
    on_open: Callback<(TaskId, i64)>,
}

#[component]
fn Row(props: &RowProps) -> Html {
    let row = &props.row;
    let element = use_node_ref();
    {
        let element = element.clone();
        use_effect_with(props.is_selected, move |is_selected| {
            if let Some(element) = element.cast::<web_sys::Element>().filter(|_| *is_selected) {
                let options = web_sys::ScrollIntoViewOptions::new();
                options.set_block(web_sys::ScrollLogicalPosition::Nearest);
                element.scroll_into_view_with_scroll_into_view_options(&options);
            }
        });
    }
    let onclick = {
        let (on_open, at) = (props.on_open.clone(), (row.task, row.number));
        Callback::from(move |event: MouseEvent| {
            if !(event.meta_key() || event.ctrl_key() || event.shift_key()) {
                event.prevent_default();
                on_open.emit(at);
            }
        })
    };
    let is_stale = props.down.is_some() && row.phase.is_live();
    html! {
        <div class="row" role="row" ref={element} aria-selected={props.is_selected.to_string()} {onclick} data-test="task-row"
            data-number={row.number.to_string()} data-phase-name={row.phase.name()} data-stale={is_stale.then_some("")}>
            <span class="phase-slot" role="gridcell" title={row.phase.word()}>
                if row.holds.is_empty() { { phase_icon(row.phase) } } else { { icon(Glyph::CirclePause) } }<span class="visually-hidden">{ row.phase.word() }</span>
            </span>
            <span class="cell" role="gridcell" data-as="id">{ format!("#{}", row.number) }</span>
            <a class="cell" role="gridcell" data-as="title" data-past={(row.phase == Phase::Completed || row.phase == Phase::Cancelled).then_some("")}
                href={Route::task(row.number).to_path()}>{ say::visible(&row.title) }</a>
            { note(row, props) }
            <span class="cell" role="gridcell" data-as="detail" data-flex="">
                <span class="pennant" aria-hidden="true">{ &row.call_sign }</span>{ &row.agent }
            </span>
            <span class="cell project" role="gridcell" data-as="meta">{ row.project.clone().unwrap_or_default() }</span>
            <span class="cell activity" role="gridcell" data-as="number">
                if props.is_selected { <span class="keys">{ key("↵") }<span class="hint-word">{ "open" }</span></span> }
            </span>
            <span class="cell" role="gridcell" data-as="number">{ time(row, props) }</span>
            if props.has_costs {
                <span class="cell" role="gridcell" data-as="number">
                    { row.cost.map_or_else(|| "–".to_owned(), |cost| cost.to_string()) }
                </span>
            }
        </div>
    }
}

fn note(row: &TaskRow, props: &RowProps) -> Html {
    let text = match (props.down, row.holds.first()) {
        (Some(since), _) if row.phase.is_live() => {
            let at = say::clock_s(since, props.zone_s);
            return html! {
                <span class="cell" role="gridcell" data-as="detail" data-test="note">
                    { format!("Last seen {at} · ") }<span class="weak">{ "state unknown until the engine answers" }</span>
                </span>
            };
        }
        (Some(_), _) if row.phase == Phase::Queued => "Waits for the engine".to_owned(),
        (_, Some(hold)) if row.phase.is_live() => format!("Held: {}", hold.word()),
        (_, Some(_) | None) => said_of(row),
    };
    let is_reason = row.phase == Phase::Failed;
    html! {
        <span class={classes!("cell", is_reason.then_some("is-reason"))} role="gridcell" data-as="detail" data-test="note" title={text.clone()}>{ text }</span>
    }
}

/// What the core says of a row; a queued one begins with its priority, where that is not the usual one.
fn said_of(row: &TaskRow) -> String {
    let note = say::visible(&row.note);
    if row.phase == Phase::Queued && row.priority != Priority::Normal {
        format!("{} priority · {note}", row.priority.word())
    } else {
        note
    }
}

fn time(row: &TaskRow, props: &RowProps) -> Html {
    match row.phase {
        Phase::Provisioning | Phase::Executing => {
            html! { <Stopwatch since={row.since} until={props.down.or(props.lost)} /> }
        }
        Phase::Completed if props.is_today => html! { { say::clock(row.since, props.zone_s) } },
        Phase::Queued | Phase::AwaitingReview | Phase::Completed | Phase::Failed | Phase::Cancelled => {
            html! { <Age since={row.since} /> }
        }
    }
}

#[component]
fn NothingFound() -> Html {
    let desk = use_desk();
    let place = (*desk.place).clone();
    let searched = place.search.trim();
    let on_clear = {
        let place = desk.place.clone();
        Callback::from(move |_: MouseEvent| {
            place.set(Place { search: String::new(), phase: None, ..(*place).clone() });
        })
    };
    html! {
        <div class="empty" data-test="nothing-found">
            <h2>
                { match (searched.is_empty(), place.phase) {
                    (true, Some(phase)) => format!("No task is {}", phase.word().to_lowercase()),
                    (true, None) => "No task matches".to_owned(),
                    (false, Some(phase)) => format!("No task matches “{searched}” and is {}", phase.word().to_lowercase()),
                    (false, None) => format!("No task matches “{searched}”"),
                } }
            </h2>
            <p>{ "Title, prompt and agent were searched." }</p>
            <div class="actions"><button class="button" data-kind="primary" onclick={on_clear}>{ "Show every task" }</button></div>
        </div>
    }
}

#[component]
fn NoTasks() -> Html {
    let desk = use_desk();
    html! {
        <div class="empty" data-test="no-tasks">
            <svg class="empty-art" viewBox="0 0 96 72" aria-hidden="true">
                <path class="quay" d="M8 6v58h80V22" />
                <path class="quay" d="M34.5 32v32M61.5 32v32" />
                <path class="ghost" d="M21.250 12c5 6 6.8 12 6.8 19 0 8-1 14-2.8 20h-8c-1.8-6-2.8-12-2.8-20 0-7 1.8-13 6.8-19Z" />
            </svg>
            <h2>{ "No tasks yet" }</h2>
            <p>{ "Give an agent something to do. It works in a sandbox without a network card, and what it makes stays in a folder of its own." }</p>
            <div class="actions">
                <button class="button" data-kind="primary" data-test="run-sample" onclick={desk.run_sample.reform(|_: MouseEvent| ())}>
                    { icon(Glyph::Play) }{ "Run the sample task" }
                </button>
                <button class="button" onclick={desk.new_task.reform(|_: MouseEvent| None)}>{ icon(Glyph::Plus) }{ "New task" }{ key("N") }</button>
            </div>
            <p class="small">{ "You can also drop files anywhere on this window, or run " }<code>{ "berth run task.md" }</code></p>
        </div>
    }
}
