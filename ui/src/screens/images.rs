//! The Gallery: what agents can run in, how each image stands, and its builds as they go on.
//!
//! ```text
//! standing: words ─┐
//! acting: deeds ───┼─▶ card, own (rows and menu) ── above
//! watched: build ──┴─▶ pane (steps, log) ────────── below
//! ```

mod acting;
mod add;
mod card;
mod log;
mod own;
mod pane;
pub mod standing;
mod steps;
mod watched;

use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};
use wire::{
    call::ListSecrets,
    image::{ImageAction, ImageOrigin, ImageView},
    secret::SecretsView,
    view::AgentView,
};
use yew::prelude::*;
use yew_router::prelude::*;

use self::{
    acting::{Acting, key_of, use_acting},
    add::AddImageDialog,
    card::Card,
    own::Row,
    pane::Pane,
    standing::{Needs, Shelves, Way, step, summary},
    watched::use_build,
};
use crate::{
    context::{Known, use_desk, use_feed, use_known},
    dialog::TypedName,
    icon::{Glyph, icon},
    keys::{Scope, Taken, presses, use_keys},
    parts::{Broken, Skeletons, key},
    query::{Look, use_call, use_calm},
    route::Route,
    say,
    screens::agents::AgentForm,
};

/// How often at most a build is asked for again.
const BUILD_MS: u32 = 250;

/// A dialog over the Gallery.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    Add,
    /// An agent that runs in that image.
    Agent(String),
    /// The question before one of a person's own goes.
    Remove(String),
}

/// The screen.
#[component]
pub fn Images() -> Html {
    let known = use_known();
    let desk = use_desk();
    let feed = use_feed();
    let navigator = use_navigator();
    let secrets = use_call(Some(ListSecrets {}), feed.secrets()).data;
    let open = use_state_eq(|| Open::Nothing);
    let is_pane_open = use_state_eq(|| true);
    // How often a key opened the build.
    let opened = use_state_eq(|| 0_u32);
    let (acting, act) = use_acting();
    let images = known.images.data.clone();
    let shown =
        images.as_ref().and_then(|images| selected(images, desk.image.as_deref())).map(|image| Rc::new(image.clone()));
    let revision = use_calm(feed.images(), BUILD_MS);
    let watched = use_build(shown.as_ref().map(|image| image.name.clone()), revision);
    let deed = {
        let (images, open, act) = (images.clone(), open.setter(), act.clone());
        Callback::from(move |(name, action): (String, ImageAction)| {
            let is_own =
                images.iter().flat_map(|images| images.iter()).any(|image| image.name == name && is_own(image));
            if action == ImageAction::Remove && is_own {
                open.set(Open::Remove(name));
            } else {
                act.emit((name, action));
            }
        })
    };
    let select = {
        let (image, is_pane_open, opened) = (desk.image.clone(), is_pane_open.setter(), opened.clone());
        Callback::from(move |(name, by_key): (String, bool)| {
            image.set(Some(name));
            is_pane_open.set(true);
            if by_key {
                opened.set(*opened + 1);
            }
        })
    };
    // Once it is drawn: it may have been folded.
    use_effect_with(*opened, |opened| {
        if *opened > 0 {
            focus("[data-test='build-log']");
        }
    });
    use_gallery_keys(images.clone(), shown.clone(), deed.clone(), select.clone(), open.setter());
    let close = {
        let open = open.setter();
        Callback::from(move |()| open.set(Open::Nothing))
    };
    let on_agent = {
        let (open, name) = (open.setter(), shown.as_ref().map(|image| image.name.clone()).unwrap_or_default());
        Callback::from(move |()| open.set(Open::Agent(name.clone())))
    };
    let on_fold = {
        let is_pane_open = is_pane_open.clone();
        Callback::from(move |()| is_pane_open.set(!*is_pane_open))
    };
    html! {
        <main class="content" data-test="screen-images">
            <header class="header">
                <h1>{ "Images" }</h1>
                if let Some(images) = &images { <span class="crumb weak counts">{ summary(images) }</span> }
                <span class="spring"></span>
                <button class="button" data-kind="primary" data-test="add-image" onclick={{ let open = open.setter(); move |_: MouseEvent| open.set(Open::Add) }}>
                    { icon(Glyph::Plus) }{ "Add an image" }{ key("N") }
                </button>
            </header>
            { match known.images.look() {
                Look::Loading => html! { <div class="scroll"><Skeletons rows={6} /></div> },
                Look::Broken(error) => html! { <Broken what="The Gallery" error={error.clone()} on_retry={desk.refresh.clone()} /> },
                Look::Known(images) if images.is_empty() => html! {
                    <div class="empty" data-test="no-images">
                        <h2>{ "No images" }</h2>
                        <p>{ "An image is what agents run in. Berth brings some; that there is none means that this Berth was put together without them. You can add one of your own." }</p>
                    </div>
                },
                Look::Known(images) => html! {
                    <div class="images" data-pane={is_pane_open.then_some("open")}>
                        { gallery(images, &known, secrets.as_deref(), shown.as_deref(), &acting, &select, &deed) }
                        if let Some(image) = &shown {
                            <Pane image={image.clone()} needs={Needs::of(image, secrets.as_deref())} watched={watched.clone()} is_down={known.engine_down().is_some()} is_open={*is_pane_open}
                                refused={acting.refused(image, watched.build.as_deref()).cloned()} meanwhile={acting.meanwhile(image).map(AttrValue::from)}
                                on_act={on_act(&deed, image)} {on_agent} {on_fold} />
                        }
                    </div>
                },
            } }
            { match &*open {
                Open::Nothing => Html::default(),
                Open::Add => {
                    let (open, image) = (open.setter(), desk.image.clone());
                    let on_added = Callback::from(move |added: ImageView| {
                        image.set(Some(added.name));
                        open.set(Open::Nothing);
                    });
                    html! { <AddImageDialog images={images.clone().unwrap_or_default()} {on_added} on_close={close} /> }
                }
                Open::Agent(image) => {
                    let (open, agent) = (open.setter(), desk.agent.clone());
                    let on_close = Callback::from(move |made: Option<AgentView>| {
                        open.set(Open::Nothing);
                        if let (Some(made), Some(navigator)) = (made, &navigator) {
                            agent.set(Some(made.agent.to_string()));
                            navigator.push(&Route::Agents);
                        }
                    });
                    html! { <AgentForm image={AttrValue::from(image.clone())} {on_close} /> }
                }
                Open::Remove(name) => {
                    let (name_of, open, act) = (name.clone(), open.setter(), act);
                    let on_yes = Callback::from(move |_: String| {
                        open.set(Open::Nothing);
                        act.emit((name_of.clone(), ImageAction::Remove));
                    });
                    html! {
                        <TypedName title={format!("Remove {}", say::visible(name))} name={name.clone()} verb="Remove"
                            consequence={html! { removed(images.as_deref().and_then(|images| selected(images, Some(name)))) }}
                            {on_yes} on_close={close} />
                    }
                }
            } }
        </main>
    }
}

/// What is lost with an image of a person's own.
const fn removed(image: Option<&ImageView>) -> &'static str {
    match image {
        Some(ImageView { origin: ImageOrigin::Folder { .. }, .. }) => {
            "It goes from this list, and what was built of it goes off the engine. The folder stays as it is."
        }
        Some(_) | None => "It goes from this list. What the engine has of it stays there.",
    }
}

/// The selected image; the first one where none is, or where it has gone.
fn selected<'a>(images: &'a [ImageView], name: Option<&str>) -> Option<&'a ImageView> {
    let chosen = name.and_then(|name| images.iter().find(|image| image.name == name));
    chosen.or_else(|| Shelves::of(images).in_order().first().copied())
}

const fn is_own(image: &ImageView) -> bool {
    match image.origin {
        ImageOrigin::Reference { .. } | ImageOrigin::Folder { .. } => true,
        ImageOrigin::Gallery | ImageOrigin::Part => false,
    }
}

fn on_act(deed: &Callback<(String, ImageAction)>, image: &ImageView) -> Callback<ImageAction> {
    let name = image.name.clone();
    deed.reform(move |action| (name.clone(), action))
}

/// The three shelves.
fn gallery(
    images: &[ImageView],
    known: &Known,
    secrets: Option<&SecretsView>,
    shown: Option<&ImageView>,
    acting: &Acting,
    select: &Callback<(String, bool)>,
    deed: &Callback<(String, ImageAction)>,
) -> Html {
    let shelves = Shelves::of(images);
    let on_select = |image: &ImageView| {
        let name = image.name.clone();
        select.reform(move |by_key| (name.clone(), by_key))
    };
    let is_selected = |image: &ImageView| shown.is_some_and(|shown| shown.name == image.name);
    let meanwhile = |image: &ImageView| acting.meanwhile(image).map(AttrValue::from);
    let rows = |label: &'static str, test: &'static str, first: usize, images: &[&ImageView]| {
        html! {
            if !images.is_empty() {
                <section class="own" data-test={test}>
                    <h2>{ label }</h2>
                    <ul>
                        { for images.iter().zip(first..).map(|(image, at)| html! {
                            <Row key={image.name.clone()} image={Rc::new((*image).clone())} needs={Needs::of(image, secrets)} {at} is_selected={is_selected(image)}
                                meanwhile={meanwhile(image)} on_select={on_select(image)} on_act={on_act(deed, image)} />
                        }) }
                    </ul>
                </section>
            }
        }
    };
    let (cards, own) = (shelves.gallery.len(), shelves.own.len());
    html! {
        <div class="scroll">
            <ul class="image-grid" data-test="image-grid" data-count={cards.to_string()}>
                { for shelves.gallery.iter().enumerate().map(|(at, image)| html! {
                    <Card key={image.name.clone()} image={Rc::new((*image).clone())} needs={Needs::of(image, secrets)} agents={agents_in(known, &image.name)} {at}
                        is_selected={is_selected(image)} meanwhile={meanwhile(image)} on_select={on_select(image)} on_act={on_act(deed, image)} />
                }) }
            </ul>
            { rows("Your own", "own-images", cards, &shelves.own) }
            { rows("Parts that others start from", "image-parts", cards + own, &shelves.parts) }
        </div>
    }
}

/// The names of the agents that run in an image.
fn agents_in(known: &Known, image: &str) -> Rc<[AttrValue]> {
    let agents = known.agents.data.iter().flat_map(|agents| agents.iter());
    agents.filter(|agent| agent.image == image).map(|agent| AttrValue::from(agent.name.clone())).collect()
}

/// The keys of the Gallery: arrows go from image to image, letters act on the selected one.
#[hook]
fn use_gallery_keys(
    images: Option<Rc<Vec<ImageView>>>,
    shown: Option<Rc<ImageView>>,
    deed: Callback<(String, ImageAction)>,
    select: Callback<(String, bool)>,
    open: UseStateSetter<Open>,
) {
    let desk = use_desk();
    use_keys(Scope::Page, move |event| {
        let key = event.key();
        if presses(&key, event.shift_key(), "N") {
            open.set(Open::Add);
            return Taken::Yes;
        }
        let (Some(images), Some(shown)) = (&images, &shown) else { return Taken::No };
        let way = match key.as_str() {
            "ArrowLeft" => Some(Way::Left),
            "ArrowRight" => Some(Way::Right),
            "ArrowUp" | "k" => Some(Way::Up),
            "ArrowDown" | "j" => Some(Way::Down),
            _ => None,
        };
        if way.is_some() && is_scrolling(event) {
            return Taken::No;
        }
        if let Some(way) = way {
            let shelves = Shelves::of(images);
            let order = shelves.in_order();
            let at = order.iter().position(|image| image.name == shown.name).unwrap_or(0);
            let cards = shelves.gallery.len();
            let to = step(way, at, cards, columns(), order.len() - cards);
            desk.image.set(order.get(to).map(|image| image.name.clone()));
            focus(&format!("[data-image-at='{to}']"));
            return Taken::Yes;
        }
        if key == "Enter" && !is_on_control(event) {
            select.emit((shown.name.clone(), true));
            return Taken::Yes;
        }
        if presses(&key, event.shift_key(), "A") {
            open.set(Open::Agent(shown.name.clone()));
            return Taken::Yes;
        }
        let can = shown.actions.iter().filter(|view| view.denied.is_none()).map(|view| view.action);
        match can.into_iter().find(|action| presses(&key, event.shift_key(), key_of(*action))) {
            Some(action) => {
                deed.emit((shown.name.clone(), action));
                Taken::Yes
            }
            None => Taken::No,
        }
    });
}

fn target(event: &KeyboardEvent) -> Option<Element> {
    event.target()?.dyn_into().ok()
}

/// Whether the keys scroll what has the focus.
fn is_scrolling(event: &KeyboardEvent) -> bool {
    target(event).and_then(|at| at.closest(".dock [tabindex='0']").ok().flatten()).is_some()
}

/// Whether what has the focus does something of its own with Enter.
fn is_on_control(event: &KeyboardEvent) -> bool {
    target(event).and_then(|at| at.closest("button, a").ok().flatten()).is_some()
}

fn find(selector: &str) -> Option<HtmlElement> {
    web_sys::window()?.document()?.query_selector(selector).ok()??.dyn_into().ok()
}

fn focus(selector: &str) {
    if let Some(element) = find(selector) {
        let _ = element.focus();
    }
}

/// In how many columns the cards stand now: as many as share the first one's line.
fn columns() -> usize {
    let first = find("[data-test='image-grid']").and_then(|grid| grid.first_element_child());
    let mut next = first.and_then(|first| first.dyn_into::<HtmlElement>().ok());
    let top = next.as_ref().map(HtmlElement::offset_top);
    let mut count = 0;
    while let Some(card) = next.filter(|card| Some(card.offset_top()) == top) {
        count += 1;
        next = card.next_element_sibling().and_then(|card| card.dyn_into().ok());
    }
    count
}
