//! A live terminal: what a step writes, or a shell in its sandbox. The only module that touches xterm's objects (through
//! `js/terminal.js`); they are disposed of in the effect's cleanup.

mod replay;

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use gloo_timers::callback::Timeout;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue, prelude::*};
use web_sys::{HtmlElement, HtmlInputElement};
use wire::{
    ids::StepId,
    stream::{FRAME_BYTES_MAX, ShellProgram, StreamTarget, TerminalInput, TerminalOutput},
};
use yew::prelude::*;

use self::replay::{Draw, Replay, Stage};
use crate::{
    backend::{Stream, StreamEvent},
    context::{use_feed, use_known},
    feed::Link,
    icon::{Glyph, icon, small_icon},
    keys::{Scope, Taken, has_command, use_keys},
    parts::key,
    say,
};

/// How often a lost connection is tried by itself; then it takes a person, or the return of the core.
const RETRIES_MAX: u32 = 6;
/// The first pause before a retry; it doubles.
const RETRY_MS: u32 = 250;

#[wasm_bindgen(raw_module = "/generated/terminal.js")]
extern "C" {
    #[wasm_bindgen(js_name = openTerminal)]
    fn open_terminal(
        element: &HtmlElement,
        interactive: bool,
        screen_reader: bool,
        input: &Closure<dyn FnMut(Vec<u8>)>,
        resized: &Closure<dyn FnMut(u16, u16)>,
        linked: &Closure<dyn FnMut(String)>,
    ) -> JsValue;
    #[wasm_bindgen(js_name = writeTerminal)]
    fn write_terminal(handle: &JsValue, bytes: &Uint8Array, end: f64, drawn: &Closure<dyn FnMut(f64)>);
    #[wasm_bindgen(js_name = focusTerminal)]
    fn focus_terminal(handle: &JsValue);
    #[wasm_bindgen(js_name = findInTerminal)]
    fn find_in_terminal(handle: &JsValue, text: &str, forward: bool) -> bool;
    #[wasm_bindgen(js_name = terminalSelection)]
    fn terminal_selection(handle: &JsValue) -> String;
    #[wasm_bindgen(js_name = disposeTerminal)]
    fn dispose_terminal(handle: &JsValue);
}

/// What a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The output of a step, to read.
    Output(StepId),
    /// A shell of its own in the step's sandbox, or the agent itself, to type into.
    Shell(StepId, ShellProgram),
}

impl Source {
    const fn is_interactive(self) -> bool {
        matches!(self, Self::Shell(..))
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Output(_) => "Output",
            Self::Shell(_, ShellProgram::Shell) => "Shell",
            Self::Shell(_, ShellProgram::Agent) => "The agent",
        }
    }
}

#[derive(PartialEq, Properties)]
pub struct TerminalProps {
    pub source: Source,
    /// How many bytes of output the core has.
    #[prop_or_default]
    pub total_bytes: u64,
    /// Whether it is in sight: keys and focus are only for the one that is.
    pub is_visible: bool,
    /// Whether the find bar is open.
    pub is_finding: bool,
    pub on_find: Callback<bool>,
}

/// What the bar below it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    stage: Stage,
    columns: u16,
    rows: u16,
    next: u64,
    missing: u64,
    link: Option<String>,
}

/// The state that callbacks of JavaScript share.
struct Session {
    replay: RefCell<Replay>,
    stream: RefCell<Option<Stream>>,
    screen: RefCell<Option<Screen>>,
    shown: UseStateSetter<Shown>,
    size: RefCell<(u16, u16)>,
    link: RefCell<Option<String>>,
}

/// xterm's objects; dropping them disposes of the terminal.
struct Screen {
    handle: JsValue,
    drawn: Closure<dyn FnMut(f64)>,
    _input: Closure<dyn FnMut(Vec<u8>)>,
    _resized: Closure<dyn FnMut(u16, u16)>,
    _linked: Closure<dyn FnMut(String)>,
}

impl Drop for Screen {
    fn drop(&mut self) {
        dispose_terminal(&self.handle);
    }
}

impl Screen {
    fn write(&self, bytes: &[u8], end: u64) {
        #[expect(clippy::cast_precision_loss, reason = "output is bounded far below 2^53 bytes")]
        write_terminal(&self.handle, &Uint8Array::from(bytes), end as f64, &self.drawn);
    }
}

impl Session {
    fn show(&self) {
        let replay = self.replay.borrow();
        let (columns, rows) = *self.size.borrow();
        self.shown.set(Shown {
            stage: replay.stage.clone(),
            columns,
            rows,
            next: replay.next(),
            missing: replay.missing(),
            link: self.link.borrow().clone(),
        });
    }

    fn send(&self, frame: &TerminalInput) {
        if let Some(stream) = &*self.stream.borrow() {
            stream.send(&frame.encode());
        }
    }

    fn came(&self, event: StreamEvent) {
        match event {
            StreamEvent::Open => {
                let (columns, rows) = *self.size.borrow();
                self.send(&TerminalInput::Resize { columns, rows });
            }
            StreamEvent::Bytes(frame) => self.frame(&frame),
            StreamEvent::Text(_) => {}
            StreamEvent::Closed(_) => self.replay.borrow_mut().closed(),
        }
        self.show();
    }

    fn frame(&self, frame: &Bytes) {
        // A frame that is none is as good as a broken connection: it is opened again from what is known.
        let Ok(frame) = TerminalOutput::decode(frame) else {
            self.replay.borrow_mut().closed();
            return;
        };
        let draws = self.replay.borrow_mut().take(frame);
        let screen = self.screen.borrow();
        let Some(screen) = &*screen else { return };
        for draw in draws {
            match draw {
                Draw::Bytes { bytes, end } => screen.write(&bytes, end),
                Draw::Gap { count } => {
                    let text = format!("\r\n\x1b[0;2m… {} of output were not kept …\x1b[0m\r\n", say::bytes(count));
                    screen.write(text.as_bytes(), 0);
                }
            }
        }
    }

    fn drawn(&self, end: u64) {
        let ack = self.replay.borrow_mut().drawn(end);
        if let Some(offset) = ack {
            self.send(&TerminalInput::Ack { offset });
        }
    }
}

/// Makes xterm's objects in `element`, joined to `session` weakly, so that they never keep each other alive.
fn screen_in(element: &HtmlElement, interactive: bool, session: &Rc<Session>) -> Screen {
    let (for_drawn, for_input, for_size, for_link) =
        (Rc::downgrade(session), Rc::downgrade(session), Rc::downgrade(session), Rc::downgrade(session));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an offset that was a u64 before")]
    let drawn = Closure::new(move |end: f64| {
        if let Some(session) = for_drawn.upgrade() {
            session.drawn(end as u64);
        }
    });
    let input = Closure::new(move |bytes: Vec<u8>| {
        if let Some(session) = for_input.upgrade() {
            // A paste may be longer than a frame.
            for piece in bytes.chunks(FRAME_BYTES_MAX / 2) {
                session.send(&TerminalInput::Input(Bytes::copy_from_slice(piece)));
            }
        }
    });
    let resized = Closure::new(move |columns: u16, rows: u16| {
        if let Some(session) = for_size.upgrade() {
            session.size.replace((columns, rows));
            session.send(&TerminalInput::Resize { columns, rows });
            session.show();
        }
    });
    let linked = Closure::new(move |link: String| {
        if let Some(session) = for_link.upgrade() {
            session.link.replace(Some(link));
            session.show();
        }
    });
    let handle = open_terminal(element, interactive, false, &input, &resized, &linked);
    Screen { handle, drawn, _input: input, _resized: resized, _linked: linked }
}

/// A terminal with the bar that says how it stands.
#[component]
pub fn Terminal(props: &TerminalProps) -> Html {
    let element = use_node_ref();
    let shown = use_state_eq(Shown::default);
    let attempt = use_state_eq(|| 0_u32);
    let failures = use_mut_ref(|| 0_u32);
    let origin = use_known().hello.data.as_ref().and_then(|hello| hello.stream_origin.clone());
    let session = {
        let shown = shown.setter();
        use_memo((), move |()| Session {
            replay: RefCell::default(),
            stream: RefCell::default(),
            screen: RefCell::default(),
            shown,
            size: RefCell::new((80, 24)),
            link: RefCell::default(),
        })
    };
    let source = props.source;
    {
        let (session, element) = (session.clone(), element.clone());
        use_effect_with(source, move |source| {
            if let Some(element) = element.cast::<HtmlElement>() {
                let screen = screen_in(&element, source.is_interactive(), &session);
                session.screen.replace(Some(screen));
            }
            move || {
                session.stream.take();
                session.screen.take();
            }
        });
    }
    {
        let session = session.clone();
        use_effect_with((source, *attempt), move |_| {
            let (columns, rows) = *session.size.borrow();
            session.replay.borrow_mut().opening();
            let target = match source {
                Source::Output(step) => StreamTarget::Output { step, from: session.replay.borrow().next() },
                Source::Shell(step, program) => StreamTarget::Shell { step, columns, rows, program },
            };
            let weak = Rc::downgrade(&session);
            let stream = Stream::open(target, origin, move |event| {
                if let Some(session) = weak.upgrade() {
                    session.came(event);
                }
            });
            session.stream.replace(Some(stream));
            session.show();
        });
    }
    let is_up = use_feed().link == Link::Live;
    {
        let (attempt, failures) = (attempt.clone(), failures.clone());
        use_effect_with((shown.stage.clone(), is_up), move |(stage, is_up)| {
            let mut failed = failures.borrow_mut();
            let mut timeout = None;
            match stage {
                Stage::Live | Stage::Replay => *failed = 0,
                // A shell ended with its connection: only a person opens another.
                Stage::Lost if !source.is_interactive() && *is_up && *failed < RETRIES_MAX => {
                    let pause_ms = RETRY_MS << *failed;
                    *failed += 1;
                    timeout = Some(Timeout::new(pause_ms, move || attempt.set(*attempt + 1)));
                }
                Stage::Lost | Stage::Connecting | Stage::Ended(_) => {}
            }
            move || drop(timeout)
        });
    }
    {
        let session = session.clone();
        use_effect_with(props.is_visible, move |is_visible| {
            if let Some(screen) = session.screen.borrow().as_ref().filter(|_| *is_visible && source.is_interactive()) {
                focus_terminal(&screen.handle);
            }
        });
    }
    {
        let (session, on_find, is_visible) = (session.clone(), props.on_find.clone(), props.is_visible);
        use_keys(Scope::Everything, move |event| {
            let is_find = has_command(event)
                && event.key().eq_ignore_ascii_case("f")
                && (event.shift_key() || !source.is_interactive());
            let is_copy = event.ctrl_key() && event.shift_key() && event.key().eq_ignore_ascii_case("c");
            let is_leave = event.ctrl_key() && event.shift_key() && event.key() == "Escape";
            if !is_visible || !(is_find || is_copy || is_leave) {
                return Taken::No;
            }
            if is_find {
                on_find.emit(true);
            } else if is_copy {
                if let Some(screen) = &*session.screen.borrow() {
                    copy(&terminal_selection(&screen.handle));
                }
            } else {
                leave();
            }
            Taken::Yes
        });
    }
    let on_retry = {
        let failures = failures.clone();
        Callback::from(move |_: MouseEvent| {
            failures.replace(0);
            attempt.set(*attempt + 1);
        })
    };
    html! {
        <>
            <div class="screen">
                <div class="xterm-host" ref={element} data-test="terminal" aria-label={source.label()}></div>
                if props.is_finding { <Find session={SessionProp(session.clone())} on_close={props.on_find.reform(|()| false)} /> }
            </div>
            { state_bar(&shown, props, &session, &on_retry) }
        </>
    }
}

fn state_bar(shown: &Shown, props: &TerminalProps, session: &Rc<Session>, on_retry: &Callback<MouseEvent>) -> Html {
    let is_shell = props.source.is_interactive();
    let (name, tone, word) = match &shown.stage {
        Stage::Connecting => ("connecting", "idle", "Connecting".to_owned()),
        Stage::Replay => {
            let total = props.total_bytes.max(shown.next);
            ("replay", "idle", format!("Replay · {} of {}", say::bytes(shown.next), say::bytes(total)))
        }
        Stage::Live => ("live", "run", "Live".to_owned()),
        Stage::Ended(reason) => {
            ("ended", "idle", if reason.is_empty() { "Ended".to_owned() } else { say::visible(reason) })
        }
        Stage::Lost if is_shell => ("lost", "fail", "Disconnected: this shell has ended".to_owned()),
        Stage::Lost => ("lost", "fail", "Disconnected: the agent may still be at work".to_owned()),
    };
    let is_over = shown.stage == Stage::Lost || (is_shell && matches!(shown.stage, Stage::Ended(_)));
    let on_forget = {
        let session = session.clone();
        Callback::from(move |_: MouseEvent| {
            session.link.take();
            session.show();
        })
    };
    html! {
        <div class="state" data-test="terminal-state" data-state={name}>
            <span><span class="dot" data-tone={tone} data-kind={(tone == "idle").then_some("hollow")}></span><b>{ word }</b></span>
            <span>{ format!("{} × {}", shown.columns, shown.rows) }</span>
            <span data-test="terminal-bytes">
                { format!("{} of output", say::bytes(shown.next)) }
                { if shown.missing > 0 { format!(", {} not kept", say::bytes(shown.missing)) } else { ", no gaps".to_owned() } }
            </span>
            if let Some(link) = &shown.link {
                <span class="linked" title={link.clone()}>{ say::visible(link) }</span>
                <button class="button" data-size="s" onclick={let link = link.clone(); move |_: MouseEvent| copy(&link)}>{ small_icon(Glyph::Copy) }{ "Copy the link" }</button>
                <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label="Forget the link" title="Forget the link" onclick={on_forget}>{ icon(Glyph::X) }</button>
            }
            <span class="spring"></span>
            if is_over {
                <button class="button" data-size="s" onclick={on_retry.clone()}>{ if is_shell { "Open another shell" } else { "Try again" } }</button>
            } else if is_shell {
                <span>{ "Keys go to the shell · leave with " }{ key("Ctrl ⇧ Esc") }</span>
            } else {
                <span>{ "To read · find with " }{ key("Ctrl F") }</span>
            }
        </div>
    }
}

struct SessionProp(Rc<Session>);

impl PartialEq for SessionProp {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(PartialEq, Properties)]
struct FindProps {
    session: SessionProp,
    on_close: Callback<()>,
}

/// Finds text in what the terminal holds.
#[component]
fn Find(props: &FindProps) -> Html {
    let input = use_node_ref();
    let is_found = use_state_eq(|| true);
    {
        let (input, session) = (input.clone(), props.session.0.clone());
        use_effect_with((), move |()| {
            if let Some(input) = input.cast::<HtmlElement>() {
                let _ = input.focus();
            }
            move || {
                if let Some(screen) = &*session.screen.borrow() {
                    focus_terminal(&screen.handle);
                }
            }
        });
    }
    let find = {
        let (session, input, is_found) = (props.session.0.clone(), input.clone(), is_found.setter());
        Callback::from(move |is_forward: bool| {
            let Some(input) = input.cast::<HtmlInputElement>() else { return };
            if let Some(screen) = &*session.screen.borrow() {
                is_found.set(find_in_terminal(&screen.handle, &input.value(), is_forward));
            }
        })
    };
    let onkeydown = {
        let (find, on_close) = (find.clone(), props.on_close.clone());
        Callback::from(move |event: KeyboardEvent| match event.key().as_str() {
            "Enter" => find.emit(!event.shift_key()),
            "Escape" => on_close.emit(()),
            _ => {}
        })
    };
    html! {
        <div class="find" role="search">
            <label class="input" aria-invalid={(!*is_found).then_some("true")}>
                { icon(Glyph::Search) }
                <input ref={input} aria-label="Find in the output" placeholder="Find" data-test="find" {onkeydown} oninput={find.reform(|_: InputEvent| true)} />
                if !*is_found { <span class="unit">{ "not found" }</span> }
            </label>
            <button class="button" data-size="s" onclick={find.reform(|_: MouseEvent| false)}>{ "Previous" }{ key("⇧ ↵") }</button>
            <button class="button" data-size="s" onclick={find.reform(|_: MouseEvent| true)}>{ "Next" }{ key("↵") }</button>
            <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label="Close" title="Close"
                onclick={props.on_close.reform(|_: MouseEvent| ())}>{ icon(Glyph::X) }</button>
        </div>
    }
}

/// Puts text on the clipboard because a person asked for it.
pub fn copy(text: &str) {
    if let Some(window) = web_sys::window() {
        let copied = window.navigator().clipboard().write_text(text);
        wasm_bindgen_futures::spawn_local(async move {
            // Refused where the page has no right to: nothing else is to be done.
            let _ = wasm_bindgen_futures::JsFuture::from(copied).await;
        });
    }
}

fn leave() {
    let active = web_sys::window().and_then(|window| window.document()).and_then(|document| document.active_element());
    if let Some(active) = active.and_then(|active| active.dyn_into::<HtmlElement>().ok()) {
        let _ = active.blur();
    }
}
