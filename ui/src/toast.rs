//! Toasts: for what happened elsewhere, three at most. A failure stays until it is put away; the rest go by themselves.

use std::{collections::VecDeque, rc::Rc};

use gloo_timers::callback::Timeout;
use wire::{Phase, news::News};
use yew::prelude::*;
use yew_router::prelude::*;

use crate::{announce::Change, icon, icon::Glyph, route::Route};

/// How many are shown at once; a fourth puts the oldest away.
const TOASTS_MAX: usize = 3;
/// How long one stays that needs nobody.
const STAYS_MS: u32 = 8_000;

/// One toast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    id: u64,
    told: Told,
}

/// What a toast is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A task went to another phase.
    Change(Change),
    /// Something to hear of wherever one is.
    News(News),
}

impl Told {
    /// Whether it takes the place of another: a second word on the same task, or the same once more.
    fn replaces(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Change(one), Self::Change(two)) => one.number == two.number,
            (Self::News(one), Self::News(two)) => (one.task, &one.title) == (two.task, &two.title),
            (Self::Change(_), Self::News(_)) | (Self::News(_), Self::Change(_)) => false,
        }
    }
}

/// Those that are shown, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toasts {
    shown: VecDeque<Toast>,
    next_id: u64,
}

/// What happens to [`Toasts`].
#[derive(Clone, Debug)]
pub enum ToastAction {
    /// Show one.
    Show(Told),
    /// Put one away.
    Dismiss(u64),
}

impl Reducible for Toasts {
    type Action = ToastAction;

    fn reduce(self: Rc<Self>, action: ToastAction) -> Rc<Self> {
        let mut toasts = Self::clone(&self);
        match action {
            ToastAction::Show(told) => {
                toasts.shown.retain(|toast| !told.replaces(&toast.told));
                toasts.shown.push_back(Toast { id: toasts.next_id, told });
                toasts.next_id += 1;
                while toasts.shown.len() > TOASTS_MAX {
                    toasts.shown.pop_front();
                }
            }
            ToastAction::Dismiss(id) => toasts.shown.retain(|toast| toast.id != id),
        }
        Rc::new(toasts)
    }
}

#[derive(PartialEq, Properties)]
pub struct ToastsProps {
    pub toasts: UseReducerHandle<Toasts>,
}

/// The stack of toasts.
#[component]
pub fn ToastStack(props: &ToastsProps) -> Html {
    let dispatcher = props.toasts.dispatcher();
    let on_dismiss = Callback::from(move |id| dispatcher.dispatch(ToastAction::Dismiss(id)));
    html! {
        <div class="toasts" aria-live="off">
            { for props.toasts.shown.iter().map(|toast| html! {
                { match &toast.told {
                    Told::Change(change) => html! { <ChangeView key={toast.id} id={toast.id} change={change.clone()} on_dismiss={on_dismiss.clone()} /> },
                    Told::News(news) => html! { <NewsView key={toast.id} id={toast.id} news={news.clone()} on_dismiss={on_dismiss.clone()} /> },
                } }
            }) }
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct ChangeProps {
    id: u64,
    change: Change,
    on_dismiss: Callback<u64>,
}

#[component]
fn ChangeView(props: &ChangeProps) -> Html {
    let change = &props.change;
    let dismiss = {
        let (on_dismiss, id) = (props.on_dismiss.clone(), props.id);
        Callback::from(move |()| on_dismiss.emit(id))
    };
    {
        let (dismiss, stays) = (dismiss.clone(), change.to != Phase::Completed);
        use_effect_with((), move |()| {
            let timeout = (!stays).then(|| Timeout::new(STAYS_MS, move || dismiss.emit(())));
            move || drop(timeout)
        });
    }
    let navigator = use_navigator();
    let open = {
        let (dismiss, number) = (dismiss.clone(), change.number);
        Callback::from(move |_: MouseEvent| {
            if let Some(navigator) = &navigator {
                navigator.push(&Route::task(number));
            }
            dismiss.emit(());
        })
    };
    html! {
        <div class="toast" role="status" data-test="toast" data-phase={change.to.name()}>
            <svg class="icon" aria-hidden="true"><use href={icon::of_phase(change.to).symbol()} /></svg>
            <div class="text">
                <b>{ format!("#{} {}", change.number, change.title) }</b>
                <div class="weak">
                    { change.to.word() }
                    if !change.note.is_empty() { { " · " }{ crate::say::visible(&change.note) } }
                </div>
            </div>
            <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label="Put away" title="Put away"
                onclick={dismiss.reform(|_: MouseEvent| ())}>{ icon::icon(Glyph::X) }</button>
            <div class="actions"><button class="button" data-size="s" onclick={open}>{ "Show" }</button></div>
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct NewsProps {
    id: u64,
    news: News,
    on_dismiss: Callback<u64>,
}

/// One that stays until it is put away: what it tells of is money.
#[component]
fn NewsView(props: &NewsProps) -> Html {
    let dismiss = {
        let (on_dismiss, id) = (props.on_dismiss.clone(), props.id);
        Callback::from(move |()| on_dismiss.emit(id))
    };
    let navigator = use_navigator();
    let open = {
        let dismiss = dismiss.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(navigator) = &navigator {
                navigator.push(&Route::Costs);
            }
            dismiss.emit(());
        })
    };
    html! {
        <div class="toast" role="status" data-test="news">
            { icon::icon(Glyph::Gauge) }
            <div class="text">
                <b>{ &props.news.title }</b>
                <div class="weak">{ crate::say::visible(&props.news.body) }</div>
            </div>
            <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label="Put away" title="Put away"
                onclick={dismiss.reform(|_: MouseEvent| ())}>{ icon::icon(Glyph::X) }</button>
            <div class="actions"><button class="button" data-size="s" onclick={open}>{ "Costs" }</button></div>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(numbers: impl IntoIterator<Item = i64>) -> Rc<Toasts> {
        numbers.into_iter().fold(Rc::default(), |toasts: Rc<Toasts>, number| {
            let change = Change { number, title: String::new(), to: Phase::Failed, note: String::new() };
            toasts.reduce(ToastAction::Show(Told::Change(change)))
        })
    }

    fn numbers(toasts: &Toasts) -> Vec<i64> {
        let number = |toast: &Toast| match &toast.told {
            Told::Change(change) => change.number,
            Told::News(news) => -news.seq,
        };
        toasts.shown.iter().map(number).collect()
    }

    #[test]
    fn a_fourth_toast_puts_the_oldest_away() {
        assert_eq!(numbers(&shown([1, 2, 3, 4])), [2, 3, 4]);
    }

    #[test]
    fn a_task_has_one_toast_at_most() {
        assert_eq!(numbers(&shown([1, 2, 1])), [2, 1]);
    }

    #[test]
    fn the_same_news_once_more_replaces_the_first() {
        use wire::news::NewsKind;

        let news = |seq, title: &str| {
            ToastAction::Show(Told::News(News {
                seq,
                kind: NewsKind::BudgetSpent,
                is_silent: false,
                task: None,
                title: title.to_owned(),
                body: String::new(),
            }))
        };
        let toasts = [news(1, "spent"), news(2, "held"), news(3, "spent")];
        let toasts = toasts.into_iter().fold(shown([7]), Reducible::reduce);
        assert_eq!(numbers(&toasts), [7, -2, -3]);
    }

    #[test]
    fn one_that_is_put_away_leaves_the_others() {
        let toasts = shown([1, 2]);
        let id = toasts.shown[0].id;
        assert_eq!(numbers(&toasts.reduce(ToastAction::Dismiss(id))), [2]);
    }
}
