//! A step's state machine, and the pure rule from steps to a run's phase.
