//! A look into a home: folders to go through, files to read. Links are shown and never followed.

use std::rc::Rc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use wire::{
    call::{BrowseHome, ListHomes, ReadHome},
    view::{EntryKind, FolderEntry, FolderView},
};
use yew::prelude::*;

use crate::{
    backend::{self, CallError},
    clock::use_moment,
    context::{use_desk, use_feed},
    icon::{Glyph, icon},
    keys::{Scope, Taken, use_keys},
    parts::{Broken, Go, Skeletons, refusal},
    query::{Look, use_call},
    route::Route,
    say,
    screens::new_task::glyph_of,
};

/// The most of a file that is shown.
const TEXT_BYTES_MAX: u32 = 256 << 10;
/// Where a zero byte in these first bytes stands, there is no text.
const LOOKED_AT_BYTES: usize = 8 << 10;

#[derive(PartialEq, Properties)]
pub struct HomeFolderProps {
    /// The volume.
    pub home: AttrValue,
}

/// The screen.
#[component]
pub fn HomeFolder(props: &HomeFolderProps) -> Html {
    let feed = use_feed();
    let desk = use_desk();
    let homes = use_call(Some(ListHomes {}), feed.homes());
    let key = use_state_eq(String::new);
    let after = use_state_eq(String::new);
    let opened = use_state_eq(|| None::<Rc<FolderEntry>>);
    let call = BrowseHome { home: props.home.to_string(), key: (*key).clone(), after: (*after).clone(), limit: 0 };
    let folder = use_call(Some(call), 0);
    let name = homes
        .data
        .as_ref()
        .and_then(|homes| homes.iter().find(|home| *home.home == *props.home))
        .map(|home| home.name.clone());
    let go = {
        let (key, after, opened) = (key.setter(), after.setter(), opened.setter());
        Callback::from(move |to: String| {
            key.set(to);
            after.set(String::new());
            opened.set(None);
        })
    };
    {
        let (go, here) = (go.clone(), (*key).clone());
        use_keys(Scope::Page, move |event| match event.key().as_str() {
            "Backspace" if !here.is_empty() => {
                go.emit(parent_of(&here).to_owned());
                Taken::Yes
            }
            _ => Taken::No,
        });
    }
    let crumbs = folder.data.as_deref().map(crumbs).unwrap_or_default();
    html! {
        <main class="content" data-test="screen-folder">
            <header class="header">
                <h1><Go to={Route::Homes}>{ "Homes" }</Go></h1>
                { icon(Glyph::ChevronRight) }
                <button class="button" data-kind="quiet" data-size="s" data-test="folder-root" onclick={go.reform(|_: MouseEvent| String::new())}>{ name.unwrap_or_default() }</button>
                { for crumbs.into_iter().map(|(shown, to)| html! {
                    <>{ icon(Glyph::ChevronRight) }<button class="button" data-kind="quiet" data-size="s" key={to.clone()} onclick={go.reform(move |_: MouseEvent| to.clone())}>{ shown }</button></>
                }) }
            </header>
            { match folder.look() {
                Look::Loading => html! { <div class="scroll"><Skeletons rows={8} /></div> },
                Look::Broken(error) => html! { <Broken what="The folder" error={error.clone()} on_retry={desk.refresh.clone()} /> },
                Look::Known(view) if view.entries.is_empty() => html! {
                    <div class="empty" data-test="empty-folder"><h2>{ "Nothing in here" }</h2><p>{ "The agent has left this folder empty." }</p></div>
                },
                Look::Known(view) => html! {
                    <div class="results" data-test="folder">
                        <div class="scroll">
                            if let Some(error) = &folder.error { { refusal(error) } }
                            { list(view, opened.as_deref(), &go, &opened.setter()) }
                            if let Some(next) = view.next.clone() {
                                <div class="more">
                                    { format!("{} in all. ", say::count(view.total, "entry", "entries")) }
                                    <button class="button" data-size="s" data-test="next-page" onclick={let after = after.setter(); Callback::from(move |_: MouseEvent| after.set(next.clone()))}>{ "Next page" }</button>
                                </div>
                            }
                            if !after.is_empty() {
                                <div class="more"><button class="button" data-size="s" onclick={let after = after.setter(); Callback::from(move |_: MouseEvent| after.set(String::new()))}>{ "First page" }</button></div>
                            }
                        </div>
                        if let Some(entry) = &*opened { <File key={entry.key.clone()} home={props.home.clone()} entry={entry.clone()} /> }
                    </div>
                },
            } }
        </main>
    }
}

/// The folder above one, by its key.
fn parent_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The parts of a folder's path as they are shown, each with the key that leads there.
fn crumbs(folder: &FolderView) -> Vec<(String, String)> {
    let ends =
        folder.key.match_indices('/').map(|(at, _)| at).chain((!folder.key.is_empty()).then_some(folder.key.len()));
    folder
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(say::visible)
        .zip(ends.map(|end| folder.key[..end].to_owned()))
        .collect()
}

fn list(
    view: &FolderView,
    opened: Option<&FolderEntry>,
    go: &Callback<String>,
    open: &UseStateSetter<Option<Rc<FolderEntry>>>,
) -> Html {
    html! {
        <div class="list folder-list" role="grid" aria-label="What the folder holds">
            <div class="columns" role="row">
                { for ["", "Name", "Size", "Changed", "Mode"].map(|name| html! { <span class="cell" role="columnheader" key={name}>{ name }</span> }) }
            </div>
            { for view.entries.iter().map(|entry| {
                let (go, open, entry) = (go.clone(), open.clone(), Rc::new(entry.clone()));
                let onclick = {
                    let entry = entry.clone();
                    Callback::from(move |_: MouseEvent| match entry.kind {
                        EntryKind::Folder => go.emit(entry.key.clone()),
                        EntryKind::File | EntryKind::Link | EntryKind::Special => open.set(Some(entry.clone())),
                    })
                };
                let is_open = opened.is_some_and(|opened| opened.key == entry.key);
                html! { <Row key={entry.key.clone()} entry={entry.clone()} {is_open} {onclick} /> }
            }) }
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct RowProps {
    entry: Rc<FolderEntry>,
    is_open: bool,
    onclick: Callback<MouseEvent>,
}

#[component]
fn Row(props: &RowProps) -> Html {
    let moment = use_moment();
    let entry = &props.entry;
    let glyph = match entry.kind {
        EntryKind::Folder => Glyph::Folder,
        EntryKind::File => glyph_of(&entry.name),
        EntryKind::Link => Glyph::CornerUpLeft,
        EntryKind::Special => Glyph::Ban,
    };
    html! {
        <div class="row" role="row" aria-selected={props.is_open.to_string()} onclick={props.onclick.clone()} data-test="folder-entry" data-name={entry.name.clone()}>
            <span class="phase-slot" aria-hidden="true">{ icon(glyph) }</span>
            <button class="cell" role="gridcell" data-as="mono" title={entry.name.clone()}>
                { say::visible(&entry.name) }
                if entry.kind == EntryKind::Folder { { "/" } }
                if let Some(target) = &entry.target { <span class="weak">{ format!(" → {}", say::visible(target)) }</span> }
            </button>
            <span class="cell" role="gridcell" data-as="number">{ if entry.kind == EntryKind::File { say::bytes(entry.size_bytes) } else { "–".to_owned() } }</span>
            <span class="cell" role="gridcell" data-as="number">{ entry.modified_at.map(|at| say::moment(at, moment.now, moment.zone_s)).unwrap_or_default() }</span>
            <span class="cell" role="gridcell" data-as="mono">{ format!("{:04o}", entry.mode) }</span>
        </div>
    }
}

/// What there is to see of a file.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Reading,
    Text { text: Rc<str>, is_whole: bool },
    Nothing(String),
    Failed(CallError),
}

#[derive(PartialEq, Properties)]
struct FileProps {
    home: AttrValue,
    entry: Rc<FolderEntry>,
}

#[component]
fn File(props: &FileProps) -> Html {
    let seen = use_state(|| Seen::Reading);
    {
        let seen = seen.setter();
        use_effect_with((props.home.clone(), props.entry.clone()), move |(home, entry)| {
            let (home, entry) = (home.to_string(), entry.clone());
            let is_over = Rc::new(std::cell::Cell::new(false));
            let cancelled = is_over.clone();
            wasm_bindgen_futures::spawn_local(async move {
                let found = look(home, &entry).await;
                if !cancelled.get() {
                    seen.set(found);
                }
            });
            move || is_over.set(true)
        });
    }
    html! {
        <section class="preview" aria-label="Preview" data-test="home-file">
            <div class="preview-head"><code title={props.entry.name.clone()}>{ say::visible(&props.entry.name) }</code></div>
            <div class="preview-body">
                { match &*seen {
                    Seen::Reading => Html::default(),
                    Seen::Text { text, is_whole } => html! {
                        <>
                            <pre class="code preview-text" tabindex="0" data-test="preview-text">{ &**text }</pre>
                            if !is_whole { <p class="preview-note">{ format!("Only the first {} are shown.", say::bytes(TEXT_BYTES_MAX.into())) }</p> }
                        </>
                    },
                    Seen::Nothing(why) => html! { <p class="preview-note" data-test="preview-none">{ why }</p> },
                    Seen::Failed(error) => html! { <p class="preview-note">{ refusal(error) }</p> },
                } }
            </div>
        </section>
    }
}

async fn look(home: String, entry: &FolderEntry) -> Seen {
    match entry.kind {
        EntryKind::File => {}
        EntryKind::Link => {
            return Seen::Nothing("A link. It is shown and never followed: it may lead anywhere.".to_owned());
        }
        EntryKind::Folder | EntryKind::Special => {
            return Seen::Nothing("No file: there is nothing to read.".to_owned());
        }
    }
    let call = ReadHome { home, key: entry.key.clone(), offset: 0, length: TEXT_BYTES_MAX };
    match backend::call(call).await {
        Ok(piece) => match STANDARD.decode(&piece.base64) {
            Ok(bytes) if bytes.iter().take(LOOKED_AT_BYTES).any(|byte| *byte == 0) => {
                Seen::Nothing(format!("{} that are no text.", say::bytes(piece.size_bytes)))
            }
            Ok(bytes) => Seen::Text {
                text: say::visible(&String::from_utf8_lossy(&bytes)).into(),
                is_whole: bytes.len() as u64 >= piece.size_bytes,
            },
            Err(error) => Seen::Failed(CallError::Garbled(error.to_string())),
        },
        Err(error) => Seen::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crumb_leads_to_its_own_folder() {
        let folder = FolderView {
            path: "a b/c".to_owned(),
            key: "a%20b/c".to_owned(),
            entries: Vec::new(),
            total: 0,
            next: None,
        };
        let expected = [("a b", "a%20b"), ("c", "a%20b/c")].map(|(shown, key)| (shown.to_owned(), key.to_owned()));
        assert_eq!(crumbs(&folder), expected);
        assert_eq!((parent_of("a%20b/c"), parent_of("a%20b")), ("a%20b", ""));
        let root = FolderView { path: String::new(), key: String::new(), ..folder };
        assert_eq!(crumbs(&root), []);
    }
}
