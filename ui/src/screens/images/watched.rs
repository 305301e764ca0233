//! A build as the pane follows it: asked for again whenever there is a reason to, and its log taken on from the line that came last,
//! so that however long it is, each line comes once. Bounded.

use std::{cell::Cell, collections::VecDeque, rc::Rc};

use jiff::Timestamp;
use wire::{
    ErrorCode,
    call::ShowBuild,
    image::{BuildView, LogLineView},
};
use yew::prelude::*;

use crate::backend::{self, CallError};

/// Lines that are drawn together.
const PAGE_LINES: usize = 100;
/// How many such pages are kept; what came before them is said to be gone.
const PAGES_MAX: usize = 40;

/// The lines of a log that are kept: the last ones, without a hole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    pages: VecDeque<Rc<Page>>,
    /// The number of the first line that is kept.
    first: u64,
    /// The number of the line that comes next.
    next: u64,
}

/// Some lines in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The number of the first one.
    pub first: u64,
    pub lines: Vec<LogLineView>,
}

impl Log {
    /// The lines, page by page.
    pub fn pages(&self) -> impl Iterator<Item = &Rc<Page>> {
        self.pages.iter()
    }

    /// How many of the first lines are not kept.
    pub const fn gone(&self) -> u64 {
        self.first
    }

    /// From which line to ask on.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Takes lines in of which the first has that number. What is known already is passed over.
    fn take(&mut self, from_line: u64, lines: Vec<LogLineView>) {
        if from_line > self.next {
            // What lies between is not to be had any more: a hole would read as if nothing were missing.
            *self = Self { pages: VecDeque::new(), first: from_line, next: from_line };
        }
        let known = usize::try_from(self.next - from_line).unwrap_or(usize::MAX);
        for line in lines.into_iter().skip(known) {
            match self.pages.back_mut() {
                Some(page) if page.lines.len() < PAGE_LINES => Rc::make_mut(page).lines.push(line),
                Some(_) | None => self.pages.push_back(Rc::new(Page { first: self.next, lines: vec![line] })),
            }
            self.next += 1;
        }
        while self.pages.len() > PAGES_MAX {
            self.pages.pop_front();
        }
        self.first = self.pages.front().map_or(self.next, |page| page.first);
    }
}

/// What is known of the latest build of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The image by name.
    pub image: String,
    /// The build without its log; `None` where there was none, or nothing is known yet.
    pub build: Option<Rc<BuildView>>,
    /// Its log.
    pub log: Log,
    /// Why asking failed.
    pub error: Option<CallError>,
    /// Whether anything was answered yet.
    pub is_known: bool,
}

/// Whether to ask once more at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

impl Watched {
    /// Nothing yet of an image.
    fn of(image: String) -> Self {
        Self { image, ..Self::default() }
    }

    /// Takes an answer in.
    fn take(&mut self, answer: Result<BuildView, CallError>) -> More {
        match answer {
            Ok(mut build) => {
                let (lines, total) = (std::mem::take(&mut build.log), build.lines);
                let is_another = self.began_at() != Some(build.began_at);
                if is_another {
                    self.log = Log::default();
                }
                // Asked for from where the log of an earlier build ended: what this one began with is still to come.
                if is_another && build.from_line > 0 && self.build.is_some() {
                    self.keep(build);
                    return More::Yes;
                }
                let has_any = !lines.is_empty();
                self.log.take(build.from_line, lines);
                self.keep(build);
                if has_any && self.log.next() < total { More::Yes } else { More::No }
            }
            Err(CallError::Refused(error)) if error.code == ErrorCode::NotFound => {
                *self = Self { is_known: true, ..Self::of(std::mem::take(&mut self.image)) };
                More::No
            }
            Err(error) => {
                self.is_known = true;
                self.error = Some(error);
                More::No
            }
        }
    }

    fn keep(&mut self, build: BuildView) {
        self.build = Some(Rc::new(build));
        self.error = None;
        self.is_known = true;
    }

    fn began_at(&self) -> Option<Timestamp> {
        self.build.as_ref().map(|build| build.began_at)
    }
}

/// What the one loop that asks has to do next.
#[derive(Debug, Default)]
struct Flight {
    is_wanted: bool,
    is_running: bool,
    watched: Watched,
}

/// Follows the latest build of the image of that name, and looks again whenever `revision` changes.
#[hook]
pub fn use_build(image: Option<String>, revision: u64) -> Rc<Watched> {
    let shown = use_state_eq(|| Rc::new(Watched::default()));
    let flight = use_mut_ref(Flight::default);
    let is_mounted = use_memo((), |()| Cell::new(true));
    {
        let is_mounted = is_mounted.clone();
        use_effect_with((), move |()| move || is_mounted.set(false));
    }
    {
        let setter = shown.setter();
        use_effect_with((image.clone(), revision), move |(image, _)| {
            let Some(image) = image.clone() else { return };
            let mut state = flight.borrow_mut();
            if state.watched.image != image {
                state.watched = Watched::of(image);
            }
            state.is_wanted = true;
            if std::mem::replace(&mut state.is_running, true) {
                return;
            }
            drop(state);
            wasm_bindgen_futures::spawn_local(async move {
                loop {
                    let call = {
                        let mut state = flight.borrow_mut();
                        if !std::mem::take(&mut state.is_wanted) {
                            break;
                        }
                        ShowBuild { name: state.watched.image.clone(), from_line: state.watched.log.next() }
                    };
                    let name = call.name.clone();
                    let answer = backend::call(call).await;
                    if !is_mounted.get() {
                        break;
                    }
                    let mut state = flight.borrow_mut();
                    // An answer about another image than is looked at now is thrown away.
                    if state.watched.image == name {
                        let more = state.watched.take(answer);
                        state.is_wanted |= more == More::Yes;
                        setter.set(Rc::new(state.watched.clone()));
                    }
                }
                flight.borrow_mut().is_running = false;
            });
        });
    }
    let is_of_this = image.as_deref() == Some(shown.image.as_str());
    if is_of_this { (*shown).clone() } else { Rc::new(Watched::of(image.unwrap_or_default())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    const FIRST: &str = "2026-11-21T10:00:00Z";
    const SECOND: &str = "2026-11-21T11:00:00Z";

    fn texts(log: &Log) -> Vec<&str> {
        log.pages().flat_map(|page| &page.lines).map(|line| line.text.as_str()).collect()
    }

    fn lines(count: usize) -> Vec<String> {
        (0..count).map(|at| at.to_string()).collect()
    }

    fn part(began_at: &str, from_line: u64, texts: &[&str], total: u64) -> BuildView {
        BuildView { from_line, lines: total, ..fixture::build(began_at, texts, 0) }
    }

    #[test]
    fn a_log_goes_on_where_it_ended_and_asks_until_it_has_all() {
        let mut watched = Watched::of("script".to_owned());
        assert_eq!(watched.take(Ok(part(FIRST, 0, &["a", "b"], 4))), More::Yes);
        assert_eq!(watched.log.next(), 2);
        // One line twice: it stands there once.
        assert_eq!(watched.take(Ok(part(FIRST, 1, &["b", "c", "d"], 4))), More::No);
        assert_eq!(texts(&watched.log), ["a", "b", "c", "d"]);
        assert_eq!((watched.log.gone(), watched.log.next()), (0, 4));
        assert!(watched.build.unwrap().log.is_empty(), "the lines are kept once");
    }

    #[test]
    fn an_answer_without_lines_is_not_asked_for_again_at_once() {
        let mut watched = Watched::of("script".to_owned());
        assert_eq!(watched.take(Ok(part(FIRST, 0, &[], 9))), More::No);
    }

    #[test]
    fn another_build_begins_its_log_anew() {
        let mut watched = Watched::of("script".to_owned());
        watched.take(Ok(part(FIRST, 0, &["old", "older"], 2)));
        // It was asked from line 2 on; the new build has lines before that.
        assert_eq!(watched.take(Ok(part(SECOND, 2, &["third"], 3))), More::Yes);
        assert_eq!((texts(&watched.log), watched.log.next()), (vec![], 0));
        assert_eq!(watched.take(Ok(part(SECOND, 0, &["first", "second", "third"], 3))), More::No);
        assert_eq!(texts(&watched.log), ["first", "second", "third"]);
    }

    #[test]
    fn lines_that_are_no_longer_to_be_had_leave_no_hole() {
        let mut watched = Watched::of("script".to_owned());
        watched.take(Ok(part(FIRST, 0, &["a"], 1)));
        watched.take(Ok(part(FIRST, 5, &["f"], 6)));
        assert_eq!((texts(&watched.log), watched.log.gone()), (vec!["f"], 5));
        let mut late = Watched::of("script".to_owned());
        late.take(Ok(part(FIRST, 5, &["f"], 6)));
        assert_eq!((texts(&late.log), late.log.gone()), (vec!["f"], 5));
    }

    #[test]
    fn what_is_kept_of_a_log_is_bounded() {
        let all = lines(PAGE_LINES * (PAGES_MAX + 2) + 1);
        let texts_of: Vec<_> = all.iter().map(String::as_str).collect();
        let mut watched = Watched::of("script".to_owned());
        watched.take(Ok(part(FIRST, 0, &texts_of, all.len() as u64)));
        assert_eq!(watched.log.pages().count(), PAGES_MAX);
        assert_eq!(watched.log.gone(), 3 * PAGE_LINES as u64);
        assert_eq!(texts(&watched.log).last(), texts_of.last());
        assert_eq!(watched.log.next(), all.len() as u64);
    }

    #[test]
    fn what_was_known_stays_when_asking_fails_and_goes_when_there_is_no_build() {
        let mut watched = Watched::of("script".to_owned());
        watched.take(Ok(part(FIRST, 0, &["a"], 1)));
        watched.take(Err(CallError::Away));
        assert_eq!((texts(&watched.log), watched.error.clone()), (vec!["a"], Some(CallError::Away)));
        let gone = serde_json::json!({"code": "not_found", "message": "nothing was built", "hint": ""});
        watched.take(Err(CallError::Refused(serde_json::from_value(gone).unwrap())));
        assert_eq!((watched.build, watched.log.next(), watched.error, watched.is_known), (None, 0, None, true));
        assert_eq!(watched.image, "script");
    }
}
