//! What can be typed about projects, and about the hosts that a run may reach.

use clap::{Args, Subcommand};

use super::agents::{HostName, host};

/// Arguments of `berth projects`.
#[derive(Debug, Args)]
pub(crate) struct Projects {
    #[command(subcommand)]
    pub(crate) command: Option<ProjectsCommand>,
}

/// What can be done with projects.
#[derive(Debug, Subcommand)]
pub(crate) enum ProjectsCommand {
    /// Make a project
    Create {
        /// Its name: letters, digits, `-`, `_`, `.` and single spaces
        name: String,
    },
    /// Give a project another name; its tasks and its budget stay with it
    Rename {
        /// Its name
        project: String,
        /// Its new name
        name: String,
    },
    /// Change what its runs may reach beside what their agents may
    Edit(EditProject),
    /// Delete a project; its tasks, and what they cost, go on naming it
    Delete {
        /// Its name
        project: String,
        /// Its name once more: it cannot be brought back
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
}

/// Arguments of `berth projects edit`.
#[derive(Debug, Args)]
pub(crate) struct EditProject {
    /// Its name
    pub(crate) project: String,
    /// Put a host onto its list, as example.com, *.example.com or example.com:8443; can be given more than once
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host, required_unless_present = "disallow")]
    pub(crate) allow: Vec<HostName>,
    /// Take a host off its list; can be given more than once
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host)]
    pub(crate) disallow: Vec<HostName>,
    /// The hosts that are allowed here may be this machine or on a private network
    #[arg(long, requires = "allow")]
    pub(crate) private: bool,
}

/// Arguments of `berth allow`.
#[derive(Debug, Args)]
pub(crate) struct Allow {
    #[command(flatten)]
    pub(crate) run: super::RunName,
    /// The host, as example.com, *.example.com or example.com:8443; without one, what the run may reach is shown
    #[arg(value_name = "HOST[:PORT]", value_parser = host, requires = "for_whom")]
    pub(crate) host: Option<HostName>,
    #[command(flatten)]
    pub(crate) scope: AllowScope,
    /// The host may be this machine or on a private network
    #[arg(long, requires = "host")]
    pub(crate) private: bool,
}

/// To whom a host is allowed.
#[derive(Debug, Args)]
#[group(id = "for_whom", multiple = false, requires = "host")]
pub(crate) struct AllowScope {
    /// For this run alone, until it ends
    #[arg(long)]
    pub(crate) once: bool,
    /// For every run of its project
    #[arg(long)]
    pub(crate) project: bool,
    /// For its agent, whatever it works on
    #[arg(long)]
    pub(crate) agent: bool,
}
