//! Durable truth in SQLite.
