//! For tests: a clock, the scripted engine.
