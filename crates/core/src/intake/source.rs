//! From a source to a draft: which file is the task, what comes along, what it says.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use wire::task::{PROMPT_BYTES_MAX, TaskDraft, TaskSource};

use super::{
    IntakeError,
    files::{self, Collector},
    front_matter::{self, FRONT_MATTER_BYTES_MAX, FrontMatter},
    text,
};
use crate::workspace::stoppable::StopSign;

/// Paths given at once at most: what a person drops in one go.
const PATHS_MAX: usize = 1_000;

/// Files that a folder without a clear task file is listed with at most.
const CHOICES_MAX: usize = 100;

/// The largest task file that can have a prompt within its bound: front matter, a byte order mark, the prompt.
const FILE_BYTES_MAX: usize = PROMPT_BYTES_MAX + FRONT_MATTER_BYTES_MAX + 8;

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// With front matter and headings.
    Markdown,
    /// The content is the prompt, whatever it looks like.
    Verbatim,
}

/// Reads a source.
pub(crate) fn read(source: TaskSource, stop_sign: &StopSign) -> Result<TaskDraft, IntakeError> {
    let collector = Collector::new(stop_sign);
    match source {
        TaskSource::Text { text } => {
            if text.len() > FILE_BYTES_MAX {
                return Err(IntakeError::TooLarge { size_bytes: Some(text.len() as u64) });
            }
            draft(text::decode(text.as_bytes())?, Format::Markdown, None, collector)
        }
        TaskSource::Paths { paths } => read_paths(&paths, collector),
    }
}

fn read_paths(paths: &[String], mut collector: Collector<'_>) -> Result<TaskDraft, IntakeError> {
    if paths.len() > PATHS_MAX {
        return Err(IntakeError::TooManyFiles);
    }
    let mut given_files = Vec::new();
    let mut given_folders = Vec::new();
    for path in paths {
        let path = Utf8Path::new(path);
        if !path.is_absolute() {
            return Err(IntakeError::RelativePath(path.to_string()));
        }
        let metadata = fs::metadata(path).map_err(|error| IntakeError::Unreadable(path.to_string(), error))?;
        if metadata.is_dir() {
            given_folders.push(path);
        } else if metadata.is_file() {
            given_files.push(path);
        } else {
            return Err(IntakeError::WrongKind { path: path.to_string(), kind: files::describe(metadata.file_type()) });
        }
    }
    let task_file = match (given_files.as_slice(), given_folders.as_slice()) {
        ([], []) => return Err(IntakeError::NoPath),
        ([], [folder]) => {
            let task_file = task_file_in(folder)?;
            collector.add_folder("", folder, Some(&task_file))?;
            task_file
        }
        ([], folders) => return Err(IntakeError::WhichTaskFile(folders.iter().map(ToString::to_string).collect())),
        (files, folders) => {
            let task_file = choose(files)?;
            for file in files.iter().filter(|file| **file != task_file) {
                collector.add_file(name_of(file), file)?;
            }
            for folder in folders {
                collector.add_folder(name_of(folder), folder, Some(task_file))?;
            }
            task_file.to_path_buf()
        }
    };
    read_file(&task_file, collector).map_err(|error| error.within(task_file.as_str()))
}

fn name_of(path: &Utf8Path) -> &str {
    path.file_name().unwrap_or("files")
}

/// The first Markdown file, else the first plain text, else the only one.
fn choose<'path>(files: &[&'path Utf8Path]) -> Result<&'path Utf8Path, IntakeError> {
    let first = |is_one: fn(&Utf8Path) -> bool| files.iter().copied().find(|file| is_one(file));
    let is_plain_text =
        |file: &Utf8Path| file.extension().is_none_or(|extension| extension.eq_ignore_ascii_case("txt"));
    match (first(is_markdown).or_else(|| first(is_plain_text)), files) {
        (Some(file), _) => Ok(file),
        (None, [file]) => Ok(*file),
        (None, files) => Err(IntakeError::WhichTaskFile(files.iter().map(|file| name_of(file).to_owned()).collect())),
    }
}

fn is_markdown(path: &Utf8Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("md") || extension.eq_ignore_ascii_case("markdown"))
}

/// The task file of a folder: `task.md` in any case, else its only Markdown file.
fn task_file_in(folder: &Utf8Path) -> Result<Utf8PathBuf, IntakeError> {
    let unreadable = |error| IntakeError::Unreadable(folder.to_string(), error);
    let mut choices = Vec::new();
    let mut named_task = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // A link could lead anywhere, and a folder may have come from anyone.
        let is_file = entry.file_type().map_err(unreadable)?.is_file();
        let Some(name) =
            entry.file_name().to_str().filter(|name| is_file && is_markdown(Utf8Path::new(name))).map(str::to_owned)
        else {
            continue;
        };
        if name.eq_ignore_ascii_case("task.md") {
            named_task.push(name);
        } else if choices.len() < CHOICES_MAX {
            choices.push(name);
        }
    }
    // `task.md` sorts after `TASK.md`, and is the one where there are both.
    named_task.sort();
    choices.sort();
    match (named_task.pop(), choices.as_slice()) {
        (Some(name), _) => Ok(folder.join(name)),
        (None, [name]) => Ok(folder.join(name)),
        (None, []) => Err(IntakeError::NoTaskFile(folder.to_string())),
        (None, _) => Err(IntakeError::WhichTaskFile(choices)),
    }
}

fn read_file(path: &Utf8Path, collector: Collector<'_>) -> Result<TaskDraft, IntakeError> {
    let unreadable = |error| IntakeError::Unreadable(path.to_string(), error);
    let file = files::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(IntakeError::WrongKind { path: path.to_string(), kind: files::describe(metadata.file_type()) });
    }
    let bytes = text::read_bounded(&file, FILE_BYTES_MAX)
        .map_err(unreadable)?
        .ok_or(IntakeError::TooLarge { size_bytes: Some(metadata.len()) })?;
    let format = if is_markdown(path) { Format::Markdown } else { Format::Verbatim };
    draft(text::decode(&bytes)?, format, path.parent(), collector)
}

/// Makes the draft; `folder` is where the task file lies, if it is a file.
fn draft(
    text: &str,
    format: Format,
    folder: Option<&Utf8Path>,
    mut collector: Collector<'_>,
) -> Result<TaskDraft, IntakeError> {
    let (front_matter, prompt) = match format {
        Format::Markdown => {
            let parts = front_matter::split(text)?;
            match parts.yaml {
                Some(yaml) => (front_matter::parse(yaml)?, parts.body.trim_start_matches(['\n', '\r'])),
                None => (FrontMatter::default(), parts.body),
            }
        }
        Format::Verbatim => (FrontMatter::default(), text),
    };
    if prompt.trim().is_empty() {
        return Err(IntakeError::Empty);
    }
    if prompt.len() > PROMPT_BYTES_MAX {
        return Err(IntakeError::TooLarge { size_bytes: Some(prompt.len() as u64) });
    }
    // Front matter may have been what made a text of it.
    text::refuse_binary(prompt.as_bytes())?;
    attach_listed(&front_matter.files, folder, &mut collector)?;
    let (attachments, warnings) = collector.finish();
    let title = front_matter.title.filter(|title| !title.is_empty()).unwrap_or_else(|| match format {
        Format::Markdown => text::title_of_markdown(prompt),
        Format::Verbatim => text::title_of_text(prompt),
    });
    Ok(TaskDraft {
        title,
        prompt: prompt.to_owned(),
        agent: front_matter.agent,
        project: front_matter.project,
        limits: front_matter.limits,
        review: front_matter.review,
        priority: front_matter.priority,
        attachments,
        warnings: front_matter.warnings.into_iter().chain(warnings).collect(),
    })
}

/// Attaches what the front matter lists. A task file may come from anyone, so it names nothing outside its folder.
fn attach_listed(
    listed: &[String],
    folder: Option<&Utf8Path>,
    collector: &mut Collector<'_>,
) -> Result<(), IntakeError> {
    if listed.is_empty() {
        return Ok(());
    }
    let folder = folder.ok_or(IntakeError::FilesWithoutFolder)?;
    let root = folder.canonicalize_utf8().map_err(|error| IntakeError::Unreadable(folder.to_string(), error))?;
    for listed in listed {
        let name = listed.trim_start_matches("./").trim_end_matches('/');
        super::name::check(name).map_err(|problem| IntakeError::Name(listed.clone(), problem))?;
        let path = root.join(name);
        let target = path.canonicalize_utf8().map_err(|error| IntakeError::Unreadable(path.to_string(), error))?;
        if !target.starts_with(&root) {
            return Err(IntakeError::FileOutside(listed.clone()));
        }
        if target.is_dir() {
            collector.add_folder(name, &target, None)?;
        } else {
            collector.add_file(name, &target)?;
        }
    }
    Ok(())
}
