//! The files in which a guest keeps output, and how to read them from a dead container.
