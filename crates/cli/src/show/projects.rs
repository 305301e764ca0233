//! Projects, and what a run may reach.

use wire::{
    network::{BRIDGE_IN_SHORT, HostGrant, NetworkPolicy, ReachView},
    project::ProjectView,
};

use super::{
    ink::{Ink, Tone},
    network::host,
    table::{Cell, Table},
    words::line,
};

/// One line a project.
pub(crate) fn list(projects: &[ProjectView], ink: Ink) -> String {
    if projects.is_empty() {
        return "No projects. Make one with `berth projects create NAME`.\n".to_owned();
    }
    let mut table = Table::new(["PROJECT", "TASKS", "NOT ENDED", "HOSTS"]);
    for project in projects {
        table.row([
            Cell::toned(Tone::Strong, &project.name),
            Cell::plain(&project.tasks.to_string()),
            Cell::plain(&project.tasks_open.to_string()),
            Cell::plain(&hosts(&project.hosts)),
        ]);
    }
    table.lay_out(ink)
}

fn hosts(hosts: &[HostGrant]) -> String {
    hosts.iter().map(host).collect::<Vec<_>>().join(", ")
}

/// What a run may reach beside its models: one line a host, with where it comes from.
pub(crate) fn reach(view: &ReachView, ink: Ink) -> String {
    let agent = line(&view.agent);
    let mut text = String::new();
    match view.network {
        NetworkPolicy::Closed => {
            put!(text, "{agent} is closed: this run reaches nothing.");
            return text;
        }
        NetworkPolicy::Bridge => {
            put!(text, "{agent} is a bridge agent. {BRIDGE_IN_SHORT}");
            return text;
        }
        NetworkPolicy::Allowlist { .. } => {
            put!(text, "This run reaches the hosts below, and the models that {agent} has a secret for.");
        }
        NetworkPolicy::Open { .. } => {
            put!(text, "This run reaches any public host on the ports 80 and 443, and the hosts below.");
        }
    }
    let project = view.project.as_deref().map_or_else(String::new, |project| format!("the project {project}"));
    let mut table = Table::new(["HOST", "ALLOWED FOR"]);
    let agents = view.network.hosts().iter().map(|grant| (grant, format!("the agent {}", view.agent)));
    let projects = view.project_hosts.iter().map(|grant| (grant, project.clone()));
    let once = view.run_hosts.iter().map(|grant| (grant, "this run".to_owned()));
    let mut is_empty = true;
    for (grant, whom) in agents.chain(projects).chain(once) {
        is_empty = false;
        table.row([Cell::toned(Tone::Strong, &host(grant)), Cell::plain(&whom)]);
    }
    if is_empty {
        put!(text, "No host is allowed.");
    } else {
        text.push('\n');
        text.push_str(&table.lay_out(ink));
    }
    text
}
