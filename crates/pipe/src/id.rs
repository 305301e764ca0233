//! The name of a process: 128 bits that the host chooses, so that a start may be said twice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names one start. Chosen by the host; the guest runs an id once, however often it is told to.
///
/// Written as 32 lowercase hexadecimal digits, on the wire and as a folder of the spool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId([u8; 16]);

impl ProcessId {
    /// From 16 bytes, for example those of a UUID.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<u128> for ProcessId {
    fn from(number: u128) -> Self {
        Self(number.to_be_bytes())
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ProcessId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProcessId({self})")
    }
}

/// The text is not the name of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a process id is 32 lowercase hexadecimal digits")]
pub struct ProcessIdError;

impl FromStr for ProcessId {
    type Err = ProcessIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_plain {
            return Err(ProcessIdError);
        }
        u128::from_str_radix(text, 16).map(Self::from).map_err(|_| ProcessIdError)
    }
}

impl Serialize for ProcessId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProcessId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = ProcessId::from(0x00ff_u128);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string(), "000000000000000000000000000000ff");
    }

    #[test]
    fn a_path_is_no_id() {
        for text in ["", "..", "../../../../../../../../../../etc", "+0000000000000000000000000000ff", "FF"] {
            assert_eq!(text.parse::<ProcessId>(), Err(ProcessIdError), "{text}");
        }
    }
}
