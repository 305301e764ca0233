//! What a person can do to a step: drawn from its view alone. What cannot be done now is in the menu, with the reason beside it.

use std::rc::Rc;

use web_sys::{HtmlElement, HtmlInputElement};
use wire::{Action, Phase, call::Act, view::StepView};
use yew::prelude::*;

use crate::{
    backend::{self, CallError},
    context::use_desk,
    icon::{Glyph, icon, small_icon},
    keys::{Scope, Taken, presses, use_keys},
    parts::{key, refusal},
    say,
};

/// The longest comment in characters.
const COMMENT_CHARS_MAX: u32 = 4_000;

/// What is asked before something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// Nothing.
    Nothing,
    /// Whether it is meant.
    Confirm(&'static str),
    /// What to say.
    Comment(&'static str),
}

/// What to ask before an action on a step in a phase: stopping an agent at work cannot be taken back.
const fn ask_before(action: Action, phase: Phase) -> Ask {
    match action {
        Action::Cancel if phase.is_live() => Ask::Confirm("Stop the agent? What it wrote so far stays."),
        Action::RequestChanges => Ask::Comment("What should be different?"),
        Action::Reject => Ask::Comment("Why? (may be empty)"),
        Action::Approve | Action::Pause | Action::Resume | Action::Cancel | Action::Retry => Ask::Nothing,
    }
}

const fn glyph_of(action: Action) -> Glyph {
    match action {
        Action::Approve => Glyph::Check,
        Action::RequestChanges => Glyph::CornerUpLeft,
        Action::Reject => Glyph::X,
        Action::Pause => Glyph::Pause,
        Action::Resume => Glyph::Play,
        Action::Cancel => Glyph::Square,
        Action::Retry => Glyph::Rotate,
    }
}

#[derive(PartialEq, Properties)]
pub struct ActionsProps {
    pub step: Rc<StepView>,
}

/// The buttons, the menu of the rest, and the question before what cannot be taken back.
#[component]
pub fn Actions(props: &ActionsProps) -> Html {
    let step = &props.step;
    let desk = use_desk();
    let asked = use_state_eq(|| None::<Action>);
    let refused = use_state(|| None::<CallError>);
    let is_acting = use_state_eq(|| false);
    {
        // A question about what is no longer so is withdrawn.
        let (asked, refused) = (asked.setter(), refused.setter());
        use_effect_with((step.step, step.phase), move |_| {
            asked.set(None);
            refused.set(None);
        });
    }
    let act = {
        let (id, is_acting, refused, asked, refresh) =
            (step.step, is_acting.clone(), refused.setter(), asked.setter(), desk.refresh.clone());
        Callback::from(move |(action, comment): (Action, String)| {
            if *is_acting {
                return;
            }
            is_acting.set(true);
            asked.set(None);
            refused.set(None);
            let (is_acting, refused, refresh) = (is_acting.setter(), refused.clone(), refresh.clone());
            wasm_bindgen_futures::spawn_local(async move {
                if let Err(error) = backend::call(Act { step: id, action, comment }).await {
                    refused.set(Some(error));
                }
                is_acting.set(false);
                refresh.emit(());
            });
        })
    };
    let begin = {
        let (act, asked, phase) = (act.clone(), asked.setter(), step.phase);
        Callback::from(move |action: Action| match ask_before(action, phase) {
            Ask::Nothing => act.emit((action, String::new())),
            Ask::Confirm(_) | Ask::Comment(_) => asked.set(Some(action)),
        })
    };
    {
        let (begin, step) = (begin.clone(), step.clone());
        use_keys(Scope::Page, move |event| {
            let pressed = step.actions.iter().filter(|action| action.denied.is_none()).map(|action| action.action);
            match pressed.into_iter().find(|action| presses(&event.key(), event.shift_key(), action.key())) {
                Some(action) => {
                    begin.emit(action);
                    Taken::Yes
                }
                None => Taken::No,
            }
        });
    }
    if let Some(action) = *asked {
        let keep = {
            let asked = asked.setter();
            Callback::from(move |()| asked.set(None))
        };
        return html! { <Question key={action.label()} {action} phase={step.phase} on_yes={act.reform(move |comment| (action, comment))} on_keep={keep} /> };
    }
    let (can, cannot): (Vec<_>, Vec<_>) = step.actions.iter().partition(|action| action.denied.is_none());
    html! {
        <>
            if let Some(error) = &*refused { { refusal(error) } }
            { for can.into_iter().map(|view| {
                let (begin, action) = (begin.clone(), view.action);
                let kind = if action == Action::Approve { "primary" } else { "quiet" };
                html! {
                    <button class="button" data-kind={kind} key={action.label()} data-test={format!("action-{}", name_of(action))}
                        aria-disabled={is_acting.then_some("true")} onclick={Callback::from(move |_: MouseEvent| begin.emit(action))}>
                        { icon(glyph_of(action)) }{ action.label() }{ key(action.key()) }
                    </button>
                }
            }) }
            if !cannot.is_empty() { <More denied={cannot.into_iter().filter_map(|view| Some((view.action, view.denied.clone()?))).collect::<Vec<_>>()} /> }
        </>
    }
}

/// The name for tests: as in data.
const fn name_of(action: Action) -> &'static str {
    match action {
        Action::Approve => "approve",
        Action::RequestChanges => "request_changes",
        Action::Reject => "reject",
        Action::Pause => "pause",
        Action::Resume => "resume",
        Action::Cancel => "cancel",
        Action::Retry => "retry",
    }
}

#[derive(PartialEq, Properties)]
struct QuestionProps {
    action: Action,
    phase: Phase,
    on_yes: Callback<String>,
    on_keep: Callback<()>,
}

#[component]
fn Question(props: &QuestionProps) -> Html {
    let first = use_node_ref();
    {
        let first = first.clone();
        use_effect_with((), move |()| {
            if let Some(first) = first.cast::<HtmlElement>() {
                let _ = first.focus();
            }
        });
    }
    let yes = {
        let (on_yes, first) = (props.on_yes.clone(), first.clone());
        Callback::from(move |()| {
            on_yes.emit(first.cast::<HtmlInputElement>().map(|input| input.value()).unwrap_or_default());
        })
    };
    let onkeydown = {
        let (yes, keep) = (yes.clone(), props.on_keep.clone());
        Callback::from(move |event: KeyboardEvent| match event.key().as_str() {
            "Escape" => keep.emit(()),
            "Enter" => yes.emit(()),
            _ => {}
        })
    };
    let keep = props.on_keep.reform(|_: MouseEvent| ());
    match ask_before(props.action, props.phase) {
        Ask::Nothing => Html::default(),
        Ask::Confirm(question) => {
            // The safe answer has the focus, so that Enter and Escape both mean it.
            let on_escape = {
                let keep = props.on_keep.clone();
                Callback::from(move |event: KeyboardEvent| {
                    if event.key() == "Escape" {
                        keep.emit(());
                    }
                })
            };
            html! {
                <span class="question" role="alertdialog" aria-label={question} data-test="question" onkeydown={on_escape}>
                    <span>{ question }</span>
                    <button class="button" data-kind="destroy" data-test="question-yes" onclick={yes.reform(|_: MouseEvent| ())}>{ props.action.label() }</button>
                    <button class="button" ref={first} data-test="question-no" onclick={keep}>{ "Keep" }</button>
                </span>
            }
        }
        Ask::Comment(question) => html! {
            <span class="question" role="group" aria-label={props.action.label()} data-test="question">
                <input class="input" ref={first} placeholder={question} aria-label={question} maxlength={COMMENT_CHARS_MAX.to_string()} {onkeydown} />
                <button class="button" data-kind="primary" data-test="question-yes" onclick={yes.reform(|_: MouseEvent| ())}>{ props.action.label() }</button>
                <button class="button" data-test="question-no" onclick={keep}>{ "Keep" }</button>
            </span>
        },
    }
}

#[derive(PartialEq, Properties)]
struct MoreProps {
    denied: Vec<(Action, String)>,
}

/// What cannot be done now, and why.
#[component]
fn More(props: &MoreProps) -> Html {
    let is_open = use_state_eq(|| false);
    let toggle = {
        let is_open = is_open.clone();
        Callback::from(move |_: MouseEvent| is_open.set(!*is_open))
    };
    let close = {
        let is_open = is_open.setter();
        Callback::from(move |_: FocusEvent| is_open.set(false))
    };
    html! {
        <span class="menu-anchor" onfocusout={close}>
            <button class="button" data-shape="icon" data-kind="quiet" aria-label="Actions that are not possible now" title="Actions that are not possible now"
                aria-haspopup="menu" aria-expanded={is_open.to_string()} data-test="more" onclick={toggle}>{ icon(Glyph::Ellipsis) }</button>
            if *is_open {
                <div class="menu" role="menu">
                    <div class="title">{ "Not possible now" }</div>
                    { for props.denied.iter().map(|(action, reason)| html! {
                        <div class="item" role="menuitem" aria-disabled="true" key={action.label()}>
                            { small_icon(glyph_of(*action)) }<span class="name">{ action.label() }</span><span class="extra">{ say::visible(reason) }</span>
                        </div>
                    }) }
                </div>
            }
        </span>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_taken_back_is_asked_about() {
        for phase in Phase::ALL {
            let asks = matches!(ask_before(Action::Cancel, phase), Ask::Confirm(_));
            assert_eq!(asks, phase.is_live(), "{phase:?}");
            assert_eq!(ask_before(Action::Retry, phase), Ask::Nothing);
        }
        assert!(matches!(ask_before(Action::RequestChanges, Phase::AwaitingReview), Ask::Comment(_)));
    }
}
