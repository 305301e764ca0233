//! `--json` is a promise: these snapshots hold it. A new field is a change of a snapshot; a gone or renamed one breaks scripts.

use serde_json::Value;
use wire::{
    ErrorCode, ErrorView,
    image::ImageView,
    view::{AgentView, DoctorReport, ResultList, RunSummary, RunView, TaskList},
};

use crate::scripted::Berth;

async fn json<T: serde::de::DeserializeOwned>(arguments: &[&str]) -> Value {
    let berth = Berth::start().await;
    let ended = berth.berth(arguments).await.well();
    // It is the view of `wire`, and nothing beside it.
    let _view: T = ended.json();
    ended.json()
}

#[tokio::test]
async fn ls_prints_the_list() {
    insta::assert_json_snapshot!(json::<TaskList>(&["ls", "--json"]).await);
}

#[tokio::test]
async fn show_prints_the_run() {
    insta::assert_json_snapshot!(json::<RunView>(&["--json", "show", "12"]).await);
}

#[tokio::test]
async fn run_prints_the_summary() {
    let value = json::<RunSummary>(&["run", "task.md", "--wait", "--json"]).await;
    insta::assert_json_snapshot!(value);
}

#[tokio::test]
async fn a_failed_run_has_its_error_in_the_summary() {
    let berth = Berth::start().await;
    berth.phases([wire::Phase::Failed]);
    let ended = berth.berth(&["run", "task.md", "--wait", "--json"]).await;
    assert_eq!(ended.status, 3);
    insta::assert_json_snapshot!(ended.json::<Value>());
}

#[tokio::test]
async fn cancel_prints_the_summary() {
    insta::assert_json_snapshot!(json::<RunSummary>(&["cancel", "12", "--json"]).await);
}

#[tokio::test]
async fn results_prints_the_results() {
    insta::assert_json_snapshot!(json::<ResultList>(&["results", "12", "--json"]).await);
}

#[tokio::test]
async fn agents_images_and_doctor_print_their_lists() {
    insta::assert_json_snapshot!("agents", json::<Vec<AgentView>>(&["agents", "--json"]).await);
    insta::assert_json_snapshot!("images", json::<Vec<ImageView>>(&["images", "--json"]).await);
    insta::assert_json_snapshot!("images_build", json::<ImageView>(&["images", "build", "script", "--json"]).await);
    insta::assert_json_snapshot!("doctor", json::<DoctorReport>(&["doctor", "--json"]).await);
}

#[tokio::test]
async fn version_prints_the_version() {
    let value = json::<Value>(&["version", "--json"]).await;
    assert_eq!(value, serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
}

#[tokio::test]
async fn an_error_is_one_object_on_stderr() {
    let berth = Berth::start().await;
    let ended = berth.berth(&["show", "99", "--json"]).await;
    assert_eq!((ended.status, ended.text()), (1, ""));
    let error: ErrorView = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(error, ErrorView::new(ErrorCode::NotFound, "No run is called 99.").hint("Look at `berth ls`."));
}
