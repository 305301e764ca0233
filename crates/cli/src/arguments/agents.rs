//! What can be typed about agents.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use wire::view::AgentColour;

/// Arguments of `berth agents`.
#[derive(Debug, Args)]
pub(crate) struct Agents {
    #[command(subcommand)]
    pub(crate) command: Option<AgentsCommand>,
}

/// What can be done with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// Add an agent
    Create(CreateAgent),
    /// Change an agent; what is not given stays, and so does its home
    Edit(EditAgent),
    /// Give an agent another name; its home and its memory go along
    Rename {
        /// Its name
        agent: String,
        /// Its new name: 1 to 40 of a-z, 0-9 and -, beginning with a letter
        name: String,
    },
    /// Add another agent like one, with a home of its own
    Duplicate {
        /// The one there is
        agent: String,
        /// The new one's name
        name: String,
    },
    /// Show one agent: what it may reach and which secrets it has
    Show {
        /// Its name
        agent: String,
    },
    /// Delete an agent; its tasks stay
    Delete(DeleteAgent),
}

/// Arguments of `berth agents edit`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct EditAgent {
    /// Its name
    pub(crate) agent: String,
    /// What it runs in: an image of the Gallery, or any reference that the engine has
    #[arg(long)]
    pub(crate) image: Option<String>,
    /// Start the image's own entrypoint and command
    #[arg(long, conflicts_with_all = ["program", "usual"])]
    pub(crate) entrypoint: bool,
    /// Start what the image of the Gallery says
    #[arg(long, conflicts_with = "program")]
    pub(crate) usual: bool,
    /// How long its steps may work, as 90s, 30m, 2h or 1d
    #[arg(long, value_name = "DURATION", value_parser = super::seconds)]
    pub(crate) time: Option<u64>,
    /// How much memory its steps may take, as 512M or 4G
    #[arg(long, value_name = "SIZE", value_parser = super::bytes)]
    pub(crate) memory: Option<u64>,
    /// Whether you are asked at the end of its steps
    #[arg(long)]
    pub(crate) review: Option<Review>,
    /// The colour of its plate
    #[arg(long, value_parser = colour)]
    pub(crate) colour: Option<AgentColour>,
    /// What its sandboxes may reach; `closed` and `bridge` forget the list of hosts
    #[arg(long, value_name = "MODE")]
    pub(crate) network: Option<NetworkMode>,
    /// Put a host onto its list, as example.com, *.example.com or example.com:8443; can be given more than once
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host)]
    pub(crate) allow: Vec<HostName>,
    /// Take a host off its list; can be given more than once
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host)]
    pub(crate) disallow: Vec<HostName>,
    /// The hosts that are allowed here may be this machine or on a private network
    #[arg(long, requires = "allow")]
    pub(crate) private: bool,
    #[command(flatten)]
    pub(crate) kit: Kit,
    /// Take its standing instructions away
    #[arg(long, conflicts_with = "persona")]
    pub(crate) no_persona: bool,
    /// Take all its packages away; those that are given beside come in their place
    #[arg(long)]
    pub(crate) no_tools: bool,
    /// Start this program with these arguments instead of what the image says
    #[arg(last = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<String>,
}

/// What an agent brings along.
#[derive(Debug, Default, Args)]
pub(crate) struct Kit {
    /// The model that it uses, as its provider names it; an empty name for the image's own choice
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// A Markdown file with standing instructions; give it again for more, which the agent reads in that order
    #[arg(long, value_name = "FILE")]
    pub(crate) persona: Vec<PathBuf>,
    /// Whether it has a memory that it reads and writes
    #[arg(long, value_name = "WHETHER")]
    pub(crate) remember: Option<Remember>,
    /// A package of Debian on top of its image, as jq or jq=1.6-2.1; can be given more than once
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) apt: Vec<String>,
    /// A package of npm on top of its image, as typescript or @scope/name@1.2.3; can be given more than once
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) npm: Vec<String>,
    /// A package of PyPI on top of its image, as ruff or ruff==0.14.5; can be given more than once
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) pip: Vec<String>,
}

/// Whether an agent has a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Remember {
    /// It has
    On,
    /// It has none; what is in its home stays
    Off,
}

/// What sandboxes may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkMode {
    /// Nothing, models neither
    Closed,
    /// The models that its brokered secrets open, and the hosts on its list
    Allowlist,
    /// Any public host on the ports 80 and 443, and the hosts on its list
    Open,
    /// Everything that this machine reaches: a real network, where nothing is checked, brokered or metered
    Bridge,
}

/// A host as it is typed, perhaps with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostName {
    /// A name, a pattern or an address.
    pub(crate) host: String,
    /// That port alone.
    pub(crate) port: Option<u16>,
}

/// Whether a person is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Review {
    /// You are
    Ask,
    /// They complete by themselves
    Skip,
}

/// Arguments of `berth agents delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteAgent {
    /// Its name
    pub(crate) agent: String,
    /// Its name once more: it cannot be brought back
    #[arg(long, value_name = "NAME")]
    pub(crate) confirm: String,
    /// Delete its home too; without this it stays, and `berth homes` lists it as that of a deleted agent
    #[arg(long)]
    pub(crate) with_home: bool,
}

/// Arguments of `berth agents create`.
#[derive(Debug, Args)]
pub(crate) struct CreateAgent {
    /// Its name: 1 to 40 of a-z, 0-9 and -, beginning with a letter
    pub(crate) name: String,
    /// What it runs in: an image of the Gallery, or any reference that the engine has
    #[arg(long)]
    pub(crate) image: String,
    /// Start the image's own entrypoint and command
    #[arg(long, conflicts_with = "program")]
    pub(crate) entrypoint: bool,
    /// How long its steps may work, as 90s, 30m, 2h or 1d
    #[arg(long, value_name = "DURATION", value_parser = super::seconds)]
    pub(crate) time: Option<u64>,
    /// How much memory its steps may take, as 512M or 4G
    #[arg(long, value_name = "SIZE", value_parser = super::bytes)]
    pub(crate) memory: Option<u64>,
    /// How much disk its workspace and its home's growth may take, as 512M or 10G
    #[arg(long, value_name = "SIZE", value_parser = super::bytes)]
    pub(crate) disk: Option<u64>,
    /// Complete its steps without asking you
    #[arg(long)]
    pub(crate) skip_review: bool,
    /// The colour of its plate
    #[arg(long, value_parser = colour)]
    pub(crate) colour: Option<AgentColour>,
    /// What its sandboxes may reach
    #[arg(long, value_name = "MODE")]
    pub(crate) network: Option<NetworkMode>,
    /// Put a host onto its list, as example.com, *.example.com or example.com:8443; can be given more than once
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host)]
    pub(crate) allow: Vec<HostName>,
    /// The hosts that are allowed here may be this machine or on a private network
    #[arg(long, requires = "allow")]
    pub(crate) private: bool,
    #[command(flatten)]
    pub(crate) kit: Kit,
    /// Start this program with these arguments instead of what the image says
    #[arg(last = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<String>,
}

fn colour(text: &str) -> Result<AgentColour, String> {
    AgentColour::from_name(text).ok_or_else(|| {
        let names: Vec<_> = AgentColour::ALL.into_iter().map(AgentColour::name).collect();
        format!("a colour is one of {}", names.join(", "))
    })
}

/// A host, and a port behind a colon. An address of IPv6 with a port is in brackets, as in a URL (RFC 3986, 3.2.2). Whether it is a
/// host is the core's to say.
pub(super) fn host(text: &str) -> Result<HostName, String> {
    let parts = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').and_then(|(host, rest)| match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        }),
        None => Some(match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            Some(_) | None => (text, None),
        }),
    };
    let read = |(host, port): (&str, Option<&str>)| {
        let port = port.map(|port| port.parse::<NonZeroU16>().map(NonZeroU16::get)).transpose().ok()?;
        Some(HostName { host: host.to_owned(), port })
    };
    parts.filter(|(host, _)| !host.is_empty()).and_then(read).ok_or_else(|| {
        "write example.com, *.example.com, an address, or one of them with a port, as example.com:8443".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_have_a_port_behind_it() {
        for (text, host_name, port) in [
            ("example.com", "example.com", None),
            ("*.example.com:8443", "*.example.com", Some(8443)),
            ("10.0.0.1:80", "10.0.0.1", Some(80)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:8080", "::1", Some(8080)),
        ] {
            assert_eq!(host(text), Ok(HostName { host: host_name.to_owned(), port }), "{text}");
        }
        for nonsense in ["", ":80", "a:", "a:0", "a:65536", "https://example.com", "[::1]x", "[]", "[::1", "a:+-1"] {
            assert!(host(nonsense).is_err(), "{nonsense}");
        }
    }
}
