//! Projects: what a person does with them.

use store::{ProjectRecord, StoreError};
use wire::{
    ErrorCode, ErrorView, EventKind,
    call::{CreateProject, DeleteProject, Deleted, UpdateProject},
    project::{PROJECT_NAME_CHARS_MAX, ProjectView, is_project_name},
    stream::Update,
};

use crate::clock::new_id;
use crate::house::House;
use crate::{access, escape, faults};

/// Most projects that an error names.
const NAMED_MAX: usize = 12;

/// All of them, by name.
pub(crate) async fn list(house: &House) -> Result<Vec<ProjectView>, ErrorView> {
    let records = house.store.projects().await.map_err(|error| of_store("read the projects", &error))?;
    Ok(records.into_iter().map(view).collect())
}

/// Makes a project.
pub(crate) async fn create(house: &House, call: &CreateProject) -> Result<ProjectView, ErrorView> {
    check(&call.name)?;
    let events = vec![EventKind::Note { text: format!("The project {} was made", call.name) }];
    let created = house.store.create_project(new_id(), &call.name, house.time.now(), events).await;
    created.map_err(|error| of_store("write the project down", &error))?;
    house.tell(Update::Projects);
    find(house, &call.name).await.map(view)
}

/// Changes a project. Its tasks and its budget stay with it.
pub(crate) async fn update(house: &House, call: UpdateProject) -> Result<ProjectView, ErrorView> {
    let _turn = house.access.policy_turn().await;
    update_in_turn(house, call).await
}

/// The same for who has the turn already.
pub(crate) async fn update_in_turn(house: &House, call: UpdateProject) -> Result<ProjectView, ErrorView> {
    let record = find(house, &call.project).await?;
    let name = call.name.unwrap_or_else(|| record.name.clone());
    check(&name)?;
    let hosts = match call.hosts {
        Some(hosts) => access::rules::tidy(&hosts).map_err(|reason| {
            ErrorView::new(ErrorCode::InvalidArgument, reason).hint("Mend that host, then try again.")
        })?,
        None => access::rules::patched(record.hosts.clone(), &call.patch, "the project's")?,
    };
    let text = if name == record.name {
        format!("The project {name} was changed")
    } else {
        format!("The project {} is called {name} now", record.name)
    };
    let events = vec![EventKind::Note { text }];
    let updated = house.store.update_project(record.project, &name, &hosts, house.time.now(), events).await;
    updated.map_err(|error| of_store("write the project down", &error))?;
    access::rules_changed(house).await;
    tell_all(house);
    find(house, &name).await.map(view)
}

/// Removes a project. Its tasks, and what they cost, go on naming it.
pub(crate) async fn delete(house: &House, call: &DeleteProject) -> Result<Deleted, ErrorView> {
    let record = find(house, &call.project).await?;
    if call.confirm != record.name {
        let shown = escape::visible(call.confirm.as_bytes());
        let message = format!("`{shown}` is not the name of this project, so it was not deleted.");
        return Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(format!("Its name is `{}`.", record.name)));
    }
    if let Some(reason) = delete_denied(&record) {
        return Err(
            ErrorView::new(ErrorCode::NotNow, reason).hint("End, approve or reject them (`berth ls`), then delete it.")
        );
    }
    let events = vec![EventKind::Note { text: format!("The project {} was deleted", record.name) }];
    let removed = house.store.remove_project(record.project, house.time.now(), events).await;
    removed.map_err(|error| of_store("write down that the project is deleted", &error))?;
    tell_all(house);
    Ok(Deleted {})
}

/// The project of that name.
pub(crate) async fn find(house: &House, name: &str) -> Result<ProjectRecord, ErrorView> {
    match house.store.project_by_name(name).await {
        Ok(record) => Ok(record),
        Err(StoreError::NotFound { .. }) => {
            let known = house.store.projects().await.map_err(|error| of_store("read the projects", &error))?;
            Err(unknown(name, known.into_iter().map(|project| project.name).collect()))
        }
        Err(error) => Err(of_store("read the projects", &error)),
    }
}

/// That there is no project of that name, with those there are and how it is made.
fn unknown(name: &str, mut known: Vec<String>) -> ErrorView {
    let shown = escape::visible(name.as_bytes());
    let more = known.len().saturating_sub(NAMED_MAX);
    known.truncate(NAMED_MAX);
    let there_are = match (known.as_slice(), more) {
        ([], _) => "There are no projects yet".to_owned(),
        (known, 0) => format!("Choose one of these: {}", known.join(", ")),
        (known, more) => format!("Choose one of these: {}, and {more} more (`berth projects`)", known.join(", ")),
    };
    // A name with a space in it is two words to a shell.
    let quoted = if name.contains(' ') { format!("'{name}'") } else { name.to_owned() };
    let hint = if is_project_name(name) {
        format!("{there_are}; `berth projects create {quoted}` makes it.")
    } else {
        format!("{there_are}; `berth projects create NAME` makes one.")
    };
    ErrorView::new(ErrorCode::NotFound, format!("There is no project named `{shown}`.")).hint(hint)
}

fn check(name: &str) -> Result<(), ErrorView> {
    if is_project_name(name) {
        return Ok(());
    }
    let shown = escape::visible(name.as_bytes());
    Err(ErrorView::new(ErrorCode::InvalidArgument, format!("`{shown}` is not a name for a project.")).hint(format!(
        "Use 1 to {PROJECT_NAME_CHARS_MAX} letters, digits, dashes, dots, underscores and single spaces, with a letter or a digit at \
         both ends."
    )))
}

fn view(record: ProjectRecord) -> ProjectView {
    let delete_denied = delete_denied(&record);
    let ProjectRecord { project, name, hosts, created_at, tasks, tasks_open } = record;
    ProjectView { project, name, created_at, tasks, tasks_open, hosts, delete_denied }
}

/// Why a project cannot be deleted now: what holds its runs would go with it.
fn delete_denied(record: &ProjectRecord) -> Option<String> {
    match record.tasks_open {
        0 => None,
        1 => Some("One of its tasks has not ended.".to_owned()),
        several => Some(format!("{several} of its tasks have not ended.")),
    }
}

/// A project's name stands with its tasks and with what they cost too.
fn tell_all(house: &House) {
    house.tell(Update::All);
}

fn of_store(doing: &str, error: &StoreError) -> ErrorView {
    if let StoreError::ProjectNameTaken { name } = error {
        return ErrorView::new(ErrorCode::InvalidArgument, format!("There is a project named `{name}` already."))
            .hint("Choose another name; `berth projects` lists those there are.");
    }
    faults::of_storage(doing, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_project_is_told_with_those_there_are_and_how_to_make_it() {
        let hint = |name: &str, known: &[&str]| unknown(name, known.iter().map(ToString::to_string).collect()).hint;
        assert_eq!(hint("site", &[]), "There are no projects yet; `berth projects create site` makes it.");
        assert_eq!(
            hint("my site", &["books", "trip"]),
            "Choose one of these: books, trip; `berth projects create 'my site'` makes it."
        );
        assert_eq!(hint("a;rm", &["books"]), "Choose one of these: books; `berth projects create NAME` makes one.");
        let many: Vec<_> = (0..20).map(|number| format!("p{number}")).collect();
        let many = hint("x", &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(many.contains("p11, and 8 more") && !many.contains("p12"), "{many}");
    }
}
