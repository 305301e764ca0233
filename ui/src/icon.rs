//! The icons, by name. Their shapes stand as symbols in `index.html` (Lucide, ISC licence).

use wire::Phase;
use yew::prelude::*;

macro_rules! glyphs {
    ($($glyph:ident = $symbol:literal),* $(,)?) => {
        /// An icon.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Glyph {
            $(#[doc = $symbol] $glyph,)*
        }

        impl Glyph {
            /// Every icon.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$glyph),*];

            /// Where its shape is.
            pub const fn symbol(self) -> &'static str {
                match self {
                    $(Self::$glyph => concat!("#", $symbol),)*
                }
            }
        }
    };
}

glyphs! {
    Alert = "octagon-alert", Ban = "ban", Check = "check", ChevronDown = "chevron-down", ChevronRight = "chevron-right", ChevronUp = "chevron-up",
    CircleCheck = "circle-check", CircleDashed = "circle-dashed", CirclePause = "circle-pause", CirclePlay = "circle-play",
    Clock = "clock", Copy = "copy", Download = "download", Drive = "hard-drive", Folder = "folder", Pencil = "pencil", Trash = "trash-2", CornerUpLeft = "corner-up-left", Ellipsis = "ellipsis", Eye = "eye", File = "file",
    FileCode = "file-code", FileImage = "file-image", FileMinus = "file-minus", FilePen = "file-pen", FilePlus = "file-plus",
    FileText = "file-text", Filter = "filter", Hammer = "hammer", IdCard = "id-card", ListTodo = "list-todo",
    ArrowUpRight = "arrow-up-right", Gauge = "gauge", Key = "key-round", Lock = "lock", LockOpen = "lock-open", Receipt = "receipt",
    Settings = "settings-2", Monitor = "monitor", MonitorX = "monitor-x", Moon = "moon", Package = "package", PanelRight = "panel-right",
    Paperclip = "paperclip", Pause = "pause", Play = "play", Plus = "plus", Refresh = "refresh-cw", Rotate = "rotate-cw",
    Search = "search", Shield = "shield-check", Square = "square", Sun = "sun", Terminal = "square-terminal",
    Triangle = "triangle-alert", Unplug = "unplug", X = "x",
}

/// An icon of 16 px. It says nothing to a screen reader: the word beside it does.
pub fn icon(glyph: Glyph) -> Html {
    html! { <svg class="icon" aria-hidden="true"><use href={glyph.symbol()} /></svg> }
}

/// An icon of 14 px.
pub fn small_icon(glyph: Glyph) -> Html {
    html! { <svg class="icon" data-size="s" aria-hidden="true"><use href={glyph.symbol()} /></svg> }
}

/// The icon of a phase, in its colour.
pub fn phase_icon(phase: Phase) -> Html {
    html! {
        <svg class="icon phase-icon" aria-hidden="true" data-phase={phase.name()}><use href={of_phase(phase).symbol()} /></svg>
    }
}

/// Which icon stands for a phase.
pub const fn of_phase(phase: Phase) -> Glyph {
    match phase {
        Phase::Queued => Glyph::Clock,
        Phase::Provisioning => Glyph::CircleDashed,
        Phase::Executing => Glyph::CirclePlay,
        Phase::AwaitingReview => Glyph::Eye,
        Phase::Completed => Glyph::CircleCheck,
        Phase::Failed => Glyph::Alert,
        Phase::Cancelled => Glyph::Ban,
    }
}

/// The mark: a slip with a moored boat.
pub fn mark() -> Html {
    html! {
        <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
            <path d="M2 2.5A.5.5 0 0 1 2.5 2H4v11h8V6.5h1.5a.5.5 0 0 1 .5.5v7a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1Z" />
            <path class="vessel" d="M8 .7C9.8 2 10.8 4.2 10.8 6.6c0 1.7-.2 3.2-.6 4.5a.6.6 0 0 1-.6.4H6.4a.6.6 0 0 1-.6-.4c-.4-1.3-.6-2.8-.6-4.5C5.2 4.2 6.2 2 8 .7Z" />
        </svg>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_before_the_program_has_the_same_mark() {
        let (page, code) = (include_str!("../index.html"), include_str!("icon.rs"));
        let drawn = code.split("fn mark()").nth(1).and_then(|code| code.split("</svg>").next()).unwrap();
        let paths = drawn.split(" d=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        assert_eq!(paths.filter(|path| page.contains(*path)).count(), 2);
    }

    #[test]
    fn every_icon_has_a_symbol_and_every_symbol_is_an_icon() {
        let page = include_str!("../index.html");
        for glyph in Glyph::ALL {
            let symbol = format!("<symbol id=\"{}\"", &glyph.symbol()[1..]);
            assert_eq!(page.matches(&symbol).count(), 1, "{glyph:?}");
        }
        assert_eq!(page.matches("<symbol ").count(), Glyph::ALL.len());
    }
}
