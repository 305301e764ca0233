//! Stands before the engine of this machine while a part of the suite runs: `berth-witness FRONT-SOCKET BACK-SOCKET FILE`.
//!
//! Says `ready` when it listens. At its end (TERM) it prints how many containers were made, by role, and every deviation from
//! DESIGN §7; its exit status says whether it saw some, all of them, and nothing wrong. What the witnesses before the engines of
//! tests' own have seen is read from FILE, a line each. `BERTH_ENGINE_IS_SHARED` says that others use the engine meanwhile:
//! installs that nothing was seen of are counted apart then, where otherwise they count as made behind the witness's back.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its report is what it is for")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{ExitCode, Stdio},
    time::Duration,
};

use berth_tests::{
    docker::Docker,
    witness::{Report, Sighting, Witness},
};
use camino::Utf8Path;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// How long the engine's events may lag behind.
const EVENTS_LAG_MAX: Duration = Duration::from_secs(10);
/// What an event says: the container, its name, and the install that its label names.
const EVENT: &str = "{{.ID}} {{.Actor.Attributes.name}} {{index .Actor.Attributes \"berth.install\"}}";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [front, back, file] = arguments.as_slice() else {
        eprintln!("usage: berth-witness FRONT-SOCKET BACK-SOCKET FILE");
        return ExitCode::from(2);
    };
    let docker = Docker::at(format!("unix://{back}"));
    let mut terminated = signal(SignalKind::terminate()).expect("a signal can be waited for");
    // A Berth of a person's own may be at work: it was there before.
    let others = installs(&docker);
    let mut events = Events::of(&docker);
    let witness = Witness::begin(Utf8Path::new(front), Utf8Path::new(back));
    println!("ready");
    tokio::select! {
        _ = terminated.recv() => {}
        () = events.follow() => println!("the engine's events have ended before the tests"),
    }
    let labelled = |report: &Report| {
        report.seen.values().filter(|seen| !seen.install.is_empty()).map(|seen| seen.id.clone()).collect::<Vec<_>>()
    };
    let caught_up = async {
        while !labelled(&witness.report()).iter().all(|id| events.told.contains_key(id)) && events.next().await {}
    };
    let is_caught_up = timeout(EVENTS_LAG_MAX, caught_up).await.is_ok();
    let mut report = witness.report();
    let seen_installs: BTreeSet<String> = report.seen.values().map(|seen| seen.install.clone()).collect();
    let is_shared = std::env::var_os("BERTH_ENGINE_IS_SHARED").is_some();
    let unseen = events.told.iter().filter(|(id, _)| !report.seen.contains_key(*id));
    let (of_builds, unseen): (Vec<_>, Vec<_>) =
        unseen.partition(|(_, told)| report.build_count > 0 && is_of_a_build(&told.name));
    let (of_others, behind): (Vec<_>, Vec<_>) = unseen
        .into_iter()
        .partition(|(_, told)| others.contains(&told.install) || (is_shared && !seen_installs.contains(&told.install)));
    let (of_builds, of_others) = (of_builds.len(), of_others.len());
    let behind = behind.into_iter().map(|(id, told)| (id.clone(), told.install.clone())).collect();
    report.behind = behind;
    let told = events.told.len() - of_others - of_builds;
    let elsewhere = of_own_engines(Utf8Path::new(file));
    let elsewhere_count = elsewhere.len();
    report.seen.extend(elsewhere.into_iter().map(|sighting| (sighting.id.clone(), sighting)));
    print!("{report}");
    println!("{elsewhere_count} of them on engines of tests' own; of the others the engine's events told {told}");
    let builds = report.build_count;
    println!("{of_others} were made by others on this engine, {of_builds} by the engine itself in {builds} builds");
    if is_caught_up && report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What an event told of a container.
struct Told {
    name: String,
    install: String,
}

/// Whether the engine chose that name (moby, `namesgenerator`): Berth names all of its containers, and the classic builder none
/// of those in which it carries out instructions, which have the labels of the image in the making.
fn is_of_a_build(name: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let name = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    name.split_once('_').is_some_and(|(one, other)| is_word(one) && is_word(other))
}

/// The engine's own word on what is made.
struct Events {
    /// Containers with Berth's labels.
    told: BTreeMap<String, Told>,
    lines: Lines<BufReader<ChildStdout>>,
    _listening: Child,
}

impl Events {
    fn of(docker: &Docker) -> Self {
        let filters = ["--filter", "type=container", "--filter", "event=create", "--filter", "label=berth.install"];
        let mut command = Command::from(docker.command(&["events"]));
        command.args(filters).args(["--format", EVENT]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut listening = command.spawn().expect("the `docker` command is installed");
        let lines = BufReader::new(listening.stdout.take().expect("its output is piped")).lines();
        Self { told: BTreeMap::new(), lines, _listening: listening }
    }

    /// Takes one; `false` where there are no more.
    ///
    /// # Cancel safety
    /// Safe: a line is taken and noted in one step.
    async fn next(&mut self) -> bool {
        let Ok(Some(line)) = self.lines.next_line().await else { return false };
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        self.told.insert(word(), Told { name: word(), install: word() });
        true
    }

    async fn follow(&mut self) {
        while self.next().await {}
    }
}

/// The installs that have anything on the engine.
fn installs(docker: &Docker) -> BTreeSet<String> {
    let format = "{{.Label \"berth.install\"}}";
    let lists = [["ps", "--all"].as_slice(), &["volume", "ls"]];
    let listed = lists.iter().map(|list| docker.run(&[*list, &["--format", format]].concat()));
    listed.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).filter(|id| !id.is_empty()).collect()
}

fn of_own_engines(file: &Utf8Path) -> Vec<Sighting> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a witness wrote it")).collect()
}
