//! Taking in an `.env` file: its text comes from a field or a file, its names are looked at, and those that are ticked are kept. The
//! text lives as long as the dialog, in a cell that nothing draws from.

use std::{collections::BTreeSet, rc::Rc};

use web_sys::{HtmlInputElement, HtmlTextAreaElement};
use wire::{
    call::{ImportEnvFile, PreviewEnvFile},
    secret::{EnvEntry, SecretText},
};
use yew::prelude::*;

use super::draft;
use crate::{
    backend::{self, CallError, files},
    dialog::Modal,
    icon::{Glyph, small_icon},
    parts::refusal,
    say,
    sending::use_sending,
};

/// The most that an `.env` file may hold, in bytes.
const ENV_FILE_BYTES_MAX: u64 = 256 << 10;

/// A file that is looked at, without its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Preview {
    /// Its lines; `None` before it was looked at.
    entries: Option<Rc<Vec<EnvEntry>>>,
    /// The names that are wanted.
    ticked: BTreeSet<String>,
}

/// What happens to a [`Preview`].
enum PreviewAction {
    /// The core looked at it.
    Came(Vec<EnvEntry>),
    /// A person ticked a name, or took the tick away.
    Toggle(String),
    /// A person went back to the text.
    Back,
}

impl Reducible for Preview {
    type Action = PreviewAction;

    fn reduce(self: Rc<Self>, action: PreviewAction) -> Rc<Self> {
        match action {
            PreviewAction::Came(entries) => {
                // What would put another value in the place of one that there is waits for a person to want that.
                let wanted = entries.iter().filter(|entry| entry.problem.is_none() && !entry.is_known);
                let ticked = wanted.map(|entry| entry.name.clone()).collect();
                Rc::new(Self { entries: Some(Rc::new(entries)), ticked })
            }
            PreviewAction::Toggle(name) => {
                let mut preview = Self::clone(&self);
                if !preview.ticked.remove(&name) && preview.can_take(&name) {
                    preview.ticked.insert(name);
                }
                Rc::new(preview)
            }
            PreviewAction::Back => Rc::default(),
        }
    }
}

impl Preview {
    fn can_take(&self, name: &str) -> bool {
        let mut entries = self.entries.iter().flat_map(|entries| entries.iter());
        entries.any(|entry| entry.name == name && entry.problem.is_none())
    }

    /// Why nothing can be taken in.
    fn denied(&self) -> Option<&'static str> {
        self.ticked.is_empty().then_some("Nothing is ticked")
    }
}

#[derive(PartialEq, Properties)]
pub struct ImportProps {
    pub on_close: Callback<()>,
}

/// The dialog.
#[component]
pub fn ImportSecrets(props: &ImportProps) -> Html {
    let preview = use_reducer(Preview::default);
    let text = use_mut_ref(|| None::<SecretText>);
    let area = use_node_ref();
    let refused = use_state(|| None::<CallError>);
    let problem = use_state_eq(|| None::<&'static str>);
    let is_looking = use_state_eq(|| false);
    let has_text = use_state_eq(|| false);
    let sending = use_sending(props.on_close.clone());
    let look = {
        let (text, preview, refused, is_looking) =
            (text.clone(), preview.dispatcher(), refused.setter(), is_looking.setter());
        Callback::from(move |typed: String| {
            let kept = SecretText::new(typed);
            text.replace(Some(kept.clone()));
            let (preview, refused, is_looking) = (preview.clone(), refused.clone(), is_looking.clone());
            refused.set(None);
            is_looking.set(true);
            wasm_bindgen_futures::spawn_local(async move {
                match backend::call(PreviewEnvFile { text: kept }).await {
                    Ok(entries) => preview.dispatch(PreviewAction::Came(entries)),
                    Err(error) => refused.set(Some(error)),
                }
                is_looking.set(false);
            });
        })
    };
    let on_look = {
        let (area, look, can) = (area.clone(), look.clone(), *has_text && !*is_looking);
        Callback::from(move |_: MouseEvent| {
            let Some(area) = area.cast::<HtmlTextAreaElement>().filter(|_| can) else { return };
            look.emit(area.value());
            area.set_value("");
        })
    };
    let on_pick = {
        let problem = problem.setter();
        Callback::from(move |event: Event| {
            let Some(input) = event.target_dyn_into::<HtmlInputElement>() else { return };
            let Some(file) = files::picked(input.files().as_ref(), 1).pop() else { return };
            if file.size_bytes > ENV_FILE_BYTES_MAX {
                problem.set(Some("The file is larger than 256 KiB"));
                return;
            }
            let (look, problem) = (look.clone(), problem.clone());
            wasm_bindgen_futures::spawn_local(async move {
                match file.read().await.and_then(|bytes| String::from_utf8(bytes).ok()) {
                    Some(text) => {
                        problem.set(None);
                        look.emit(text);
                    }
                    None => problem.set(Some("The file cannot be read as text")),
                }
            });
        })
    };
    let on_back = {
        let (preview, text, has_text) = (preview.dispatcher(), text.clone(), has_text.setter());
        Callback::from(move |_: MouseEvent| {
            text.replace(None);
            has_text.set(false);
            preview.dispatch(PreviewAction::Back);
        })
    };
    let denied = if sending.is_busy { Some("At work") } else { preview.denied() };
    let on_import = {
        let (sending, names) = (sending.clone(), preview.ticked.iter().cloned().collect::<Vec<_>>());
        Callback::from(move |_: MouseEvent| {
            if let (None, Some(text)) = (denied, text.borrow().clone()) {
                sending.send(ImportEnvFile { text, names: names.clone() });
            }
        })
    };
    let oninput = {
        let has_text = has_text.setter();
        Callback::from(move |event: InputEvent| has_text.set(!crate::parts::typed(&event).trim().is_empty()))
    };
    let foot = if let Some(entries) = &preview.entries {
        let all = say::count(entries.len() as u64, "name", "names");
        html! {
            <>
                <span class="note" role="status">{ denied.map_or_else(|| format!("{} of {all} ticked", preview.ticked.len()), str::to_owned) }</span>
                <span class="spring"></span>
                <button class="button" data-test="import-back" onclick={on_back}>{ "Another file" }</button>
                <button class="button" data-kind="primary" data-test="import-yes" aria-disabled={denied.is_some().then_some("true")} onclick={on_import}>{ "Import" }</button>
            </>
        }
    } else {
        let why = if *is_looking {
            "Looking"
        } else if *has_text {
            ""
        } else {
            "Paste the text, or choose a file"
        };
        html! {
            <>
                <span class="note" role="status">{ why }</span>
                <span class="spring"></span>
                <button class="button" data-kind="primary" data-test="import-look" aria-disabled={(!*has_text || *is_looking).then_some("true")} onclick={on_look}>{ "Look at the names" }</button>
            </>
        }
    };
    html! {
        <Modal title="Import an .env file" test="import-secrets" on_close={props.on_close.clone()} {foot}>
            if let Some(entries) = &preview.entries {
                { entries_of(entries, &preview) }
            } else {
                <label class="field"><span class="label">{ "Its text" }</span>
                    <textarea class="input concealed" data-kind="area" rows="5" ref={area} spellcheck="false" autocomplete="off" data-test="import-text"
                        maxlength={ENV_FILE_BYTES_MAX.to_string()} placeholder="NAME=value, one a line" {oninput} />
                    <span class="hint">{ "Values go to the vault alone; what is looked at first are the names" }</span>
                </label>
                <label class="field"><span class="label">{ "or a file" }</span>
                    <input type="file" data-test="import-file" onchange={on_pick} /></label>
            }
            if let Some(problem) = *problem { <span class="refusal" role="alert" data-tone="fail">{ problem }</span> }
            if let Some(error) = refused.as_ref().or(sending.refused.as_ref()) { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}

fn entries_of(entries: &[EnvEntry], preview: &UseReducerHandle<Preview>) -> Html {
    if entries.is_empty() {
        return html! { <p class="weak" data-test="import-empty">{ "The file names nothing." }</p> };
    }
    html! {
        <ol class="env-entries" data-test="env-entries" tabindex="0" aria-label="What the file names">
            { for entries.iter().map(|entry| {
                let (dispatcher, name) = (preview.dispatcher(), entry.name.clone());
                let can = entry.problem.is_none();
                html! {
                    <li key={entry.line} data-test="env-entry" data-line={entry.line.to_string()}>
                        <label class="choice">
                            <input type="checkbox" checked={can && preview.ticked.contains(&entry.name)} disabled={!can}
                                onchange={Callback::from(move |_: Event| dispatcher.dispatch(PreviewAction::Toggle(name.clone())))} />
                            <code>{ say::visible(&entry.name) }</code>
                        </label>
                        { match &entry.problem {
                            Some(problem) => html! {
                                <span class="toned" data-tone="fail">{ small_icon(Glyph::X) }{ format!("Line {}: {}", entry.line, say::visible(problem)) }</span>
                            },
                            None => html! {
                                <span class="weak">
                                    { draft::word(&entry.binding) }
                                    if entry.is_known { <span class="toned" data-tone="review">{ " · replaces a value" }</span> }
                                </span>
                            },
                        } }
                    </li>
                }
            }) }
        </ol>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::secret::SecretBinding;

    fn entry(name: &str, is_known: bool, problem: Option<&str>) -> EnvEntry {
        let problem = problem.map(str::to_owned);
        EnvEntry { line: 1, name: name.to_owned(), binding: SecretBinding::Unbound, is_known, problem }
    }

    fn came() -> Rc<Preview> {
        let entries = vec![entry("NEW", false, None), entry("KNOWN", true, None), entry("BAD", false, Some("empty"))];
        Rc::new(Preview::default()).reduce(PreviewAction::Came(entries))
    }

    fn ticked(preview: &Preview) -> Vec<&str> {
        preview.ticked.iter().map(String::as_str).collect()
    }

    #[test]
    fn what_is_new_is_wanted_and_what_would_replace_a_value_is_asked_about() {
        assert_eq!(ticked(&came()), ["NEW"]);
        assert_eq!(ticked(&came().reduce(PreviewAction::Toggle("KNOWN".to_owned()))), ["KNOWN", "NEW"]);
    }

    #[test]
    fn what_has_a_problem_or_is_not_there_is_never_ticked() {
        for name in ["BAD", "OTHER"] {
            assert_eq!(ticked(&came().reduce(PreviewAction::Toggle(name.to_owned()))), ["NEW"], "{name}");
        }
    }

    #[test]
    fn nothing_ticked_is_nothing_to_import() {
        let preview = came();
        assert_eq!(preview.denied(), None);
        assert!(preview.reduce(PreviewAction::Toggle("NEW".to_owned())).denied().is_some());
        assert_eq!(*came().reduce(PreviewAction::Back), Preview::default());
    }
}
