//! A look into a result, bounded in size and pixels. Text is shown as text, whatever it says that it is.

use std::rc::Rc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use wire::{
    call::ReadResult,
    view::{ResultChange, ResultView},
};
use yew::prelude::*;

use super::content::{Kind, PICTURE_BYTES_MAX, TEXT_BYTES_MAX, kind_of, picture_type};
use crate::{
    backend::{self, CallError},
    parts::refusal,
    say,
};

/// How much one call reads.
const PIECE_BYTES: u32 = 1 << 20;

#[derive(PartialEq, Properties)]
pub struct PreviewProps {
    /// The run, as calls name it.
    pub run: AttrValue,
    pub result: Rc<ResultView>,
}

/// What there is to see.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Reading,
    Text { text: Rc<str>, is_whole: bool },
    Picture { url: AttrValue },
    Nothing { why: String },
    Failed(CallError),
}

/// The pane's content.
#[component]
pub fn Preview(props: &PreviewProps) -> Html {
    let seen = use_state(|| Seen::Reading);
    {
        let seen = seen.setter();
        // A file that changed is read again; what is in sight stays until the new content is there.
        use_effect_with((props.run.clone(), props.result.clone()), move |(run, result)| {
            let (run, result) = (run.clone(), result.clone());
            let is_over = Rc::new(std::cell::Cell::new(false));
            let cancelled = is_over.clone();
            wasm_bindgen_futures::spawn_local(async move {
                let found = look(&run, &result).await;
                if !cancelled.get() {
                    seen.set(found);
                }
            });
            move || is_over.set(true)
        });
    }
    match &*seen {
        Seen::Reading => Html::default(),
        Seen::Text { text, is_whole } => html! {
            <>
                <pre class="code preview-text" tabindex="0" data-test="preview-text">{ &**text }</pre>
                if !is_whole { <p class="preview-note">{ format!("Only the first {} are shown.", say::bytes(TEXT_BYTES_MAX)) }</p> }
            </>
        },
        Seen::Picture { url } => {
            html! { <div class="preview-picture"><img src={url.clone()} alt={say::visible(&props.result.path)} data-test="preview-picture" /></div> }
        }
        Seen::Nothing { why } => html! { <p class="preview-note" data-test="preview-none">{ why }</p> },
        Seen::Failed(error) => html! { <p class="preview-note">{ refusal(error) }</p> },
    }
}

async fn look(run: &str, result: &ResultView) -> Seen {
    if result.change == ResultChange::Deleted {
        return Seen::Nothing { why: "The file is gone: the agent deleted it.".to_owned() };
    }
    if let Some(why) = &result.unreadable {
        return Seen::Nothing { why: say::visible(why) };
    }
    match kind_of(&result.media_type) {
        Kind::Opaque => Seen::Nothing { why: format!("{} has no preview.", say::visible(&result.media_type)) },
        Kind::Text => match read(run, &result.key, TEXT_BYTES_MAX).await {
            Ok((bytes, size_bytes)) => Seen::Text {
                text: say::visible(&String::from_utf8_lossy(&bytes)).into(),
                is_whole: bytes.len() as u64 >= size_bytes,
            },
            Err(error) => Seen::Failed(error),
        },
        Kind::Picture if result.size_bytes > PICTURE_BYTES_MAX => Seen::Nothing {
            why: format!(
                "Pictures up to {} are shown; this has {}.",
                say::bytes(PICTURE_BYTES_MAX),
                say::bytes(result.size_bytes)
            ),
        },
        Kind::Picture => match read(run, &result.key, PICTURE_BYTES_MAX).await {
            Ok((bytes, _)) => match picture_type(&bytes) {
                Ok(media_type) => {
                    Seen::Picture { url: format!("data:{media_type};base64,{}", STANDARD.encode(&bytes)).into() }
                }
                Err(why) => Seen::Nothing { why },
            },
            Err(error) => Seen::Failed(error),
        },
    }
}

/// Reads a result from its beginning, at most `limit` bytes; with the size of the whole file.
async fn read(run: &str, key: &str, limit: u64) -> Result<(Vec<u8>, u64), CallError> {
    let mut bytes = Vec::new();
    loop {
        let left = limit - bytes.len() as u64;
        let length = u32::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let call = ReadResult { run: run.to_owned(), key: key.to_owned(), offset: bytes.len() as u64, length };
        let piece = backend::call(call).await?;
        let decoded = STANDARD.decode(&piece.base64).map_err(|error| CallError::Garbled(error.to_string()))?;
        let is_last = decoded.is_empty();
        bytes.extend(decoded.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)));
        if is_last || bytes.len() as u64 >= limit.min(piece.size_bytes) {
            return Ok((bytes, piece.size_bytes));
        }
    }
}
