//! The front matter of a task file: YAML between a first line `---` and the next line `---`.
//!
//! ```yaml
//! title: Tidy the report
//! agent: script
//! project: books
//! review: ask            # or skip
//! priority: normal       # or high, low: its turn in the queue
//! limits: {memory: 2GB, cpus: 1.5, processes: 256, time: 30m, output: 1GB, disk: 10GB}
//! files: [data.csv, pictures]
//! ```
//! A key that is not known is a warning with its line and the nearest known key; a value that makes no sense is an error
//! with its line. Anchors and aliases have no use here and are refused, which also rules out documents that unfold.

use bytesize::ByteSize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use wire::{LimitsPatch, Priority, task::ReviewGate};

use super::{IntakeError, limits, text::as_title};
use crate::escape::visible;

/// The longest front matter in bytes.
pub(crate) const FRONT_MATTER_BYTES_MAX: usize = 64 << 10;

/// Warnings about unknown keys at most; the rest is counted.
const WARNINGS_MAX: usize = 20;

const KEYS: [&str; 7] = ["title", "agent", "project", "review", "priority", "limits", "files"];
const LIMIT_KEYS: [&str; 6] = ["memory", "cpus", "processes", "time", "output", "disk"];

/// Two keys are near from this similarity on (Jaro-Winkler, 0 to 1).
const NEAR: f64 = 0.75;

/// A text in its two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'text> {
    /// The YAML from the line `---` on, so that its line numbers are those of the text.
    pub(crate) yaml: Option<&'text str>,
    /// The rest.
    pub(crate) body: &'text str,
}

/// What the front matter says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FrontMatter {
    pub(crate) title: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) review: Option<ReviewGate>,
    pub(crate) priority: Option<Priority>,
    /// What the file does not set is the agent's.
    pub(crate) limits: Option<LimitsPatch>,
    pub(crate) files: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// Splits a text. Without a first line `---` all of it is the body.
pub(crate) fn split(text: &str) -> Result<Parts<'_>, IntakeError> {
    let mut lines = text.split_inclusive('\n');
    let Some(first) = lines.next().filter(|line| is_fence(line)) else {
        return Ok(Parts { yaml: None, body: text });
    };
    let mut at = first.len();
    for line in lines {
        if is_fence(line) {
            return Ok(Parts { yaml: Some(&text[..at]), body: &text[at + line.len()..] });
        }
        at += line.len();
        if at > FRONT_MATTER_BYTES_MAX {
            return Err(IntakeError::FrontMatterTooLong(FRONT_MATTER_BYTES_MAX));
        }
    }
    Err(IntakeError::FrontMatterUnclosed)
}

fn is_fence(line: &str) -> bool {
    line.trim_end() == "---"
}

/// Reads front matter.
pub(crate) fn parse(yaml: &str) -> Result<FrontMatter, IntakeError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_anchors: 0,
            max_aliases: 0,
            max_merge_keys: 0,
            max_documents: 1,
            max_depth: 8,
            max_events: 20_000,
            max_nodes: 10_000,
            max_total_scalar_bytes: FRONT_MATTER_BYTES_MAX,
        },
        strict_booleans: true,
        with_snippet: false,
    };
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(yaml, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line().max(1));
        IntakeError::FrontMatter {
            line,
            message: format!("this is no YAML that Berth reads: {}", visible(reason(&error.to_string()).as_bytes())),
        }
    })?;
    let mut front_matter = FrontMatter::default();
    let mut unknown = 0_usize;
    let mut note_unknown = |front_matter: &mut FrontMatter, path: &str, key: &Spanned<String>| {
        unknown += 1;
        if unknown <= WARNINGS_MAX {
            front_matter.warnings.push(unknown_key(path, key));
        }
    };
    let entries = match root.value {
        Node::Null => Vec::new(),
        Node::Map(entries) => entries,
        Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Text(_) | Node::List(_) => {
            return Err(wrong(&root, "front matter must be a list of keys with values, such as \"title: My task\""));
        }
    };
    for (key, node) in entries {
        if matches!(node.value, Node::Null) && KEYS.contains(&key.value.as_str()) {
            continue;
        }
        match key.value.as_str() {
            "title" => front_matter.title = Some(as_title(text(&key, &node)?)),
            "agent" => front_matter.agent = Some(text(&key, &node)?.to_owned()),
            "project" => front_matter.project = Some(text(&key, &node)?.to_owned()),
            "review" => front_matter.review = Some(review(&node)?),
            "priority" => front_matter.priority = Some(priority(&node)?),
            "files" => front_matter.files = files(&node)?,
            "limits" => {
                let Node::Map(entries) = &node.value else {
                    return Err(wrong(&node, "\"limits\" must be keys with values, such as {memory: 2GB, time: 30m}"));
                };
                let mut limits = LimitsPatch::default();
                for (key, node) in entries {
                    if !limit(&mut limits, key, node)? {
                        note_unknown(&mut front_matter, "limits.", key);
                    }
                }
                front_matter.limits = Some(limits);
            }
            _ => note_unknown(&mut front_matter, "", &key),
        }
    }
    if unknown > WARNINGS_MAX {
        front_matter.warnings.push(format!("{} more keys are not known.", unknown - WARNINGS_MAX));
    }
    Ok(front_matter)
}

fn unknown_key(path: &str, key: &Spanned<String>) -> String {
    let candidates = KEYS.iter().map(|known| ("", *known)).chain(LIMIT_KEYS.iter().map(|known| ("limits.", *known)));
    let wanted = key.value.to_lowercase();
    let nearest = candidates
        .map(|(at, known)| {
            // A known word in the wrong place is nearest; otherwise what stands in the same place goes first.
            let bonus = if at == path { 0.01 } else { 0.0 };
            (strsim::jaro_winkler(&wanted, known) + bonus, at, known)
        })
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .filter(|(similarity, ..)| *similarity >= NEAR);
    let suggestion = match nearest {
        Some((_, at, known)) => format!("Did you mean \"{at}{known}\"?"),
        None if path.is_empty() => format!("The keys are {}.", KEYS.join(", ")),
        None => format!("The limits are {}.", LIMIT_KEYS.join(", ")),
    };
    let line = key.referenced.line();
    format!(
        "Line {line}: the key \"{path}{}\" is not known and has no effect. {suggestion}",
        visible(key.value.as_bytes())
    )
}

fn wrong(node: &Spanned<Node>, message: impl Into<String>) -> IntakeError {
    IntakeError::FrontMatter { line: node.referenced.line().max(1), message: message.into() }
}

/// The first line of what the parser says, without the place, which is told already.
fn reason(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default();
    line.rfind(" at line ").map_or(line, |at| &line[..at])
}

fn text<'node>(key: &Spanned<String>, node: &'node Spanned<Node>) -> Result<&'node str, IntakeError> {
    let name = key.value.as_str();
    match node.value.as_text() {
        Some(text) if !text.trim().is_empty() => Ok(text.trim()),
        Some(_) => Err(wrong(node, format!("\"{name}\" is empty: give it a value or leave it out"))),
        None => Err(wrong(node, format!("\"{name}\" must be text, not {}; put it in quotes", node.value.describe()))),
    }
}

fn review(node: &Spanned<Node>) -> Result<ReviewGate, IntakeError> {
    match node.value.as_text() {
        Some("ask") => Ok(ReviewGate::Ask),
        Some("skip") => Ok(ReviewGate::Skip),
        _ => Err(wrong(node, format!("\"review\" must be ask or skip, not {}", node.value.describe()))),
    }
}

fn priority(node: &Spanned<Node>) -> Result<Priority, IntakeError> {
    let named = node.value.as_text().and_then(Priority::from_name);
    named.ok_or_else(|| wrong(node, format!("\"priority\" must be high, normal or low, not {}", node.value.describe())))
}

fn files(node: &Spanned<Node>) -> Result<Vec<String>, IntakeError> {
    let example = "\"files\" must be a list of paths, such as [data.csv, pictures]";
    if let Some(path) = node.value.as_text() {
        return Ok(vec![path.to_owned()]);
    }
    let Node::List(items) = &node.value else {
        return Err(wrong(node, format!("{example}, not {}", node.value.describe())));
    };
    items
        .iter()
        .map(|item| {
            let path = item.value.as_text().map(str::to_owned);
            path.ok_or_else(|| wrong(item, format!("{example}; this item is {}", item.value.describe())))
        })
        .collect()
}

/// Sets one limit; `false` where there is none of that name.
fn limit(limits: &mut LimitsPatch, key: &Spanned<String>, node: &Spanned<Node>) -> Result<bool, IntakeError> {
    let name = key.value.as_str();
    if matches!(node.value, Node::Null) && LIMIT_KEYS.contains(&name) {
        return Ok(true);
    }
    match name {
        "memory" => limits.memory_bytes = Some(size_bytes(name, node)?),
        "output" => limits.output_bytes = Some(size_bytes(name, node)?),
        "disk" => limits.disk_bytes = Some(size_bytes(name, node)?),
        "cpus" => limits.cpu_milli = Some(cpu_milli(node)?),
        "processes" => {
            let pids = match &node.value {
                Node::Integer(count) => u32::try_from(*count).ok(),
                Node::Null | Node::Bool(_) | Node::Float(_) | Node::Text(_) | Node::List(_) | Node::Map(_) => None,
            };
            limits.pids = Some(pids.ok_or_else(|| {
                wrong(
                    node,
                    format!("\"limits.processes\" must be a whole number such as 256, not {}", node.value.describe()),
                )
            })?);
        }
        "time" => limits.wall_clock_s = Some(seconds(node)?),
        _ => return Ok(false),
    }
    limits::check(limits).map_err(|error| wrong(node, format!("\"limits.{name}\": {error}")))?;
    Ok(true)
}

fn size_bytes(name: &str, node: &Spanned<Node>) -> Result<u64, IntakeError> {
    match &node.value {
        Node::Integer(bytes) => u64::try_from(*bytes).ok(),
        Node::Text(size) => size.trim().parse::<ByteSize>().ok().map(|size| size.as_u64()),
        Node::Null | Node::Bool(_) | Node::Float(_) | Node::List(_) | Node::Map(_) => None,
    }
    .ok_or_else(|| {
        wrong(node, format!("\"limits.{name}\" must be a size such as 2GB or 512MiB, not {}", node.value.describe()))
    })
}

fn cpu_milli(node: &Spanned<Node>) -> Result<u32, IntakeError> {
    /// More cores than any machine has.
    const CORES_MAX: f64 = 100_000.0;
    let cores = match &node.value {
        Node::Integer(cores) => u32::try_from(*cores).ok().map(f64::from),
        Node::Float(cores) => Some(*cores),
        Node::Null | Node::Bool(_) | Node::Text(_) | Node::List(_) | Node::Map(_) => None,
    };
    match cores {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        Some(cores) if (0.0..=CORES_MAX).contains(&cores) => Ok((cores * 1_000.0).round() as u32),
        _ => Err(wrong(
            node,
            format!("\"limits.cpus\" must be a number of cores such as 1.5, not {}", node.value.describe()),
        )),
    }
}

fn seconds(node: &Spanned<Node>) -> Result<u64, IntakeError> {
    let duration = match &node.value {
        Node::Text(text) => text
            .trim()
            .parse::<jiff::Span>()
            .and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()))
            .ok(),
        Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::List(_) | Node::Map(_) => None,
    };
    duration.and_then(|duration| u64::try_from(duration.as_secs()).ok()).ok_or_else(|| {
        wrong(
            node,
            format!("\"limits.time\" must be a length of time such as 30m or 1h 30m, not {}", node.value.describe()),
        )
    })
}

/// A YAML value with the lines of all values in it.
#[derive(Debug)]
enum Node {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn describe(&self) -> String {
        /// Characters of a value that are shown.
        const SHOWN_CHARS_MAX: usize = 40;
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("the truth value {value}"),
            Self::Integer(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Text(text) => {
                let cut: String = text.chars().take(SHOWN_CHARS_MAX).collect();
                let ellipsis = if cut.len() < text.len() { "…" } else { "" };
                format!("\"{}{ellipsis}\"", visible(cut.as_bytes()))
            }
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "keys with values".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests;
