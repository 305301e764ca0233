//! What a process in a sandbox finds around it: its environment, and files in memory.
//!
//! | | the agent's process | a person speaking with the agent | a person's shell |
//! |---|---|---|---|
//! | the image's variables, whom to trust, who and where it is | yes | yes | yes |
//! | the way to the gateway, placeholders of brokered secrets | yes | yes | yes |
//! | its model, standing instructions, memory | yes | yes | no |
//! | the values of injected secrets | yes | yes | no |
//!
//! A shell has what a person needs to try what the agent tries: `curl` goes out by the same way, as far as the same policy lets it. It has no
//! value of a secret: what a person types in it ends in a history file of the home, which the agent reads.

use std::collections::BTreeMap;

use engine::Image;
use pipe::host::GivenFile;
use store::{Kit, StepRecord};
use wire::{
    ErrorView,
    ids::{AgentId, RunId, StepId, TaskId},
};

use crate::access::{AUTHORITY_SETTINGS, AUTHORITY_VARIABLES, Given, Permit, variables};
use crate::agents::kit;
use crate::house::House;
use crate::sandbox::PATH;
use crate::{guest_volume, home};

/// Whose process it is.
pub(crate) struct Whose<'a> {
    pub(crate) task: TaskId,
    pub(crate) run: RunId,
    pub(crate) step: StepId,
    pub(crate) attempt: u32,
    pub(crate) agent: AgentId,
    pub(crate) agent_name: &'a str,
}

impl<'a> Whose<'a> {
    /// Of a step's attempt as it is now.
    pub(crate) fn of(step: &'a StepRecord) -> Self {
        Self {
            task: step.task,
            run: step.run,
            step: step.step,
            attempt: step.state.attempt(),
            agent: step.agent,
            agent_name: &step.agent_name,
        }
    }
}

/// What a process finds around it.
pub(crate) struct Surroundings {
    /// Its whole environment.
    pub(crate) variables: Vec<(String, String)>,
    /// Its files in memory.
    pub(crate) files: Vec<GivenFile>,
}

impl Surroundings {
    /// Of the agent itself, at work or with a person.
    pub(crate) async fn of_agent(
        house: &House,
        whose: &Whose<'_>,
        image: &Image,
        permit: &Permit,
        kit: &Kit,
    ) -> Result<Self, ErrorView> {
        let memory = house.store.home_of(whose.agent).await;
        let memory = memory.map_err(|error| crate::faults::of_storage("read where the agent's memory is", &error))?;
        let mut given = permit.given(house).await?;
        given.variables.extend(kit::variables(kit, &memory.memory));
        given.files.extend(kit::persona(kit));
        Ok(Self::new(house, whose, &image.env, given))
    }

    /// Of a person's shell.
    pub(crate) async fn of_shell(
        house: &House,
        whose: &Whose<'_>,
        image_env: &[String],
        permit: &Permit,
    ) -> Result<Self, ErrorView> {
        Ok(Self::new(house, whose, image_env, permit.given_to_shell(house).await?))
    }

    fn new(house: &House, whose: &Whose<'_>, image_env: &[String], given: Given) -> Self {
        let variables = environment(whose, image_env, house.authorities.as_deref(), given.variables);
        Self { variables, files: given.files }
    }

    /// Sets a variable, whatever it held.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }
}

/// The environment of a process: the image's, what says whom to trust where the image does not, and who and where it is.
fn environment(
    whose: &Whose<'_>,
    image_env: &[String],
    authorities: Option<&str>,
    given: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let ours = [
        ("HOME", home::HOME_FOLDER.to_owned()),
        ("USER", "agent".to_owned()),
        ("LOGNAME", "agent".to_owned()),
        ("BERTH_AGENT", whose.agent_name.to_owned()),
        ("BERTH_TASK", whose.task.to_string()),
        ("BERTH_RUN", whose.run.to_string()),
        ("BERTH_STEP", whose.step.to_string()),
        ("BERTH_ATTEMPT", whose.attempt.to_string()),
    ];
    let defaults = [("PATH", PATH), ("LANG", "C.UTF-8")];
    let mut all: BTreeMap<String, String> =
        defaults.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if authorities.is_some() {
        all.extend(AUTHORITY_VARIABLES.map(|name| (name.to_owned(), guest_volume::AUTHORITIES_FILE.to_owned())));
        all.extend(AUTHORITY_SETTINGS.map(|(name, file)| (name.to_owned(), file.to_owned())));
    }
    all.extend(
        image_env.iter().filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.into(), value.into())),
    );
    // What an image says of these is no person's word.
    for name in kit::VARIABLES {
        all.remove(name);
    }
    for (name, value) in given {
        let value = match all.remove(&name) {
            // The later option counts, so the image's own say no other way out.
            Some(own) if name == variables::JAVA_OPTIONS => format!("{own} {value}"),
            Some(_) | None => value,
        };
        all.insert(name, value);
    }
    all.extend(ours.into_iter().map(|(name, value)| (name.to_owned(), value)));
    all.into_iter().collect()
}
