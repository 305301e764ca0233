//! Hands a task in, and waits for it if asked to.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use berth_core::Config;
use wire::{
    ErrorCode, ErrorView, LimitsPatch,
    call::{CreateTask, PreviewTask, ShowRun},
    task::{Attachment, AttachmentContent, NewTask, PROMPT_BYTES_MAX, TaskDraft, TaskSource},
    view::RunSummary,
};

use super::{
    logs::{Paper, follow},
    signals::interrupted,
    watch::{Watch, is_settled},
};
use crate::{
    arguments::Run,
    connection::Connection,
    exit::Exit,
    show::{Format, Printer, run as show_run, warn},
};

/// The longest task on standard input: a prompt and its front matter.
const INPUT_BYTES_MAX: u64 = PROMPT_BYTES_MAX as u64 + (64 << 10);

/// `berth run FILE|- [FILES…]`
pub(super) async fn run(config: &Config, run: Run, verbose: u8, printer: Printer) -> anyhow::Result<Exit> {
    let connection = if run.wait || run.follow {
        Connection::open(config, verbose).await?
    } else {
        crate::log::to_stderr(verbose);
        Connection::Remote(Connection::running(config).await.ok_or_else(nobody_would_do_it)?)
    };
    let ended = hand_in_and_wait(&connection, run, printer).await;
    connection.close().await;
    ended
}

async fn hand_in_and_wait(connection: &Connection, run: Run, printer: Printer) -> anyhow::Result<Exit> {
    let (waits, follows) = (run.wait || run.follow, run.follow);
    let created = connection.call(CreateTask { task: new_task(connection, run).await? }).await?;
    if !waits {
        let summary = connection.call(ShowRun { run: created.run.to_string() }).await?.summary;
        printer.reply(&summary, |ink| show_run::summary(&summary, ink))?;
        return Ok(Exit::Done);
    }
    let waiting = async {
        let mut watch = Watch::new(connection, printer, created.run, created.task).await;
        if follows {
            let mut paper = match printer.format {
                Format::Words => Paper::stdout(printer.ink),
                Format::Json => Paper::stderr(),
            };
            let view = follow(&mut watch, &mut paper).await?;
            paper.finish()?;
            anyhow::Ok(view)
        } else {
            Ok(watch.until(|view| is_settled(view.summary.phase)).await?)
        }
    };
    tokio::select! {
        view = waiting => {
            let summary: RunSummary = view?.summary;
            printer.reply(&summary, |ink| show_run::summary(&summary, ink))?;
            Ok(Exit::of_run(summary.phase))
        }
        heard = interrupted() => {
            heard.context("signals cannot be heard")?;
            printer.aside(&farewell(connection, created.number));
            Ok(Exit::Interrupted)
        }
    }
}

/// The task as it is asked for: what the file says, and over it what was typed.
async fn new_task(connection: &Connection, run: Run) -> anyhow::Result<NewTask> {
    let Run { files, agent, project, title, priority, time, memory, disk, wait: _, follow: _ } = run;
    let (source, attached) = source(&files)?;
    let draft = connection.call(PreviewTask { source }).await?;
    for warning in &draft.warnings {
        warn(warning);
    }
    let TaskDraft { title: own_title, prompt, agent: own_agent, project: own_project, limits, review, .. } = draft;
    let priority = priority.or(draft.priority);
    let agent = agent.or(own_agent);
    let own_limits = limits.unwrap_or_default();
    let limits = LimitsPatch {
        wall_clock_s: time.or(own_limits.wall_clock_s),
        memory_bytes: memory.or(own_limits.memory_bytes),
        disk_bytes: disk.or(own_limits.disk_bytes),
        ..own_limits
    };
    Ok(NewTask {
        title: title.or(Some(own_title)),
        prompt,
        agent,
        project: project.or(own_project),
        limits: Some(limits).filter(|limits| *limits != LimitsPatch::default()),
        review,
        priority,
        attachments: draft.attachments.into_iter().chain(attached).collect(),
    })
}

/// Where the task is, and what goes along with it where it came on standard input.
fn source(files: &[PathBuf]) -> anyhow::Result<(TaskSource, Vec<Attachment>)> {
    match files {
        [first, rest @ ..] if first == Path::new("-") => {
            let attached = rest.iter().map(|path| attachment(path)).collect::<anyhow::Result<_>>()?;
            Ok((TaskSource::Text { text: standard_input()? }, attached))
        }
        paths => {
            let paths = paths.iter().map(|path| absolute(path)).collect::<anyhow::Result<_>>()?;
            Ok((TaskSource::Paths { paths }, Vec::new()))
        }
    }
}

fn standard_input() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes).context("standard input cannot be read")?;
    let invalid = |message: &str, hint: &str| ErrorView::new(ErrorCode::TaskInvalid, message).hint(hint);
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        let hint = "Write the task in short, and hand the rest in as files.";
        return Err(invalid("The task on standard input is longer than 1 MiB.", hint).into());
    }
    String::from_utf8(bytes).map_err(|_| {
        let hint = "Hand binary files in behind a task: `berth run TASK.md FILE`.";
        invalid("The task on standard input is not UTF-8 text.", hint).into()
    })
}

fn attachment(path: &Path) -> anyhow::Result<Attachment> {
    let metadata = path.metadata().with_context(|| format!("`{}` cannot be read", path.display()))?;
    let name = path.file_name().and_then(|name| name.to_str());
    match name {
        Some(name) if metadata.is_file() => Ok(Attachment {
            name: name.to_owned(),
            size_bytes: metadata.len(),
            content: AttachmentContent::Path { path: absolute(path)? },
        }),
        Some(_) | None => {
            let message = format!("`{}` is not a file that can go along.", path.display());
            let hint = "Name its files one by one, or hand in the folder itself with a task file in it.";
            Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint).into())
        }
    }
}

/// The path as the core needs it, which may run elsewhere.
fn absolute(path: &Path) -> anyhow::Result<String> {
    let absolute = std::path::absolute(path).with_context(|| format!("`{}` leads nowhere", path.display()))?;
    absolute.into_os_string().into_string().map_err(|path| {
        let message = format!("The name of `{}` is not UTF-8.", Path::new(&path).display());
        ErrorView::new(ErrorCode::InvalidArgument, message).hint("Rename it.").into()
    })
}

fn nobody_would_do_it() -> ErrorView {
    ErrorView::new(ErrorCode::NotNow, "No Berth runs that could do this task once the command has ended.")
        .hint("Add --wait to do it now, or start `berth serve` (or the app) and run this again.")
}

fn farewell(connection: &Connection, number: i64) -> String {
    match connection {
        Connection::Remote(remote) => {
            format!("#{number} goes on: the Berth at {} runs it. `berth cancel {number}` ends it.", remote.address())
        }
        Connection::Local(_) => format!(
            "Berth stops. The sandbox of #{number} works on and is taken over at the next start: `berth serve`."
        ),
    }
}
