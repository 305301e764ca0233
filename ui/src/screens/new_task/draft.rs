//! A task while it is being written: filled in from files, checked before it is queued. Pure.

use wire::{
    Limits, LimitsPatch, Priority,
    task::{Attachment, AttachmentContent, NewTask, PROMPT_BYTES_MAX, ReviewGate, TaskDraft},
};

/// The most that files in the call itself may hold together.
pub const INLINE_BYTES_MAX: u64 = 20 << 20;
/// How many files may come along.
pub const ATTACHMENTS_MAX: usize = 200;
/// The longest time, in minutes.
const MINUTES_MAX: u64 = Limits::WALL_CLOCK_S_MAX / 60;
/// A mebibyte.
const MIB: u64 = 1 << 20;
/// The most memory, in MiB: 1 TiB.
const MEMORY_MIB_MAX: u64 = 1 << 20;

/// What a person has written so far. Numbers are kept as they were typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// What to do.
    pub prompt: String,
    /// The title that a file gave.
    pub title: Option<String>,
    /// The agent by name; the default one where it is `None`.
    pub agent: Option<String>,
    /// The project by name.
    pub project: Option<String>,
    /// The limit on time in minutes; the agent's where it is empty.
    pub minutes: String,
    /// The limit on memory in MiB; the agent's where it is empty.
    pub memory_mib: String,
    /// Its turn in the queue; normal where it is `None`.
    pub priority: Option<Priority>,
    /// The files that come along.
    pub attachments: Vec<Attachment>,
    /// What a person should know, a sentence each.
    pub warnings: Vec<String>,
    review: Option<ReviewGate>,
    /// Limits that a file set; the form shows two of them, rounded.
    limits: Option<LimitsPatch>,
    /// Whether the prompt is as a file had it.
    is_untouched: bool,
}

/// Why a draft cannot be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("Write what to do first")]
    Empty,
    #[error("The prompt is longer than 1 MiB: attach it as a file")]
    TooLong,
    #[error("Time is a whole number of minutes, from 1 to {MINUTES_MAX}")]
    Minutes,
    #[error("Memory is a whole number of MiB, from 16 to {MEMORY_MIB_MAX}")]
    Memory,
}

impl Draft {
    /// Whether there is nothing to lose.
    pub fn is_blank(&self) -> bool {
        self.prompt.trim().is_empty() && self.attachments.is_empty()
    }

    /// A person changed the prompt.
    pub fn write(&mut self, prompt: String) {
        self.prompt = prompt;
        self.is_untouched = false;
    }

    /// Takes in what a file says. A prompt that a person wrote is kept, and the file's put below it.
    pub fn take(&mut self, draft: TaskDraft) {
        if !draft.prompt.trim().is_empty() {
            if self.prompt.trim().is_empty() || self.is_untouched {
                self.prompt = draft.prompt;
                self.title = Some(draft.title).filter(|title| !title.is_empty());
                self.is_untouched = true;
            } else {
                self.prompt = format!("{}\n\n{}", self.prompt.trim_end(), draft.prompt);
            }
        }
        self.agent = draft.agent.or_else(|| self.agent.take());
        self.project = draft.project.or_else(|| self.project.take());
        self.review = draft.review.or(self.review);
        self.priority = draft.priority.or(self.priority);
        if let Some(limits) = draft.limits {
            self.minutes = limits.wall_clock_s.map_or_else(String::new, |seconds| seconds.div_ceil(60).to_string());
            self.memory_mib = limits.memory_bytes.map_or_else(String::new, |bytes| (bytes / MIB).to_string());
            self.limits = Some(limits);
        }
        self.warnings = draft.warnings;
        self.attach(draft.attachments);
    }

    /// Takes in what `prompt` was read as, in its place. Whatever was written since then is kept instead.
    pub fn replace(&mut self, prompt: &str, draft: TaskDraft) {
        if self.prompt == prompt {
            self.is_untouched = true;
            self.take(draft);
        }
    }

    /// Adds files, as far as they fit; a name that is there already is replaced.
    pub fn attach(&mut self, attachments: Vec<Attachment>) {
        for attachment in attachments {
            self.attachments.retain(|other| other.name != attachment.name);
            let fits = self.inline_bytes() + inline_bytes(&attachment) <= INLINE_BYTES_MAX;
            if fits && self.attachments.len() < ATTACHMENTS_MAX {
                self.attachments.push(attachment);
            } else {
                self.warnings.push(format!(
                    "{} was left out: files may hold 20 MiB together, and be {ATTACHMENTS_MAX}",
                    attachment.name
                ));
            }
        }
    }

    fn inline_bytes(&self) -> u64 {
        self.attachments.iter().map(inline_bytes).sum()
    }

    /// What is wrong with it, if something is.
    pub fn problem(&self) -> Option<Problem> {
        self.checked().err()
    }

    /// The task to ask for. Limits are those of the agent, but for what was typed.
    pub fn new_task(&self) -> Result<NewTask, Problem> {
        let limits = self.checked()?;
        Ok(NewTask {
            title: self.title.clone(),
            prompt: self.prompt.clone(),
            agent: self.agent.clone(),
            project: self.project.clone(),
            limits,
            review: self.review,
            priority: self.priority,
            attachments: self.attachments.clone(),
        })
    }

    fn checked(&self) -> Result<Option<LimitsPatch>, Problem> {
        if self.prompt.trim().is_empty() {
            return Err(Problem::Empty);
        }
        if self.prompt.len() > PROMPT_BYTES_MAX {
            return Err(Problem::TooLong);
        }
        let minutes = number(&self.minutes, 1..=MINUTES_MAX).map_err(|()| Problem::Minutes)?;
        let memory_mib =
            number(&self.memory_mib, Limits::MEMORY_BYTES_MIN / MIB..=MEMORY_MIB_MAX).map_err(|()| Problem::Memory)?;
        let own = self.limits.unwrap_or_default();
        // A limit that was not touched keeps its seconds and bytes, which the form rounds; an emptied one is the agent's.
        let wall_clock_s = minutes
            .map(|minutes| own.wall_clock_s.filter(|seconds| seconds.div_ceil(60) == minutes).unwrap_or(minutes * 60));
        let memory_bytes =
            memory_mib.map(|mib| own.memory_bytes.filter(|bytes| bytes / MIB == mib).unwrap_or(mib * MIB));
        let limits = LimitsPatch { wall_clock_s, memory_bytes, ..own };
        Ok(Some(limits).filter(|limits| *limits != LimitsPatch::default()))
    }
}

fn number(typed: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, ()> {
    match typed.trim() {
        "" => Ok(None),
        typed => typed.parse().ok().filter(|number| range.contains(number)).map(Some).ok_or(()),
    }
}

fn inline_bytes(attachment: &Attachment) -> u64 {
    match &attachment.content {
        AttachmentContent::Inline { .. } => attachment.size_bytes,
        AttachmentContent::Path { .. } => 0,
    }
}

/// A draft with nothing in it.
pub fn empty() -> TaskDraft {
    TaskDraft {
        title: String::new(),
        prompt: String::new(),
        agent: None,
        project: None,
        limits: None,
        review: None,
        priority: None,
        attachments: Vec::new(),
        warnings: Vec::new(),
    }
}

/// The task of a draft that is queued as it is.
pub fn task_of(draft: TaskDraft) -> NewTask {
    NewTask {
        title: Some(draft.title).filter(|title| !title.is_empty()),
        prompt: draft.prompt,
        agent: draft.agent,
        project: draft.project,
        limits: draft.limits,
        review: draft.review,
        priority: draft.priority,
        attachments: draft.attachments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size_bytes: u64) -> Attachment {
        let content = AttachmentContent::Inline { base64: String::new() };
        Attachment { name: name.to_owned(), size_bytes, content }
    }

    fn from_file(prompt: &str) -> TaskDraft {
        TaskDraft { title: "From a file".to_owned(), prompt: prompt.to_owned(), ..empty() }
    }

    #[test]
    fn a_draft_without_a_prompt_says_what_is_missing() {
        let mut draft = Draft::default();
        assert_eq!(draft.problem(), Some(Problem::Empty));
        draft.attach(vec![file("a.csv", 1)]);
        assert_eq!(draft.problem(), Some(Problem::Empty));
        draft.write(" \n".to_owned());
        assert_eq!(draft.problem(), Some(Problem::Empty));
        draft.write("Do it".to_owned());
        assert_eq!(draft.problem(), None);
        draft.write("x".repeat(PROMPT_BYTES_MAX + 1));
        assert_eq!(draft.problem(), Some(Problem::TooLong));
    }

    #[test]
    fn limits_that_were_not_typed_are_the_agents() {
        let mut draft = Draft::default();
        draft.write("Do it".to_owned());
        assert_eq!(draft.new_task().unwrap().limits, None);
        draft.minutes = "30".to_owned();
        let limits = LimitsPatch { wall_clock_s: Some(1_800), ..LimitsPatch::default() };
        assert_eq!(draft.new_task().unwrap().limits, Some(limits));
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        for (minutes, memory_mib, problem) in [
            ("0", "", Problem::Minutes),
            ("1.5", "", Problem::Minutes),
            ("43201", "", Problem::Minutes),
            ("", "15", Problem::Memory),
            ("", "-1", Problem::Memory),
        ] {
            let draft = Draft {
                prompt: "Do it".to_owned(),
                minutes: minutes.to_owned(),
                memory_mib: memory_mib.to_owned(),
                ..Draft::default()
            };
            assert_eq!(draft.problem(), Some(problem), "{minutes} {memory_mib}");
        }
    }

    #[test]
    fn limits_of_a_file_that_the_form_rounds_stay_exact() {
        let mut draft = Draft::default();
        let limits = LimitsPatch {
            wall_clock_s: Some(90),
            memory_bytes: Some((64 << 20) + 5),
            pids: Some(40),
            ..LimitsPatch::default()
        };
        draft.take(TaskDraft { limits: Some(limits), ..from_file("Do it") });
        assert_eq!((draft.minutes.as_str(), draft.memory_mib.as_str()), ("2", "64"));
        assert_eq!(draft.new_task().unwrap().limits, Some(limits));
    }

    #[test]
    fn what_a_person_wrote_is_never_lost_to_a_file() {
        let mut draft = Draft::default();
        draft.take(from_file("First"));
        draft.take(from_file("Second"));
        assert_eq!(draft.prompt, "Second");
        draft.write("Second, by hand".to_owned());
        draft.take(from_file("Third"));
        assert_eq!(draft.prompt, "Second, by hand\n\nThird");
        draft.take(empty());
        assert_eq!(draft.prompt, "Second, by hand\n\nThird");
    }

    #[test]
    fn what_was_read_as_a_task_file_takes_its_own_place() {
        let mut draft = Draft::default();
        let text = "---\ntitle: From a file\npriority: high\n---\nDo it";
        let limits = LimitsPatch { wall_clock_s: Some(120), ..LimitsPatch::default() };
        let read = || TaskDraft { priority: Some(Priority::High), limits: Some(limits), ..from_file("Do it") };
        draft.write(text.to_owned());
        draft.replace(text, read());
        let task = draft.new_task().unwrap();
        assert_eq!((task.prompt.as_str(), task.title.as_deref()), ("Do it", Some("From a file")));
        assert_eq!((task.priority, task.limits), (Some(Priority::High), Some(limits)));

        let mut draft = Draft::default();
        draft.write(format!("{text} well"));
        draft.replace(text, read());
        assert_eq!((draft.prompt, draft.priority), (format!("{text} well"), None));
    }

    #[test]
    fn files_past_the_bound_are_left_out_by_name() {
        let mut draft = Draft::default();
        draft.attach(vec![file("a", INLINE_BYTES_MAX - 1), file("b", 2), file("c", 1)]);
        let names: Vec<_> = draft.attachments.iter().map(|attachment| attachment.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert!(draft.warnings[0].starts_with("b was left out"));
    }

    #[test]
    fn a_file_of_the_same_name_replaces_the_one_before() {
        let mut draft = Draft::default();
        draft.attach(vec![file("a", 1), file("a", 2)]);
        assert_eq!(draft.attachments, [file("a", 2)]);
    }
}
