//! Homes: listed, looked into, moved out and in, started anew.

use std::io::{IsTerminal as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use wire::{
    ErrorCode, ErrorView,
    call::{BrowseHome, CancelHomeWork, DeleteHome, ListHomes, MeasureHome, ReadHome, ResetHome},
    stream::StreamTarget,
    view::{FolderView, HomeView},
};

use super::signals;
use crate::{
    arguments::{Homes, HomesCommand},
    clock,
    connection::Connection,
    exit::Exit,
    show::{Printer, homes, words},
};

/// How much of a file is asked for at once.
const PIECE_BYTES: u32 = 1 << 20;
/// How much of an archive is read at once, in bytes.
const CHUNK_BYTES: usize = 128 << 10;
/// Chunks that wait to be sent.
const CHUNKS_MAX: usize = 8;
/// How often a person is told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// `berth homes [ls|cat|export|import|reset|delete|cancel HOME]`
pub(super) async fn homes(connection: &Connection, homes: Homes, printer: Printer) -> anyhow::Result<Exit> {
    let Some(command) = homes.command else { return list(connection, homes.sizes, printer).await };
    match command {
        HomesCommand::Ls { home, path } => list_folder(connection, home, &path, printer).await,
        HomesCommand::Cat { home, path } => cat(connection, home, &path).await,
        HomesCommand::Export { home, output } => export(connection, home, &output, printer).await,
        HomesCommand::Import { home, file, confirm } => import(connection, home, &file, confirm, printer).await,
        HomesCommand::Reset { home, confirm } => {
            let view = connection.call(ResetHome { home, confirm }).await?;
            printer.reply(&view, |_| format!("The home of {} is new. What was in it is gone.\n", view.name))?;
            Ok(Exit::Done)
        }
        HomesCommand::Delete { home, confirm } => {
            let deleted = connection.call(DeleteHome { home: home.clone(), confirm }).await?;
            printer.reply(&deleted, |_| format!("Deleted the home {}.\n", words::line(&home)))?;
            Ok(Exit::Done)
        }
        HomesCommand::Cancel { home } => {
            let view = connection.call(CancelHomeWork { home }).await?;
            printer.reply(&view, |_| format!("Cancelled. The home of {} is as it was.\n", view.name))?;
            Ok(Exit::Done)
        }
    }
}

async fn list(connection: &Connection, with_sizes: bool, printer: Printer) -> anyhow::Result<Exit> {
    let mut list = connection.call(ListHomes {}).await?;
    if with_sizes {
        for home in list.iter_mut().filter(|home| home.size.is_none() && !home.is_new) {
            *home = connection.call(MeasureHome { home: home.home.clone() }).await?;
        }
    }
    printer.reply(&list, |ink| homes::homes(&list, clock::now(), ink))?;
    Ok(Exit::Done)
}

/// A path as a call takes it: what would read as an escape is one.
fn key_of(path: &str) -> String {
    path.replace('%', "%25")
}

async fn list_folder(connection: &Connection, home: String, path: &str, printer: Printer) -> anyhow::Result<Exit> {
    let mut after = String::new();
    let mut folder: Option<FolderView> = None;
    loop {
        let call = BrowseHome { home: home.clone(), key: key_of(path), after, limit: 1_000 };
        let mut page = connection.call(call).await?;
        let next = page.next.take();
        match &mut folder {
            None => folder = Some(page),
            Some(whole) => whole.entries.append(&mut page.entries),
        }
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    if let Some(folder) = folder {
        printer.reply(&folder, |ink| homes::folder(&folder, clock::now(), ink))?;
    }
    Ok(Exit::Done)
}

async fn cat(connection: &Connection, home: String, path: &str) -> anyhow::Result<Exit> {
    let mut offset = 0;
    let mut stdout = std::io::stdout().lock();
    loop {
        let call = ReadHome { home: home.clone(), key: key_of(path), offset, length: PIECE_BYTES };
        let piece = connection.call(call).await?;
        let bytes = STANDARD.decode(&piece.base64).context("Berth answers in other words than ours")?;
        if stdout.is_terminal() {
            // A file of a sandbox's steers nobody's terminal.
            let tame: String = String::from_utf8_lossy(&bytes)
                .chars()
                .map(|c| if matches!(c, '\n' | '\t') { c } else { words::visible(c) })
                .collect();
            stdout.write_all(tame.as_bytes())?;
        } else {
            stdout.write_all(&bytes)?;
        }
        offset += bytes.len() as u64;
        if bytes.is_empty() || offset >= piece.size_bytes {
            stdout.flush()?;
            return Ok(Exit::Done);
        }
    }
}

async fn export(connection: &Connection, home: String, output: &Path, printer: Printer) -> anyhow::Result<Exit> {
    if output == Path::new("-") {
        let written = carry_out(connection, home, &mut own_file(std::io::stdout().as_fd())?, printer).await?;
        return Ok(if written.is_some() { Exit::Done } else { Exit::Interrupted });
    }
    // Beside it first, so that a file of that name is always whole.
    let mut part = output.as_os_str().to_owned();
    part.push(".part");
    if output.exists() {
        let message = format!("{} is there already.", words::line(&output.to_string_lossy()));
        return Err(ErrorView::new(ErrorCode::InvalidArgument, message)
            .hint("Give another name, or remove it.")
            .into());
    }
    let file = tokio::fs::File::options().write(true).create_new(true).open(&part).await;
    let mut file = file.with_context(|| format!("{} cannot be written", part.to_string_lossy()))?;
    let written = async {
        let written = carry_out(connection, home.clone(), &mut file, printer).await?;
        if written.is_some() {
            file.sync_all().await?;
            // Never over a file that came to be meanwhile.
            if let Err(error) = tokio::fs::hard_link(&part, output).await {
                if error.kind() == std::io::ErrorKind::AlreadyExists {
                    return Err(error.into());
                }
                // A file system without hard links.
                tokio::fs::rename(&part, output).await?;
            }
        }
        anyhow::Ok(written)
    };
    let written = written.await;
    if tokio::fs::try_exists(&part).await? {
        tokio::fs::remove_file(&part).await?;
    }
    match written? {
        Some(bytes) => {
            let said = serde_json::json!({ "home": home, "file": output.to_string_lossy(), "size_bytes": bytes });
            printer.reply(&said, |_| {
                format!("Wrote {} to {}.\n", words::size(bytes), words::line(&output.to_string_lossy()))
            })?;
            Ok(Exit::Done)
        }
        None => Ok(Exit::Interrupted),
    }
}

/// A standard stream without a buffer of its own.
fn own_file(stream: BorrowedFd<'_>) -> std::io::Result<tokio::fs::File> {
    Ok(tokio::fs::File::from_std(std::fs::File::from(stream.try_clone_to_owned()?)))
}

/// Writes an archive. How many bytes it was; `None` where a person ended it.
async fn carry_out(
    connection: &Connection,
    home: String,
    output: &mut (impl AsyncWrite + Unpin),
    printer: Printer,
) -> anyhow::Result<Option<u64>> {
    let total = total_of(connection, &home).await;
    let mut archive = connection.download(StreamTarget::ExportHome { home }).await?;
    let mut progress = Progress::new("Exported", total, printer);
    let mut interrupted = std::pin::pin!(signals::interrupted());
    loop {
        let chunk = tokio::select! {
            ended = &mut interrupted => {
                ended?;
                return Ok(None);
            }
            chunk = archive.next() => chunk?,
        };
        let Some(chunk) = chunk else { break };
        output.write_all(&chunk).await?;
        progress.add(chunk.len() as u64);
    }
    output.flush().await?;
    Ok(Some(progress.done))
}

/// About how long an archive will be.
async fn total_of(connection: &Connection, name: &str) -> Option<u64> {
    let homes = connection.call(ListHomes {}).await.ok()?;
    let home = homes.into_iter().find(|home: &HomeView| home.name == name || home.home == name)?;
    home.size.map(|size| size.size_bytes)
}

async fn import(
    connection: &Connection,
    home: String,
    file: &Path,
    confirm: String,
    printer: Printer,
) -> anyhow::Result<Exit> {
    let (input, size_bytes): (Box<dyn AsyncRead + Send + Unpin>, Option<u64>) = if file == Path::new("-") {
        (Box::new(own_file(std::io::stdin().as_fd())?), None)
    } else {
        let opened = tokio::fs::File::open(file).await;
        let opened = opened.with_context(|| format!("{} cannot be read", file.to_string_lossy()))?;
        let size_bytes = opened.metadata().await.ok().filter(std::fs::Metadata::is_file).map(|found| found.len());
        (Box::new(opened), size_bytes)
    };
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    let target = StreamTarget::ImportHome { home, confirm, size_bytes };
    let progress = Progress::new("Sent", size_bytes, printer);
    let sending = async {
        send(input, sender, progress).await;
        std::future::pending().await
    };
    let imported = tokio::select! {
        ended = signals::interrupted() => {
            ended?;
            return Ok(Exit::Interrupted);
        }
        imported = connection.upload(target, chunks) => imported?,
        // What was sent is not yet taken in: the answer above says so.
        never = sending => never,
    };
    printer.reply(&imported, |ink| homes::imported(&imported, ink))?;
    Ok(Exit::Done)
}

async fn send(
    mut input: Box<dyn AsyncRead + Send + Unpin>,
    sender: mpsc::Sender<std::io::Result<Bytes>>,
    mut progress: Progress,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let chunk = match input.read(&mut buffer).await {
            Ok(0) => return,
            Ok(count) => Ok(Bytes::copy_from_slice(&buffer[..count])),
            Err(error) => Err(error),
        };
        let count = chunk.as_ref().map_or(0, Bytes::len) as u64;
        let is_over = chunk.is_err();
        // One that takes no more says why by itself.
        if sender.send(chunk).await.is_err() || is_over {
            return;
        }
        progress.add(count);
    }
}

/// Says how far it is, where somebody looks.
struct Progress {
    word: &'static str,
    done: u64,
    total: Option<u64>,
    told_at: Instant,
    is_shown: bool,
}

impl Progress {
    fn new(word: &'static str, total: Option<u64>, printer: Printer) -> Self {
        let is_shown = printer.is_for_a_person() && std::io::stderr().is_terminal();
        Self { word, done: 0, total, told_at: Instant::now(), is_shown }
    }

    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.is_shown && self.told_at.elapsed() >= TELL_EVERY {
            self.told_at = Instant::now();
            let of = self.total.map(|total| format!(" of about {}", words::size(total))).unwrap_or_default();
            // Nobody can be told where stderr itself is gone.
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K{} {}{of}", self.word, words::size(self.done));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}
