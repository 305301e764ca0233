//! How a page gets in: a link with a one-time code in its fragment, and the token that the code is exchanged for.

use serde::{Deserialize, Serialize};

/// Body of `POST /api/session`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRequest {
    /// The one-time code out of the link's fragment.
    pub code: String,
}

/// Reply to [`SessionRequest`]. Only who redeems a code gets one, so it does not print itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReply {
    /// Sent as `Authorization: Bearer …` with every call.
    pub token: String,
}

/// Reply to `POST /api/link`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReply {
    /// Scheme, host and port.
    pub address: String,
    /// The address with a fresh one-time code.
    pub link: String,
}
