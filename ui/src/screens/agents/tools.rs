//! The packages on top of an agent's image: three lists, each a row of chips with a field at its end.

use web_sys::HtmlElement;
use wire::image::Tools;
use yew::prelude::*;

use crate::{
    icon::{Glyph, small_icon},
    parts::typed,
    say,
};

/// The longest name of a package with its version.
const PACKAGE_CHARS_MAX: usize = 200;

/// Where packages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Apt,
    Npm,
    Pip,
}

impl Kind {
    /// Each, in the order of [`Tools`].
    pub const ALL: [Self; 3] = [Self::Apt, Self::Npm, Self::Pip];

    /// Its list.
    pub const fn list(self, tools: &Tools) -> &Vec<String> {
        match self {
            Self::Apt => &tools.apt,
            Self::Npm => &tools.npm,
            Self::Pip => &tools.pip,
        }
    }

    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Apt => "Debian",
            Self::Npm => "npm",
            Self::Pip => "PyPI",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Npm => "npm",
            Self::Pip => "pip",
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Apt => "jq, or jq=1.6-2.1",
            Self::Npm => "prettier, or prettier@3.6.2",
            Self::Pip => "ruff, or ruff==0.14.1",
        }
    }
}

/// The packages of one kind as they are being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packages {
    /// Those that are chips.
    pub chosen: Vec<String>,
    /// What is written behind them; it counts, whether or not it was made a chip.
    pub line: String,
}

impl Packages {
    /// A list as it is.
    pub fn of(list: &[String]) -> Self {
        Self { chosen: list.to_vec(), line: String::new() }
    }

    /// All packages, what is written behind the chips too; each once.
    pub fn all(&self) -> Vec<String> {
        let mut all = self.chosen.clone();
        for word in words(&self.line) {
            if !all.iter().any(|package| package == word) {
                all.push(word.to_owned());
            }
        }
        all
    }

    /// What is written becomes chips.
    fn settled(&self) -> Self {
        Self { chosen: self.all(), line: String::new() }
    }

    /// Another line. Words that an end came after become chips.
    fn with_line(&self, line: String) -> Self {
        if line.ends_with(is_end) { Self { line, ..self.clone() }.settled() } else { Self { line, ..self.clone() } }
    }
}

const fn is_end(c: char) -> bool {
    c == ',' || c == ';' || c.is_whitespace()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(is_end).filter(|word| !word.is_empty())
}

/// Whether a text may be a package's name, perhaps with a version: never what an installer would take for an option or a path.
pub fn is_package(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "@/._+-=~:[]<>!^*".contains(c);
    (1..=PACKAGE_CHARS_MAX).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '@')
        && name.chars().all(is_allowed)
}

/// What the lists hold, in a line.
pub fn said(tools: &[Packages; 3]) -> String {
    let parts: Vec<_> = Kind::ALL
        .into_iter()
        .zip(tools)
        .filter_map(|(kind, packages)| Some((kind, packages.all().len())).filter(|(_, count)| *count > 0))
        .map(|(kind, count)| format!("{count} of {}", kind.word()))
        .collect();
    if parts.is_empty() { "nothing on top of the image".to_owned() } else { parts.join(", ") }
}

#[derive(PartialEq, Properties)]
pub struct ToolsProps {
    pub tools: [Packages; 3],
    pub on_change: Callback<[Packages; 3]>,
}

/// The three lists.
#[component]
pub fn ToolLists(props: &ToolsProps) -> Html {
    html! {
        <div class="tool-lists" data-test="edit-tools">
            { for Kind::ALL.into_iter().enumerate().map(|(at, kind)| {
                let (tools, on_change) = (props.tools.clone(), props.on_change.clone());
                let on_list = Callback::from(move |packages: Packages| {
                    let mut next = tools.clone();
                    next[at] = packages;
                    on_change.emit(next);
                });
                html! { <ToolList key={kind.name()} {kind} packages={props.tools[at].clone()} on_change={on_list} /> }
            }) }
            <span class="hint">{ "Put on top of the image when a task first needs them, in an image of its own." }</span>
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct ToolListProps {
    kind: Kind,
    packages: Packages,
    on_change: Callback<Packages>,
}

#[component]
fn ToolList(props: &ToolListProps) -> Html {
    let field = use_node_ref();
    let (kind, packages) = (props.kind, &props.packages);
    let oninput = {
        let (packages, on_change) = (packages.clone(), props.on_change.clone());
        Callback::from(move |event: InputEvent| on_change.emit(packages.with_line(typed(&event))))
    };
    let onblur = {
        let (packages, on_change) = (packages.clone(), props.on_change.clone());
        Callback::from(move |_: FocusEvent| {
            if !packages.line.is_empty() {
                on_change.emit(packages.settled());
            }
        })
    };
    let onkeydown = {
        let (packages, on_change) = (packages.clone(), props.on_change.clone());
        Callback::from(move |event: KeyboardEvent| match event.key().as_str() {
            "Enter" if !event.ctrl_key() && !event.meta_key() => {
                event.prevent_default();
                on_change.emit(packages.settled());
            }
            "Backspace" if packages.line.is_empty() && !packages.chosen.is_empty() => {
                let mut next = packages.clone();
                next.chosen.pop();
                on_change.emit(next);
            }
            _ => {}
        })
    };
    let on_place = {
        let field = field.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(field) = field.cast::<HtmlElement>() {
                let _ = field.focus();
            }
        })
    };
    html! {
        <div class="field"><span class="label">{ kind.word() }</span>
            <span class="input chips" onclick={on_place}>
                { for packages.chosen.iter().enumerate().map(|(at, name)| {
                    let (packages, on_change) = (packages.clone(), props.on_change.clone());
                    let on_remove = Callback::from(move |_: MouseEvent| {
                        let mut next = packages.clone();
                        next.chosen.remove(at);
                        on_change.emit(next);
                    });
                    let is_wrong = !is_package(name);
                    html! {
                        <span class="chip" key={name.clone()} data-test="tool" data-tone={is_wrong.then_some("fail")}>
                            <code>{ say::visible(name) }</code>
                            <button type="button" aria-label={format!("Remove {}", say::visible(name))} title="Remove" onclick={on_remove}>{ small_icon(Glyph::X) }</button>
                        </span>
                    }
                }) }
                <input ref={field} class="value" autocomplete="off" spellcheck="false" aria-label={format!("Packages of {}", kind.word())} placeholder={packages.chosen.is_empty().then(|| kind.example())}
                    data-test={format!("tool-{}", kind.name())} value={packages.line.clone()} {oninput} {onblur} {onkeydown} />
            </span>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_counts_before_it_is_a_chip() {
        let packages = Packages { chosen: vec!["jq".to_owned()], line: "ripgrep,jq fd-find".to_owned() };
        assert_eq!(packages.all(), ["jq", "ripgrep", "fd-find"]);
        assert_eq!(packages.settled(), Packages::of(&packages.all()));
    }

    #[test]
    fn an_end_makes_chips_of_what_is_before_it() {
        let packages = Packages::default().with_line("jq".to_owned());
        assert_eq!((packages.chosen.len(), packages.line.as_str()), (0, "jq"));
        let packages = packages.with_line("jq ripgrep, ".to_owned());
        assert_eq!((packages.chosen, packages.line.as_str()), (vec!["jq".to_owned(), "ripgrep".to_owned()], ""));
    }

    #[test]
    fn no_option_and_no_path_is_a_package() {
        for name in ["jq", "jq=1.6-2.1", "@scope/tool@1.2.3", "ruff==0.14.1", "uvicorn[standard]>=0.30", "libstdc++6"] {
            assert!(is_package(name), "{name}");
        }
        for name in ["", "-y", "--index-url", "../x", "/etc/passwd", "a b", "a;b", "$(x)", "naïve", &"x".repeat(201)] {
            assert!(!is_package(name), "{name}");
        }
    }

    #[test]
    fn the_lists_are_said_in_a_line() {
        let mut tools = <[Packages; 3]>::default();
        assert_eq!(said(&tools), "nothing on top of the image");
        tools[0].line = "jq ripgrep".to_owned();
        tools[2] = Packages::of(&["ruff".to_owned()]);
        assert_eq!(said(&tools), "2 of Debian, 1 of PyPI");
    }
}
