//! The real `claude`, in an image of the test's own.

use wire::{
    call::CreateAgent,
    task::{Launch, ReviewGate},
};

use crate::{OwnImage, TestApp, binaries::repository};

/// The real `claude`, as it was installed for tests; alone in an image of the test's own.
pub fn claude(name: &str) -> (OwnImage, Launch) {
    let machine = if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-x64" };
    let package = format!("target/dev/agents/node_modules/@anthropic-ai/claude-code-{machine}/claude");
    let program = repository().join(package);
    assert!(program.exists(), "`./dev setup` fetches it to {program}");
    // Of another id for each name: what is made of an image goes with it.
    let dockerfile = format!("FROM debian:bookworm-slim\nCOPY claude /usr/local/bin/claude\nLABEL of={name}\n");
    let image = OwnImage::build_with(name, &dockerfile, &[("claude", program.as_str())]);
    let script = "exec claude -p \"$(cat)\" --model claude-sonnet-4-5 --output-format stream-json --verbose --dangerously-skip-permissions";
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    (image, Launch::Command { argv })
}

/// Makes the agent `claude`, which runs in that.
pub async fn make_agent(app: &TestApp, (image, launch): &(OwnImage, Launch)) {
    let (name, image, launch) = ("claude".to_owned(), image.tag.clone(), launch.clone());
    let agent = CreateAgent { name, image, launch, review: ReviewGate::Skip, ..CreateAgent::default() };
    app.call(agent).await.unwrap_or_else(|error| panic!("the agent is refused: {error:?}"));
}

/// What claude says in its last line that it used.
pub fn reported(printed: &str) -> serde_json::Value {
    let mut lines = printed.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.rfind(|line| line["type"] == "result").unwrap_or_else(|| panic!("no result: {printed}"))
}
