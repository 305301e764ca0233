//! The checks, by what they are about. Each name is the fact that it holds.

pub mod containers;
pub mod facts;
pub mod files;
pub mod images;
pub mod networks;
pub mod streams;
pub mod volumes;

use crate::{ContainerState, EngineError, ErrorKind, Exit};

/// The kind of the error that a call must have ended with.
fn kind<T>(outcome: Result<T, EngineError>) -> ErrorKind {
    match outcome {
        Ok(_) => unreachable!("the call should have failed"),
        Err(error) => error.kind(),
    }
}

/// How a container that must have ended did.
fn ended(state: ContainerState) -> Exit {
    match state {
        ContainerState::Exited(exit) => exit,
        ContainerState::Created
        | ContainerState::Running
        | ContainerState::Paused
        | ContainerState::Restarting
        | ContainerState::Removing
        | ContainerState::Dead => unreachable!("the container should have ended and is {state:?}"),
    }
}
