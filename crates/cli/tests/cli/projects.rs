//! Projects, and whom a host is allowed to.

use serde_json::Value;
use wire::{
    Request,
    call::{CreateProject, DeleteProject, UpdateProject},
    network::{GrantReach, GrantScope, HostGrant, HostsPatch},
};

use crate::scripted::Berth;

fn changes(berth: &Berth) -> Vec<Request> {
    let asked = berth.script.asked.lock().unwrap();
    let is_change = |request: &&Request| !matches!(request, Request::ListProjects(_) | Request::ShowReach(_));
    asked.iter().filter(is_change).cloned().collect()
}

fn host(host: &str, port: Option<u16>, reach: GrantReach) -> HostGrant {
    HostGrant { host: host.to_owned(), port, reach }
}

#[tokio::test]
async fn projects_are_listed_made_renamed_and_deleted() {
    let berth = Berth::start().await;
    insta::assert_snapshot!("words_projects", berth.berth(&["projects"]).await.well().text());
    insta::assert_json_snapshot!("json_projects", berth.berth(&["projects", "--json"]).await.well().json::<Value>());
    berth.berth(&["projects", "create", "my trip"]).await.well();
    berth.berth(&["projects", "rename", "site", "harbour"]).await.well();
    let deleted = berth.berth(&["projects", "delete", "site", "--confirm", "site"]).await.well();
    assert_eq!(deleted.text(), "Deleted the project site.\n");
    let site = || "site".to_owned();
    assert_eq!(
        changes(&berth),
        [
            CreateProject { name: "my trip".to_owned() }.into(),
            UpdateProject { project: site(), name: Some("harbour".to_owned()), ..UpdateProject::default() }.into(),
            DeleteProject { project: site(), confirm: site() }.into(),
        ]
    );
    assert_eq!(berth.berth(&["projects", "delete", "site"]).await.status, 2, "the name is typed once more");
}

#[tokio::test]
async fn hosts_are_put_onto_a_projects_list_and_taken_off_it() {
    let berth = Berth::start().await;
    let edit = ["projects", "edit", "site", "--allow", "b.example:8443", "--private", "--disallow", "A.example"];
    berth.berth(&edit).await.well();
    let patch = HostsPatch {
        allow: vec![host("b.example", Some(8443), GrantReach::Private)],
        disallow: vec![host("A.example", None, GrantReach::Public)],
    };
    let project = "site".to_owned();
    assert_eq!(changes(&berth), [UpdateProject { project, patch, ..UpdateProject::default() }.into()]);
    assert_eq!(berth.berth(&["projects", "edit", "site"]).await.status, 2, "nothing to change");
}

#[tokio::test]
async fn a_host_is_allowed_to_whom_it_is_said() {
    let berth = Berth::start().await;
    insta::assert_snapshot!("words_reach", berth.berth(&["allow", "12"]).await.well().text());
    assert_eq!(changes(&berth), []);
    for flag in ["--once", "--project", "--agent"] {
        berth.berth(&["allow", "12", "c.example", flag]).await.well();
    }
    let scopes: Vec<_> = changes(&berth)
        .into_iter()
        .map(|request| match request {
            Request::AllowHost(allow) => {
                assert_eq!(
                    (allow.agent.as_str(), allow.grant),
                    ("script", host("c.example", None, GrantReach::Public))
                );
                allow.scope
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let (run, project) = ("12".to_owned(), "site".to_owned());
    assert_eq!(scopes, [GrantScope::Run { run }, GrantScope::Project { project }, GrantScope::Agent]);
    for arguments in [
        ["allow", "12", "c.example"].as_slice(),
        &["allow", "12", "c.example", "--once", "--agent"],
        &["allow", "12", "--once"],
    ] {
        assert_eq!(berth.berth(arguments).await.status, 2, "{arguments:?}");
    }
}
