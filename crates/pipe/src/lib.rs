//! The protocol of the pipe between app and sandbox, and both of its ends.
