//! Toasts: for what happened elsewhere, three at most. A failure stays until it is put away; the rest go by themselves.

use std::{collections::VecDeque, rc::Rc};

use gloo_timers::callback::Timeout;
use wire::Phase;
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
    change: Change,
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
    Show(Change),
    /// Put one away.
    Dismiss(u64),
}

impl Reducible for Toasts {
    type Action = ToastAction;

    fn reduce(self: Rc<Self>, action: ToastAction) -> Rc<Self> {
        let mut toasts = Self::clone(&self);
        match action {
            ToastAction::Show(change) => {
                // A second word on the same task replaces the first.
                toasts.shown.retain(|toast| toast.change.number != change.number);
                toasts.shown.push_back(Toast { id: toasts.next_id, change });
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
                <ToastView key={toast.id} toast={toast.clone()} on_dismiss={on_dismiss.clone()} />
            }) }
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct ToastProps {
    toast: Toast,
    on_dismiss: Callback<u64>,
}

#[component]
fn ToastView(props: &ToastProps) -> Html {
    let Toast { id, change } = &props.toast;
    let dismiss = {
        let (on_dismiss, id) = (props.on_dismiss.clone(), *id);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(numbers: impl IntoIterator<Item = i64>) -> Rc<Toasts> {
        numbers.into_iter().fold(Rc::default(), |toasts: Rc<Toasts>, number| {
            let change = Change { number, title: String::new(), to: Phase::Failed, note: String::new() };
            toasts.reduce(ToastAction::Show(change))
        })
    }

    fn numbers(toasts: &Toasts) -> Vec<i64> {
        toasts.shown.iter().map(|toast| toast.change.number).collect()
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
    fn one_that_is_put_away_leaves_the_others() {
        let toasts = shown([1, 2]);
        let id = toasts.shown[0].id;
        assert_eq!(numbers(&toasts.reduce(ToastAction::Dismiss(id))), [2]);
    }
}
