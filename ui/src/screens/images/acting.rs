//! What a person does with an image: the words of each action, which of them are under way, and what was refused.

use std::{collections::BTreeMap, rc::Rc};

use jiff::Timestamp;
use wire::{
    Call,
    call::{BuildImage, CancelBuild, RemoveImage, SmokeImage},
    image::{BuildView, ImageAction, ImageState, ImageView},
};
use yew::prelude::*;

use super::standing::is_fetched;
use crate::{
    backend::{self, CallError},
    clock,
    context::use_desk,
    icon::Glyph,
};

/// The label of an action as the image stands.
pub fn label(action: ImageAction, image: &ImageView) -> &'static str {
    match (action, &image.state) {
        (ImageAction::Build, ImageState::Failed { .. }) => "Try again",
        (ImageAction::Build, ImageState::Outdated { .. }) => "Update",
        (ImageAction::Build, ImageState::Ready { .. }) if is_fetched(image) => "Fetch again",
        (ImageAction::Build, ImageState::Ready { .. }) => "Build again",
        (ImageAction::Build, ImageState::Unknown | ImageState::NotBuilt | ImageState::Building { .. })
            if is_fetched(image) =>
        {
            "Fetch"
        }
        (ImageAction::Build, ImageState::Unknown | ImageState::NotBuilt | ImageState::Building { .. }) => "Build",
        (ImageAction::BuildFresh, _) => "Build every step anew",
        (ImageAction::Cancel, _) => "Cancel build",
        (ImageAction::Smoke, _) => "Smoke test",
        (ImageAction::Remove, _) => "Remove",
    }
}

/// Its name for tests.
pub const fn name_of(action: ImageAction) -> &'static str {
    match action {
        ImageAction::Build => "build",
        ImageAction::BuildFresh => "build-fresh",
        ImageAction::Cancel => "cancel-build",
        ImageAction::Smoke => "smoke",
        ImageAction::Remove => "remove-image",
    }
}

/// Its key.
pub const fn key_of(action: ImageAction) -> &'static str {
    match action {
        ImageAction::Build => "B",
        ImageAction::BuildFresh => "⇧B",
        ImageAction::Cancel => "C",
        ImageAction::Smoke => "S",
        ImageAction::Remove => "⇧X",
    }
}

/// Its icon.
pub const fn glyph_of(action: ImageAction) -> Glyph {
    match action {
        ImageAction::Build => Glyph::Hammer,
        ImageAction::BuildFresh => Glyph::Rotate,
        ImageAction::Cancel => Glyph::Square,
        ImageAction::Smoke => Glyph::Shield,
        ImageAction::Remove => Glyph::Trash,
    }
}

/// What is said while an action is under way and the image does not show it yet.
const fn meanwhile(action: ImageAction) -> &'static str {
    match action {
        ImageAction::Build | ImageAction::BuildFresh => "Asked for",
        ImageAction::Cancel => "Being cancelled",
        ImageAction::Smoke => "Smoke test at work",
        ImageAction::Remove => "Being removed",
    }
}

/// That something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    image: String,
    action: ImageAction,
    error: CallError,
    asked_at: Timestamp,
}

/// What is under way, and what was refused last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acting {
    under_way: BTreeMap<String, ImageAction>,
    refusal: Option<Refusal>,
}

/// What happens to an [`Acting`].
#[derive(Debug)]
pub enum ActingEvent {
    /// An action is asked for.
    Asked { image: String, action: ImageAction },
    /// It is answered.
    Answered { image: String, action: ImageAction, asked_at: Timestamp, answer: Result<(), CallError> },
}

impl Acting {
    /// What is under way with an image, in words; a build that its state shows needs none.
    pub fn meanwhile(&self, image: &ImageView) -> Option<&'static str> {
        let is_building = matches!(image.state, ImageState::Building { .. });
        let action = self.under_way.get(&image.name)?;
        match action {
            ImageAction::Build | ImageAction::BuildFresh if is_building => None,
            ImageAction::Build
            | ImageAction::BuildFresh
            | ImageAction::Cancel
            | ImageAction::Smoke
            | ImageAction::Remove => Some(meanwhile(*action)),
        }
    }

    /// Why the last action on an image could not be done. A build that began says by itself how it ended.
    pub fn refused(&self, image: &ImageView, build: Option<&BuildView>) -> Option<&CallError> {
        let refusal = self.refusal.as_ref().filter(|refusal| refusal.image == image.name)?;
        let says_so_itself = match refusal.action {
            ImageAction::Build | ImageAction::BuildFresh => {
                matches!(image.state, ImageState::Failed { .. })
                    || build.is_some_and(|build| build.began_at >= refusal.asked_at)
            }
            ImageAction::Cancel | ImageAction::Smoke | ImageAction::Remove => false,
        };
        (!says_so_itself).then_some(&refusal.error)
    }

    fn is_under_way(&self, image: &str, action: ImageAction) -> bool {
        self.under_way.get(image) == Some(&action)
    }
}

impl Reducible for Acting {
    type Action = ActingEvent;

    fn reduce(self: Rc<Self>, event: ActingEvent) -> Rc<Self> {
        let mut acting = Self::clone(&self);
        match event {
            ActingEvent::Asked { image, action } => {
                acting.refusal = None;
                acting.under_way.insert(image, action);
            }
            ActingEvent::Answered { image, action, asked_at, answer } => {
                // A build whose end is told after it was cancelled leaves what was asked since.
                if acting.is_under_way(&image, action) {
                    acting.under_way.remove(&image);
                }
                if let Err(error) = answer {
                    acting.refusal = Some(Refusal { image, action, error, asked_at });
                }
            }
        }
        Rc::new(acting)
    }
}

/// What is under way, and what begins something with the image of a name; each action once at a time.
#[hook]
pub fn use_acting() -> (Rc<Acting>, Callback<(String, ImageAction)>) {
    let refresh = use_desk().refresh;
    let acting = use_reducer(Acting::default);
    let act = {
        let (acting, dispatcher) = (acting.clone(), acting.dispatcher());
        Callback::from(move |(image, action): (String, ImageAction)| {
            if acting.is_under_way(&image, action) {
                return;
            }
            dispatcher.dispatch(ActingEvent::Asked { image: image.clone(), action });
            let (dispatcher, refresh, asked_at) = (dispatcher.clone(), refresh.clone(), clock::now());
            wasm_bindgen_futures::spawn_local(async move {
                let name = image.clone();
                let answer = match action {
                    ImageAction::Build => send(BuildImage { name, is_fresh: false }).await,
                    ImageAction::BuildFresh => send(BuildImage { name, is_fresh: true }).await,
                    ImageAction::Cancel => send(CancelBuild { name }).await,
                    ImageAction::Smoke => send(SmokeImage { name }).await,
                    ImageAction::Remove => send(RemoveImage { name }).await,
                };
                dispatcher.dispatch(ActingEvent::Answered { image, action, asked_at, answer });
                refresh.emit(());
            });
        })
    };
    (Rc::new((*acting).clone()), act)
}

async fn send<C: Call>(call: C) -> Result<(), CallError> {
    backend::call(call).await.map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture;

    fn image(state: serde_json::Value) -> ImageView {
        fixture::image("script", json!({"origin": "gallery"}), state)
    }

    fn after(events: impl IntoIterator<Item = ActingEvent>) -> Rc<Acting> {
        events.into_iter().fold(Rc::default(), |acting: Rc<Acting>, event| acting.reduce(event))
    }

    fn asked(action: ImageAction) -> ActingEvent {
        ActingEvent::Asked { image: "script".to_owned(), action }
    }

    fn answered(action: ImageAction, answer: Result<(), CallError>) -> ActingEvent {
        let asked_at = "2026-11-21T10:30:00Z".parse().unwrap();
        ActingEvent::Answered { image: "script".to_owned(), action, asked_at, answer }
    }

    #[test]
    fn a_build_is_said_to_be_asked_for_until_the_image_shows_it() {
        let acting = after([asked(ImageAction::Build)]);
        assert_eq!(acting.meanwhile(&image(json!({"state": "not_built"}))), Some("Asked for"));
        assert_eq!(acting.meanwhile(&image(json!({"state": "building", "line": "", "number": 1, "of": 2}))), None);
        assert_eq!(
            acting.meanwhile(&fixture::image("other", json!({"origin": "gallery"}), json!({"state": "not_built"}))),
            None
        );
        let acting = after([asked(ImageAction::Build), answered(ImageAction::Build, Ok(()))]);
        assert_eq!(acting.meanwhile(&image(json!({"state": "not_built"}))), None);
    }

    #[test]
    fn a_build_that_began_says_itself_how_it_ended() {
        let build = |began_at: &str| fixture::build(began_at, &[], 0);
        let acting = after([answered(ImageAction::Build, Err(CallError::Away))]);
        let not_built = image(json!({"state": "not_built"}));
        // The one before: this one never began.
        assert_eq!(acting.refused(&not_built, Some(&build("2026-11-21T10:00:00Z"))), Some(&CallError::Away));
        assert_eq!(acting.refused(&not_built, None), Some(&CallError::Away));
        // Another: it was cancelled, say.
        assert_eq!(acting.refused(&not_built, Some(&build("2026-11-21T11:00:00Z"))), None);
        let failed = image(json!({"state": "failed", "error": {"code": "image_missing", "message": "no", "hint": ""}}));
        assert_eq!(acting.refused(&failed, None), None);
    }

    #[test]
    fn a_refusal_is_that_of_its_image_and_goes_with_the_next_deed() {
        let acting = after([answered(ImageAction::Smoke, Err(CallError::Away))]);
        let ready = json!({"state": "ready", "size_bytes": 1});
        assert_eq!(acting.refused(&image(ready.clone()), None), Some(&CallError::Away));
        assert_eq!(acting.refused(&fixture::image("other", json!({"origin": "gallery"}), ready.clone()), None), None);
        assert_eq!(acting.reduce(asked(ImageAction::Smoke)).refused(&image(ready), None), None);
    }

    #[test]
    fn the_end_of_a_cancelled_build_does_not_hide_the_cancelling() {
        let building = image(json!({"state": "building", "line": "", "number": 1, "of": 2}));
        let acting =
            after([asked(ImageAction::Build), asked(ImageAction::Cancel), answered(ImageAction::Build, Ok(()))]);
        assert_eq!(acting.meanwhile(&building), Some("Being cancelled"));
    }

    #[test]
    fn no_two_actions_share_a_key() {
        let all =
            [ImageAction::Build, ImageAction::BuildFresh, ImageAction::Cancel, ImageAction::Smoke, ImageAction::Remove];
        let keys: std::collections::BTreeSet<_> = all.map(key_of).into();
        assert_eq!(keys.len(), all.len());
        assert!(!keys.contains("N") && !keys.contains("A"));
    }
}
