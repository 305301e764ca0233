//! Makes bytes that a sandbox chose safe to show: nothing in the outcome moves a cursor, hides or turns text around.
//!
//! It does not make text safe for HTML, CSV or a shell; that is the business of whoever writes those.

/// Shows bytes as text: control, bidirectional and invisible characters as `\u{..}`, invalid UTF-8 as `\xNN`, a backslash doubled.
pub(crate) fn visible(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}
