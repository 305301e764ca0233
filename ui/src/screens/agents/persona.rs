//! The standing instructions of an agent: a few Markdown files, written here, picked, or dropped on the form.

use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::{FileList, HtmlElement, HtmlInputElement};
use wire::view::PersonaFile;
use yew::prelude::*;

use crate::{
    backend::{
        desktop::is_desktop,
        files::{self, Picked},
    },
    icon::{Glyph, icon},
    parts::typed,
    say,
};

/// The largest text of one file, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// The most that all files of an agent hold together.
pub const ALL_BYTES_MAX: usize = 256 << 10;
/// The most files.
const FILES_MAX: usize = 32;
/// The longest name.
const NAME_CHARS_MAX: usize = 40;

/// Why standing instructions cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error(
        "A file of standing instructions has a name such as style.md: a to z, digits, dots, dashes and underscores, {NAME_CHARS_MAX} at most"
    )]
    Name,
    #[error("There are more than {FILES_MAX} files of standing instructions: put several into one")]
    Many,
    #[error("Two files of standing instructions are called {0}")]
    Twice(String),
    #[error("{0} is empty: write something into it, or remove it")]
    Empty(String),
    #[error("{0} is larger than {most}", most = say::bytes(TEXT_BYTES_MAX as u64))]
    Large(String),
    #[error("The standing instructions are larger than {} together", say::bytes(ALL_BYTES_MAX as u64))]
    AllLarge,
}

/// Says what of the files cannot be kept.
pub fn check(files: &[PersonaFile]) -> Result<(), Problem> {
    if files.len() > FILES_MAX {
        return Err(Problem::Many);
    }
    for (at, file) in files.iter().enumerate() {
        if !is_file_name(&file.name) {
            return Err(Problem::Name);
        }
        if files[..at].iter().any(|other| other.name == file.name) {
            return Err(Problem::Twice(file.name.clone()));
        }
        if file.text.trim().is_empty() {
            return Err(Problem::Empty(file.name.clone()));
        }
        if file.text.len() > TEXT_BYTES_MAX {
            return Err(Problem::Large(file.name.clone()));
        }
    }
    if files.iter().map(|file| file.text.len()).sum::<usize>() > ALL_BYTES_MAX {
        Err(Problem::AllLarge)
    } else {
        Ok(())
    }
}

fn is_file_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(is_allowed)
}

/// A name that can be kept, made of whatever a file is called.
fn fitting_name(name: &str) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "md"));
    let fit = |text: &str| -> String {
        let fitting = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
        let kept: String = text.chars().map(fitting).collect();
        kept.trim_matches(['-', '.', '_']).to_owned()
    };
    let extension = Some(fit(extension)).filter(|extension| !extension.is_empty()).unwrap_or_else(|| "md".to_owned());
    let stem: String = fit(stem).chars().take(NAME_CHARS_MAX.saturating_sub(extension.len() + 1)).collect();
    let name = format!("{}.{extension}", if stem.is_empty() { "notes" } else { &stem });
    if is_file_name(&name) { name } else { "notes.md".to_owned() }
}

/// A name that none of the files has yet.
fn free_name(files: &[PersonaFile], wanted: &str) -> String {
    let is_taken = |name: &str| files.iter().any(|file| file.name == name);
    if !is_taken(wanted) {
        return wanted.to_owned();
    }
    let (stem, extension) = wanted.rsplit_once('.').unwrap_or((wanted, "md"));
    let numbered = (2..).map(|number| format!("{stem}-{number}.{extension}"));
    numbered.take(files.len() + 1).find(|name| !is_taken(name)).unwrap_or_default()
}

/// What reading a file came to.
struct Read {
    name: String,
    text: Result<String, &'static str>,
}

/// Takes files in beside those that are there; one of a name that is there takes its place. Says what was left out.
fn take(files: &mut Vec<PersonaFile>, read: Vec<Read>) -> Vec<String> {
    let mut left_out = Vec::new();
    for Read { name, text } in read {
        match text {
            Ok(text) => {
                let name = fitting_name(&name);
                match files.iter_mut().find(|file| file.name == name) {
                    Some(file) => file.text = text,
                    None => files.push(PersonaFile { name, text }),
                }
            }
            Err(why) => left_out.push(format!("{} {why}", say::visible(&name))),
        }
    }
    left_out
}

async fn read(picked: Vec<Picked>) -> Vec<Read> {
    let mut all = Vec::new();
    for file in picked {
        let text = if file.size_bytes > TEXT_BYTES_MAX as u64 {
            Err("was left out: it is larger than 64 KiB")
        } else {
            match file.read().await.map(String::from_utf8) {
                Some(Ok(text)) => Ok(text),
                Some(Err(_)) => Err("was left out: it is no text"),
                None => Err("could not be read"),
            }
        };
        all.push(Read { name: file.name, text });
    }
    all
}

/// Reads files and has `on_read` hear of the instructions with them, and of what was left out. `latest` is what is there by then.
pub fn add_files(
    list: Option<&FileList>,
    latest: Rc<dyn Fn() -> Vec<PersonaFile>>,
    on_read: Callback<(Vec<PersonaFile>, Vec<String>)>,
) {
    let picked = files::picked(list, u32::try_from(FILES_MAX).unwrap_or(u32::MAX));
    if picked.is_empty() {
        return;
    }
    wasm_bindgen_futures::spawn_local(async move {
        let read = read(picked).await;
        let mut files = latest();
        let left_out = take(&mut files, read);
        on_read.emit((files, left_out));
    });
}

#[derive(PartialEq, Properties)]
pub struct PersonaProps {
    pub files: Rc<Vec<PersonaFile>>,
    /// What of the last files was left out, and why.
    pub left_out: Rc<Vec<String>>,
    pub on_change: Callback<Vec<PersonaFile>>,
    /// Hears of files that were picked.
    pub on_pick: Callback<FileList>,
}

/// The files, each with its name and its text.
#[component]
pub fn Persona(props: &PersonaProps) -> Html {
    let picker = use_node_ref();
    let on_add = {
        let (files, on_change) = (props.files.clone(), props.on_change.clone());
        Callback::from(move |_: MouseEvent| {
            let mut next = (*files).clone();
            next.push(PersonaFile { name: free_name(&files, "persona.md"), text: String::new() });
            on_change.emit(next);
        })
    };
    let onchange = {
        let on_pick = props.on_pick.clone();
        Callback::from(move |event: Event| {
            let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else {
                return;
            };
            if let Some(files) = input.files() {
                on_pick.emit(files);
            }
            input.set_value("");
        })
    };
    let on_open = {
        let picker = picker.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(picker) = picker.cast::<HtmlElement>() {
                picker.click();
            }
        })
    };
    let total: usize = props.files.iter().map(|file| file.text.len()).sum();
    html! {
        <div class="persona" data-test="edit-persona">
            { for props.files.iter().enumerate().map(|(at, file)| persona_file(props, at, file)) }
            <div class="adding">
                <button type="button" class="button" data-size="s" data-test="add-persona" onclick={on_add}>{ icon(Glyph::Plus) }{ if props.files.is_empty() { "Write instructions" } else { "Another file" } }</button>
                <input ref={picker} type="file" multiple=true hidden=true accept=".md,.markdown,.txt,text/*" data-test="persona-picker" {onchange} />
                <button type="button" class="button" data-kind="quiet" data-size="s" onclick={on_open}>{ icon(Glyph::Paperclip) }{ "From files" }</button>
                <span class="weak">
                    { match (props.files.is_empty(), is_desktop()) {
                        (true, false) => "Markdown that it is given with every task. Drop files here.".to_owned(),
                        (true, true) => "Markdown that it is given with every task.".to_owned(),
                        (false, _) => format!("{} of {} together", say::bytes(total as u64), say::bytes(ALL_BYTES_MAX as u64)),
                    } }
                </span>
            </div>
            { for props.left_out.iter().map(|line| html! { <span class="hint" data-tone="fail" role="status" key={line.clone()}>{ line }</span> }) }
        </div>
    }
}

fn persona_file(props: &PersonaProps, at: usize, file: &PersonaFile) -> Html {
    let edit = |edit: fn(&mut PersonaFile, String)| {
        let (files, on_change) = (props.files.clone(), props.on_change.clone());
        Callback::from(move |event: InputEvent| {
            let mut next = (*files).clone();
            edit(&mut next[at], typed(&event));
            on_change.emit(next);
        })
    };
    let on_remove = {
        let (files, on_change) = (props.files.clone(), props.on_change.clone());
        Callback::from(move |_: MouseEvent| {
            let mut next = (*files).clone();
            next.remove(at);
            on_change.emit(next);
        })
    };
    let is_large = file.text.len() > TEXT_BYTES_MAX;
    html! {
        <div class="persona-file" key={at} data-test="persona-file">
            <div class="name-line">
                <span class="input" aria-invalid={(!is_file_name(&file.name)).then_some("true")}><input class="value" aria-label="Name of the file" autocomplete="off" spellcheck="false" data-test="persona-name" value={file.name.clone()} oninput={edit(|file, text| file.name = text)} /></span>
                <span class={classes!("weak", is_large.then_some("toned"))} data-tone={is_large.then_some("fail")}>{ format!("{} of {}", say::bytes(file.text.len() as u64), say::bytes(TEXT_BYTES_MAX as u64)) }</span>
                <span class="spring"></span>
                <button type="button" class="button" data-shape="icon" data-kind="quiet" data-size="s" data-test="remove-persona" aria-label={format!("Remove {}", say::visible(&file.name))} title="Remove" onclick={on_remove}>{ icon(Glyph::X) }</button>
            </div>
            <textarea class="input mono" data-kind="area" rows="6" spellcheck="false" aria-label={format!("Text of {}", say::visible(&file.name))} placeholder="You make the smallest change that solves the task, and you prove it with a test."
                data-test="persona-text" value={file.text.clone()} oninput={edit(|file, text| file.text = text)} />
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> PersonaFile {
        PersonaFile { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn what_cannot_be_kept_is_said() {
        let large = "x".repeat(TEXT_BYTES_MAX);
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[file("style.md", &large), file("A_b-c.2", "x")]), Ok(()));
        for name in ["", "..", ".md", "-a.md", "naïve.md", "a/b.md", "a b.md", &"x".repeat(41)] {
            assert_eq!(check(&[file(name, "x")]), Err(Problem::Name), "{name}");
        }
        assert_eq!(check(&[file("a.md", "x"), file("a.md", "y")]), Err(Problem::Twice("a.md".to_owned())));
        assert_eq!(check(&[file("a.md", " \n")]), Err(Problem::Empty("a.md".to_owned())));
        assert_eq!(check(&[file("a.md", &format!("{large}x"))]), Err(Problem::Large("a.md".to_owned())));
        let many: Vec<_> = (0..5).map(|at| file(&format!("{at}.md"), &large)).collect();
        assert_eq!((check(&many[..4]), check(&many)), (Ok(()), Err(Problem::AllLarge)));
        let small: Vec<_> = (0..=FILES_MAX).map(|at| file(&format!("{at}.md"), "x")).collect();
        assert_eq!((check(&small[1..]), check(&small)), (Ok(()), Err(Problem::Many)));
    }

    #[test]
    fn whatever_a_file_is_called_it_gets_a_name_that_can_be_kept() {
        for (name, kept) in [
            ("CLAUDE.md", "CLAUDE.md"),
            ("Style Guide (v2).md", "Style-Guide--v2.md"),
            ("你好.md", "notes.md"),
            ("README", "README.md"),
            ("..", "notes.md"),
            (".md", "notes.md"),
        ] {
            assert_eq!(fitting_name(name), kept, "{name}");
        }
        let long = fitting_name(&format!("{}.md", "x".repeat(90)));
        assert_eq!((long.len(), is_file_name(&long)), (NAME_CHARS_MAX, true));
        assert!(is_file_name(&fitting_name(&format!("a.{}", "x".repeat(90)))));
    }

    #[test]
    fn a_file_of_a_name_that_is_there_takes_its_place_and_what_is_no_text_is_left_out() {
        let mut files = vec![file("style.md", "old")];
        let read = vec![
            Read { name: "style.md".to_owned(), text: Ok("new".to_owned()) },
            Read { name: "logo.png".to_owned(), text: Err("was left out: it is no text") },
            Read { name: "tone.md".to_owned(), text: Ok("Calm.".to_owned()) },
        ];
        assert_eq!(take(&mut files, read), ["logo.png was left out: it is no text"]);
        assert_eq!(files, [file("style.md", "new"), file("tone.md", "Calm.")]);
    }

    #[test]
    fn a_new_file_has_a_name_of_its_own() {
        assert_eq!(free_name(&[], "persona.md"), "persona.md");
        let files = [file("persona.md", ""), file("persona-2.md", "")];
        assert_eq!(free_name(&files, "persona.md"), "persona-3.md");
    }
}
