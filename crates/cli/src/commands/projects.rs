//! Projects, and whom a host is allowed to.

use wire::{
    ErrorCode, ErrorView,
    call::{AllowHost, CreateProject, DeleteProject, ListProjects, ShowReach, UpdateProject},
    network::{GrantScope, HostGrant},
    project::ProjectView,
};

use super::network;
use crate::{
    arguments::{Allow, AllowScope, EditProject, Projects, ProjectsCommand},
    connection::Connection,
    exit::Exit,
    show::{Printer, projects, words},
};

/// `berth projects [create|rename|edit|delete NAME]`
pub(super) async fn projects(connection: &Connection, typed: Projects, printer: Printer) -> anyhow::Result<Exit> {
    let one = |project: ProjectView| printer.reply(&project, |ink| projects::list(std::slice::from_ref(&project), ink));
    match typed.command {
        None => {
            let all = connection.call(ListProjects {}).await?;
            printer.reply(&all, |ink| projects::list(&all, ink))?;
        }
        Some(ProjectsCommand::Create { name }) => one(connection.call(CreateProject { name }).await?)?,
        Some(ProjectsCommand::Rename { project, name }) => {
            let change = UpdateProject { project, name: Some(name), ..UpdateProject::default() };
            one(connection.call(change).await?)?;
        }
        Some(ProjectsCommand::Edit(EditProject { project, allow, disallow, private })) => {
            let patch = network::patch(&allow, &disallow, private);
            let change = UpdateProject { project, patch, ..UpdateProject::default() };
            one(connection.call(change).await?)?;
        }
        Some(ProjectsCommand::Delete { project, confirm }) => {
            let deleted = connection.call(DeleteProject { project: project.clone(), confirm }).await?;
            printer.reply(&deleted, |_| format!("Deleted the project {}.\n", words::line(&project)))?;
        }
    }
    Ok(Exit::Done)
}

/// `berth allow RUN [HOST[:PORT] --once|--project|--agent [--private]]`
pub(super) async fn allow(connection: &Connection, allow: Allow, printer: Printer) -> anyhow::Result<Exit> {
    let Allow { run, host, scope, private } = allow;
    let run = run.run;
    let before = connection.call(ShowReach { run: run.clone() }).await?;
    let Some(host) = host else {
        printer.reply(&before, |ink| projects::reach(&before, ink))?;
        return Ok(Exit::Done);
    };
    let grant = HostGrant { host: host.host, port: host.port, reach: network::reach(private) };
    let AllowScope { once, project: for_project, agent: _ } = scope;
    let scope = match (once, for_project, before.project) {
        (true, ..) => GrantScope::Run { run: run.clone() },
        (false, true, Some(project)) => GrantScope::Project { project },
        (false, true, None) => {
            return Err(ErrorView::new(ErrorCode::InvalidArgument, "The run's task is in no project.")
                .hint("Allow the host --once, or for the --agent.")
                .into());
        }
        (false, false, _) => GrantScope::Agent,
    };
    connection.call(AllowHost { agent: before.agent, grant, scope }).await?;
    let after = connection.call(ShowReach { run }).await?;
    printer.reply(&after, |ink| projects::reach(&after, ink))?;
    Ok(Exit::Done)
}
