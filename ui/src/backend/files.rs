//! Files that a person drops on the page or picks, as a browser gives them: names and bytes, no paths. Bounded before they are read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, DragEvent, FileList, HtmlElement, Url};
use wire::task::{Attachment, AttachmentContent};

/// A file as it is known before it is read.
#[derive(Clone, Debug)]
pub struct Picked {
    /// Its name, without folders.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    file: web_sys::File,
}

/// What a list of files holds; at most `limit` of them.
pub fn picked(files: Option<&FileList>, limit: u32) -> Vec<Picked> {
    let Some(files) = files else { return Vec::new() };
    (0..files.length().min(limit))
        .filter_map(|at| files.item(at))
        .map(|file| {
            let size = file.size();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a file's size is a whole number"
            )]
            Picked { name: file.name(), size_bytes: size as u64, file }
        })
        .collect()
}

/// Whether files are dragged, and not a text or a link.
pub fn are_carried(event: &DragEvent) -> bool {
    let types = event.data_transfer().map(|transfer| transfer.types());
    types.is_some_and(|types| types.iter().any(|kind| kind.as_string().as_deref() == Some("Files")))
}

impl Picked {
    /// Its bytes; `None` where it cannot be read (a folder, a file that is gone).
    pub async fn read(&self) -> Option<Vec<u8>> {
        let buffer = JsFuture::from(self.file.array_buffer()).await.ok()?.dyn_into::<ArrayBuffer>().ok()?;
        Some(Uint8Array::new(&buffer).to_vec())
    }
}

/// An attachment with its bytes in it.
pub fn attachment(name: String, bytes: &[u8]) -> Attachment {
    Attachment {
        name,
        size_bytes: bytes.len() as u64,
        content: AttachmentContent::Inline { base64: STANDARD.encode(bytes) },
    }
}

/// Has the browser save a text as a file. Where it saves none, nothing happens.
pub fn save(name: &str, text: &str) {
    let _ = try_save(name, text);
}

fn try_save(name: &str, text: &str) -> Result<(), JsValue> {
    let document = web_sys::window().and_then(|window| window.document()).ok_or(JsValue::NULL)?;
    let parts = js_sys::Array::of1(&JsValue::from_str(text));
    let address = Url::create_object_url_with_blob(&Blob::new_with_str_sequence(&parts)?)?;
    let link: HtmlElement = document.create_element("a")?.dyn_into()?;
    link.set_attribute("href", &address)?;
    link.set_attribute("download", name)?;
    link.click();
    // The browser has taken hold of it by now.
    Url::revoke_object_url(&address)
}
