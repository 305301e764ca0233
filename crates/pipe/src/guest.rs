//! The sandbox's end of the pipe, without the processes: those are the crate `guest`.
