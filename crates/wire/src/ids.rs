//! Typed ids. Version 7 of RFC 9562, so that they sort by the time they were made; they are made in `core` alone,
//! which has the clock and the randomness.
//!
//! The list is append-only: a tag once given names that kind for ever.

use newtype_uuid::{TypedUuid, TypedUuidKind, TypedUuidTag};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $id:ident, $tag:literal;)*) => {$(
        #[doc = concat!("Marks the ids of a ", $tag, ".")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {}

        impl TypedUuidKind for $kind {
            fn tag() -> TypedUuidTag {
                const TAG: TypedUuidTag = TypedUuidTag::new($tag);
                TAG
            }
        }

        $(#[$doc])*
        pub type $id = TypedUuid<$kind>;
    )*};
}

kinds! {
    /// A named worker.
    AgentKind, AgentId, "agent";
    /// One data folder's identity; the label that says which containers are ours.
    InstallKind, InstallId, "install";
    /// A process started through the pipe; the guest knows it by this id.
    ProcessKind, ProcessId, "process";
    /// What groups tasks.
    ProjectKind, ProjectId, "project";
    /// One execution of a task.
    RunKind, RunId, "run";
    /// A container that serves one step, or one after another.
    SandboxKind, SandboxId, "sandbox";
    /// A value in the OS keyring, known by name.
    SecretKind, SecretId, "secret";
    /// One agent's part of a run.
    StepKind, StepId, "step";
    /// What a person asked for.
    TaskKind, TaskId, "task";
}
