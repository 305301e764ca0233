//! One WebSocket: a ticket first, good for it alone, then the frames. Dropping a [`Stream`] closes it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;
use gloo_events::EventListener;
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::JsCast;
use web_sys::{BinaryType, MessageEvent, WebSocket};
use wire::{
    call::OpenStream,
    stream::{FRAME_BYTES_MAX, StreamTarget},
};

use super::{CallError, call, desktop};

/// How much may wait to be sent before what a person types is refused.
const SEND_BACKLOG_BYTES_MAX: u32 = 1 << 20;

/// Something happened to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// It is open.
    Open,
    /// A text frame came.
    Text(String),
    /// A binary frame came.
    Bytes(Bytes),
    /// It is over, or never began.
    Closed(Option<CallError>),
}

/// A stream, open or on its way.
pub struct Stream {
    inner: Rc<Inner>,
}

struct Inner {
    socket: RefCell<Option<Socket>>,
    is_dropped: Cell<bool>,
    on_event: Box<dyn Fn(StreamEvent)>,
}

struct Socket {
    socket: WebSocket,
    listeners: Vec<EventListener>,
}

impl Stream {
    /// Opens a stream; `origin` is that of the WebSockets where the page is not served from there.
    pub fn open(target: StreamTarget, origin: Option<String>, on_event: impl Fn(StreamEvent) + 'static) -> Self {
        let inner =
            Rc::new(Inner { socket: RefCell::new(None), is_dropped: Cell::new(false), on_event: Box::new(on_event) });
        let opening = inner.clone();
        wasm_bindgen_futures::spawn_local(async move {
            let ticket = call(OpenStream { target }).await;
            if opening.is_dropped.get() {
                return;
            }
            let error = match ticket {
                Ok(ticket) => match connect(&opening, origin.as_deref(), &ticket.ticket) {
                    Some(socket) => {
                        opening.socket.replace(Some(socket));
                        return;
                    }
                    None => CallError::Away,
                },
                Err(error) => error,
            };
            (opening.on_event)(StreamEvent::Closed(Some(error)));
        });
        Self { inner }
    }

    /// Sends a binary frame; `false` where the stream is not open or too much waits already.
    pub fn send(&self, frame: &[u8]) -> bool {
        let socket = self.inner.socket.borrow();
        let Some(Socket { socket, .. }) = socket.as_ref() else { return false };
        socket.ready_state() == WebSocket::OPEN
            && socket.buffered_amount() <= SEND_BACKLOG_BYTES_MAX
            && socket.send_with_u8_array(frame).is_ok()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.inner.is_dropped.set(true);
        // The listeners go first, so that closing is not reported to whoever has let go.
        if let Some(Socket { socket, listeners }) = self.inner.socket.take() {
            drop(listeners);
            let _ = socket.close();
        }
    }
}

fn connect(inner: &Rc<Inner>, origin: Option<&str>, ticket: &str) -> Option<Socket> {
    let origin = match origin {
        Some(origin) if desktop::is_desktop() => origin.trim_end_matches('/').to_owned(),
        Some(_) | None => {
            let location = web_sys::window()?.location();
            let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
            format!("{scheme}://{}", location.host().ok()?)
        }
    };
    let socket = WebSocket::new(&format!("{origin}/api/stream?ticket={ticket}")).ok()?;
    socket.set_binary_type(BinaryType::Arraybuffer);
    let report = |weak: std::rc::Weak<Inner>, event: StreamEvent| {
        if let Some(inner) = weak.upgrade().filter(|inner| !inner.is_dropped.get()) {
            (inner.on_event)(event);
        }
    };
    let (opened, came, closed) = (Rc::downgrade(inner), Rc::downgrade(inner), Rc::downgrade(inner));
    let listeners = vec![
        EventListener::new(&socket, "open", move |_| report(opened.clone(), StreamEvent::Open)),
        EventListener::new(&socket, "message", move |event| {
            let Some(event) = event.dyn_ref::<MessageEvent>() else { return };
            let data = event.data();
            if let Some(text) = data.as_string() {
                report(came.clone(), StreamEvent::Text(text));
            } else if let Ok(buffer) = data.dyn_into::<ArrayBuffer>() {
                let array = Uint8Array::new(&buffer);
                if array.length() as usize <= FRAME_BYTES_MAX {
                    report(came.clone(), StreamEvent::Bytes(Bytes::from(array.to_vec())));
                }
            }
        }),
        EventListener::new(&socket, "close", move |_| report(closed.clone(), StreamEvent::Closed(None))),
    ];
    Some(Socket { socket, listeners })
}
