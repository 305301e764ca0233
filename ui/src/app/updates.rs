//! The stream of updates: opened, listened to, opened again after a pause that grows.

use std::{cell::RefCell, rc::Rc};

use gloo_timers::callback::Timeout;
use wire::{
    call::HelloReply,
    stream::{StreamTarget, Update},
};
use yew::prelude::*;

use crate::{
    backend::{Stream, StreamEvent, desktop::is_desktop},
    clock,
    feed::{Feed, FeedAction, Link},
};

/// Updates are taken together for so long, so that a burst is one look.
const GATHER_MS: u32 = 40;
/// So many that wait are one reason to look at everything.
const GATHERED_MAX: usize = 256;

#[derive(Default)]
struct Gathering {
    updates: Vec<Update>,
    timeout: Option<Timeout>,
}

/// Feeds `feed`. In Berth's own window it waits for the core to say where its streams are; a browser knows.
#[hook]
pub fn use_updates(feed: &UseReducerHandle<Feed>, hello: Option<&HelloReply>) {
    let is_ready = !is_desktop() || hello.is_some();
    let origin = hello.filter(|_| is_desktop()).and_then(|hello| hello.stream_origin.clone());
    let attempt = use_state_eq(|| 0_u64);
    {
        let dispatcher = feed.dispatcher();
        use_effect_with((is_ready, origin, *attempt), move |(is_ready, origin, _)| {
            let gathering = Rc::new(RefCell::new(Gathering::default()));
            let stream = is_ready.then(|| {
                let gathering = gathering.clone();
                Stream::open(StreamTarget::Updates, origin.clone(), move |event| match event {
                    StreamEvent::Open => dispatcher.dispatch(FeedAction::Opened(clock::now())),
                    StreamEvent::Text(text) => {
                        // A topic that this face does not know yet is a reason to look at everything.
                        let update = serde_json::from_str(&text).unwrap_or(Update::All);
                        gather(&gathering, update, dispatcher.clone());
                    }
                    StreamEvent::Bytes(_) => {}
                    StreamEvent::Closed(_) => dispatcher.dispatch(FeedAction::Closed(clock::now())),
                })
            });
            move || {
                drop(stream);
                gathering.borrow_mut().timeout = None;
            }
        });
    }
    let backoff_ms = feed.backoff_ms();
    use_effect_with(feed.link, move |link| {
        let timeout = match link {
            Link::Lost { .. } => Some(Timeout::new(backoff_ms, move || attempt.set(*attempt + 1))),
            Link::Connecting | Link::Live => None,
        };
        move || drop(timeout)
    });
}

fn gather(gathering: &Rc<RefCell<Gathering>>, update: Update, dispatcher: UseReducerDispatcher<Feed>) {
    let mut state = gathering.borrow_mut();
    if !state.updates.contains(&update) {
        state.updates.push(update);
    }
    if state.updates.len() > GATHERED_MAX {
        state.updates = vec![Update::All];
    }
    if state.timeout.is_none() {
        let gathering = gathering.clone();
        state.timeout = Some(Timeout::new(GATHER_MS, move || {
            let updates = {
                let mut state = gathering.borrow_mut();
                state.timeout = None;
                std::mem::take(&mut state.updates)
            };
            dispatcher.dispatch(FeedAction::Updates(updates));
        }));
    }
}
