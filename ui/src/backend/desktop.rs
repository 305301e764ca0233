//! Calls of Berth's own window, and files dragged onto it or handed over at a start. The JavaScript side is `js/desktop.js`.

use std::{cell::RefCell, rc::Rc};

use js_sys::{Function, Promise};
use wasm_bindgen::{JsCast, JsValue, prelude::*};
use wasm_bindgen_futures::JsFuture;

use super::{CallError, refused};

#[wasm_bindgen(raw_module = "/generated/desktop.js")]
extern "C" {
    #[wasm_bindgen(js_name = inDesktop)]
    fn in_desktop() -> bool;
    #[wasm_bindgen(catch, js_name = desktopCall)]
    async fn desktop_call(request: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = followFiles)]
    fn follow_files(follow: &Closure<dyn FnMut(String, String, f64, f64)>) -> Promise;
}

thread_local! {
    static IS_DESKTOP: bool = in_desktop();
}

/// Whether the page runs in Berth's own window.
pub fn is_desktop() -> bool {
    IS_DESKTOP.with(|is_desktop| *is_desktop)
}

/// One call as JSON text, answered with JSON text.
pub async fn call(request: &str) -> Result<String, CallError> {
    match desktop_call(request).await {
        Ok(reply) => reply.as_string().ok_or_else(|| CallError::Garbled("no text".to_owned())),
        Err(error) => Err(error.as_string().map_or(CallError::Away, |body| refused(&body))),
    }
}

/// Files dragged over the window by the system, which gives their paths.
#[derive(Clone, Debug, PartialEq)]
pub enum FileDrag {
    /// They are over the window, at these CSS pixels.
    Over {
        /// From the left.
        x: f64,
        /// From the top.
        y: f64,
        /// How many files, where that is told.
        count: Option<usize>,
    },
    /// They were let go.
    Dropped {
        /// Absolute paths.
        paths: Vec<String>,
        /// From the left.
        x: f64,
        /// From the top.
        y: f64,
    },
    /// They left.
    Gone,
}

/// Follows files that are dragged over the window until it is dropped.
pub struct FileDrags {
    _follow: Closure<dyn FnMut(String, String, f64, f64)>,
    unlisten: Rc<RefCell<Unlisten>>,
}

#[derive(Default)]
struct Unlisten {
    end: Option<Function>,
    is_over: bool,
}

impl FileDrags {
    /// Calls `on_drag` for each event.
    pub fn follow(on_drag: impl Fn(FileDrag) + 'static) -> Self {
        let follow = Closure::new(move |kind: String, paths: String, x: f64, y: f64| {
            let paths: Vec<String> = serde_json::from_str(&paths).unwrap_or_default();
            match kind.as_str() {
                "enter" => on_drag(FileDrag::Over { x, y, count: Some(paths.len()) }),
                "over" => on_drag(FileDrag::Over { x, y, count: None }),
                "drop" => on_drag(FileDrag::Dropped { paths, x, y }),
                _ => on_drag(FileDrag::Gone),
            }
        });
        let unlisten = Rc::<RefCell<Unlisten>>::default();
        let listening = JsFuture::from(follow_files(&follow));
        let kept = unlisten.clone();
        wasm_bindgen_futures::spawn_local(async move {
            let Some(end) = listening.await.ok().and_then(|end| end.dyn_into::<Function>().ok()) else { return };
            let mut kept = kept.borrow_mut();
            if kept.is_over {
                let _ = end.call0(&JsValue::NULL);
            } else {
                kept.end = Some(end);
            }
        });
        Self { _follow: follow, unlisten }
    }
}

impl Drop for FileDrags {
    fn drop(&mut self) {
        let mut unlisten = self.unlisten.borrow_mut();
        unlisten.is_over = true;
        if let Some(end) = unlisten.end.take() {
            let _ = end.call0(&JsValue::NULL);
        }
    }
}
