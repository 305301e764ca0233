//! Images: as they stand, their builds, and those of a person's own.

use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use tokio::time::sleep;
use wire::{
    ErrorView,
    call::{AddImage, BuildImage, CancelBuild, ImageSource, ListImages, RemoveImage, ShowBuild, SmokeImage},
    image::{BuildView, ImageOrigin, ImageState, ImageView},
    stream::Update,
};

use super::signals;
use crate::{
    arguments::{self, BuildImages, Images, ImagesCommand},
    connection::{Connection, Updates},
    exit::Exit,
    show::{Format, Printer, images as show},
};

/// How long nothing may be heard of a build before it is looked at all the same.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// `berth images [build|log|cancel|smoke|remove|add]`
pub(super) async fn images(connection: &Connection, images: Images, printer: Printer) -> anyhow::Result<Exit> {
    match images.command {
        None => {
            let images = connection.call(ListImages {}).await?;
            printer.reply(&images, |ink| show::images(&images, ink))?;
        }
        Some(ImagesCommand::Build(build)) => return build_all(connection, build, printer).await,
        Some(ImagesCommand::Log { name, follow }) => return log(connection, &name, follow, printer).await,
        Some(ImagesCommand::Cancel { name }) => one(printer, &connection.call(CancelBuild { name }).await?)?,
        Some(ImagesCommand::Smoke { name }) => {
            printer.aside(&format!("Trying {name} in a sandbox without a network card."));
            let image = connection.call(SmokeImage { name }).await?;
            one(printer, &image)?;
            if let Some(smoke) = image.smoke.filter(|smoke| !smoke.passed) {
                printer.aside(&show::failed(&smoke));
                return Ok(Exit::Failed);
            }
        }
        Some(ImagesCommand::Remove { name }) => {
            let deleted = connection.call(RemoveImage { name: name.clone() }).await?;
            printer.reply(&deleted, |_| format!("Removed the image {name}.\n"))?;
        }
        Some(ImagesCommand::Add(add)) => one(printer, &connection.call(added(add)?).await?)?,
    }
    Ok(Exit::Done)
}

fn one(printer: Printer, image: &ImageView) -> io::Result<()> {
    printer.reply(image, |ink| show::images(std::slice::from_ref(image), ink))
}

fn added(add: arguments::AddImage) -> anyhow::Result<AddImage> {
    let arguments::AddImage { name, source } = add;
    let source = match (source.reference, source.folder) {
        (Some(reference), _) => ImageSource::Reference { reference },
        (None, Some(folder)) => {
            let folder = folder.canonicalize_utf8().with_context(|| format!("{folder} cannot be found"))?;
            ImageSource::Folder { path: folder.into_string() }
        }
        (None, None) => anyhow::bail!("give --reference or --folder"),
    };
    Ok(AddImage { name, source })
}

async fn build_all(connection: &Connection, build: BuildImages, printer: Printer) -> anyhow::Result<Exit> {
    let BuildImages { names, all, fresh } = build;
    let names = if all { unbuilt(connection).await? } else { names };
    if names.is_empty() {
        printer.aside("Every image of the Gallery is built as it would be now.");
    }
    let mut exit = Exit::Done;
    for name in names {
        match build_one(connection, &name, fresh, printer).await? {
            Built::There(image) => one(printer, &image)?,
            Built::Failed(error) => {
                exit = printer.failure(&error.into());
            }
            Built::Interrupted => return Ok(Exit::Interrupted),
        }
    }
    Ok(exit)
}

async fn unbuilt(connection: &Connection) -> Result<Vec<String>, ErrorView> {
    let images = connection.call(ListImages {}).await?;
    let is_wanted = |image: &ImageView| {
        matches!(image.origin, ImageOrigin::Gallery | ImageOrigin::Part)
            && !matches!(image.state, ImageState::Ready { .. })
    };
    Ok(images.into_iter().filter(is_wanted).map(|image| image.name).collect())
}

enum Built {
    There(Box<ImageView>),
    Failed(ErrorView),
    Interrupted,
}

/// Builds one image, and says on stderr how it goes.
async fn build_one(connection: &Connection, name: &str, is_fresh: bool, printer: Printer) -> anyhow::Result<Built> {
    let mut updates = connection.updates().await.ok();
    let mut watch = BuildWatch::new(name, printer);
    let mut building = pin!(connection.call(BuildImage { name: name.to_owned(), is_fresh }));
    let mut interrupted = pin!(signals::interrupted());
    loop {
        tokio::select! {
            built = &mut building => {
                watch.end();
                return Ok(match built {
                    Ok(image) => Built::There(Box::new(image)),
                    Err(error) => Built::Failed(error),
                });
            }
            asked = &mut interrupted => {
                asked?;
                watch.end();
                printer.aside(&format!("Cancelling the build of {name}."));
                // It may be over at this very moment.
                let _ = connection.call(CancelBuild { name: name.to_owned() }).await;
                return Ok(Built::Interrupted);
            }
            () = changed(&mut updates) => {
                // No lines: the log is for `images log`.
                let show = ShowBuild { name: name.to_owned(), from_line: u64::MAX };
                if let Ok(view) = connection.call(show).await {
                    watch.say(&view);
                }
            }
        }
    }
}

/// Waits until something may have happened to a build.
async fn changed(updates: &mut Option<Updates>) {
    let heard = async {
        match updates {
            None => std::future::pending().await,
            Some(updates) => loop {
                match updates.next().await {
                    None => return false,
                    Some(update) if is_about_images(&update) => return true,
                    Some(_) => {}
                }
            },
        }
    };
    tokio::select! {
        goes_on = heard => if !goes_on { *updates = None },
        () = sleep(LOOK_AGAIN) => {}
    }
}

fn is_about_images(update: &Update) -> bool {
    matches!(update, Update::All | Update::Images)
}

/// Says how a build goes: one line that is written over on a terminal, a line for each step elsewhere.
struct BuildWatch {
    name: String,
    printer: Printer,
    columns: Option<usize>,
    /// How many steps were said to be over.
    said: usize,
}

impl BuildWatch {
    fn new(name: &str, printer: Printer) -> Self {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(COLUMNS);
        let is_live = printer.format == Format::Words && io::stderr().is_terminal();
        Self { name: name.to_owned(), printer, columns: is_live.then_some(columns), said: 0 }
    }

    fn say(&mut self, view: &BuildView) {
        // One that is over is the one before: this one has not begun.
        if view.ended.is_some() {
            return;
        }
        if let Some(columns) = self.columns {
            let line = show::progress(view, columns.saturating_sub(1));
            let _ = write!(io::stderr().lock(), "\r\x1b[2K{line}");
            return;
        }
        for line in show::steps_over(&self.name, view, self.said) {
            self.printer.aside(&line);
            self.said += 1;
        }
    }

    fn end(&self) {
        if self.columns.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[2K");
        }
    }
}

/// Prints the log of a build.
async fn log(connection: &Connection, name: &str, is_followed: bool, printer: Printer) -> anyhow::Result<Exit> {
    let mut updates = if is_followed { connection.updates().await.ok() } else { None };
    let mut whole: Option<BuildView> = None;
    let mut from = 0;
    loop {
        let view = connection.call(ShowBuild { name: name.to_owned(), from_line: from }).await?;
        if printer.is_for_a_person() {
            let mut stdout = io::stdout().lock();
            stdout.write_all(show::log(&view, from).as_bytes())?;
            stdout.flush()?;
        }
        let next = view.from_line + view.log.len() as u64;
        let is_whole = next >= view.lines;
        let goes_on = is_followed && view.ended.is_none();
        whole = Some(match whole {
            Some(mut whole) => {
                whole.log.extend(view.log.iter().cloned());
                BuildView { log: whole.log, from_line: whole.from_line, ..view.clone() }
            }
            None => view.clone(),
        });
        from = next;
        if is_whole && !goes_on {
            break;
        }
        if is_whole {
            changed(&mut updates).await;
        }
    }
    let whole = whole.expect("invariant: it was shown at least once");
    match printer.format {
        Format::Json => printer.reply(&whole, |_| String::new())?,
        Format::Words => printer.aside(&show::outcome(&whole)),
    }
    Ok(Exit::Done)
}
