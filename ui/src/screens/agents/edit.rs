//! What a person writes into the dialogs of an agent, and what it means. Pure.

use std::rc::Rc;

use wire::{
    LimitsPatch,
    call::UpdateAgent,
    network::{HostGrant, HostsPatch},
    task::{Launch, ReviewGate},
    view::{AgentColour, AgentView},
};

use crate::policy::Mode;

/// How an agent's program is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// What the image of the Gallery says.
    Usual,
    /// The image's own entrypoint.
    Entrypoint,
    /// A command, an argument a line.
    Command,
}

impl Program {
    /// Every way, with its name in the form.
    pub const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Usual, "usual", "What the image of the Gallery starts"),
        (Self::Entrypoint, "entrypoint", "The image's own entrypoint"),
        (Self::Command, "command", "A command"),
    ];

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, other, _)| *other == name).map(|(program, ..)| program)
    }
}

/// An agent as it is being edited. Numbers are as they were typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub image: String,
    pub program: Program,
    /// An argument a line.
    pub command: String,
    pub minutes: String,
    pub memory_mib: String,
    pub review: ReviewGate,
    pub colour: AgentColour,
    pub mode: Mode,
    /// The list, kept while the policy is one that has none.
    pub hosts: Rc<Vec<HostGrant>>,
    /// Whether a host is written that was not added to the list.
    pub has_line: bool,
}

/// Why a draft cannot be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("The image has no name")]
    Image,
    #[error("The command is empty")]
    Command,
    #[error("The time is no whole number of minutes")]
    Minutes,
    #[error("The memory is no whole number of MiB")]
    Memory,
    #[error("A host is written that is not in the list: add it, or empty its field")]
    Line,
}

impl Draft {
    /// An agent as it is.
    pub fn of(agent: &AgentView) -> Self {
        let (program, command) = match &agent.launch {
            Launch::Image => (Program::Usual, String::new()),
            Launch::Entrypoint => (Program::Entrypoint, String::new()),
            Launch::Command { argv } => (Program::Command, argv.join("\n")),
        };
        Self {
            image: agent.image.clone(),
            program,
            command,
            minutes: agent.limits.wall_clock_s.div_ceil(60).to_string(),
            memory_mib: (agent.limits.memory_bytes >> 20).to_string(),
            review: agent.review,
            colour: agent.colour,
            mode: Mode::of(&agent.network),
            hosts: Rc::new(agent.network.hosts().to_vec()),
            has_line: false,
        }
    }

    /// The call that makes `agent` so: only what is different from it.
    pub fn change(&self, agent: &AgentView) -> Result<UpdateAgent, Problem> {
        let before = Self::of(agent);
        let number = |text: &str| text.trim().parse::<u64>().ok().filter(|number| *number > 0);
        let image = self.image.trim().to_owned();
        if image.is_empty() {
            return Err(Problem::Image);
        }
        let minutes = number(&self.minutes).ok_or(Problem::Minutes)?;
        let memory_mib = number(&self.memory_mib).ok_or(Problem::Memory)?;
        if self.has_line && self.mode.has_list() {
            return Err(Problem::Line);
        }
        let launch = match self.program {
            Program::Usual => Launch::Image,
            Program::Entrypoint => Launch::Entrypoint,
            Program::Command => {
                let argv: Vec<_> = self.command.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
                if argv.is_empty() {
                    return Err(Problem::Command);
                }
                Launch::Command { argv }
            }
        };
        Ok(UpdateAgent {
            agent: agent.name.clone(),
            name: None,
            image: (image != agent.image).then_some(image),
            launch: (launch != agent.launch).then_some(launch),
            limits: LimitsPatch {
                wall_clock_s: (self.minutes != before.minutes).then(|| minutes.saturating_mul(60)),
                memory_bytes: (self.memory_mib != before.memory_mib).then(|| memory_mib.saturating_mul(1 << 20)),
                ..LimitsPatch::default()
            },
            review: (self.review != agent.review).then_some(self.review),
            colour: (self.colour != agent.colour).then_some(self.colour),
            network: None,
            mode: (self.mode != before.mode).then(|| self.mode.asked()),
            hosts: if self.mode.has_list() {
                HostsPatch::between(&before.hosts, &self.hosts)
            } else {
                HostsPatch::default()
            },
        })
    }
}

/// Whether a text is a name that an agent can have.
pub fn is_name(name: &str) -> bool {
    const NAME_CHARS_MAX: usize = 40;
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::network::{GrantReach, NetworkMode};

    fn agent() -> AgentView {
        serde_json::from_value(serde_json::json!({
            "agent": "0195510f-5a00-7000-8000-000000000004", "name": "mason", "image": "script", "call_sign": "SC",
            "description": "", "limits": {"wall_clock_s": 90}, "review": "ask", "home": "berth-home-1",
        }))
        .unwrap()
    }

    #[test]
    fn what_is_left_alone_is_not_asked_for() {
        let agent = agent();
        let nothing = UpdateAgent { agent: "mason".to_owned(), ..UpdateAgent::default() };
        // Ninety seconds are shown as two minutes, and stay ninety seconds.
        assert_eq!(Draft::of(&agent).change(&agent), Ok(nothing.clone()));
        let draft = Draft { minutes: "5".to_owned(), colour: AgentColour::Green, ..Draft::of(&agent) };
        let limits = LimitsPatch { wall_clock_s: Some(300), ..LimitsPatch::default() };
        assert_eq!(draft.change(&agent), Ok(UpdateAgent { limits, colour: Some(AgentColour::Green), ..nothing }));
    }

    #[test]
    fn a_policy_is_asked_for_once_it_is_another() {
        let agent = agent();
        let open = Draft { mode: Mode::Open, ..Draft::of(&agent) }.change(&agent).unwrap();
        assert_eq!((open.mode, open.network, open.hosts.is_empty()), (Some(NetworkMode::Open), None, true));
        let host = HostGrant { host: "example.com".to_owned(), port: None, reach: GrantReach::Public };
        let listed = Draft { hosts: Rc::new(vec![host.clone()]), ..Draft::of(&agent) };
        let change = listed.change(&agent).unwrap();
        assert_eq!((change.mode, change.hosts.allow, change.hosts.disallow), (None, vec![host], Vec::new()));
        // A host that was written and not added would be lost without a word.
        let written = Draft { has_line: true, ..listed };
        assert_eq!(written.change(&agent), Err(Problem::Line));
        for (mode, asked) in [(Mode::Closed, NetworkMode::Closed), (Mode::Bridge, NetworkMode::Bridge)] {
            let listless = Draft { mode, ..written.clone() }.change(&agent).unwrap();
            assert_eq!((listless.mode, listless.hosts.is_empty()), (Some(asked), true));
        }
    }

    #[test]
    fn what_makes_no_sense_is_said_before_it_is_sent() {
        let agent = agent();
        let draft = || Draft::of(&agent);
        for (draft, problem) in [
            (Draft { image: " ".to_owned(), ..draft() }, Problem::Image),
            (Draft { minutes: "soon".to_owned(), ..draft() }, Problem::Minutes),
            (Draft { memory_mib: "0".to_owned(), ..draft() }, Problem::Memory),
            (Draft { program: Program::Command, command: "\n\n".to_owned(), ..draft() }, Problem::Command),
        ] {
            assert_eq!(draft.change(&agent), Err(problem));
        }
        assert!(is_name("fix-2") && !is_name("Fix") && !is_name("") && !is_name("2fix"));
    }
}
