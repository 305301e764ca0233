//! What a person sees of a build: its steps, the layers on their way, and its log, while it goes on and afterwards.
//!
//! All of it is what an engine and an image's maker wrote: bounded in lines and bytes, and made safe to show as it comes in. Of a long
//! log the first and the last lines are kept: where it began, and where it broke.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::Progress;
use jiff::Timestamp;
use wire::image::{
    BuildEnd, BuildOutcome, BuildStepState, BuildStepView, BuildView, ImageState, LayerView, LogLineView,
};

use super::dockerfile::SHOWN_BYTES_MAX;
use crate::clock::Time;
use crate::escape;

/// Lines that are kept of a log's beginning, and as many of its end.
const LINES_MAX: usize = 10_000;
/// Bytes of either.
const BYTES_MAX: usize = 2 << 20;
/// What a line takes beside its text.
const LINE_BYTES: usize = 48;
/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 4 << 10;
/// Most lines of one answer.
const PAGE_LINES_MAX: usize = 2_000;
/// Most bytes of one answer.
const PAGE_BYTES_MAX: usize = 512 << 10;
/// Most layers that are shown at once.
const LAYERS_MAX: usize = 64;
/// Most steps, whatever an engine says.
const STEPS_MAX: usize = 1_000;
/// How the classic builder says that it has done an instruction before.
const CACHED: &str = " ---> Using cache";

/// Takes down what happens in a build.
pub(crate) struct Recorder {
    time: Time,
    // A std mutex: held for a few assignments, never over an await.
    record: Mutex<Record>,
    is_changed: AtomicBool,
}

/// A build as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    image: String,
    version: String,
    began_at: Timestamp,
    ended: Option<BuildEnd>,
    last_took_ms: Option<u64>,
    steps: Vec<BuildStepView>,
    /// The step that runs.
    current: Option<usize>,
    /// How many steps were done before the plan.
    planned_from: usize,
    /// Where the Dockerfile's instructions begin among the steps, and how many of them there are.
    instructions: (usize, usize),
    /// How many labels the builder adds at the end, an instruction each; they are one step.
    labels: usize,
    layers: Vec<LayerView>,
    log: Log,
}

/// The lines of a log that are kept.
#[derive(Clone, Debug, Default)]
struct Log {
    head: Vec<LogLineView>,
    head_bytes: usize,
    tail: VecDeque<LogLineView>,
    tail_bytes: usize,
    lines: u64,
}

impl Log {
    fn push(&mut self, line: LogLineView) {
        let bytes = line.text.len() + LINE_BYTES;
        self.lines += 1;
        if self.tail.is_empty() && self.head.len() < LINES_MAX && self.head_bytes + bytes <= BYTES_MAX {
            self.head_bytes += bytes;
            self.head.push(line);
            return;
        }
        self.tail_bytes += bytes;
        self.tail.push_back(line);
        while self.tail.len() > LINES_MAX || self.tail_bytes > BYTES_MAX {
            let Some(first) = self.tail.pop_front() else { break };
            self.tail_bytes -= first.text.len() + LINE_BYTES;
        }
    }

    /// The number of the tail's first line.
    fn tail_from(&self) -> u64 {
        self.lines - self.tail.len() as u64
    }

    /// Lines from a number on, as many as `bounds` allow, and the number of the first.
    fn page(&self, from: u64, lines_max: usize, bytes_max: usize) -> (u64, Vec<LogLineView>) {
        let head_len = self.head.len() as u64;
        let (from, lines): (u64, Box<dyn Iterator<Item = &LogLineView>>) = if from < head_len {
            (from, Box::new(self.head.iter().skip(usize::try_from(from).unwrap_or(usize::MAX))))
        } else {
            let from = from.clamp(self.tail_from(), self.lines.max(self.tail_from()));
            let skipped = usize::try_from(from - self.tail_from()).unwrap_or(usize::MAX);
            (from, Box::new(self.tail.iter().skip(skipped)))
        };
        let mut bytes = 0;
        let within = |line: &&LogLineView| {
            bytes += line.text.len() + LINE_BYTES;
            bytes <= bytes_max
        };
        (from, lines.take(lines_max).take_while(within).cloned().collect())
    }
}

impl Record {
    fn view(&self, (from_line, log): (u64, Vec<LogLineView>)) -> BuildView {
        BuildView {
            image: self.image.clone(),
            version: self.version.clone(),
            began_at: self.began_at,
            ended: self.ended.clone(),
            last_took_ms: self.last_took_ms,
            steps: self.steps.clone(),
            layers: self.layers.clone(),
            log,
            from_line,
            lines: self.log.lines,
        }
    }

    /// What a person sees, with the log from a line on.
    pub(crate) fn page(&self, from_line: u64) -> BuildView {
        self.view(self.log.page(from_line, PAGE_LINES_MAX, PAGE_BYTES_MAX))
    }

    /// All that is kept: the log's beginning, and where there are lines in between that are not, its end.
    pub(crate) fn pages(&self) -> Vec<BuildView> {
        let head = self.view((0, self.log.head.clone()));
        if self.log.tail.is_empty() {
            return vec![head];
        }
        let tail = self.view((self.log.tail_from(), self.log.tail.iter().cloned().collect()));
        vec![head, tail]
    }

    /// Of what [`Record::pages`] gave; `None` where it is none.
    pub(crate) fn of_pages(pages: Vec<BuildView>) -> Option<Self> {
        let mut pages = pages.into_iter();
        let head = pages.next()?;
        let mut log = Log { head_bytes: 0, head: head.log, lines: head.lines, ..Log::default() };
        // Nothing is added to one that is over.
        log.tail = pages.next().map(|tail| tail.log.into()).unwrap_or_default();
        if log.head.len() as u64 + log.tail.len() as u64 > log.lines {
            return None;
        }
        Some(Self {
            image: head.image,
            version: head.version,
            began_at: head.began_at,
            ended: head.ended,
            last_took_ms: head.last_took_ms,
            steps: head.steps,
            current: None,
            planned_from: 0,
            instructions: (0, 0),
            labels: 0,
            layers: Vec::new(),
            log,
        })
    }

    /// How it ended.
    pub(crate) fn end(&self) -> Option<&BuildEnd> {
        self.ended.as_ref()
    }

    /// How long it took, or the last good one before it, in milliseconds.
    pub(crate) fn good_took_ms(&self) -> Option<u64> {
        match &self.ended {
            Some(BuildEnd { at, outcome: BuildOutcome::Built { .. } }) => Some(milliseconds(self.began_at, *at)),
            Some(_) | None => self.last_took_ms,
        }
    }

    /// The step that failed, or runs, with its number from 1 and how many there are.
    pub(crate) fn step(&self) -> Option<(usize, usize, &str)> {
        let index = self.current?;
        Some((index + 1, self.steps.len(), &self.steps.get(index)?.text))
    }
}

fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or_default()
}

impl Recorder {
    /// Of a build that begins now.
    pub(crate) fn begin(time: &Time, image: &str) -> Self {
        let record = Record {
            image: image.to_owned(),
            version: String::new(),
            began_at: time.now(),
            ended: None,
            last_took_ms: None,
            steps: Vec::new(),
            current: None,
            planned_from: 0,
            instructions: (0, 0),
            labels: 0,
            layers: Vec::new(),
            log: Log::default(),
        };
        Self { time: time.clone(), record: Mutex::new(record), is_changed: AtomicBool::new(true) }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.is_changed.store(true, Ordering::Relaxed);
    }

    /// Which version it is: known once what it is made of was looked at.
    pub(crate) fn set_version(&self, version: &str) {
        version.clone_into(&mut self.record().version);
    }

    /// How long the last good one took, in milliseconds.
    pub(crate) fn set_last_took_ms(&self, last_took_ms: Option<u64>) {
        self.record().last_took_ms = last_took_ms;
    }

    /// Whether something happened since this was asked last.
    pub(crate) fn take_changed(&self) -> bool {
        self.is_changed.swap(false, Ordering::Relaxed)
    }

    /// The build as it stands.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.record())
    }

    /// Says what is to come: what is done before the Dockerfile's instructions, these, and what is done after them. What was done already
    /// stays.
    pub(crate) fn plan(&self, before: &[String], instructions: &[String], after: &[String]) {
        let step = |text: &String| waiting(shown(text, SHOWN_BYTES_MAX));
        let now = self.time.now();
        let mut record = self.record();
        record.finish(now, BuildStepState::Done);
        record.steps.retain(|step| step.state != BuildStepState::Waiting);
        record.planned_from = record.steps.len();
        record.instructions = (record.planned_from + before.len(), instructions.len());
        record.steps.extend(before.iter().chain(instructions).chain(after).map(step));
        record.current = None;
        drop(record);
        self.changed();
    }

    /// Says that the builder labels the result at the end, with so many instructions of its own: one step to a person.
    pub(crate) fn plan_labels(&self, labels: usize) {
        let mut record = self.record();
        let (from, count) = record.instructions;
        record.steps.insert(from + count, waiting("Label it as Berth's".to_owned()));
        record.instructions = (from, count + 1);
        record.labels = labels;
    }

    /// The step of that number, from 0, among those before the instructions.
    pub(crate) fn before(&self, number: usize) {
        let from = self.record().planned_from;
        self.run(from + number);
    }

    /// The step of that number, from 0, among those after the instructions.
    pub(crate) fn after(&self, number: usize) {
        let (from, count) = self.record().instructions;
        self.run(from + count + number);
    }

    fn run(&self, index: usize) {
        let now = self.time.now();
        let mut record = self.record();
        record.finish(now, BuildStepState::Done);
        record.current = Some(index);
        if let Some(step) = record.steps.get_mut(index) {
            step.state = BuildStepState::Running;
            step.began_at = Some(now);
        }
        drop(record);
        self.changed();
    }

    /// Takes down a message of the engine.
    pub(crate) fn tell(&self, message: &Progress) {
        match message {
            Progress::Step { number, of, text } => self.instruction(*number, *of, text),
            Progress::Log(line) => self.say(line),
            Progress::Layer { id, status, done_bytes, total_bytes } => {
                self.layer(id, status, *done_bytes, *total_bytes);
            }
        }
    }

    /// The engine begins with an instruction: it says how many there are, and is believed.
    fn instruction(&self, number: u32, of: u32, text: &str) {
        let of = usize::try_from(of).unwrap_or(STEPS_MAX).min(STEPS_MAX);
        let index = usize::try_from(number).unwrap_or(STEPS_MAX).saturating_sub(1);
        if index >= of {
            return;
        }
        let (is_label, index) = {
            let mut record = self.record();
            let (from, count) = record.instructions;
            // Not every builder counts the labels.
            let counts_labels = record.labels > 0 && of + 1 >= count + record.labels;
            let of = if counts_labels { of + 1 - record.labels } else { of };
            if count != of {
                let kept = from + count.min(of);
                let missing: Vec<_> = (count..of).map(|_| waiting("…".to_owned())).collect();
                record.steps.splice(kept..from + count, missing);
                record.instructions = (from, of);
            }
            let is_label = counts_labels && index + 1 >= of;
            let index = from + index.min(of - 1);
            if !is_label {
                record.steps[index].text = shown(text, SHOWN_BYTES_MAX);
            }
            (is_label, index)
        };
        if !is_label || self.record().current != Some(index) {
            self.run(index);
        }
        self.say(&format!("Step {number}/{of} : {text}"));
    }

    /// Takes down a line.
    pub(crate) fn say(&self, line: &str) {
        let at = self.time.now();
        let mut record = self.record();
        let current = record.current.filter(|_| line.starts_with(CACHED));
        if let Some(step) = current.and_then(|index| record.steps.get_mut(index)) {
            step.is_cached = true;
        }
        for line in line.lines() {
            // What a carriage return wrote over was never to be read.
            let line = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
            let bytes = strip_ansi_escapes::strip(line.as_bytes());
            let text = shown(&String::from_utf8_lossy(&bytes), LINE_BYTES_MAX);
            record.log.push(LogLineView { at, text });
        }
        drop(record);
        self.changed();
    }

    fn layer(&self, id: &str, status: &str, done_bytes: u64, total_bytes: u64) {
        let mut record = self.record();
        let (id, status) = (shown(id, SHOWN_BYTES_MAX), shown(status, SHOWN_BYTES_MAX));
        if id.is_empty() {
            drop(record);
            return self.say(&status);
        }
        let is_over = status == "Pull complete" || status == "Already exists";
        record.layers.retain(|layer| layer.id != id || !is_over);
        if !is_over {
            let layer = LayerView { id, status, done_bytes, total_bytes };
            match record.layers.iter().position(|known| known.id == layer.id) {
                Some(index) => record.layers[index] = layer,
                None if record.layers.len() < LAYERS_MAX => record.layers.push(layer),
                None => {}
            }
        }
        drop(record);
        self.changed();
    }

    /// It is over.
    pub(crate) fn end(&self, outcome: BuildOutcome) {
        let at = self.time.now();
        let mut record = self.record();
        let state = match outcome {
            BuildOutcome::Built { .. } => BuildStepState::Done,
            BuildOutcome::Failed { .. } | BuildOutcome::Cancelled => BuildStepState::Failed,
        };
        record.finish(at, state);
        record.layers.clear();
        record.ended = Some(BuildEnd { at, outcome });
        drop(record);
        self.changed();
    }

    /// How the image stands while it is built.
    pub(crate) fn state(&self) -> ImageState {
        let record = self.record();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let step = record.step();
        let last = record.log.tail.back().or(record.log.head.last());
        let line = last.map(|line| line.text.clone()).or(step.map(|(_, _, text)| text.to_owned())).unwrap_or_default();
        let (number, of) = step.map_or((0, record.steps.len()), |(number, of, _)| (number, of));
        ImageState::Building { line, number: count(number), of: count(of), began_at: Some(record.began_at) }
    }
}

impl Record {
    /// The step that runs has ended.
    fn finish(&mut self, at: Timestamp, state: BuildStepState) {
        if let Some(step) = self.current.and_then(|index| self.steps.get_mut(index))
            && step.state == BuildStepState::Running
        {
            step.state = state;
            step.took_ms = step.began_at.map(|began_at| milliseconds(began_at, at));
        }
        self.layers.clear();
    }
}

fn waiting(text: String) -> BuildStepView {
    BuildStepView { text, state: BuildStepState::Waiting, began_at: None, took_ms: None, is_cached: false }
}

/// Made safe to show, and no longer than that.
fn shown(text: &str, bytes_max: usize) -> String {
    let cut = |text: &str| format!("{}…", &text[..text.floor_char_boundary(bytes_max)]);
    let text = if text.len() > bytes_max { cut(text) } else { text.to_owned() };
    let text = text.replace('\t', "    ");
    escape::visible(text.trim_end().as_bytes())
}
