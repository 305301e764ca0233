//! Points in the code path at which a build for tests can be made to die, as by `kill -9`.
//!
//! Every effect that a run has on the world goes through [`around`]. `BERTH_FAULT=before-container-start` ends the process right
//! before the first start of a container, `BERTH_FAULT=after-container-start:3` right after the third: no destructor runs, nothing
//! is flushed. `berth fault-points` lists them, so that a test from outside can try them all and notice one that nobody reaches.
//!
//! A release has none of this, neither the switch nor the names: there [`around`] is the future that it is given.
//!
//! Not the crate `fail`: it was last released in 2022, keeps no list of the points that exist, and its points cannot kill; what it
//! would take over is a comparison of names.

/// Names the points and, where they are compiled in, lists them.
macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// An effect, before and after which the process can be made to die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Point { $($(#[$doc])* $point,)* }

        #[cfg(debug_assertions)]
        impl Point {
            const ALL: &[Self] = &[$(Self::$point,)*];

            const fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }
        }
    };
}

points! {
    /// Attached files are copied into the data folder.
    AttachmentsCopy = "attachments-copy",
    /// A task is written down, with its first run.
    TaskRecord = "task-record",
    /// Another run of a task is written down.
    RunRecord = "run-record",
    /// It is written down that a step has a slot.
    SlotRecord = "slot-record",
    /// It is written down that a step's agent was started.
    StartRecord = "start-record",
    /// It is written down that a step's agent has ended.
    EndRecord = "end-record",
    /// It is written down that a step cannot go on.
    FailureRecord = "failure-record",
    /// It is written down that a limit was reached.
    LimitRecord = "limit-record",
    /// It is written down that a step is held, or is no longer.
    HoldRecord = "hold-record",
    /// A person approves.
    Approve = "approve",
    /// A person requests changes.
    RequestChanges = "request-changes",
    /// A person rejects.
    Reject = "reject",
    /// A person cancels.
    Cancel = "cancel",
    /// Something that happened is written down for itself.
    EventRecord = "event-record",
    /// The agent's image is made sure of.
    ImageEnsure = "image-ensure",
    /// An image of the Gallery is built.
    ImageBuild = "image-build",
    /// An image that was built and tried gets its name.
    ImageTag = "image-tag",
    /// How a build went is written down.
    BuildRecord = "build-record",
    /// A copy of an image gets lines for the sandbox's user.
    ImageFill = "image-fill",
    /// The copy becomes an image.
    ImageCommit = "image-commit",
    /// The volume with the guest is made.
    GuestVolumeCreate = "guest-volume-create",
    /// The guest is put into its volume.
    GuestVolumeFill = "guest-volume-fill",
    /// A container is made through which a volume is filled: the guest's, a home's, a spool's.
    FillerCreate = "filler-create",
    /// Such a container is taken away.
    FillerRemove = "filler-remove",
    /// The volume of a home is made.
    HomeCreate = "home-create",
    /// A home gets its folders.
    HomeLayOut = "home-lay-out",
    /// It is written down that a home is in use.
    HomeUseRecord = "home-use-record",
    /// It is written down that a home has its folders.
    HomeRecord = "home-record",
    /// It is written down which sandbox is about to be made.
    SandboxRecord = "sandbox-record",
    /// The folder for `/workspace` is made.
    WorkspaceCreate = "workspace-create",
    /// Attached files are put into it.
    AttachmentsDeliver = "attachments-deliver",
    /// What is in it at first is written down.
    BaselineWrite = "baseline-write",
    /// The volume of a spool is made.
    SpoolCreate = "spool-create",
    /// A spool is given to the sandbox's user.
    SpoolOwn = "spool-own",
    /// The sandbox's network is made.
    NetworkCreate = "network-create",
    /// The sandbox's container is made.
    ContainerCreate = "container-create",
    /// Its first process's input and output are opened.
    ContainerAttach = "container-attach",
    /// It is started.
    ContainerStart = "container-start",
    /// Its guest is spoken with for the first time.
    GuestConnect = "guest-connect",
    /// It is written down that there is a sandbox.
    SandboxReadyRecord = "sandbox-ready-record",
    /// The agent's process is started.
    AgentStart = "agent-start",
    /// A later connection enters the container.
    ContainerExec = "container-exec",
    /// The guest is spoken with again.
    GuestReconnect = "guest-reconnect",
    /// Output is written to its file.
    OutputAppend = "output-append",
    /// The file is synced.
    OutputSync = "output-sync",
    /// The guest is told how much is durable.
    OutputAcknowledge = "output-acknowledge",
    /// It is written down how far the output is.
    OutputRecord = "output-record",
    /// The agent's tree is stopped.
    AgentStop = "agent-stop",
    /// It goes on.
    AgentContinue = "agent-continue",
    /// It is ended.
    AgentEnd = "agent-end",
    /// A container that was paused from outside goes on.
    ContainerUnpause = "container-unpause",
    /// A container is killed whose guest does not end the agent.
    ContainerKill = "container-kill",
    /// The spool of a container that has ended is read.
    SpoolRead = "spool-read",
    /// Results are written down while the agent works.
    ResultsRecord = "results-record",
    /// Results are written down for good.
    FinalResultsRecord = "final-results-record",
    /// It is written down that a sandbox is being taken away.
    RemovalBegin = "removal-begin",
    /// The sandbox's container is taken away.
    ContainerRemove = "container-remove",
    /// Its network is taken away, if it had one.
    NetworkRemove = "network-remove",
    /// Its spool is taken away.
    SpoolRemove = "spool-remove",
    /// It is written down that the sandbox is gone.
    RemovalRecord = "removal-record",
}

/// Does it, and dies before or after where the environment says so.
///
/// # Cancel safety
/// As that of `doing`.
#[cfg(debug_assertions)]
pub(crate) async fn around<F: Future>(point: Point, doing: F) -> F::Output {
    switch::reach(switch::Side::Before, point);
    let done = doing.await;
    switch::reach(switch::Side::After, point);
    done
}

/// Does it.
#[cfg(not(debug_assertions))]
pub(crate) fn around<F: Future>(_: Point, doing: F) -> F {
    doing
}

#[cfg(debug_assertions)]
pub use switch::list;

#[cfg(debug_assertions)]
mod switch {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tracing::error;

    use super::Point;

    /// Names the point at which to die: `SIDE-POINT`, or `SIDE-POINT:N` for the Nth time.
    const VARIABLE: &str = "BERTH_FAULT";

    /// What the environment asks for. Of the process, since that is what dies: an engine's adapter or a file knows no [`Config`](crate::Config).
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Side {
        Before,
        After,
    }

    struct Armed {
        side: Side,
        point: Point,
        /// Dies when this comes down to nothing.
        left: AtomicU64,
    }

    impl Side {
        const ALL: [Self; 2] = [Self::Before, Self::After];

        const fn name(self) -> &'static str {
            match self {
                Self::Before => "before",
                Self::After => "after",
            }
        }
    }

    /// The names of all points, as `BERTH_FAULT` takes them.
    pub fn list() -> Vec<String> {
        all().map(|(side, point)| name_of(side, point)).collect()
    }

    fn all() -> impl Iterator<Item = (Side, Point)> {
        Point::ALL.iter().flat_map(|point| Side::ALL.map(|side| (side, *point)))
    }

    fn name_of(side: Side, point: Point) -> String {
        format!("{}-{}", side.name(), point.name())
    }

    fn parse(text: &str) -> Option<Armed> {
        let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
        let nth = nth.parse().ok().filter(|nth| *nth > 0)?;
        let (side, point) = all().find(|(side, point)| name_of(*side, *point) == name)?;
        Some(Armed { side, point, left: AtomicU64::new(nth) })
    }

    fn armed() -> Option<&'static Armed> {
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var(VARIABLE).ok()?;
            let armed = parse(&text);
            if armed.is_none() {
                error!(%text, "{VARIABLE} names no fault point; `berth fault-points` lists them");
            }
            armed
        });
        armed.as_ref()
    }

    /// Dies here, if this is where to.
    pub(super) fn reach(side: Side, point: Point) {
        if let Some(armed) = armed()
            && (armed.side, armed.point) == (side, point)
            && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            die();
        }
    }

    /// Ends this process as the kernel does: at once, without unwinding.
    #[cfg(unix)]
    fn die() -> ! {
        // Nothing of ours runs after it; should it be refused, an abort is the next best.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort()
    }

    #[cfg(not(unix))]
    fn die() -> ! {
        std::process::abort()
    }

    #[cfg(test)]
    mod tests {
        use std::collections::HashSet;

        use super::*;

        #[test]
        fn every_name_is_its_own_and_leads_back() {
            let names = list();
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
            for (name, (side, point)) in names.iter().zip(all()) {
                let armed = parse(&format!("{name}:7")).unwrap();
                assert_eq!((armed.side, armed.point, armed.left.into_inner()), (side, point, 7));
            }
        }

        #[test]
        fn what_names_no_point_arms_nothing() {
            for text in ["", "container-start", "before-", "before-container-start:0", "before-container-start:x"] {
                assert!(parse(text).is_none(), "{text}");
            }
        }
    }
}
