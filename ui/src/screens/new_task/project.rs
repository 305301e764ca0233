//! The project that a new task is put into.

use wire::{call::ListProjects, project::ProjectView};
use yew::prelude::*;

use super::{DialogAction, Edit, NewTaskProps};
use crate::{
    context::use_feed,
    parts::chosen,
    query::{Query, use_call},
    say,
};

/// The field. Without a project it says how one is made.
#[component]
pub fn ProjectField(props: &NewTaskProps) -> Html {
    let feed = use_feed();
    let dialog = &props.dialog;
    let projects = use_call(Some(ListProjects {}), feed.projects());
    let onchange = {
        let dispatcher = dialog.dispatcher();
        Callback::from(move |event: Event| {
            let name = Some(chosen(&event)).filter(|name| !name.is_empty());
            dispatcher.dispatch(DialogAction::Edit(Edit::Project(name)));
        })
    };
    let name = dialog.draft.project.as_deref();
    let known = projects.data.as_deref().map(Vec::as_slice).unwrap_or_default();
    let is_listed = name.is_some_and(|name| known.iter().any(|project| project.name == name));
    let (hint, tone) = hint_of(name, &projects);
    html! {
        <label class="field">
            <span class="label">{ "Project" }</span>
            <span class="input">
                <select class="value" data-test="project" {onchange}>
                    <option value="" selected={name.is_none()}>{ "None" }</option>
                    { for known.iter().map(|project| html! {
                        <option key={project.name.clone()} value={project.name.clone()} selected={name == Some(project.name.as_str())}>{ &project.name }</option>
                    }) }
                    if let (Some(name), false) = (name, is_listed) { <option value={name.to_owned()} selected=true>{ say::visible(name) }</option> }
                </select>
            </span>
            <span class="hint" data-tone={tone} data-test="project-hint" title={hint.clone()}>{ hint }</span>
        </label>
    }
}

fn hint_of(name: Option<&str>, projects: &Query<Vec<ProjectView>>) -> (String, Option<&'static str>) {
    let Some(known) = &projects.data else { return (String::new(), None) };
    match name {
        None if known.is_empty() => ("None yet (Settings)".to_owned(), None),
        None => ("Costs count towards no project".to_owned(), None),
        Some(name) => match known.iter().find(|project| project.name == name) {
            Some(project) => (format!("{} in it so far", say::count(project.tasks, "task", "tasks")), None),
            None => ("There is no project of that name".to_owned(), Some("fail")),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    fn known(names: &[&str]) -> Query<Vec<ProjectView>> {
        let project = |name: &&str| {
            serde_json::from_value(serde_json::json!({
                "project": "0195510f-5a00-7000-8000-000000000007", "name": name, "created_at": "2026-11-21T10:00:00Z", "tasks": 1,
                "tasks_open": 0,
            }))
            .unwrap()
        };
        Query { data: Some(Rc::new(names.iter().map(project).collect())), ..Query::default() }
    }

    #[test]
    fn a_project_that_is_not_there_is_told_before_the_task_is_sent() {
        assert_eq!(hint_of(Some("site"), &known(&["books"])).1, Some("fail"));
        assert_eq!(hint_of(Some("site"), &known(&["site"])), ("1 task in it so far".to_owned(), None));
        assert!(hint_of(None, &known(&[])).0.contains("Settings"));
        assert_eq!(hint_of(Some("site"), &Query::default()), (String::new(), None), "nothing is known yet");
    }
}
