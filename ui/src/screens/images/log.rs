//! The log of a build: monospace, at its end unless a person scrolled up, drawn page by page so that a line that comes draws one page.

use std::{cell::Cell, rc::Rc};

use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Element, ResizeObserver};
use yew::prelude::*;

use super::watched::{Log, Page};
use crate::{
    clock::use_moment,
    icon::{Glyph, icon},
    say,
};

/// So near to the end counts as there, in pixels: a line and a bit.
const NEAR_PX: i32 = 24;

#[derive(PartialEq, Properties)]
pub struct LogProps {
    pub log: Log,
}

/// The log.
#[component]
pub fn LogView(props: &LogProps) -> Html {
    let area = use_node_ref();
    let follows = use_state_eq(|| true);
    let zone_s = use_moment().zone_s;
    {
        let area = area.clone();
        use_effect_with((props.log.next(), *follows), move |(_, follows)| {
            if let Some(area) = area.cast::<Element>().filter(|_| *follows) {
                area.set_scroll_top(area.scroll_height());
            }
        });
    }
    // What happens beside it, and a window of another size, give it more or less room: its end stays in sight then, too.
    let holds = use_memo((), |()| Cell::new(true));
    holds.set(*follows);
    {
        let area = area.clone();
        use_effect_with((), move |()| {
            let watch = area.cast::<Element>().and_then(|area| SizeWatch::of(area, holds));
            move || drop(watch)
        });
    }
    let onscroll = {
        let (area, follows) = (area.clone(), follows.setter());
        Callback::from(move |_: Event| {
            if let Some(area) = area.cast::<Element>() {
                follows.set(is_at_end(area.scroll_top(), area.client_height(), area.scroll_height()));
            }
        })
    };
    let on_end = {
        let follows = follows.setter();
        Callback::from(move |_: MouseEvent| follows.set(true))
    };
    let gone = props.log.gone();
    html! {
        <div class="build-log">
            <div class="lines" ref={area} tabindex="0" role="log" aria-live="off" aria-label="Build log" data-test="build-log" {onscroll}>
                if gone > 0 { <div class="gone">{ format!("The first {} are no longer kept.", say::count(gone, "line", "lines")) }</div> }
                { for props.log.pages().map(|page| html! { <PageView key={page.first} page={page.clone()} {zone_s} /> }) }
            </div>
            if !*follows {
                <button class="button to-end" data-size="s" data-test="log-end" onclick={on_end}>{ icon(Glyph::ChevronDown) }{ "Go to the end" }</button>
            }
        </div>
    }
}

/// Goes to the end of an area whenever its size changes, while it is to hold there.
struct SizeWatch {
    observer: ResizeObserver,
    _on_change: Closure<dyn FnMut()>,
}

impl SizeWatch {
    fn of(area: Element, holds: Rc<Cell<bool>>) -> Option<Self> {
        let watched = area.clone();
        let on_change = Closure::<dyn FnMut()>::new(move || {
            if holds.get() {
                area.set_scroll_top(area.scroll_height());
            }
        });
        let observer = ResizeObserver::new(on_change.as_ref().unchecked_ref()).ok()?;
        observer.observe(&watched);
        Some(Self { observer, _on_change: on_change })
    }
}

impl Drop for SizeWatch {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}

/// Whether what is in sight ends where the whole does, as near as it matters.
const fn is_at_end(top: i32, height: i32, whole: i32) -> bool {
    whole - top - height <= NEAR_PX
}

#[derive(PartialEq, Properties)]
struct PageProps {
    page: Rc<Page>,
    zone_s: i64,
}

#[component]
fn PageView(props: &PageProps) -> Html {
    html! {
        <div class="page">
            { for props.page.lines.iter().zip(props.page.first..).map(|(line, number)| html! {
                <div class="line" key={number}><span class="at">{ say::clock_s(line.at, props.zone_s) }</span>{ " " }<span>{ say::visible(&line.text) }</span></div>
            }) }
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_followed_from_near_it_and_not_from_further_up() {
        assert!(is_at_end(0, 400, 300), "all of it is in sight");
        assert!(is_at_end(600, 400, 1_000) && is_at_end(580, 400, 1_000));
        assert!(!is_at_end(500, 400, 1_000));
    }
}
