//! What is known of the answer to one call: old data stays in sight while it is asked for again, or when asking fails.
//!
//! The state is pure ([`Query`]); [`use_call`] asks whenever the call or its revision changes, with at most one request in flight.

use std::{cell::Cell, rc::Rc};

use gloo_timers::callback::Timeout;
use jiff::Timestamp;
use wire::Call;
use yew::prelude::*;

use crate::{
    backend::{self, CallError},
    clock,
};

/// The state of one question.
#[derive(Debug)]
pub struct Query<T> {
    /// The last answer.
    pub data: Option<Rc<T>>,
    /// When it came.
    pub answered_at: Option<Timestamp>,
    /// Why the last attempt failed; `None` after one that did not.
    pub error: Option<Rc<CallError>>,
}

impl<T> Default for Query<T> {
    fn default() -> Self {
        Self { data: None, answered_at: None, error: None }
    }
}

impl<T> Clone for Query<T> {
    fn clone(&self) -> Self {
        Self { data: self.data.clone(), answered_at: self.answered_at, error: self.error.clone() }
    }
}

impl<T> PartialEq for Query<T> {
    fn eq(&self, other: &Self) -> bool {
        let same_data = match (&self.data, &other.data) {
            (Some(one), Some(two)) => Rc::ptr_eq(one, two),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_data && self.answered_at == other.answered_at && self.error == other.error
    }
}

/// An answer that came.
pub struct Answered<T> {
    /// The answer.
    pub answer: Result<T, CallError>,
    /// When.
    pub at: Timestamp,
}

impl<T> Reducible for Query<T> {
    type Action = Answered<T>;

    fn reduce(self: Rc<Self>, answered: Answered<T>) -> Rc<Self> {
        Rc::new(match answered.answer {
            Ok(data) => Self { data: Some(Rc::new(data)), answered_at: Some(answered.at), error: None },
            Err(error) => Self { data: self.data.clone(), answered_at: self.answered_at, error: Some(Rc::new(error)) },
        })
    }
}

/// Which of the four looks a list has.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<'a, T> {
    /// Nothing is known yet.
    Loading,
    /// Nothing is known, and asking failed.
    Broken(&'a CallError),
    /// Something is known; it may be out of date where an error stands beside it.
    Known(&'a T),
}

impl<T> Query<T> {
    /// The look to draw.
    pub fn look(&self) -> Look<'_, T> {
        match (&self.data, &self.error) {
            (Some(data), _) => Look::Known(data),
            (None, Some(error)) => Look::Broken(error),
            (None, None) => Look::Loading,
        }
    }
}

/// What the one loop that asks has to do next.
#[derive(Debug)]
struct Flight<C> {
    wanted: Option<C>,
    latest: Option<C>,
    is_running: bool,
}

/// Asks `call` now and whenever it or `revision` changes; asks nothing while it is `None`. However often they change, one
/// request is in flight and one waits.
#[hook]
pub fn use_call<C>(call: Option<C>, revision: u64) -> Query<C::Reply>
where
    C: Call + Clone + PartialEq + 'static,
{
    let query = use_reducer(Query::<C::Reply>::default);
    let flight = use_mut_ref(|| Flight::<C> { wanted: None, latest: None, is_running: false });
    let is_mounted = use_memo((), |()| Cell::new(true));
    {
        let is_mounted = is_mounted.clone();
        use_effect_with((), move |()| move || is_mounted.set(false));
    }
    {
        let dispatcher = query.dispatcher();
        use_effect_with((call, revision), move |(call, _)| {
            let mut state = flight.borrow_mut();
            state.wanted.clone_from(call);
            state.latest.clone_from(call);
            if call.is_none() || state.is_running {
                return;
            }
            state.is_running = true;
            drop(state);
            wasm_bindgen_futures::spawn_local(async move {
                loop {
                    let Some(call) = flight.borrow_mut().wanted.take() else { break };
                    let answer = backend::call(call.clone()).await;
                    if !is_mounted.get() {
                        break;
                    }
                    // An answer to what nobody asks any more is thrown away.
                    if flight.borrow().latest.as_ref() == Some(&call) {
                        dispatcher.dispatch(Answered { answer, at: clock::now() });
                    }
                }
                flight.borrow_mut().is_running = false;
            });
        });
    }
    (*query).clone()
}

/// A revision that may grow many times a second, let through once in so many milliseconds: the first at once, the last of those that
/// came meanwhile at the end.
#[hook]
pub fn use_calm(revision: u64, period_ms: u32) -> u64 {
    let shown = use_state_eq(|| revision);
    let latest = use_mut_ref(|| revision);
    let pause = use_mut_ref(|| None::<Timeout>);
    {
        let (shown, latest, pause) = (shown.setter(), latest.clone(), pause.clone());
        use_effect_with(revision, move |revision| {
            latest.replace(*revision);
            if pause.borrow().is_none() {
                shown.set(*revision);
                let (over, latest) = (pause.clone(), latest.clone());
                let timeout = Timeout::new(period_ms, move || {
                    over.replace(None);
                    shown.set(*latest.borrow());
                });
                pause.replace(Some(timeout));
            }
        });
    }
    use_effect_with((), move |()| move || drop(pause.take()));
    *shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: impl IntoIterator<Item = Result<u32, CallError>>) -> Query<u32> {
        let mut query = Rc::new(Query::default());
        for (second, answer) in (1..).zip(answers) {
            query = query.reduce(Answered { answer, at: Timestamp::from_second(second).unwrap() });
        }
        Rc::try_unwrap(query).unwrap()
    }

    #[test]
    fn what_was_known_stays_in_sight_when_asking_again_fails() {
        let query = after([Ok(1), Err(CallError::Away)]);
        assert_eq!(query.look(), Look::Known(&1));
        assert_eq!(query.answered_at, Some(Timestamp::from_second(1).unwrap()));
        assert!(query.error.is_some());
    }

    #[test]
    fn an_answer_clears_the_error_before_it() {
        let query = after([Err(CallError::Away), Ok(2)]);
        assert_eq!(query.look(), Look::Known(&2));
        assert!(query.error.is_none());
    }

    #[test]
    fn a_first_failure_is_shown_as_one() {
        assert_eq!(after([]).look(), Look::Loading);
        assert_eq!(after([Err(CallError::Away)]).look(), Look::Broken(&CallError::Away));
    }
}
