//! The screens. Each is a route, a pure part with its tests where there is something to decide, and a view.

pub mod agents;
pub mod costs;
pub mod drop;
pub mod homes;
pub mod images;
pub mod new_task;
pub mod settings;
pub mod signed_out;
pub mod task;
pub mod tasks;
