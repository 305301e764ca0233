//! What can be typed.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use wire::{Phase, Priority, news::NewsKind, queue::Slots};

use crate::{
    commands::queue::{priority_of_name, slots},
    exit::STATUSES,
    show::Format,
};

mod access;
mod agents;
mod images;
mod money;
mod projects;

pub(crate) use access::{
    Amount, Compute, CostOf, CostRuns, Costs, CostsCommand, Requests, Scope, Secrets, SecretsCommand, SetBudget,
    SetPrice, SetRates, SetSecret, Span,
};
pub(crate) use agents::{
    Agents, AgentsCommand, CreateAgent, DeleteAgent, EditAgent, HostName, Kit, NetworkMode, Remember, Review,
};
pub(crate) use images::{AddImage, BuildImages, Images, ImagesCommand};
pub(crate) use projects::{Allow, AllowScope, EditProject, Projects, ProjectsCommand};

/// Runs AI agents on your own machine, each in a sandbox without a network card.
#[derive(Debug, Parser)]
#[command(name = "berth", version, after_help = STATUSES)]
pub(crate) struct Arguments {
    /// Print one JSON object instead of words; errors too, on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say on stderr what goes on; twice for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Words }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run Berth without a window, for a browser and this command line
    Serve(Serve),
    /// Hand a task in
    Run(Run),
    /// List the tasks
    Ls(Ls),
    /// Show a run with its steps
    Show(RunName),
    /// Print what a run printed
    Logs(Logs),
    /// List the files that a run left
    Results(RunName),
    /// End whatever of a run is not ended
    Cancel(RunName),
    /// Hold a run where it is: its agent stops, its sandbox stays
    Pause(RunName),
    /// Let a held run go on
    Resume(RunName),
    /// Run a task once more
    Retry(RunName),
    /// Show the queue, pause it, let it go on, or change how many work at once
    Queue(Queue),
    /// Change a task's turn in the queue
    Priority(PriorityOf),
    /// Accept a run's finished work
    Approve(RunName),
    /// Send a run's finished work back
    Changes(Changes),
    /// Turn a run's finished work down
    Reject(Reject),
    /// List the images, build, try or remove one, or add one of your own
    Images(Images),
    /// List the agents, add, change or delete one
    Agents(Agents),
    /// List the projects, make, rename, change or delete one
    Projects(Projects),
    /// List the secrets, keep, rename, delete one, give it to an agent or take it back
    Secrets(Secrets),
    /// List what a run asked of the network
    Requests(Requests),
    /// Show what a run may reach, or allow it a host: once, for its project or for its agent
    Allow(Allow),
    /// Show what models cost, set a budget or a price
    Costs(Costs),
    /// List the homes, look into one, move it out or in, or start it anew
    Homes(Homes),
    /// Look at everything that Berth needs, and at what lies around
    Doctor(Doctor),
    /// Show what could go to make room, and let it go
    Reclaim(Reclaim),
    /// Show or change how much is kept of runs that have ended
    Retention(Retention),
    /// Show or change of what the desktop notifies you
    Notifications(Notifications),
    /// Measure how fast it is, beside what it is built on
    Bench(Bench),
    /// Print a fresh link to the running Berth and open it
    Open(Open),
    /// Print the version
    Version,
    /// List the points at which `BERTH_FAULT` ends it, in a build for tests
    #[cfg(debug_assertions)]
    #[command(hide = true)]
    FaultPoints,
}

/// Arguments of `berth serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The port on 127.0.0.1; any that is free where it is not given
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) port: u16,
    /// Open the interface in the browser
    #[arg(long)]
    pub(crate) open: bool,
}

/// Arguments of `berth run`.
#[derive(Debug, Args)]
#[command(after_help = STATUSES)]
pub(crate) struct Run {
    /// A task file, a folder with one in it, or `-` for standard input; what follows goes along as files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The agent that is to do it
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// The project it belongs to
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// What to call it
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// Its turn in the queue: high, normal or low
    #[arg(long, value_parser = priority_of_name)]
    pub(crate) priority: Option<Priority>,
    /// How long it may work, as 90s, 30m, 2h or 1d
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    pub(crate) time: Option<u64>,
    /// How much memory it may take, as 512M or 4G
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
    /// How much disk its workspace and its home's growth may take, as 512M or 10G
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) disk: Option<u64>,
    /// Wait until it is done or needs you
    #[arg(long)]
    pub(crate) wait: bool,
    /// Wait, and print what it prints
    #[arg(long)]
    pub(crate) follow: bool,
}

/// Arguments of `berth ls`.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Only tasks in this phase; can be given more than once
    #[arg(long, value_parser = phase)]
    pub(crate) phase: Vec<Phase>,
    /// Only tasks with these words in title, prompt or agent
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) search: String,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
}

/// A run, as a person names it.
#[derive(Debug, Args)]
pub(crate) struct RunName {
    /// Its id, the beginning of it, or a task's number for the task's latest run
    pub(crate) run: String,
}

/// Arguments of `berth logs`.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    pub(crate) run: RunName,
    /// Go on as it comes, until the run ends
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Let every control sequence through to the terminal
    #[arg(long)]
    pub(crate) raw: bool,
}

/// Arguments of `berth changes`.
#[derive(Debug, Args)]
pub(crate) struct Changes {
    #[command(flatten)]
    pub(crate) run: RunName,
    /// What is to be changed
    #[arg(required = true)]
    pub(crate) comment: Vec<String>,
}

/// Arguments of `berth reject`.
#[derive(Debug, Args)]
pub(crate) struct Reject {
    #[command(flatten)]
    pub(crate) run: RunName,
    /// Why
    pub(crate) comment: Vec<String>,
}

/// Arguments of `berth queue`.
#[derive(Debug, Args)]
pub(crate) struct Queue {
    #[command(subcommand)]
    pub(crate) command: Option<QueueCommand>,
}

/// What can be done with the queue.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Show who waits and why
    Show,
    /// Start nothing new; what works works on
    Pause,
    /// Let it go on
    Resume,
    /// Change how many sandboxes work at once
    Slots {
        /// A number, or `auto` for as many as cores and memory allow
        #[arg(value_parser = slots)]
        count: Slots,
    },
}

/// Arguments of `berth priority`.
#[derive(Debug, Args)]
pub(crate) struct PriorityOf {
    /// The task's number, or its id
    pub(crate) task: String,
    /// high, normal or low
    #[arg(value_parser = priority_of_name)]
    pub(crate) priority: Priority,
}

/// Arguments of `berth homes`.
#[derive(Debug, Args)]
pub(crate) struct Homes {
    #[command(subcommand)]
    pub(crate) command: Option<HomesCommand>,
    /// Measure those whose size is not known, and wait for it
    #[arg(long)]
    pub(crate) sizes: bool,
}

/// What can be done with homes. HOME is its agent's name, or its volume.
#[derive(Debug, Subcommand)]
pub(crate) enum HomesCommand {
    /// List what a folder of a home holds
    Ls {
        /// The home
        home: String,
        /// The folder, below the home
        #[arg(default_value = "", hide_default_value = true)]
        path: String,
    },
    /// Print a file of a home
    Cat {
        /// The home
        home: String,
        /// The file, below the home
        path: String,
    },
    /// Write a home to a tar archive
    Export {
        /// The home
        home: String,
        /// The file, which must not be there yet; `-` for standard output
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Put what a tar archive holds in the place of a home; the old one goes when the new one is whole
    Import {
        /// The home
        home: String,
        /// The archive; `-` for standard input
        file: PathBuf,
        /// The home's name once more: what is in it now is lost
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// Put a new home, made of the agent's image, in the place of one
    Reset {
        /// The home
        home: String,
        /// The home's name once more: what is in it is lost
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// Delete the home of a deleted agent
    Delete {
        /// The home
        home: String,
        /// The home's name once more: what is in it is lost
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// End an export or an import that goes on; the home stays as it was
    Cancel {
        /// The home
        home: String,
    },
}

/// Arguments of `berth doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Bring in order what was found; shows what it would do, and asks
    #[arg(long)]
    pub(crate) mend: bool,
    /// Do not ask
    #[arg(long, requires = "mend")]
    pub(crate) yes: bool,
}

/// Arguments of `berth reclaim`.
#[derive(Debug, Args)]
pub(crate) struct Reclaim {
    /// Only what Berth can make again
    #[arg(long, conflicts_with = "kept")]
    pub(crate) caches: bool,
    /// Only what is kept of runs
    #[arg(long)]
    pub(crate) kept: bool,
    /// Of runs, all that ended longer ago than that, as 30d; without it what is over the bounds of `berth retention`
    #[arg(long, value_name = "AGE", value_parser = seconds)]
    pub(crate) older_than: Option<u64>,
    /// Also this task, at which nobody has looked since it ended; can be given more than once
    #[arg(long, value_name = "NUMBER")]
    pub(crate) unseen: Vec<i64>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Arguments of `berth retention`.
#[derive(Debug, Args)]
pub(crate) struct Retention {
    /// Nothing that ended longer ago, as 90d, or `off`
    #[arg(long, value_name = "AGE", value_parser = bound_of(seconds))]
    pub(crate) age: Option<Bound>,
    /// No more than that, as 20G, or `off`
    #[arg(long, value_name = "SIZE", value_parser = bound_of(bytes))]
    pub(crate) size: Option<Bound>,
    /// No more runs than that, or `off`
    #[arg(long, value_name = "NUMBER", value_parser = bound_of(number))]
    pub(crate) runs: Option<Bound>,
}

/// Arguments of `berth notifications`.
#[derive(Debug, Args)]
pub(crate) struct Notifications {
    /// Be notified, or no longer; without it they are listed
    pub(crate) switch: Option<Switch>,
    /// Of what; of everything where none is named
    #[arg(value_name = "KIND", value_parser = news_kind)]
    pub(crate) kinds: Vec<NewsKind>,
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// It is
    On,
    /// It is not
    Off,
}

fn news_kind(text: &str) -> Result<NewsKind, String> {
    NewsKind::from_name(&text.replace('-', "_")).ok_or_else(|| {
        let names: Vec<_> = NewsKind::ALL.into_iter().map(|kind| kind.name().replace('_', "-")).collect();
        format!("a kind is one of {}", names.join(", "))
    })
}

/// A bound as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// None.
    Off,
    /// At that.
    At(u64),
}

/// Arguments of `berth bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure; all that takes no window where nothing is named
    #[arg(value_enum, value_name = "ROW")]
    pub(crate) rows: Vec<Measured>,
    /// Samples of each row: 30 and more
    #[arg(short = 'n', long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(30..=10_000))]
    pub(crate) samples: u32,
    /// What the sandboxes run in: an image of the Gallery, or any reference that the engine has
    #[arg(long, value_name = "REF", default_value = "script")]
    pub(crate) image: String,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measured {
    /// A step in a sandbox that is warm already
    Warm,
    /// A fresh sandbox
    Fresh,
    /// Many bytes through the pipe
    Bulk,
    /// A keystroke to its echo, at the WebSocket
    Keystroke,
    /// A port that opens inside
    Ports,
    /// A file written in the workspace
    Results,
    /// A model's reply through the gateway
    Gateway,
    /// A hundred thousand past runs
    Past,
    /// Twenty and fifty idle sandboxes
    Idle,
    /// Every image of the Gallery built twice, and its size; only where it is asked for, since it takes long
    Images,
    /// The app's window: its first paint, and a keystroke to its echo at the pixel (in a checkout)
    Ui,
}

impl Measured {
    /// All that takes no window, in the order in which it is measured.
    pub(crate) const WITHOUT_WINDOW: [Self; 9] = [
        Self::Warm,
        Self::Fresh,
        Self::Bulk,
        Self::Keystroke,
        Self::Ports,
        Self::Results,
        Self::Gateway,
        Self::Past,
        Self::Idle,
    ];

    /// As it is typed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Fresh => "fresh",
            Self::Bulk => "bulk",
            Self::Keystroke => "keystroke",
            Self::Ports => "ports",
            Self::Results => "results",
            Self::Gateway => "gateway",
            Self::Past => "past",
            Self::Idle => "idle",
            Self::Images => "images",
            Self::Ui => "ui",
        }
    }
}

/// Arguments of `berth open`.
#[derive(Debug, Args)]
pub(crate) struct Open {
    /// Only print the link
    #[arg(long)]
    pub(crate) print: bool,
}

fn phase(text: &str) -> Result<Phase, String> {
    Phase::from_name(&text.to_lowercase().replace(['-', ' '], "_")).ok_or_else(|| {
        let names: Vec<_> = Phase::ALL.into_iter().map(Phase::name).collect();
        format!("a phase is one of {}", names.join(", "))
    })
}

fn seconds(text: &str) -> Result<u64, String> {
    scaled(text, &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)])
        .ok_or_else(|| "write 90s, 30m, 2h or 1d".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    let units = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];
    let number = text.trim_end_matches(['b', 'B', 'i']).to_uppercase();
    scaled(&number, &units).ok_or_else(|| "write 512M or 4G".to_owned())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "write a whole number".to_owned())
}

/// Reads `off`, or what `read` does.
fn bound_of(
    read: impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<Bound, String> + Clone + Send + Sync + 'static {
    move |text| if text == "off" { Ok(Bound::Off) } else { read(text).map(Bound::At) }
}

/// A whole number with one of these units behind it.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (unit, factor) = units.iter().find(|(unit, _)| text.ends_with(unit))?;
    text.strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(*factor).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_and_sizes_are_whole_numbers_with_a_unit() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("2h"), Ok(7_200));
        assert_eq!(bytes("512M"), Ok(512 << 20));
        assert_eq!(bytes("4GiB"), Ok(4 << 30));
        for nonsense in ["", "10", "-1s", "0m", "1.5h", "m", "99999999999999999999d"] {
            assert!(seconds(nonsense).is_err(), "{nonsense}");
        }
        assert!(bytes("512").is_err());
    }

    #[test]
    fn a_phase_is_named_as_in_data_or_as_a_person_reads_it() {
        assert_eq!(phase("awaiting_review"), Ok(Phase::AwaitingReview));
        assert_eq!(phase("Awaiting review"), Ok(Phase::AwaitingReview));
        assert!(phase("running").is_err());
    }
}
