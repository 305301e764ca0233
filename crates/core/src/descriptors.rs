//! Whether the app still gets descriptors: a sandbox of the person's own uid, or the app's own windows, can use them up. Nothing is
//! concluded from an error elsewhere; a look on a timer says how it is.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::house::House;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks until the app stops, and says where there are none left.
pub(crate) async fn run(house: Arc<House>) {
    loop {
        let looked = tokio::task::spawn_blocking(|| File::open("/").map(drop)).await;
        if let Ok(looked) = looked {
            house.notice("descriptors", looked.err().and_then(|error| words(&error)));
        }
        tokio::select! {
            () = house.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// What a person should know; `None` where something else is the matter.
fn words(error: &io::Error) -> Option<String> {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let whose = match Errno::from_io_error(error)? {
            Errno::MFILE => format!("Berth has no descriptors left: its limit is {}.", limit()),
            Errno::NFILE => "This machine has no descriptors left.".to_owned(),
            _ => return None,
        };
        Some(format!(
            "{whose} Steps work on, but new windows, terminals and results wait. Close some windows; if that does not help, start \
             Berth with a higher limit (`ulimit -n`)."
        ))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        None
    }
}

#[cfg(unix)]
fn limit() -> String {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).map_or_else(|_| "unknown".to_owned(), |(soft, _hard)| soft.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_want_of_descriptors_is_called_one() {
        let of = |errno: rustix::io::Errno| words(&errno.into());
        assert!(of(rustix::io::Errno::MFILE).unwrap().contains(&limit()));
        assert!(of(rustix::io::Errno::NFILE).unwrap().contains("This machine"));
        assert_eq!(of(rustix::io::Errno::ACCESS), None);
    }
}
