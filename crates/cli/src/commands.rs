//! The commands, a file a group. Each is a few calls and one reply to print.

use anyhow::Context;
use berth_core::Config;

use crate::{
    arguments::{Arguments, Command},
    connection::Connection,
    exit::Exit,
    show::Printer,
};

mod bench;
mod browser;
mod costs;
mod gallery;
mod homes;
mod images;
mod kit;
mod logs;
mod look;
mod network;
mod notifications;
mod projects;
pub(crate) mod queue;
mod review;
mod run;
mod secrets;
mod serve;
mod signals;
mod upkeep;
mod watch;

/// Carries out what was typed.
pub(crate) async fn carry_out(arguments: Arguments, printer: Printer) -> anyhow::Result<Exit> {
    let Arguments { verbose, command, .. } = arguments;
    match command {
        Command::Version => gallery::version(printer),
        #[cfg(debug_assertions)]
        Command::FaultPoints => gallery::fault_points(printer),
        Command::Serve(serve) => serve::serve(&config()?, &serve, verbose, printer).await,
        Command::Open(open) => serve::open(&config()?, &open, verbose, printer).await,
        Command::Run(run) => run::run(&config()?, run, verbose, printer).await,
        Command::Ls(ls) => ask(verbose, async |connection| look::ls(connection, ls, printer).await).await,
        Command::Show(show) => ask(verbose, async |connection| look::show(connection, show.run, printer).await).await,
        Command::Results(of) => ask(verbose, async |connection| look::results(connection, of.run, printer).await).await,
        Command::Logs(logs) => ask(verbose, async |connection| logs::logs(connection, logs, printer).await).await,
        Command::Cancel(of) => ask(verbose, async |connection| review::cancel(connection, of.run, printer).await).await,
        Command::Pause(of) => ask(verbose, async |connection| review::pause(connection, of.run, printer).await).await,
        Command::Resume(of) => ask(verbose, async |connection| review::resume(connection, of.run, printer).await).await,
        Command::Retry(of) => ask(verbose, async |connection| review::retry(connection, of.run, printer).await).await,
        Command::Queue(command) => {
            ask(verbose, async |connection| queue::queue(connection, command, printer).await).await
        }
        Command::Priority(of) => ask(verbose, async |connection| queue::priority(connection, of, printer).await).await,
        Command::Approve(of) => {
            ask(verbose, async |connection| review::approve(connection, of.run, printer).await).await
        }
        Command::Changes(changes) => {
            ask(verbose, async |connection| review::changes(connection, changes, printer).await).await
        }
        Command::Reject(reject) => {
            ask(verbose, async |connection| review::reject(connection, reject, printer).await).await
        }
        Command::Images(images) => {
            ask(verbose, async |connection| images::images(connection, images, printer).await).await
        }
        Command::Agents(agents) => {
            ask(verbose, async |connection| gallery::agents(connection, agents, printer).await).await
        }
        Command::Projects(typed) => {
            ask(verbose, async |connection| projects::projects(connection, typed, printer).await).await
        }
        Command::Allow(allow) => {
            ask(verbose, async |connection| projects::allow(connection, allow, printer).await).await
        }
        Command::Secrets(secrets) => {
            ask(verbose, async |connection| secrets::secrets(connection, secrets, printer).await).await
        }
        Command::Requests(requests) => {
            ask(verbose, async |connection| network::requests(connection, requests, printer).await).await
        }
        Command::Costs(costs) => ask(verbose, async |connection| costs::costs(connection, costs, printer).await).await,
        Command::Homes(homes) => ask(verbose, async |connection| homes::homes(connection, homes, printer).await).await,
        Command::Bench(bench) => bench::bench(&config()?, bench, verbose, printer).await,
        Command::Doctor(doctor) => {
            ask(verbose, async |connection| upkeep::doctor(connection, doctor, printer).await).await
        }
        Command::Reclaim(reclaim) => {
            ask(verbose, async |connection| upkeep::reclaim(connection, reclaim, printer).await).await
        }
        Command::Notifications(typed) => {
            ask(verbose, async |connection| notifications::notifications(connection, typed, printer).await).await
        }
        Command::Retention(retention) => {
            ask(verbose, async |connection| upkeep::retention(connection, retention, printer).await).await
        }
    }
}

/// Opens a connection, asks over it, and lets go of it however that ended.
async fn ask(verbose: u8, ask: impl AsyncFnOnce(&Connection) -> anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    let connection = Connection::open(&config()?, verbose).await?;
    let ended = ask(&connection).await;
    connection.close().await;
    ended
}

fn config() -> anyhow::Result<Config> {
    Config::from_environment().context("it is not known where Berth keeps its data")
}
