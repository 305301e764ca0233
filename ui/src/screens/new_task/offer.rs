//! What the New task dialog offers to read as a task file: the sample while nothing is written, and a task file that was pasted as it
//! is, whose front matter would otherwise be a part of the prompt.

use wire::{call::PreviewTask, task::TaskSource};
use yew::prelude::*;

use super::{Dialog, DialogAction};
use crate::backend;

/// What can be read as a task file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The sample.
    Sample,
    /// What is written.
    TaskFile,
}

impl Offer {
    /// What there is to offer where that is written.
    pub fn of(prompt: &str) -> Option<Self> {
        if prompt.trim().is_empty() { Some(Self::Sample) } else { has_front_matter(prompt).then_some(Self::TaskFile) }
    }
}

/// Whether a text begins as a task file does: between a first line `---` and a next one there is a key.
fn has_front_matter(text: &str) -> bool {
    let mut lines = text.lines();
    if !lines.next().is_some_and(is_fence) {
        return false;
    }
    let mut has_key = false;
    for line in lines {
        if is_fence(line) {
            return has_key;
        }
        let key = line.split_once(':').map(|(key, _)| key);
        has_key |= key.is_some_and(|key| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase()));
    }
    false
}

fn is_fence(line: &str) -> bool {
    line.trim_end() == "---"
}

/// Has the text read, and takes in what it says as a dropped file's. `prompt` is what is written meanwhile.
pub fn read(dispatcher: UseReducerDispatcher<Dialog>, prompt: String, text: String) {
    wasm_bindgen_futures::spawn_local(async move {
        match backend::call(PreviewTask { source: TaskSource::Text { text } }).await {
            Ok(draft) => dispatcher.dispatch(DialogAction::Read { prompt, draft }),
            Err(error) => dispatcher.dispatch(DialogAction::Refused(error)),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_offered_while_nothing_is_written() {
        assert_eq!(Offer::of(""), Some(Offer::Sample));
        assert_eq!(Offer::of(" \n"), Some(Offer::Sample));
        assert_eq!(Offer::of("Do it"), None);
    }

    #[test]
    fn a_pasted_task_file_is_known_by_its_front_matter() {
        for text in
            ["---\npriority: high\n---\nDo it", "--- \r\n\r\ntitle: It\r\nlimits:\r\n  time: 1m\r\n---\r\nDo it\r\n"]
        {
            assert_eq!(Offer::of(text), Some(Offer::TaskFile), "{text:?}");
        }
        for text in [
            "---\nDo this first\n---\nThen that",
            "---\nagent: script\nwithout an end",
            "Do it\n---\nagent: script\n---\n",
            "---\n---\nagent: script",
            "----\nagent: script\n----\n",
            "---\nNote well: a sentence\n---\n",
        ] {
            assert_eq!(Offer::of(text), None, "{text:?}");
        }
    }
}
