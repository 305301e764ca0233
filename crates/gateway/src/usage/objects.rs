//! JSON objects out of a body that is one, or an array of them, each as soon as it is whole: Gemini streams so without `alt=sse`.
//!
//! serde_json's own reader of many values wants commas gone and a blocking `Read`, and gives nothing of an object that breaks off.

use super::REPLY_BYTES_MAX;

/// Cuts a body into its outermost objects.
#[derive(Default)]
pub(super) struct Objects {
    /// The current object as far as it has come. Invariant: at most [`REPLY_BYTES_MAX`].
    held: Vec<u8>,
    /// How deep in objects and arrays, from the outermost object on.
    depth: usize,
    within: Within,
    /// The current object did not fit.
    is_too_large: bool,
}

#[derive(Clone, Copy, Default)]
enum Within {
    #[default]
    Structure,
    Text,
    Escape,
}

impl Objects {
    /// Takes a piece of the body; every object that is whole goes to `visit`.
    pub(super) fn take(&mut self, piece: &[u8], mut visit: impl FnMut(&[u8])) {
        let mut from = 0;
        for (at, byte) in piece.iter().enumerate() {
            self.within = match (self.within, byte) {
                (Within::Text, b'\\') => Within::Escape,
                (Within::Text, b'"') => Within::Structure,
                (Within::Text | Within::Escape, _) => Within::Text,
                (Within::Structure, b'"') if self.depth > 0 => Within::Text,
                (Within::Structure, b'{') if self.depth == 0 => {
                    (from, self.depth) = (at, 1);
                    Within::Structure
                }
                (Within::Structure, b'{' | b'[') if self.depth > 0 => {
                    self.depth += 1;
                    Within::Structure
                }
                (Within::Structure, b'}' | b']') if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.hold(&piece[from..=at]);
                        if !std::mem::take(&mut self.is_too_large) {
                            visit(&self.held);
                        }
                        self.held = Vec::new();
                    }
                    Within::Structure
                }
                (Within::Structure, _) => Within::Structure,
            };
        }
        if self.depth > 0 {
            self.hold(&piece[from..]);
        }
    }

    /// The beginning of an object that broke off.
    pub(super) fn finish(self) -> Vec<u8> {
        self.held
    }

    /// Bytes of memory for what is held.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.held.capacity()
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.is_too_large || self.held.len() + bytes.len() > REPLY_BYTES_MAX {
            self.is_too_large = true;
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }
}
