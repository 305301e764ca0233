//! What a person writes into the form of an agent, and what it means. Pure.

use std::rc::Rc;

use wire::{
    Limits, LimitsPatch,
    call::{CreateAgent, UpdateAgent},
    image::Tools,
    network::{HostGrant, HostsPatch},
    task::{Launch, ReviewGate},
    view::{AgentColour, AgentView, PersonaFile},
};

use super::{
    persona,
    tools::{Kind, Packages},
};
use crate::policy::Mode;

/// The longest name of a model, in characters.
const MODEL_CHARS_MAX: usize = 200;

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

/// An agent as it is being written. Numbers are as they were typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The name of one that is made; of one that is edited it is not asked for.
    pub name: String,
    pub image: String,
    pub program: Program,
    /// An argument a line.
    pub command: String,
    /// Empty for the image's own choice.
    pub model: String,
    pub persona: Rc<Vec<PersonaFile>>,
    pub has_memory: bool,
    /// The packages of each [`Kind`].
    pub tools: [Packages; 3],
    pub limits: LimitTexts,
    pub review: ReviewGate,
    pub colour: AgentColour,
    pub mode: Mode,
    /// The list, kept while the policy is one that has none.
    pub hosts: Rc<Vec<HostGrant>>,
    /// Whether a host is written that was not added to the list.
    pub has_line: bool,
}

/// Limits as they were typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitTexts {
    pub minutes: String,
    pub memory_mib: String,
    pub cores: String,
    pub processes: String,
    pub disk_gib: String,
}

/// Why a draft cannot be saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("Give it a name: letters a to z, digits and dashes, beginning with a letter")]
    Name,
    #[error("There is an agent of that name")]
    NameTaken,
    #[error("Choose an image")]
    Image,
    #[error("The command is empty")]
    Command,
    #[error("A model's name has no spaces, and {MODEL_CHARS_MAX} characters at most")]
    Model,
    #[error("{0}")]
    Persona(#[from] persona::Problem),
    #[error("{0} is no name of a package: a name, perhaps with a version, and no options")]
    Package(String),
    #[error("The time is no whole number of minutes")]
    Minutes,
    #[error("The memory is no whole number of MiB")]
    Memory,
    #[error("The processor is no number of cores, such as 2 or 0.5")]
    Cores,
    #[error("The processes are no whole number")]
    Processes,
    #[error("The disk is no number of GiB, such as 20 or 0.5")]
    Disk,
    #[error("A host is written that is not in the list: add it, or empty its field")]
    Line,
}

impl LimitTexts {
    /// Limits as they are.
    pub fn of(limits: &Limits) -> Self {
        Self {
            minutes: limits.wall_clock_s.div_ceil(60).to_string(),
            memory_mib: (limits.memory_bytes >> 20).to_string(),
            cores: thousandths_said(u64::from(limits.cpu_milli)),
            processes: limits.pids.to_string(),
            disk_gib: thousandths_said(gib_thousandths(limits.disk_bytes)),
        }
    }

    /// What of it is different from `before`, whose numbers may be finer than what is shown of them.
    fn patch(&self, before: &Self) -> Result<LimitsPatch, Problem> {
        let number = |text: &str| text.trim().parse::<u64>().ok().filter(|number| *number > 0);
        let minutes = number(&self.minutes).ok_or(Problem::Minutes)?;
        let memory_mib = number(&self.memory_mib).ok_or(Problem::Memory)?;
        let cores = thousandths(&self.cores).and_then(|milli| u32::try_from(milli).ok()).ok_or(Problem::Cores)?;
        let processes = number(&self.processes).and_then(|pids| u32::try_from(pids).ok()).ok_or(Problem::Processes)?;
        let disk = thousandths(&self.disk_gib).ok_or(Problem::Disk)?;
        Ok(LimitsPatch {
            wall_clock_s: (self.minutes != before.minutes).then(|| minutes.saturating_mul(60)),
            memory_bytes: (self.memory_mib != before.memory_mib).then(|| memory_mib.saturating_mul(1 << 20)),
            cpu_milli: (self.cores != before.cores).then_some(cores),
            pids: (self.processes != before.processes).then_some(processes),
            disk_bytes: (self.disk_gib != before.disk_gib).then(|| disk.saturating_mul(1 << 30) / 1_000),
            ..LimitsPatch::default()
        })
    }
}

/// A size in thousandths of a GiB.
fn gib_thousandths(bytes: u64) -> u64 {
    u64::try_from((u128::from(bytes) * 1_000) >> 30).unwrap_or(u64::MAX)
}

/// Thousandths as a number: `2`, `0.5`.
fn thousandths_said(thousandths: u64) -> String {
    match (thousandths / 1_000, thousandths % 1_000) {
        (whole, 0) => whole.to_string(),
        (whole, rest) => format!("{whole}.{}", format!("{rest:03}").trim_end_matches('0')),
    }
}

/// A positive number with three decimals at most, in thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, rest) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || rest.len() > 3 || !is_number(whole) || !is_number(rest) {
        return None;
    }
    let rest: u64 = format!("{rest:0<3}").parse().ok()?;
    let number = whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(rest)?;
    Some(number).filter(|number| *number > 0)
}

impl Draft {
    /// An agent that is not there yet, to run in that image.
    pub fn new(image: String) -> Self {
        let usual = CreateAgent::default();
        Self {
            name: String::new(),
            image,
            program: Program::Usual,
            command: String::new(),
            model: String::new(),
            persona: Rc::default(),
            has_memory: usual.has_memory,
            tools: <[Packages; 3]>::default(),
            limits: LimitTexts::of(&usual.limits),
            review: usual.review,
            colour: usual.colour,
            mode: Mode::of(&usual.network),
            hosts: Rc::default(),
            has_line: false,
        }
    }

    /// An agent as it is.
    pub fn of(agent: &AgentView) -> Self {
        let (program, command) = match &agent.launch {
            Launch::Image => (Program::Usual, String::new()),
            Launch::Entrypoint => (Program::Entrypoint, String::new()),
            Launch::Command { argv } => (Program::Command, argv.join("\n")),
        };
        let tools = Kind::ALL.map(|kind| Packages::of(kind.list(&agent.tools)));
        Self {
            name: agent.name.clone(),
            image: agent.image.clone(),
            program,
            command,
            model: agent.model.clone().unwrap_or_default(),
            persona: Rc::new(agent.persona.clone()),
            has_memory: agent.has_memory,
            tools,
            limits: LimitTexts::of(&agent.limits),
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
        let (image, launch, model, tools) = self.checked()?;
        Ok(UpdateAgent {
            agent: agent.name.clone(),
            name: None,
            image: (image != agent.image).then_some(image),
            launch: (launch != agent.launch).then_some(launch),
            limits: self.limits.patch(&before.limits)?,
            review: (self.review != agent.review).then_some(self.review),
            colour: (self.colour != agent.colour).then_some(self.colour),
            network: None,
            mode: (self.mode != before.mode).then(|| self.mode.asked()),
            hosts: if self.mode.has_list() {
                HostsPatch::between(&before.hosts, &self.hosts)
            } else {
                HostsPatch::default()
            },
            // An empty one is the image's own choice.
            model: (model != agent.model).then(|| model.unwrap_or_default()),
            persona: (*self.persona != agent.persona).then(|| (*self.persona).clone()),
            has_memory: (self.has_memory != agent.has_memory).then_some(self.has_memory),
            tools: (tools != agent.tools).then_some(tools),
        })
    }

    /// The call that makes it, beside agents of these names.
    pub fn create<'name>(&self, mut others: impl Iterator<Item = &'name str>) -> Result<CreateAgent, Problem> {
        let name = self.name.trim().to_owned();
        if !is_name(&name) {
            return Err(Problem::Name);
        }
        if others.any(|other| other == name) {
            return Err(Problem::NameTaken);
        }
        let (image, launch, model, tools) = self.checked()?;
        let limits = Limits::default();
        Ok(CreateAgent {
            name,
            image,
            launch,
            limits: self.limits.patch(&LimitTexts::of(&limits))?.apply(&limits),
            review: self.review,
            colour: self.colour,
            network: self.mode.with((*self.hosts).clone()),
            model,
            persona: (*self.persona).clone(),
            has_memory: self.has_memory,
            tools,
        })
    }

    /// What both calls have, or the first thing that makes no sense, from the top of the form.
    fn checked(&self) -> Result<(String, Launch, Option<String>, Tools), Problem> {
        let image = self.image.trim().to_owned();
        if image.is_empty() {
            return Err(Problem::Image);
        }
        let model = self.model.trim();
        if model.contains(char::is_whitespace) || model.chars().count() > MODEL_CHARS_MAX {
            return Err(Problem::Model);
        }
        persona::check(&self.persona)?;
        if self.has_line && self.mode.has_list() {
            return Err(Problem::Line);
        }
        let [apt, npm, pip] = &self.tools;
        let tools = Tools { apt: apt.all(), npm: npm.all(), pip: pip.all() };
        if let Some(wrong) =
            Kind::ALL.into_iter().flat_map(|kind| kind.list(&tools)).find(|name| !super::tools::is_package(name))
        {
            return Err(Problem::Package(wrong.clone()));
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
        Ok((image, launch, Some(model.to_owned()).filter(|model| !model.is_empty()), tools))
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
        let limits = LimitTexts { minutes: "5".to_owned(), ..LimitTexts::of(&agent.limits) };
        let draft = Draft { limits, colour: AgentColour::Green, ..Draft::of(&agent) };
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
    fn what_an_agent_brings_is_asked_for_once_it_is_another() {
        let agent = AgentView { model: Some("opus".to_owned()), has_memory: true, ..agent() };
        let before = Draft::of(&agent);
        let nothing = UpdateAgent { agent: "mason".to_owned(), ..UpdateAgent::default() };
        assert_eq!(before.change(&agent), Ok(nothing.clone()));
        let file = PersonaFile { name: "style.md".to_owned(), text: "Be brief.".to_owned() };
        let mut draft =
            Draft { model: String::new(), persona: Rc::new(vec![file.clone()]), has_memory: false, ..before };
        draft.tools[1].line = "prettier".to_owned();
        let expected = UpdateAgent {
            model: Some(String::new()),
            persona: Some(vec![file]),
            has_memory: Some(false),
            tools: Some(Tools { npm: vec!["prettier".to_owned()], ..Tools::default() }),
            ..nothing
        };
        assert_eq!(draft.change(&agent), Ok(expected));
    }

    #[test]
    fn a_new_agent_is_what_the_form_begins_with_unless_a_person_says_otherwise() {
        let draft = Draft { name: " mason ".to_owned(), ..Draft::new("claude-code".to_owned()) };
        let usual = CreateAgent { name: "mason".to_owned(), image: "claude-code".to_owned(), ..CreateAgent::default() };
        assert_eq!(draft.create(["script"].into_iter()), Ok(usual.clone()));
        let limits = LimitTexts { cores: "0.5".to_owned(), disk_gib: "1.5".to_owned(), ..draft.limits.clone() };
        let smaller = Draft { limits, model: "opus".to_owned(), ..draft.clone() }.create(std::iter::empty()).unwrap();
        let limits = Limits { cpu_milli: 500, disk_bytes: 3 << 29, ..usual.limits };
        assert_eq!(smaller, CreateAgent { limits, model: Some("opus".to_owned()), ..usual });
        assert_eq!(draft.create(["mason"].into_iter()), Err(Problem::NameTaken));
        assert_eq!(Draft::new(String::new()).create(std::iter::empty()), Err(Problem::Name));
    }

    #[test]
    fn numbers_with_decimals_are_read_as_they_are_said() {
        for (text, number) in [("2", Some(2_000)), ("0.5", Some(500)), (" 1.25 ", Some(1_250)), ("20.", Some(20_000))] {
            assert_eq!(thousandths(text), number, "{text}");
        }
        for text in ["", ".5", "0", "-1", "1.2345", "1e3", "two", "99999999999999999999"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
        assert_eq!(
            (thousandths_said(2_000), thousandths_said(500), thousandths_said(1_250)),
            ("2".into(), "0.5".into(), "1.25".into())
        );
        assert_eq!(gib_thousandths(20 << 30), 20_000);
    }

    #[test]
    fn what_makes_no_sense_is_said_before_it_is_sent() {
        let agent = agent();
        let draft = || Draft::of(&agent);
        let limited = |edit: fn(&mut LimitTexts)| {
            let mut draft = draft();
            edit(&mut draft.limits);
            draft
        };
        let packages = |line: &str| {
            let mut draft = draft();
            draft.tools[0].line = line.to_owned();
            draft
        };
        for (draft, problem) in [
            (Draft { image: " ".to_owned(), ..draft() }, Problem::Image),
            (limited(|limits| limits.minutes = "soon".to_owned()), Problem::Minutes),
            (limited(|limits| limits.memory_mib = "0".to_owned()), Problem::Memory),
            (limited(|limits| limits.cores = "two".to_owned()), Problem::Cores),
            (limited(|limits| limits.processes = "9999999999".to_owned()), Problem::Processes),
            (limited(|limits| limits.disk_gib = "0.0".to_owned()), Problem::Disk),
            (Draft { program: Program::Command, command: "\n\n".to_owned(), ..draft() }, Problem::Command),
            (Draft { model: "claude sonnet".to_owned(), ..draft() }, Problem::Model),
            (packages("jq --force"), Problem::Package("--force".to_owned())),
        ] {
            assert_eq!(draft.change(&agent), Err(problem));
        }
        assert!(is_name("fix-2") && !is_name("Fix") && !is_name("") && !is_name("2fix"));
    }
}
