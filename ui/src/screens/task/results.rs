//! The files that a run left: new, changed, deleted; with a look into the selected one.

mod content;
mod preview;

use std::rc::Rc;

use wire::{
    call::ListResults,
    ids::TaskId,
    view::{ResultChange, ResultList, ResultView, RunView},
};
use yew::prelude::*;

use self::preview::Preview;
use crate::{
    clock::use_moment,
    context::{use_desk, use_feed},
    icon::{Glyph, icon, small_icon},
    keys::{Scope, Taken, use_keys},
    parts::{Broken, Skeletons},
    query::{Look, use_call},
    say,
    terminal::copy,
};

#[derive(PartialEq, Properties)]
pub struct ResultsProps {
    pub task: TaskId,
    pub run: Rc<RunView>,
}

/// The tab.
#[component]
pub fn Results(props: &ResultsProps) -> Html {
    let feed = use_feed();
    let desk = use_desk();
    let run = AttrValue::from(props.run.summary.run.to_string());
    let query = use_call(Some(ListResults { run: run.to_string() }), feed.results(props.task));
    match query.look() {
        Look::Loading => html! { <div class="scroll"><Skeletons rows={5} /></div> },
        Look::Broken(error) => {
            html! { <Broken what="The results" error={error.clone()} on_retry={desk.refresh.clone()} /> }
        }
        Look::Known(list) if list.results.is_empty() => html! {
            <div class="empty" data-test="no-results">
                <h2>{ if props.run.summary.phase.is_final() { "No results" } else { "No results yet" } }</h2>
                <p>{ "What the agent writes below " }<code>{ "/workspace" }</code>{ " appears here as it is written." }</p>
            </div>
        },
        Look::Known(_) => match &query.data {
            Some(list) => html! { <Files list={list.clone()} {run} /> },
            None => Html::default(),
        },
    }
}

#[derive(PartialEq, Properties)]
struct FilesProps {
    list: Rc<ResultList>,
    run: AttrValue,
}

#[component]
fn Files(props: &FilesProps) -> Html {
    let list = &props.list;
    let moment = use_moment();
    // A file is remembered by its key, so that the selection survives every refresh.
    let selected = use_state_eq(|| list.results.first().map(|result| result.key.clone()));
    let keys: Rc<[String]> = list.results.iter().map(|result| result.key.clone()).collect();
    {
        let (selected, keys) = (selected.clone(), keys.clone());
        use_keys(Scope::Page, move |event| {
            let at = selected.as_ref().and_then(|selected| keys.iter().position(|key| key == selected));
            let to = match event.key().as_str() {
                "j" | "ArrowDown" => at.map_or(0, |at| at + 1),
                "k" | "ArrowUp" => at.unwrap_or(0).saturating_sub(1),
                _ => return Taken::No,
            };
            if let Some(key) = keys.get(to) {
                selected.set(Some(key.clone()));
            }
            Taken::Yes
        });
    }
    let shown = list.results.iter().find(|result| Some(&result.key) == selected.as_ref());
    html! {
        <div class="results">
            <div class="scroll">
                <div class="list result-list" role="grid" aria-label="Results" data-test="results">
                    <div class="columns" role="row">
                        <span></span>
                        <span class="cell" role="columnheader">{ "File" }</span>
                        <span class="cell" role="columnheader">{ "Change" }</span>
                        <span class="cell" role="columnheader">{ "Type" }</span>
                        <span class="cell" role="columnheader" data-as="number">{ "Size" }</span>
                        <span class="cell" role="columnheader" data-as="number">{ "Written" }</span>
                        <span class="cell" role="columnheader">{ "SHA-256" }</span>
                    </div>
                    { for list.results.iter().map(|result| {
                        let (selected_key, key) = (selected.clone(), result.key.clone());
                        let onclick = Callback::from(move |_: MouseEvent| selected_key.set(Some(key.clone())));
                        let written = result.modified_at.map(|at| say::moment(at, moment.now, moment.zone_s)).unwrap_or_default();
                        html! {
                            <div class="row" role="row" key={result.key.clone()} aria-selected={(Some(&result.key) == selected.as_ref()).to_string()} {onclick}
                                data-test="result-row" data-path={result.path.clone()} data-change={word(result.change)} data-final={result.is_final.to_string()}>
                                <span class="phase-slot toned" data-tone={tone(result.change)} aria-hidden="true">{ icon(glyph(result.change)) }</span>
                                <button class="cell" role="gridcell" data-as="mono" title={result.path.clone()}>{ say::visible(&result.path) }</button>
                                <span class="cell" role="gridcell" data-as="detail">{ word(result.change) }</span>
                                <span class="cell" role="gridcell" data-as="meta">{ say::visible(&result.media_type) }</span>
                                <span class="cell" role="gridcell" data-as="number">
                                    { if result.change == ResultChange::Deleted { "–".to_owned() } else { say::bytes(result.size_bytes) } }
                                </span>
                                <span class="cell" role="gridcell" data-as="number">{ written }</span>
                                <span class="cell sha" role="gridcell" data-as="mono" title={result.sha256.clone()}>
                                    { result.sha256.as_deref().map_or("–", say::short_hash) }
                                </span>
                            </div>
                        }
                    }) }
                </div>
                if list.left_out > 0 {
                    <div class="more" data-tone="review">{ format!("{} more are not listed: there are too many. They are all in the folder.", say::count(list.left_out, "file", "files")) }</div>
                }
            </div>
            if let Some(result) = shown {
                { pane(result, list.workspace.as_deref(), &props.run) }
            }
        </div>
    }
}

fn pane(result: &ResultView, workspace: Option<&str>, run: &AttrValue) -> Html {
    let full = workspace.map(|workspace| format!("{}/{}", workspace.trim_end_matches('/'), result.path));
    html! {
        <section class="preview" aria-label="Preview" data-test="preview">
            <div class="preview-head">
                <code title={result.path.clone()}>{ say::visible(&result.path) }</code>
                if !result.is_final { <span class="badge" data-tone="run" data-kind="plain">{ "may still change" }</span> }
                <span class="spring"></span>
                if let Some(full) = full {
                    <button class="button" data-kind="quiet" data-size="s" data-test="copy-path" title={full.clone()} onclick={move |_: MouseEvent| copy(&full)}>
                        { small_icon(Glyph::Copy) }{ "Copy the path" }
                    </button>
                }
            </div>
            <div class="preview-body"><Preview key={result.key.clone()} run={run.clone()} result={Rc::new(result.clone())} /></div>
        </section>
    }
}

const fn word(change: ResultChange) -> &'static str {
    match change {
        ResultChange::New => "New",
        ResultChange::Changed => "Changed",
        ResultChange::Deleted => "Deleted",
    }
}

const fn tone(change: ResultChange) -> &'static str {
    match change {
        ResultChange::New => "done",
        ResultChange::Changed => "review",
        ResultChange::Deleted => "fail",
    }
}

const fn glyph(change: ResultChange) -> Glyph {
    match change {
        ResultChange::New => Glyph::FilePlus,
        ResultChange::Changed => Glyph::FilePen,
        ResultChange::Deleted => Glyph::FileMinus,
    }
}
