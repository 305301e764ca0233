//! The dialog that adds an image of a person's own: a reference or a folder, and the name by which agents will know it.

use wire::{
    call::{AddImage, ImageSource},
    image::ImageView,
};
use yew::prelude::*;

use crate::{
    dialog::Modal,
    parts::{key, refusal, segmented, typed},
    screens::agents::is_name,
    sending::use_sending,
};

/// Where an image comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum From {
    #[default]
    Reference,
    Folder,
}

/// What is written in the dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Draft {
    from: From,
    reference: String,
    path: String,
    /// The name as it was typed; `None` while it is taken from the reference or the folder.
    name: Option<String>,
}

/// Why a draft cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("Write the reference of an image, such as registry.example.com/go-agent:7")]
    NoReference,
    #[error("A reference has no spaces")]
    Reference,
    #[error("Write the path of a folder with a Dockerfile")]
    NoPath,
    #[error("A path begins at the root, with / or with a drive's letter")]
    Path,
    #[error("A name has letters a to z, digits and dashes, and begins with a letter")]
    Name,
    #[error("There is an image of that name")]
    NameTaken,
}

impl Draft {
    /// The name: as it was typed, or taken from where the image comes from.
    fn name(&self) -> String {
        let source = match self.from {
            From::Reference => &self.reference,
            From::Folder => &self.path,
        };
        self.name.clone().unwrap_or_else(|| suggested(source))
    }

    /// The call that adds it beside these images.
    fn call(&self, images: &[ImageView]) -> Result<AddImage, Problem> {
        let source = match self.from {
            From::Reference => match self.reference.trim() {
                "" => return Err(Problem::NoReference),
                reference if reference.contains(char::is_whitespace) => return Err(Problem::Reference),
                reference => ImageSource::Reference { reference: reference.to_owned() },
            },
            From::Folder => match self.path.trim() {
                "" => return Err(Problem::NoPath),
                path if !is_absolute(path) => return Err(Problem::Path),
                path => ImageSource::Folder { path: path.to_owned() },
            },
        };
        let name = self.name();
        if !is_name(&name) {
            return Err(Problem::Name);
        }
        if images.iter().any(|image| image.name == name) {
            return Err(Problem::NameTaken);
        }
        Ok(AddImage { name, source })
    }
}

/// Whether a path begins at the root of a file system, of whichever system the app is on.
fn is_absolute(path: &str) -> bool {
    let mut chars = path.chars();
    match (chars.next(), chars.next(), chars.next()) {
        (Some('/'), ..) | (Some('\\'), Some('\\'), _) => true,
        (Some(drive), Some(':'), Some('/' | '\\')) => drive.is_ascii_alphabetic(),
        _ => false,
    }
}

/// A name taken from the last part of a reference or a path; empty where it has none that would do.
fn suggested(source: &str) -> String {
    let last = source.trim().trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
    let last = last.split(['@', ':']).next().unwrap_or_default();
    let name: String =
        last.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('-');
    if is_name(name) { name.to_owned() } else { String::new() }
}

#[derive(PartialEq, Properties)]
pub struct AddProps {
    pub images: std::rc::Rc<Vec<ImageView>>,
    /// Hears of the image that was added.
    pub on_added: Callback<ImageView>,
    pub on_close: Callback<()>,
}

/// The dialog.
#[component]
pub fn AddImageDialog(props: &AddProps) -> Html {
    let draft = use_state_eq(Draft::default);
    let sending = use_sending(Callback::noop());
    let call = draft.call(&props.images);
    let reason = match &call {
        Ok(_) if sending.is_busy => Some("Looking at it".to_owned()),
        Ok(_) => None,
        Err(problem) => Some(problem.to_string()),
    };
    let send = {
        let (sending, on_added) = (sending.clone(), props.on_added.clone());
        Callback::from(move |()| {
            if let Ok(call) = &call {
                sending.send_for(call.clone(), on_added.clone());
            }
        })
    };
    let edited = |edit: fn(&mut Draft, String)| {
        let draft = draft.clone();
        Callback::from(move |event: InputEvent| {
            let mut next = (*draft).clone();
            edit(&mut next, typed(&event));
            draft.set(next);
        })
    };
    let onkeydown = {
        let send = send.clone();
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Enter" {
                event.prevent_default();
                send.emit(());
            }
        })
    };
    let on_from = {
        let draft = draft.clone();
        Callback::from(move |from| draft.set(Draft { from, ..(*draft).clone() }))
    };
    let options =
        [(From::Reference, "reference", "Reference".to_owned()), (From::Folder, "folder", "Folder".to_owned())];
    let foot = html! {
        <>
            <span class="note" role="status">{ reason.clone().unwrap_or_default() }</span>
            <span class="spring"></span>
            <button class="button" data-kind="primary" data-test="add-yes" aria-disabled={reason.is_some().then_some("true")} onclick={send.reform(|_: MouseEvent| ())}>{ "Add" }{ key("↵") }</button>
        </>
    };
    html! {
        <Modal title="Add an image" test="add-image-dialog" on_close={props.on_close.clone()} {foot}>
            <div class="field"><span class="label">{ "Comes from" }</span>{ segmented("Comes from", options, draft.from, &on_from) }</div>
            if draft.from == From::Reference {
                <label class="field"><span class="label">{ "Reference" }</span>
                    <span class="input"><input class="value" autocomplete="off" spellcheck="false" placeholder="registry.example.com/go-agent:7" data-first="" data-test="add-reference" value={draft.reference.clone()} oninput={edited(|draft, text| draft.reference = text)} onkeydown={onkeydown.clone()} /></span>
                    <span class="hint">{ "Taken from the engine where it has it, otherwise fetched with what your Docker configuration knows of that registry." }</span>
                </label>
            } else {
                <label class="field"><span class="label">{ "Folder" }</span>
                    <span class="input"><input class="value" autocomplete="off" spellcheck="false" placeholder="/home/you/go-agent" data-test="add-folder" value={draft.path.clone()} oninput={edited(|draft, text| draft.path = text)} onkeydown={onkeydown.clone()} /></span>
                    <span class="hint">{ "A folder with a Dockerfile on the machine that Berth runs on. Everything in it goes to the engine." }</span>
                </label>
            }
            <label class="field"><span class="label">{ "Name" }</span>
                <span class="input"><input class="value" autocomplete="off" spellcheck="false" data-test="add-name" value={draft.name()} oninput={edited(|draft, text| draft.name = Some(text))} {onkeydown} /></span>
                <span class="hint">{ "By which agents know it. Berth's guest is process 1 in it, whatever it brings." }</span>
            </label>
            if let Some(error) = &sending.refused { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture;

    #[test]
    fn a_name_is_taken_from_where_the_image_comes_from() {
        for (source, name) in [
            ("registry.example.com:5000/team/Go_Agent:7", "go-agent"),
            ("debian", "debian"),
            ("ghcr.io/acme/tool@sha256:9c41", "tool"),
            ("/home/you/my agent/", "my-agent"),
            (r"C:\images\tool", "tool"),
            ("9lives:1", "lives"),
            ("", ""),
            ("///", ""),
        ] {
            assert_eq!(suggested(source), name, "{source}");
        }
    }

    #[test]
    fn a_name_that_was_typed_stays_whatever_is_written_above_it() {
        let draft = Draft { reference: "debian:12".to_owned(), name: Some("mine".to_owned()), ..Draft::default() };
        assert_eq!(draft.name(), "mine");
        // One that was emptied is not filled in again.
        assert_eq!(Draft { name: Some(String::new()), ..draft }.name(), "");
    }

    #[test]
    fn what_makes_no_sense_is_said_before_it_is_sent() {
        let images = [fixture::image("script", json!({"origin": "gallery"}), json!({"state": "not_built"}))];
        let draft = |from, source: &str, name: Option<&str>| {
            let name = name.map(str::to_owned);
            let (reference, path) = (source.to_owned(), source.to_owned());
            Draft { from, reference, path, name }.call(&images)
        };
        for (from, source, name, problem) in [
            (From::Reference, " ", None, Problem::NoReference),
            (From::Reference, "two words", None, Problem::Reference),
            (From::Folder, "", None, Problem::NoPath),
            (From::Folder, "go-agent", None, Problem::Path),
            (From::Reference, "debian:12", Some("Debian"), Problem::Name),
            (From::Reference, "acme/script:1", None, Problem::NameTaken),
        ] {
            assert_eq!(draft(from, source, name), Err(problem), "{source}");
        }
        let reference = ImageSource::Reference { reference: "debian:12".to_owned() };
        assert_eq!(
            draft(From::Reference, " debian:12 ", None),
            Ok(AddImage { name: "debian".to_owned(), source: reference })
        );
        let folder = ImageSource::Folder { path: r"D:\go".to_owned() };
        assert_eq!(
            draft(From::Folder, r"D:\go", Some("go-2")),
            Ok(AddImage { name: "go-2".to_owned(), source: folder })
        );
    }
}
