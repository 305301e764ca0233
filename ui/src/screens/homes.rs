//! The homes: whose each is, how large, what uses it; looked into, moved out and in, started anew.

pub mod folder;

use std::rc::Rc;

use web_sys::{Event, HtmlInputElement};
use wire::{
    call::{CancelHomeWork, DeleteHome, ListHomes, ResetHome},
    view::{HomeAction, HomeView},
};
use yew::prelude::*;
use yew_router::prelude::*;

use crate::{
    backend::{self, CallError, archive, desktop::is_desktop},
    context::{use_desk, use_feed},
    dialog::{Modal, TypedName},
    icon::{Glyph, icon, small_icon},
    keys::{Scope, Taken, presses, use_keys},
    parts::{Age, Broken, Go, Skeletons, key, refusal},
    query::{Look, use_call},
    route::Route,
    say,
};

/// The screen.
#[component]
pub fn Homes() -> Html {
    let feed = use_feed();
    let desk = use_desk();
    let homes = use_call(Some(ListHomes {}), feed.homes());
    let selected = use_state_eq(|| None::<String>);
    let list = homes.data.clone();
    let shown = list.as_ref().and_then(|list| {
        let chosen = selected.as_ref().and_then(|home| list.iter().find(|one| one.home == *home));
        chosen.or(list.first()).cloned().map(Rc::new)
    });
    {
        let (list, selected, shown) = (list.clone(), selected.clone(), shown.clone());
        use_keys(Scope::Page, move |event| {
            let (Some(list), Some(shown)) = (&list, &shown) else { return Taken::No };
            let at = list.iter().position(|one| one.home == shown.home).unwrap_or(0);
            let to = match event.key().as_str() {
                "j" | "ArrowDown" => (at + 1).min(list.len().saturating_sub(1)),
                "k" | "ArrowUp" => at.saturating_sub(1),
                _ => return Taken::No,
            };
            selected.set(list.get(to).map(|one| one.home.clone()));
            Taken::Yes
        });
    }
    html! {
        <main class="content" data-test="screen-homes">
            <header class="header">
                <h1>{ "Homes" }</h1>
                if let Some(list) = &list { <span class="crumb weak">{ summary(list) }</span> }
            </header>
            { match homes.look() {
                Look::Loading => html! { <div class="scroll"><Skeletons rows={4} /></div> },
                Look::Broken(error) => html! { <Broken what="The list of homes" error={error.clone()} on_retry={desk.refresh.clone()} /> },
                Look::Known(list) if list.is_empty() => html! {
                    <div class="empty" data-test="no-homes">
                        <h2>{ "No homes" }</h2>
                        <p>{ "A home is where an agent keeps what it learns and makes between tasks. Each agent has one." }</p>
                        <div class="actions"><Go class="button" to={Route::Agents}>{ "Go to the agents" }</Go></div>
                    </div>
                },
                Look::Known(list) => html! {
                    <>
                        <div class="scroll">
                            <div class="list home-list" role="grid" aria-label="Homes">
                                <div class="columns" role="row">
                                    { for ["Home", "State", "Size", "Files", "Last used", "Seeded by", "Volume"].map(|name| html! {
                                        <span class="cell" role="columnheader" key={name} data-as={matches!(name, "Size" | "Files").then_some("number")}>{ name }</span>
                                    }) }
                                </div>
                                { for list.iter().map(|home| {
                                    let is_selected = shown.as_ref().is_some_and(|shown| shown.home == home.home);
                                    let (select, id) = (selected.setter(), home.home.clone());
                                    row(home, is_selected, Callback::from(move |_: MouseEvent| select.set(Some(id.clone()))))
                                }) }
                            </div>
                        </div>
                        if let Some(home) = shown { <Bar key={home.home.clone()} home={home.clone()} /> }
                    </>
                },
            } }
        </main>
    }
}

/// How many there are, and how large together as far as is known.
fn summary(homes: &[HomeView]) -> String {
    let known: Vec<_> = homes.iter().filter_map(|home| home.size).collect();
    let mut text = say::count(homes.len() as u64, "home", "homes");
    if !known.is_empty() {
        text = format!("{text} · {} on disk", say::bytes(known.iter().map(|size| size.size_bytes).sum()));
    }
    let unknown = homes.iter().filter(|home| !home.is_new && home.size.is_none()).count();
    if unknown > 0 {
        text = format!("{text} · {} being measured", say::count(unknown as u64, "home", "homes"));
    }
    text
}

fn row(home: &HomeView, is_selected: bool, onclick: Callback<MouseEvent>) -> Html {
    html! {
        <div class="row" role="row" key={home.home.clone()} aria-selected={is_selected.to_string()} {onclick} data-test="home-row" data-name={home.name.clone()}>
            <button class="cell" role="gridcell" data-flex="">
                <span class="pennant" aria-hidden="true" data-colour={home.colour.name()}>{ &home.call_sign }</span><b>{ &home.name }</b>
            </button>
            <span class="cell" role="gridcell" data-as="detail">{ state(home) }</span>
            <span class="cell" role="gridcell" data-as="number">
                { match home.size {
                    Some(size) => html! { say::bytes(size.size_bytes) },
                    None if home.is_new => html! { "–" },
                    None => html! { <span class="weak">{ "being measured" }</span> },
                } }
            </span>
            <span class="cell" role="gridcell" data-as="number">{ home.size.map_or_else(|| "–".to_owned(), |size| size.files.to_string()) }</span>
            <span class="cell" role="gridcell" data-as="detail">
                { match home.used_at { Some(at) => html! { <><Age since={at} />{ " ago" }</> }, None => html! { "never" } } }
            </span>
            <span class="cell" role="gridcell" data-as="mono">{ home.image.as_deref().unwrap_or("–") }</span>
            <span class="cell" role="gridcell" data-as="mono" title={home.home.clone()}>{ &home.home }</span>
        </div>
    }
}

fn state(home: &HomeView) -> Html {
    if let Some(work) = home.work {
        let part = work.total_bytes.filter(|total| *total > 0).map(|total| (work.done_bytes * 100 / total).min(100));
        let far = part.map_or_else(|| say::bytes(work.done_bytes), |part| format!("{part} %"));
        return html! { <span class="state" data-test="home-work"><span class="dot" data-tone="run"></span>{ format!("{} · {far}", work.kind.word()) }</span> };
    }
    if let Some(task) = &home.task {
        return html! { <Go class="state link" to={Route::task(task.number)}><span class="dot" data-tone="run"></span>{ format!("In use by #{}", task.number) }</Go> };
    }
    let (tone, word) = match (home.is_orphan, home.is_new) {
        (true, _) => (Some("review"), "Of a deleted agent"),
        (false, true) => (None, "Made at its first use"),
        (false, false) => (None, "Free"),
    };
    html! { <span class="state"><span class="dot" data-tone={tone} data-kind={tone.is_none().then_some("hollow")}></span>{ word }</span> }
}

#[derive(PartialEq, Properties)]
struct BarProps {
    home: Rc<HomeView>,
}

/// What can be done to the selected home: its actions, with the reasons of those that cannot be done now beside them.
#[component]
fn Bar(props: &BarProps) -> Html {
    let home = &props.home;
    let desk = use_desk();
    let navigator = use_navigator();
    let asked = use_state_eq(|| None::<HomeAction>);
    let refused = use_state(|| None::<CallError>);
    let is_busy = use_state_eq(|| false);
    let file = use_state(|| None::<web_sys::File>);
    let close = {
        let (asked, refused, file) = (asked.setter(), refused.setter(), file.setter());
        Callback::from(move |()| {
            asked.set(None);
            refused.set(None);
            file.set(None);
        })
    };
    let begin = {
        let (asked, refused, home, navigator) = (asked.setter(), refused.setter(), home.clone(), navigator.clone());
        Callback::from(move |action: HomeAction| {
            refused.set(None);
            match action {
                HomeAction::Browse => {
                    if let Some(navigator) = &navigator {
                        navigator.push(&Route::Folder { home: home.home.clone() });
                    }
                }
                HomeAction::Export if !is_desktop() => {
                    let (refused, id) = (refused.clone(), home.home.clone());
                    wasm_bindgen_futures::spawn_local(async move {
                        if let Err(error) = archive::export(id).await {
                            refused.set(Some(error));
                        }
                    });
                }
                HomeAction::Export | HomeAction::Import | HomeAction::Reset | HomeAction::Delete => {
                    asked.set(Some(action));
                }
            }
        })
    };
    {
        let (begin, home) = (begin.clone(), home.clone());
        use_keys(Scope::Page, move |event| {
            let can = home.actions.iter().filter(|action| action.denied.is_none()).map(|action| action.action);
            match can.into_iter().find(|action| presses(&event.key(), event.shift_key(), action.key())) {
                Some(action) => {
                    begin.emit(action);
                    Taken::Yes
                }
                None => Taken::No,
            }
        });
    }
    let on_yes = {
        let (home, asked, refused, is_busy, file, refresh) =
            (home.clone(), asked.clone(), refused.setter(), is_busy.setter(), file.clone(), desk.refresh.clone());
        Callback::from(move |typed: String| {
            let Some(action) = *asked else { return };
            let (id, picked) = (home.home.clone(), (*file).clone());
            let (asked, refused, is_busy, refresh) =
                (asked.setter(), refused.clone(), is_busy.clone(), refresh.clone());
            refused.set(None);
            is_busy.set(true);
            wasm_bindgen_futures::spawn_local(async move {
                let done = match (action, picked) {
                    (HomeAction::Reset, _) => backend::call(ResetHome { home: id, confirm: typed }).await.map(drop),
                    (HomeAction::Delete, _) => backend::call(DeleteHome { home: id, confirm: typed }).await.map(drop),
                    (HomeAction::Import, Some(file)) => archive::import(id, typed, file).await.map(drop),
                    (HomeAction::Import, None) | (HomeAction::Browse | HomeAction::Export, _) => Ok(()),
                };
                is_busy.set(false);
                match done {
                    Ok(()) => asked.set(None),
                    Err(error) => refused.set(Some(error)),
                }
                refresh.emit(());
            });
        })
    };
    let on_cancel = {
        let (id, refused, refresh) = (home.home.clone(), refused.setter(), desk.refresh.clone());
        Callback::from(move |_: MouseEvent| {
            let (id, refused, refresh) = (id.clone(), refused.clone(), refresh.clone());
            wasm_bindgen_futures::spawn_local(async move {
                if let Err(error) = backend::call(CancelHomeWork { home: id }).await {
                    refused.set(Some(error));
                }
                refresh.emit(());
            });
        })
    };
    html! {
        <>
            <div class="action-bar" data-test="home-actions">
                <b>{ &home.name }</b>
                if home.work.is_some_and(|work| work.can_be_cancelled) {
                    <button class="button" data-test="cancel-home-work" onclick={on_cancel}>{ icon(Glyph::X) }{ "Cancel" }</button>
                }
                { for home.actions.iter().filter(|view| view.action != HomeAction::Delete || home.is_orphan).map(|view| {
                    let (begin, action) = (begin.clone(), view.action);
                    html! {
                        <span class="action" key={action.label()}>
                            <button class="button" data-kind="quiet" data-test={format!("home-{}", action.label().to_lowercase())} aria-disabled={view.denied.is_some().then_some("true")}
                                onclick={let can = view.denied.is_none(); Callback::from(move |_: MouseEvent| if can { begin.emit(action) })}>
                                { icon(glyph_of(action)) }{ action.label() }{ key(action.key()) }
                            </button>
                        </span>
                    }
                }) }
                if let Some(reason) = why_not(home) { <span class="weak" data-test="why-not">{ reason }</span> }
                if let (Some(error), None) = (&*refused, *asked) { { refusal(error) } }
            </div>
            { match *asked {
                None | Some(HomeAction::Browse) => Html::default(),
                Some(HomeAction::Export) => by_command(home, "export", close),
                Some(HomeAction::Import) if is_desktop() => by_command(home, "import", close),
                Some(action) => {
                    let on_pick = {
                        let file = file.setter();
                        Callback::from(move |event: Event| {
                            let picked = event.target_dyn_into::<HtmlInputElement>().and_then(|input| input.files()?.item(0));
                            file.set(picked);
                        })
                    };
                    let missing = (action == HomeAction::Import && file.is_none()).then(|| AttrValue::from("Choose an archive"));
                    html! {
                        <TypedName title={format!("{} the home of {}", action.label(), home.name)} name={home.name.clone()} verb={action.label()}
                            consequence={consequence(action, home)} error={(*refused).clone()} is_busy={*is_busy} {missing} {on_yes} on_close={close}>
                            if action == HomeAction::Import {
                                <label class="field"><span class="label">{ "A tar, as Export writes it" }</span>
                                    <input type="file" accept=".tar,application/x-tar" data-test="archive-picker" onchange={on_pick} /></label>
                                if let (true, Some(work)) = (*is_busy, home.work) { <span class="weak" role="status">{ format!("{} so far", say::bytes(work.done_bytes)) }</span> }
                            }
                        </TypedName>
                    }
                }
            } }
        </>
    }
}

/// The reason that most of what cannot be done has in common.
fn why_not(home: &HomeView) -> Option<String> {
    let export = home.actions.iter().find(|view| view.action == HomeAction::Export)?;
    export.denied.as_deref().map(say::visible)
}

const fn glyph_of(action: HomeAction) -> Glyph {
    match action {
        HomeAction::Browse => Glyph::Folder,
        HomeAction::Export => Glyph::Download,
        HomeAction::Import => Glyph::CornerUpLeft,
        HomeAction::Reset => Glyph::Refresh,
        HomeAction::Delete => Glyph::Trash,
    }
}

fn consequence(action: HomeAction, home: &HomeView) -> Html {
    let size = home
        .size
        .map_or_else(|| "Everything".to_owned(), |size| format!("Everything ({})", say::bytes(size.size_bytes)));
    let text = match action {
        HomeAction::Reset => format!(
            "{size} in this home is lost, its memory too. At the next task it is made anew of the agent's image."
        ),
        HomeAction::Delete => format!("{size} in this home is lost. Its agent is deleted already."),
        HomeAction::Import => format!(
            "{size} in this home is lost once the archive is in whole. Until then, and if it breaks off, the home stays as it is."
        ),
        HomeAction::Browse | HomeAction::Export => String::new(),
    };
    html! { text }
}

/// In Berth's own window, which saves and picks no files of that size: the command that does.
fn by_command(home: &HomeView, verb: &'static str, on_close: Callback<()>) -> Html {
    let command = match verb {
        "export" => format!("berth homes export {} -o {}-home.tar", home.name, home.name),
        _ => format!("berth homes import {} FILE.tar --confirm {}", home.name, home.name),
    };
    let copied = command.clone();
    let foot = html! {
        <>
            <span class="spring"></span>
            <button class="button" onclick={move |_: MouseEvent| crate::terminal::copy(&copied)}>{ small_icon(Glyph::Copy) }{ "Copy" }</button>
        </>
    };
    html! {
        <Modal title={format!("With the command line: {verb}")} test="by-command" {on_close} {foot}>
            <p class="weak">{ "Archives can be larger than a window should hold. The command does it beside this window, and this list shows how far it is." }</p>
            <pre class="code" tabindex="0">{ command }</pre>
        </Modal>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(size: Option<u64>, is_new: bool) -> HomeView {
        let size = size.map(|size_bytes| {
            serde_json::json!({"size_bytes": size_bytes, "files": 3, "measured_at": "2026-11-21T12:00:00Z"})
        });
        serde_json::from_value(serde_json::json!({
            "home": "berth-home-1", "name": "mason", "agent": "0195510f-5a00-7000-8000-000000000004", "is_orphan": false,
            "call_sign": "CC", "is_new": is_new, "created_at": "2026-11-21T12:00:00Z", "size": size, "actions": [],
        }))
        .unwrap()
    }

    #[test]
    fn the_summary_says_what_is_known_and_what_is_not() {
        assert_eq!(summary(&[home(Some(2_000_000), false), home(None, true)]), "2 homes · 1.9 MiB on disk");
        assert_eq!(summary(&[home(None, false)]), "1 home · 1 home being measured");
    }
}
