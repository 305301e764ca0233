//! The command line. What is said here comes from the host; nothing inside can change it, and no environment is read.

use std::path::PathBuf;
use std::time::Duration;

const SPOOL: &str = "/berth/run";
const REPORTS: &str = "/run/berth";
const LONELY: Duration = Duration::from_hours(24);

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    Init(Settings),
    Connect,
    Browse(PathBuf),
    Version,
}

/// How `init` behaves.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where output is kept.
    pub(crate) spool: PathBuf,
    /// Where processes write their reports.
    pub(crate) reports: PathBuf,
    /// After this long the guest ends by itself.
    pub(crate) wall_clock: Option<Duration>,
    /// Without a pipe for this long the guest ends by itself.
    pub(crate) lonely_max: Duration,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("usage: berth-guest init|connect|browse FOLDER|version")]
    NoCommand,
    #[error("{name} is no argument of berth-guest")]
    Unknown { name: String },
    #[error("{name} needs a value")]
    NoValue { name: String },
    #[error("{name} needs a number of seconds")]
    NoNumber { name: String },
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, ArgumentError> {
    let command = arguments.next().ok_or(ArgumentError::NoCommand)?;
    let command = match command.as_str() {
        "init" => return parse_init(arguments).map(Command::Init),
        "connect" => Command::Connect,
        "browse" => match arguments.next() {
            Some(folder) => Command::Browse(folder.into()),
            None => return Err(ArgumentError::NoValue { name: command }),
        },
        "version" => Command::Version,
        _ => return Err(ArgumentError::Unknown { name: command }),
    };
    match arguments.next() {
        Some(name) => Err(ArgumentError::Unknown { name }),
        None => Ok(command),
    }
}

fn parse_init(mut arguments: impl Iterator<Item = String>) -> Result<Settings, ArgumentError> {
    let mut settings = Settings { spool: SPOOL.into(), reports: REPORTS.into(), wall_clock: None, lonely_max: LONELY };
    while let Some(name) = arguments.next() {
        let Some(value) = arguments.next() else { return Err(ArgumentError::NoValue { name }) };
        match name.as_str() {
            "--spool" => settings.spool = value.into(),
            "--reports" => settings.reports = value.into(),
            "--wall-clock-s" => settings.wall_clock = Some(seconds(name, &value)?),
            "--lonely-s" => settings.lonely_max = seconds(name, &value)?,
            _ => return Err(ArgumentError::Unknown { name }),
        }
    }
    Ok(settings)
}

fn seconds(name: String, value: &str) -> Result<Duration, ArgumentError> {
    value.parse().map(Duration::from_secs).map_err(|_| ArgumentError::NoNumber { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, ArgumentError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn init_has_defaults_and_takes_each_setting() {
        let Ok(Command::Init(settings)) = parsed("init --spool /s --lonely-s 3") else { panic!("not parsed") };
        assert_eq!(settings.spool, PathBuf::from("/s"));
        assert_eq!(settings.reports, PathBuf::from(REPORTS));
        assert_eq!(settings.lonely_max, Duration::from_secs(3));
        assert_eq!(settings.wall_clock, None);
        let Ok(Command::Init(settings)) = parsed("init") else { panic!("not parsed") };
        assert_eq!(settings.lonely_max, Duration::from_hours(24), "24 h without a pipe");
        assert_eq!(settings.spool, PathBuf::from("/berth/run"), "where its volume is");
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for line in [
            "",
            "dance",
            "init --spool",
            "init --lonely-s soon",
            "init --uid 0",
            "connect --to x",
            "browse",
            "browse / now",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
