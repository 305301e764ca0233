//! The engine itself.

use crate::contract::Subject;
use crate::facts::API_VERSION_MIN;

/// It answers, and what it says of itself is filled in.
pub async fn the_engine_answers_and_says_what_it_is(subject: &Subject) {
    subject.engine.ping().await.unwrap();
    let facts = subject.engine.facts().await.unwrap();
    assert!(facts.api_version >= API_VERSION_MIN, "{facts:?}");
    assert_eq!(facts.os, "linux", "{facts:?}");
    assert_eq!(facts.architecture, subject.image().await.architecture, "machine and imported image are spelled alike");
    assert!(!facts.version.is_empty() && facts.cpus > 0 && facts.memory_bytes > 0, "{facts:?}");
}
