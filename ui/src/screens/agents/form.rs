//! The form of an agent: made anew, or changed. What few people change is folded away, with what it says now beside it.

mod fields;

use std::{collections::BTreeMap, rc::Rc};

use web_sys::{DragEvent, FileList};
use wire::{
    call::ListSecrets,
    secret::SecretWay,
    view::{AgentView, PersonaFile},
};
use yew::prelude::*;

use self::fields::{
    Edit, image_field, limits_fold, memory_field, model_field, name_field, network_field, plate_field, start_fold,
    tools_fold,
};
use super::{
    draft::Draft,
    grants::{GrantList, Grants, NotGiven, give},
    persona::{Persona, add_files},
};
use crate::{
    backend::{self, CallError, files},
    context::{use_desk, use_feed, use_known},
    dialog::Modal,
    icon::{Glyph, small_icon},
    keys::has_command,
    parts::{key, refusal},
    query::use_call,
    say,
};

#[derive(PartialEq, Properties)]
pub struct FormProps {
    /// The agent that is changed; a new one where it is `None`.
    #[prop_or_default]
    pub agent: Option<Rc<AgentView>>,
    /// The image of a new one, where that is chosen already.
    #[prop_or_default]
    pub image: Option<AttrValue>,
    /// Hears of the agent as it is then; of `None` where nothing was done.
    pub on_close: Callback<Option<AgentView>>,
}

/// What becomes of what was written.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Writing,
    Refused(CallError),
    Sending(&'static str),
    /// The agent is there, and has not all that it should have.
    Made {
        agent: Rc<AgentView>,
        not_given: Vec<NotGiven>,
    },
}

/// The form.
#[component]
pub fn AgentForm(props: &FormProps) -> Html {
    let known = use_known();
    let feed = use_feed();
    let secrets = use_call(Some(ListSecrets {}), feed.secrets()).data;
    let draft = use_state_eq(|| match &props.agent {
        Some(agent) => Draft::of(agent),
        None => Draft::new(props.image.as_ref().map(ToString::to_string).unwrap_or_default()),
    });
    // What is told of later than it is drawn (files that are read, two words of one press) goes on from the latest draft.
    let latest = use_mut_ref(|| (*draft).clone());
    let change = {
        let draft = draft.setter();
        Callback::from(move |edit: Edit| {
            let mut next = latest.borrow_mut();
            edit(&mut next);
            draft.set(next.clone());
        })
    };
    let grants = use_state_eq(Grants::default);
    let stage = use_state_eq(|| Stage::Writing);
    let image = known.images.data.iter().flat_map(|images| images.iter()).find(|image| image.name == draft.image);
    let image = image.map(|image| Rc::new(image.clone()));
    let wanted = grants.wanted(image.as_deref(), secrets.as_deref());
    let send = use_send(props, &draft, &wanted, stage.setter());
    if let Stage::Made { agent, not_given } = &*stage {
        return html! { <NotAllGiven agent={agent.clone()} not_given={not_given.clone()} on_stage={Callback::from({ let stage = stage.setter(); move |next| stage.set(next) })} on_close={props.on_close.clone()} /> };
    }
    let reason = match (&*stage, &send) {
        (Stage::Sending(what), _) => Some((*what).to_owned()),
        (Stage::Writing | Stage::Refused(_) | Stage::Made { .. }, Err(problem)) => Some(problem.clone()),
        (Stage::Writing | Stage::Refused(_) | Stage::Made { .. }, Ok(_)) => None,
    };
    let on_save = {
        let send = send.ok().filter(|_| reason.is_none());
        Callback::from(move |()| {
            if let Some(send) = &send {
                send.emit(());
            }
        })
    };
    let onkeydown = {
        let on_save = on_save.clone();
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Enter" && has_command(&event) {
                event.prevent_default();
                on_save.emit(());
            }
        })
    };
    let is_new = props.agent.is_none();
    let note = reason.clone().unwrap_or_else(|| {
        if is_new {
            "Its home is made at its first task".to_owned()
        } else {
            "Tasks that wait already keep what they were given".to_owned()
        }
    });
    let foot = html! {
        <>
            // Where it is in sight, wherever the form is scrolled to.
            if let Stage::Refused(error) = &*stage {
                <div class="refused" data-test="dialog-error">{ refusal(error) }</div>
            } else {
                <span class="note" role="status" data-test="form-note">{ note }</span>
            }
            <span class="spring"></span>
            <button class="button" data-kind="primary" data-test="save-agent" aria-disabled={reason.is_some().then_some("true")} onclick={on_save.reform(|_: MouseEvent| ())}>
                { if is_new { "Make the agent" } else { "Save" } }{ key("Ctrl ↵") }
            </button>
        </>
    };
    let plate = plate_field(&draft, image.as_deref(), props.agent.as_deref(), &change);
    let before = html! {
        <>
            if is_new { { name_field(&draft, &change) }{ plate.clone() } }
            { image_field(&draft, known.images.data.clone(), secrets.clone(), &change) }
            { model_field(&draft, is_new, &change) }
            if !is_new { { plate } }
        </>
    };
    let on_grants = {
        let grants = grants.setter();
        Callback::from(move |next| grants.set(next))
    };
    let after = html! {
        <>
            { memory_field(&draft, &change) }
            if is_new {
                <div class="field"><span class="label">{ "Secrets" }</span>
                    <GrantList image={image.clone()} {secrets} {wanted} mode={draft.mode} on_change={on_grants} />
                </div>
            }
            { network_field(&draft, image.as_deref(), &change) }
            <div class="folds">
                { tools_fold(&draft, &change) }
                { limits_fold(&draft, &change) }
                { start_fold(&draft, &change) }
            </div>
        </>
    };
    let title = props.agent.as_ref().map_or_else(|| "New agent".to_owned(), |agent| format!("Edit {}", agent.name));
    html! {
        <Modal {title} test="edit-agent" size="wide" on_close={props.on_close.reform(|()| None)} {foot}>
            <Dropped persona={draft.persona.clone()} change={change.clone()} {onkeydown} {before} {after} />
        </Modal>
    }
}

/// What sends the draft, or why it cannot be sent.
#[hook]
fn use_send(
    props: &FormProps,
    draft: &Draft,
    wanted: &BTreeMap<String, SecretWay>,
    stage: UseStateSetter<Stage>,
) -> Result<Callback<()>, String> {
    let known = use_known();
    let refresh = use_desk().refresh;
    let on_close = props.on_close.clone();
    if let Some(agent) = &props.agent {
        let call = draft.change(agent).map_err(|problem| problem.to_string())?;
        return Ok(Callback::from(move |()| {
            let (call, stage, on_close, refresh) = (call.clone(), stage.clone(), on_close.clone(), refresh.clone());
            stage.set(Stage::Sending("Saving"));
            wasm_bindgen_futures::spawn_local(async move {
                match backend::call(call).await {
                    Ok(agent) => on_close.emit(Some(agent)),
                    Err(error) => stage.set(Stage::Refused(error)),
                }
                refresh.emit(());
            });
        }));
    }
    let others = known.agents.data.iter().flat_map(|agents| agents.iter()).map(|agent| agent.name.as_str());
    let call = draft.create(others).map_err(|problem| problem.to_string())?;
    let wanted: Vec<_> = wanted.iter().map(|(name, way)| (name.clone(), *way)).collect();
    Ok(Callback::from(move |()| {
        let (call, wanted) = (call.clone(), wanted.clone());
        let (stage, on_close, refresh) = (stage.clone(), on_close.clone(), refresh.clone());
        stage.set(Stage::Sending("Making it"));
        wasm_bindgen_futures::spawn_local(async move {
            match backend::call(call).await {
                Ok(agent) => hand_over(agent, wanted, &stage, &on_close).await,
                Err(error) => stage.set(Stage::Refused(error)),
            }
            refresh.emit(());
        });
    }))
}

/// Gives an agent that is there its secrets, and closes the form, or says which it has not got.
async fn hand_over(
    agent: AgentView,
    wanted: Vec<(String, SecretWay)>,
    stage: &UseStateSetter<Stage>,
    on_close: &Callback<Option<AgentView>>,
) {
    let not_given = give(&agent.name, wanted).await;
    if not_given.is_empty() {
        on_close.emit(Some(agent));
    } else {
        stage.set(Stage::Made { agent: Rc::new(agent), not_given });
    }
}

#[derive(PartialEq, Properties)]
struct NotAllGivenProps {
    agent: Rc<AgentView>,
    not_given: Vec<NotGiven>,
    on_stage: Callback<Stage>,
    on_close: Callback<Option<AgentView>>,
}

/// An agent was made, and not all secrets could be given to it.
#[component]
fn NotAllGiven(props: &NotAllGivenProps) -> Html {
    let is_busy = use_state_eq(|| false);
    let refresh = use_desk().refresh;
    let close = props.on_close.reform({
        let agent = props.agent.clone();
        move |()| Some((*agent).clone())
    });
    let again = {
        let (agent, not_given, is_busy) = (props.agent.clone(), props.not_given.clone(), is_busy.clone());
        let (on_stage, close, refresh) = (props.on_stage.clone(), close.clone(), refresh);
        Callback::from(move |_: MouseEvent| {
            if *is_busy {
                return;
            }
            is_busy.set(true);
            let wanted = not_given.iter().map(|one| (one.secret.clone(), one.way)).collect();
            let (agent, on_stage, close) = (agent.clone(), on_stage.clone(), close.clone());
            let (is_busy, refresh) = (is_busy.setter(), refresh.clone());
            wasm_bindgen_futures::spawn_local(async move {
                let not_given = give(&agent.name, wanted).await;
                is_busy.set(false);
                if not_given.is_empty() {
                    close.emit(());
                } else {
                    on_stage.emit(Stage::Made { agent, not_given });
                }
                refresh.emit(());
            });
        })
    };
    let foot = html! {
        <>
            <span class="note" role="status">{ if *is_busy { "Giving them" } else { "They can be given later, too, in Settings" } }</span>
            <span class="spring"></span>
            <button class="button" data-test="grants-later" onclick={close.reform(|_: MouseEvent| ())}>{ "Later" }</button>
            <button class="button" data-kind="primary" data-test="grants-again" aria-disabled={is_busy.then_some("true")} onclick={again}>{ "Try again" }</button>
        </>
    };
    html! {
        <Modal title={format!("{} was made", props.agent.name)} test="grants-failed" on_close={close} {foot}>
            <div class="warning" data-tone="review"><span class="toned">{ small_icon(Glyph::Triangle) }</span>
                <span>{ format!("The agent is there, without {}:", say::count(props.not_given.len() as u64, "secret that it should have", "secrets that it should have")) }</span></div>
            <ul class="not-given">
                { for props.not_given.iter().map(|one| html! {
                    <li key={one.secret.clone()} data-test="not-given"><b>{ say::visible(&one.secret) }</b>{ refusal(&one.error) }</li>
                }) }
            </ul>
        </Modal>
    }
}

#[derive(PartialEq, Properties)]
struct DroppedProps {
    persona: Rc<Vec<PersonaFile>>,
    change: Callback<Edit>,
    onkeydown: Callback<KeyboardEvent>,
    before: Html,
    after: Html,
}

/// The body of the form, which takes files that are dropped on it for the standing instructions in its middle.
#[component]
fn Dropped(props: &DroppedProps) -> Html {
    let left_out = use_state_eq(Rc::<Vec<String>>::default);
    let is_over = use_state_eq(|| false);
    let latest = use_mut_ref(|| props.persona.clone());
    latest.replace(props.persona.clone());
    let take = {
        let (change, left_out) = (props.change.clone(), left_out.setter());
        Callback::from(move |files: FileList| {
            let (latest, change, left_out) = (latest.clone(), change.clone(), left_out.clone());
            let on_read = Callback::from(move |(files, why): (Vec<PersonaFile>, Vec<String>)| {
                change.emit(Box::new(move |draft| draft.persona = Rc::new(files)));
                left_out.set(Rc::new(why));
            });
            add_files(Some(&files), Rc::new(move || (**latest.borrow()).clone()), on_read);
        })
    };
    let over = |is: bool| {
        let is_over = is_over.setter();
        Callback::from(move |event: DragEvent| {
            if files::are_carried(&event) {
                event.prevent_default();
                is_over.set(is);
            }
        })
    };
    let ondrop = {
        let (is_over, take) = (is_over.setter(), take.clone());
        Callback::from(move |event: DragEvent| {
            if !files::are_carried(&event) {
                return;
            }
            event.prevent_default();
            is_over.set(false);
            if let Some(files) = event.data_transfer().and_then(|transfer| transfer.files()) {
                take.emit(files);
            }
        })
    };
    let on_change = props
        .change
        .reform(|files: Vec<PersonaFile>| -> Edit { Box::new(move |draft| draft.persona = Rc::new(files)) });
    html! {
        <div class="agent-form" data-takes-files="" data-over={is_over.then_some("")} ondragover={over(true)} ondragleave={over(false)} {ondrop} onkeydown={props.onkeydown.clone()}>
            { props.before.clone() }
            <div class="field"><span class="label">{ "Standing instructions" }</span>
                <Persona files={props.persona.clone()} left_out={(*left_out).clone()} {on_change} on_pick={take} />
            </div>
            { props.after.clone() }
        </div>
    }
}
