//! What can be typed about secrets, what runs asked of the network, and money.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::civil::Date;
use wire::{MicroUsd, cost::CostKey, secret::Provider};

use super::money::dollars;

/// Arguments of `berth secrets`.
#[derive(Debug, Args)]
pub(crate) struct Secrets {
    #[command(subcommand)]
    pub(crate) command: Option<SecretsCommand>,
}

/// What can be done with secrets. A value is typed or piped in, and shown nowhere.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Keep a secret, or put another value in its place; the value is read from standard input
    Set(SetSecret),
    /// Give a secret another name
    Rename {
        /// Its name
        secret: String,
        /// Its new name: letters, digits, `_`, `-` and `.`
        name: String,
    },
    /// Delete a secret: its value, and that agents have it
    Delete {
        /// Its name
        secret: String,
        /// Its name once more: it cannot be brought back
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// Give a secret to an agent: brokered, so that the value stays outside its sandboxes
    Grant {
        /// The secret
        secret: String,
        /// The agent
        agent: String,
        /// Put the value itself into the agent's process, where all that runs in the sandbox can read it
        #[arg(long)]
        inject: bool,
        /// Put the value into a file in the sandbox's memory, where all that runs there can read it; the variable has the path
        #[arg(long, conflicts_with = "inject")]
        file: bool,
        /// The variable; the provider's own, else the secret's name, where it is not given, with _FILE behind it for a file
        #[arg(long, value_name = "VARIABLE")]
        variable: Option<String>,
    },
    /// Take a secret from an agent
    Revoke {
        /// The secret
        secret: String,
        /// The agent
        agent: String,
    },
    /// Show what an .env file would bring in, and keep those of its lines that are named
    Import {
        /// The file
        file: PathBuf,
        /// The names that are to be kept; without one the file is only shown
        #[arg(value_name = "NAME", conflicts_with = "all")]
        names: Vec<String>,
        /// Keep all that can be kept; ends with 1 where a line cannot
        #[arg(long)]
        all: bool,
    },
}

/// Arguments of `berth secrets set`.
#[derive(Debug, Args)]
pub(crate) struct SetSecret {
    /// Its name: letters, digits, `_`, `-` and `.`
    pub(crate) name: String,
    /// Whose models it opens: anthropic, openai or gemini; guessed from the name where it is not given
    #[arg(long, value_parser = provider)]
    pub(crate) provider: Option<Provider>,
    /// The value is a token of a subscription, as `claude setup-token` prints it; known by its shape where it is not given
    #[arg(long, requires = "provider")]
    pub(crate) subscription: bool,
    /// Where the provider's API is, if not at its own address
    #[arg(long, value_name = "URL", requires = "provider")]
    pub(crate) base_url: Option<String>,
    /// The host of your own that it opens, over HTTPS: Berth then reads what agents that have it brokered send there
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host, conflicts_with = "provider", requires = "place")]
    pub(crate) host: Option<(String, Option<u16>)>,
    /// The header in which the host takes it
    #[arg(long, value_name = "NAME", requires = "host", group = "place")]
    pub(crate) header: Option<String>,
    /// What stands in that header, with {} for the secret
    #[arg(long, value_name = "FORMAT", requires = "header", default_value = "{}", hide_default_value = true)]
    pub(crate) format: String,
    /// The parameter of the query in which the host takes it
    #[arg(long, value_name = "NAME", requires = "host", group = "place")]
    pub(crate) query: Option<String>,
    /// Taken only so that it is not quoted in an error: it may be the value.
    #[arg(hide = true)]
    pub(crate) misplaced: Vec<String>,
}

/// Arguments of `berth requests`.
#[derive(Debug, Args)]
pub(crate) struct Requests {
    #[command(flatten)]
    pub(crate) run: super::RunName,
    /// Only what was refused
    #[arg(long)]
    pub(crate) refused: bool,
    /// How many at most, newest first
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}

/// Arguments of `berth costs`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Costs {
    #[command(subcommand)]
    pub(crate) command: Option<CostsCommand>,
    /// What the lines are sums by: agent, project, model, run or day
    #[arg(long, value_name = "KEY", value_parser = cost_key, default_value = "agent")]
    pub(crate) by: CostKey,
    #[command(flatten)]
    pub(crate) span: Span,
    /// Print the lines as CSV, amounts to the micro-dollar
    #[arg(long)]
    pub(crate) csv: bool,
}

/// A span of days. Days and months begin at midnight UTC.
#[derive(Debug, Args)]
pub(crate) struct Span {
    /// Only today
    #[arg(long, conflicts_with_all = ["month", "from", "until"])]
    pub(crate) today: bool,
    /// Only this month
    #[arg(long, conflicts_with_all = ["from", "until"])]
    pub(crate) month: bool,
    /// From that day on, as 2026-03-01
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(crate) from: Option<Date>,
    /// Up to that day and with it
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(crate) until: Option<Date>,
}

/// What can be done about money.
#[derive(Debug, Subcommand)]
pub(crate) enum CostsCommand {
    /// Set a budget, or take it away; what it held goes on where there is room now
    Budget(SetBudget),
    /// List the runs behind a sum
    Runs(CostRuns),
    /// Show what sandboxes used of this machine: time, CPU, memory; and what that comes to, where there are rates
    Compute(Compute),
    /// Set what compute time costs an hour, or take the rates away
    Rates(SetRates),
    /// List the prices of your own
    Prices,
    /// Set a model's price for a million tokens, or take it away so that the table's holds again
    Price(SetPrice),
}

/// Arguments of `berth costs runs`.
#[derive(Debug, Args)]
pub(crate) struct CostRuns {
    #[command(flatten)]
    pub(crate) of: CostOf,
    #[command(flatten)]
    pub(crate) span: Span,
}

/// Whose runs.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct CostOf {
    /// An agent's
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// A project's; those in none with an empty name
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// Those that asked a model
    #[arg(long)]
    pub(crate) model: Option<String>,
}

/// Arguments of `berth costs compute`.
#[derive(Debug, Args)]
pub(crate) struct Compute {
    /// What the lines are sums by: agent, project, run or day
    #[arg(long, value_name = "KEY", value_parser = compute_key, default_value = "agent")]
    pub(crate) by: CostKey,
    #[command(flatten)]
    pub(crate) span: Span,
    /// Print the lines as CSV, amounts to the micro-dollar
    #[arg(long)]
    pub(crate) csv: bool,
}

/// Arguments of `berth costs rates`.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct SetRates {
    /// For an hour of a sandbox
    #[arg(long, value_name = "USD", value_parser = dollars, allow_negative_numbers = true)]
    pub(crate) container: Option<MicroUsd>,
    /// For an hour of a core at work
    #[arg(long, value_name = "USD", value_parser = dollars, allow_negative_numbers = true)]
    pub(crate) cpu: Option<MicroUsd>,
    /// For an hour of a GiB of memory that a sandbox is given
    #[arg(long, value_name = "USD", value_parser = dollars, allow_negative_numbers = true)]
    pub(crate) memory: Option<MicroUsd>,
    /// Take the rates away
    #[arg(long, conflicts_with_all = ["container", "cpu", "memory"])]
    pub(crate) none: bool,
}

/// Arguments of `berth costs budget`.
#[derive(Debug, Args)]
pub(crate) struct SetBudget {
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// Dollars, such as 5 or 0.25, or `none`
    #[arg(value_parser = amount, allow_negative_numbers = true)]
    pub(crate) amount: Amount,
}

/// What a budget is for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Scope {
    /// That run
    #[arg(long)]
    pub(crate) run: Option<String>,
    /// All runs of that agent in a month
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// All runs of that project in a month
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// Each run that has none of its own
    #[arg(long)]
    pub(crate) each_run: bool,
}

/// An amount as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// No limit.
    None,
    /// That much.
    Dollars(MicroUsd),
}

/// Arguments of `berth costs price`.
#[derive(Debug, Args)]
pub(crate) struct SetPrice {
    /// The model with its provider, as anthropic/claude-sonnet-4-5; openai/* for all of a provider's that have none of their own
    pub(crate) model: String,
    /// For a million tokens that it reads
    #[arg(long, value_name = "USD", value_parser = dollars, allow_negative_numbers = true, required_unless_present = "none")]
    pub(crate) input: Option<MicroUsd>,
    /// For a million tokens that it makes
    #[arg(long, value_name = "USD", value_parser = dollars, allow_negative_numbers = true, required_unless_present = "none")]
    pub(crate) output: Option<MicroUsd>,
    /// For a million tokens out of a cache; as --input where it is not given
    #[arg(long, value_name = "USD", value_parser = dollars, allow_negative_numbers = true)]
    pub(crate) cache_read: Option<MicroUsd>,
    /// For a million tokens into a cache; as --input where it is not given
    #[arg(long, value_name = "USD", value_parser = dollars, allow_negative_numbers = true)]
    pub(crate) cache_write: Option<MicroUsd>,
    /// Take your own price away
    #[arg(long, conflicts_with_all = ["input", "output", "cache_read", "cache_write"])]
    pub(crate) none: bool,
}

fn provider(text: &str) -> Result<Provider, String> {
    Provider::from_name(&text.to_lowercase()).ok_or_else(|| {
        let names: Vec<_> = Provider::ALL.into_iter().map(Provider::name).collect();
        format!("a provider is one of {}", names.join(", "))
    })
}

/// A host, and a port where one is named. Whether it is one is the core's to say.
fn host(text: &str) -> Result<(String, Option<u16>), String> {
    let of = |host: &str, port: &str| match port.parse() {
        Ok(port) => Ok((host.to_owned(), Some(port))),
        Err(_) => Err("a port is a number up to 65535".to_owned()),
    };
    match (text.strip_prefix('['), text.split_once(':')) {
        (Some(rest), _) => match rest.split_once(']') {
            Some((address, "")) => Ok((address.to_owned(), None)),
            Some((address, rest)) => of(address, rest.strip_prefix(':').unwrap_or_default()),
            None => Err("an address in brackets ends with one".to_owned()),
        },
        // More than one colon is an IPv6 address.
        (None, Some((host, port))) if !port.contains(':') => of(host, port),
        (None, _) => Ok((text.to_owned(), None)),
    }
}

fn cost_key(text: &str) -> Result<CostKey, String> {
    CostKey::from_name(&text.to_lowercase()).ok_or_else(|| {
        let names: Vec<_> = CostKey::ALL.into_iter().map(CostKey::name).collect();
        format!("costs are summed by one of {}", names.join(", "))
    })
}

fn compute_key(text: &str) -> Result<CostKey, String> {
    match cost_key(text)? {
        CostKey::Model => Err("a sandbox is no model's: sum by agent, project, run or day".to_owned()),
        key @ (CostKey::Agent | CostKey::Project | CostKey::Run | CostKey::Day) => Ok(key),
    }
}

fn date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "write a day such as 2026-03-01".to_owned())
}

fn amount(text: &str) -> Result<Amount, String> {
    if text == "none" { Ok(Amount::None) } else { dollars(text).map(Amount::Dollars) }
}
