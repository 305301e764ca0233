//! What agents bring along, what their processes find of it, and what a person in a terminal finds.

use std::collections::BTreeMap;

use berth_core::Stream;
use engine::ErrorKind;
use pipe::message::StartAsk;
use testkit::{Fault, Op, until};
use wire::{
    Action, ErrorCode, ErrorView, Phase,
    call::{CreateAgent, DuplicateAgent, GrantSecret, ListAgents, SetSecret, UpdateAgent},
    image::Tools,
    network::NetworkPolicy,
    secret::{CredentialKind, Provider, SecretBinding, SecretText, SecretWay},
    stream::{ShellProgram, StreamTarget},
    task::{Launch, ReviewGate},
    view::{AgentColour, AgentView, PersonaFile},
};

use crate::guest::Guest;
use crate::scene::{BOUND, Scene};

fn file(name: &str, text: &str) -> PersonaFile {
    PersonaFile { name: name.to_owned(), text: text.to_owned() }
}

/// One with everything, whom a person is asked about.
fn all_of_it(name: &str) -> CreateAgent {
    CreateAgent {
        name: name.to_owned(),
        image: "own/image:1".to_owned(),
        launch: Launch::Command { argv: vec!["agent".to_owned()] },
        review: ReviewGate::Ask,
        colour: AgentColour::Green,
        model: Some("model-1".to_owned()),
        persona: vec![file("one.md", "Be brief."), file("two.md", "Test first.\n")],
        ..CreateAgent::default()
    }
}

async fn agent(scene: &Scene, name: &str) -> AgentView {
    let agents = scene.api().call(ListAgents {}).await.unwrap();
    agents.into_iter().find(|agent| agent.name == name).unwrap()
}

fn environment(start: &StartAsk) -> BTreeMap<&str, &str> {
    start.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_finds_what_its_agent_brings_when_it_begins() {
    let scene = Scene::without_agent().await;
    scene.api().call(all_of_it("ada")).await.unwrap();
    let task = scene.task_of("ada", "Work", None).await;
    let guest = scene.at_work(&task).await;
    let start = guest.agent().unwrap().start;
    let found = environment(&start);
    assert_eq!((found["BERTH_MODEL"], found["BERTH_MEMORY"]), ("model-1", "/home/agent/clawvault/ada"));
    let [persona] = start.files.as_slice() else { panic!("{:?}", start.files) };
    assert_eq!(
        (persona.text.as_str(), persona.variables.as_slice()),
        ("Be brief.\n\nTest first.\n", ["BERTH_PERSONA".to_owned()].as_slice())
    );
    guest.exit_with(0);
    let step = scene.until_phase(&task, Phase::AwaitingReview).await;

    // Mended before the changes are asked for, so that the next attempt goes by it.
    let mend = UpdateAgent {
        agent: "ada".to_owned(),
        model: Some(String::new()),
        persona: Some(Vec::new()),
        has_memory: Some(false),
        ..UpdateAgent::default()
    };
    scene.api().call(mend).await.unwrap();
    scene.act(step.step, Action::RequestChanges, "Again").await.unwrap();
    until("the second attempt", BOUND, async || scene.step(&task).await.attempt == 2).await;
    let guest = scene.at_work(&task).await;
    let start = guest.agent().unwrap().start;
    let found = environment(&start);
    assert_eq!(found["BERTH_ATTEMPT"], "2");
    assert_eq!(["BERTH_MODEL", "BERTH_MEMORY", "BERTH_PERSONA"].map(|name| found.get(name)), [None; 3]);
    assert_eq!(start.files, []);
    scene.cancel(&task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_brings_is_shown_copied_and_refused_by_name() {
    let scene = Scene::start().await;
    let tools = Tools { apt: vec!["jq".to_owned()], pip: vec!["six==1.17.0".to_owned()], ..Tools::default() };
    let create = CreateAgent { tools: tools.clone(), has_memory: false, ..all_of_it("ada") };
    scene.api().call(create.clone()).await.unwrap();
    scene.api().call(DuplicateAgent { agent: "ada".to_owned(), name: "bob".to_owned() }).await.unwrap();
    for name in ["ada", "bob"] {
        let shown = agent(&scene, name).await;
        assert_eq!((&shown.model, &shown.persona, shown.has_memory), (&create.model, &create.persona, false), "{name}");
        assert_eq!((&shown.tools, shown.colour), (&tools, AgentColour::Green), "{name}");
    }
    let own = agent(&scene, "own").await;
    assert_eq!((own.model, own.persona, own.has_memory, own.tools), (None, Vec::new(), true, Tools::default()));

    let nothing = || UpdateAgent { agent: "ada".to_owned(), ..UpdateAgent::default() };
    for (change, named) in [
        (UpdateAgent { model: Some("--yolo".to_owned()), ..nothing() }, "`--yolo` is not the name of a model"),
        (UpdateAgent { persona: Some(vec![file("../x", "")]), ..nothing() }, "`../x` is not a name"),
        (UpdateAgent { persona: Some(vec![file("x", "\u{0}")]), ..nothing() }, "`x` is no text"),
        (UpdateAgent { persona: Some(vec![file("x", &"x".repeat((64 << 10) + 1))]), ..nothing() }, "`x` is too large"),
        (
            UpdateAgent { tools: Some(Tools { npm: vec!["x; id".to_owned()], ..Tools::default() }), ..nothing() },
            "`x; id` is not the name of a package of npm",
        ),
    ] {
        let error = scene.api().call(change).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert!(error.message.contains(named) && !error.hint.is_empty(), "{error:?}");
    }
    assert_eq!(agent(&scene, "ada").await.persona, create.persona, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_refuses_the_images_profile_fails_the_step_with_the_image_and_the_ways_out() {
    let scene = Scene::start().await;
    scene.engine.fault(Op::Start, scene.engine.count(Op::Start) + 1, Fault::Fail(ErrorKind::ProfileRefused));
    let task = scene.task("Browse").await;
    let error = scene.until_phase(&task, Phase::Failed).await.error.unwrap();
    assert_eq!(error.code, ErrorCode::EngineFailed);
    assert!(error.message.contains("`own/image:1`") && error.message.contains("this engine refuses it"), "{error:?}");
    assert!(error.hint.contains("weaker way") && error.hint.contains("--no-sandbox"), "{error:?}");
    scene.nothing_is_left().await;
}

async fn open(
    scene: &Scene,
    guest: &Guest,
    step: wire::ids::StepId,
    program: ShellProgram,
) -> Result<StartAsk, ErrorView> {
    let before = guest.process();
    let target = StreamTarget::Shell { step, columns: 80, rows: 24, program };
    let Stream::Terminal(_terminal) = scene.api().open_stream(target).await? else { panic!("a shell is a terminal") };
    assert_ne!(guest.process(), before);
    Ok(guest.agent().unwrap().start)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_has_the_agents_way_out_and_no_value_of_a_secret() {
    let scene = Scene::without_agent().await;
    scene.api().call(all_of_it("ada")).await.unwrap();
    let brokered =
        SecretBinding::Provider { provider: Provider::Openai, base_url: None, credential: CredentialKind::default() };
    for (name, binding, way) in [
        ("KEY", brokered, SecretWay::Brokered),
        ("TOKEN", SecretBinding::Unbound, SecretWay::Injected),
        ("FILE", SecretBinding::Unbound, SecretWay::File),
    ] {
        let value = SecretText::new("hunter2".to_owned());
        scene.api().call(SetSecret { name: name.to_owned(), value, binding: Some(binding) }).await.unwrap();
        let grant = GrantSecret { secret: name.to_owned(), agent: "ada".to_owned(), way: Some(way), variable: None };
        scene.api().call(grant).await.unwrap();
    }
    let task = scene.task_of("ada", "Work", None).await;
    let guest = scene.at_work(&task).await;
    let at_work = guest.agent().unwrap().start;
    let agents = environment(&at_work);
    assert_eq!((agents["TOKEN"], at_work.files.len()), ("hunter2", 2));

    let step = scene.step(&task).await.step;
    let shell = open(&scene, &guest, step, ShellProgram::Shell).await.unwrap();
    let found = environment(&shell);
    assert_eq!((shell.argv.as_slice(), found["TERM"]), (["/bin/bash".to_owned()].as_slice(), "xterm-256color"));
    for name in
        ["http_proxy", "HTTPS_PROXY", "no_proxy", "OPENAI_API_KEY", "OPENAI_BASE_URL", "COLOUR", "BERTH_TASK", "HOME"]
    {
        assert_eq!(found.get(name), agents.get(name), "{name}");
    }
    assert!(found.contains_key("OPENAI_API_KEY") && found["OPENAI_API_KEY"] != "hunter2");
    assert!(
        !format!("{:?} {:?}", shell.env, shell.files.iter().map(|file| &file.text).collect::<Vec<_>>())
            .contains("hunter2")
    );
    assert_eq!(["TOKEN", "BERTH_MODEL"].map(|name| found.get(name)), [None; 2]);

    let closed =
        UpdateAgent { agent: "ada".to_owned(), network: Some(NetworkPolicy::Closed), ..UpdateAgent::default() };
    scene.api().call(closed).await.unwrap();
    let shell = open(&scene, &guest, step, ShellProgram::Shell).await.unwrap();
    assert_eq!(environment(&shell).get("http_proxy"), None, "there is no gateway any more");

    let refused = open(&scene, &guest, step, ShellProgram::Agent).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotNow);
    assert!(refused.message.contains("`own/image:1`") && refused.hint.contains("shell"), "{refused:?}");
    scene.cancel(&task).await;
}
