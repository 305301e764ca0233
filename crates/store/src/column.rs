//! Between columns and domain types. What a column holds is checked here, once.

use std::str::FromStr;

use jiff::Timestamp;
use lifecycle::Holds;
use newtype_uuid::{TypedUuid, TypedUuidKind};
use serde::{Serialize, de::DeserializeOwned};
use wire::{Hold, Phase, Priority, task::ReviewGate};

use crate::error::StoreError;

/// Microseconds since 1970.
pub(crate) fn from_time(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A time as it will be read again: cut to the microsecond.
pub(crate) fn stored_time(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

pub(crate) fn time(table: &'static str, microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(|_| row(table, format!("time {microseconds}")))
}

pub(crate) fn time_or_none(table: &'static str, microseconds: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    microseconds.map(|microseconds| time(table, microseconds)).transpose()
}

pub(crate) fn id<K: TypedUuidKind>(table: &'static str, text: &str) -> Result<TypedUuid<K>, StoreError> {
    TypedUuid::from_str(text).map_err(|_| row(table, format!("id {text:?}")))
}

pub(crate) fn id_or_none<K: TypedUuidKind>(
    table: &'static str,
    text: Option<&str>,
) -> Result<Option<TypedUuid<K>>, StoreError> {
    text.map(|text| id(table, text)).transpose()
}

pub(crate) fn phase(table: &'static str, name: &str) -> Result<Phase, StoreError> {
    Phase::from_name(name).ok_or_else(|| row(table, format!("phase {name:?}")))
}

pub(crate) fn priority(table: &'static str, name: &str) -> Result<Priority, StoreError> {
    Priority::from_name(name).ok_or_else(|| row(table, format!("priority {name:?}")))
}

/// A name in data, by the type's own `from_name`.
pub(crate) fn named<T>(
    table: &'static str,
    name: &str,
    from_name: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    from_name(name).ok_or_else(|| row(table, format!("name {name:?}")))
}

/// A name in data or none, by the type's own `from_name`.
pub(crate) fn named_or_none<T>(
    table: &'static str,
    name: Option<&str>,
    from_name: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    name.map(|name| named(table, name, from_name)).transpose()
}

pub(crate) fn from_holds(holds: Holds) -> String {
    holds.iter().map(Hold::name).collect::<Vec<_>>().join(",")
}

pub(crate) fn holds(table: &'static str, names: &str) -> Result<Holds, StoreError> {
    names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| Hold::from_name(name).ok_or_else(|| row(table, format!("hold {name:?}"))))
        .collect()
}

pub(crate) const fn from_review(review: ReviewGate) -> &'static str {
    match review {
        ReviewGate::Ask => "ask",
        ReviewGate::Skip => "skip",
    }
}

pub(crate) fn review(table: &'static str, name: &str) -> Result<ReviewGate, StoreError> {
    [ReviewGate::Ask, ReviewGate::Skip]
        .into_iter()
        .find(|review| from_review(*review) == name)
        .ok_or_else(|| row(table, format!("review gate {name:?}")))
}

pub(crate) fn to_json<T: Serialize>(table: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| row(table, format!("JSON: {error}")))
}

pub(crate) fn json<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| row(table, format!("JSON: {error}")))
}

/// SQLite's integers are signed; a size past 8 EiB stays at the largest.
pub(crate) fn from_u64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn to_u64(table: &'static str, value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| row(table, format!("count {value}")))
}

pub(crate) fn to_u16(table: &'static str, value: i64) -> Result<u16, StoreError> {
    u16::try_from(value).map_err(|_| row(table, format!("count {value}")))
}

pub(crate) fn to_u32(table: &'static str, value: i64) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| row(table, format!("count {value}")))
}

fn row(table: &'static str, what: String) -> StoreError {
    StoreError::Row { table, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_read_as_they_were_written() {
        let all: Holds = Hold::ALL.into_iter().collect();
        for set in [Holds::NONE, Holds::NONE.with(Hold::Budget), all] {
            assert_eq!(holds("steps", &from_holds(set)).unwrap(), set);
        }
        for gate in [ReviewGate::Ask, ReviewGate::Skip] {
            assert_eq!(review("steps", from_review(gate)).unwrap(), gate);
        }
        let at: Timestamp = "2026-11-21T07:00:00.123456789Z".parse().unwrap();
        assert_eq!(time("steps", from_time(at)).unwrap(), stored_time(at));
        assert_eq!(from_u64(u64::MAX), i64::MAX);
    }

    #[test]
    fn what_no_berth_writes_is_refused_with_its_table() {
        let refused = [
            holds("steps", "person,nobody").map(|_| ()).unwrap_err(),
            phase("steps", "Executing").map(|_| ()).unwrap_err(),
            review("steps", "").map(|_| ()).unwrap_err(),
            priority("steps", "urgent").map(|_| ()).unwrap_err(),
            id::<wire::ids::StepKind>("steps", "12").map(|_| ()).unwrap_err(),
            to_u64("steps", -1).map(|_| ()).unwrap_err(),
            to_u16("steps", 1 << 16).map(|_| ()).unwrap_err(),
            named("steps", "magic", wire::secret::SecretWay::from_name).map(|_| ()).unwrap_err(),
            time("steps", i64::MAX).map(|_| ()).unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, StoreError::Row { table: "steps", .. }), "{error}");
        }
    }
}
