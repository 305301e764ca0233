//! Takes a key out of what a provider says, so that an echo of it does not reach the sandbox.

use bytes::{Bytes, BytesMut};
use secrecy::{ExposeSecret as _, SecretString};

/// Replaces the exact bytes of a key, also where they come in pieces. Holds back no more than what may be the key's beginning.
pub(crate) struct Redactor {
    key: SecretString,
    stand_in: Bytes,
    /// Invariant: a proper prefix of the key.
    held: BytesMut,
}

impl Redactor {
    /// The key is not empty.
    pub(crate) fn new(key: SecretString, stand_in: &[u8]) -> Self {
        Self { key, stand_in: Bytes::copy_from_slice(stand_in), held: BytesMut::new() }
    }

    /// What may be seen of it now.
    pub(crate) fn take(&mut self, piece: Bytes) -> Bytes {
        let key = self.key.expose_secret().as_bytes();
        let Some(&first) = key.first() else { return piece };
        if self.held.is_empty() && !piece.contains(&first) {
            return piece;
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(&piece);
        let mut shown = BytesMut::with_capacity(text.len());
        let mut rest = &text[..];
        while let Some(at) = rest.iter().position(|byte| *byte == first) {
            let (before, from) = rest.split_at(at);
            shown.extend_from_slice(before);
            if let Some(after) = from.strip_prefix(key) {
                shown.extend_from_slice(&self.stand_in);
                rest = after;
            } else if key.starts_with(from) {
                self.held = BytesMut::from(from);
                return shown.freeze();
            } else {
                shown.extend_from_slice(&from[..1]);
                rest = &from[1..];
            }
        }
        shown.extend_from_slice(rest);
        shown.freeze()
    }

    /// What was held back and is no key.
    pub(crate) fn finish(self) -> Bytes {
        self.held.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(key: &str, pieces: &[&[u8]]) -> Vec<u8> {
        let mut redactor = Redactor::new(key.into(), b"<->");
        let mut shown = Vec::new();
        for piece in pieces {
            shown.extend_from_slice(&redactor.take(Bytes::copy_from_slice(piece)));
        }
        shown.extend_from_slice(&redactor.finish());
        shown
    }

    #[test]
    fn a_key_is_taken_out_where_it_is_split() {
        assert_eq!(redacted("aab", &[b"xaa", b"ab", b"y"]), b"xa<->y");
        assert_eq!(redacted("aab", &[b"aabaab"]), b"<-><->");
        assert_eq!(redacted("aab", &[b"aa"]), b"aa");
    }

    proptest! {
        /// However it is cut into pieces, it is what replacing in the whole gives.
        #[test]
        fn pieces_make_no_difference(text in "[ab]{0,60}", key in "[ab]{1,5}", cuts in prop::collection::vec(0_usize..60, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                pieces.push(&text.as_bytes()[from..cut]);
                from = cut;
            }
            prop_assert_eq!(redacted(&key, &pieces), text.replace(&key, "<->").into_bytes());
        }
    }
}
