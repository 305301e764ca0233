//! Importing and building: enough of a Dockerfile for tests, and no more.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use engine::image::BuildCache;
use engine::{BuildRequest, EngineError, ErrorKind, Image, ImageId, ImageRef, ImportRequest, Progress, Result};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::Shared;
use super::files::{Tree, collected};
use super::programs::interpret;
use super::world::{StoredImage, refused};

/// An image without anything.
fn empty() -> Result<StoredImage> {
    let id = ImageId::parse("sha256:0")
        .map_err(|bad| EngineError::new(ErrorKind::Broken, "make an image", bad.to_string()))?;
    let image = Image {
        id,
        architecture: std::env::consts::ARCH.into(),
        env: Vec::new(),
        user: String::new(),
        working_dir: String::new(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        volumes: Vec::new(),
        labels: BTreeMap::new(),
        size_bytes: 0,
        repo_tags: Vec::new(),
    };
    Ok(StoredImage { image, tree: Tree::default() })
}

pub(super) async fn import(shared: &Shared, request: ImportRequest) -> Result<ImageId> {
    let doing = format!("import image {}", request.tag);
    let tar = collected(request.root).await?;
    let mut made = empty()?;
    let broken =
        |error| EngineError::new(ErrorKind::Denied, doing.clone(), "the archive cannot be unpacked").caused_by(error);
    made.tree.unpack(Utf8Path::new("/"), &tar).map_err(broken)?;
    made.image.size_bytes = tar.len() as u64;
    for change in &request.changes {
        apply(&mut made.image, change, &BTreeMap::new(), &doing)?;
    }
    made.image.labels.extend(request.labels);
    made.image.labels.extend(request.ownership.labels());
    shared.world().keep_image(made, &request.tag, &doing)
}

/// Applies an instruction that changes an image's configuration.
fn apply(image: &mut Image, instruction: &str, args: &BTreeMap<String, String>, doing: &str) -> Result<()> {
    let (word, rest) = instruction.split_once(' ').unwrap_or((instruction, ""));
    let list = || serde_json::from_str::<Vec<String>>(rest).unwrap_or_else(|_| vec![rest.to_owned()]);
    match word {
        "ENV" => {
            let value =
                args.iter().fold(rest.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value));
            image.env.push(value);
        }
        "WORKDIR" => rest.clone_into(&mut image.working_dir),
        "USER" => rest.clone_into(&mut image.user),
        "CMD" => image.cmd = list(),
        "ENTRYPOINT" => image.entrypoint = list(),
        "VOLUME" => image.volumes.extend(list()),
        _ => return refused(ErrorKind::Denied, doing, format!("unknown instruction {instruction:?}")),
    }
    Ok(())
}

pub(super) async fn build(shared: &Shared, request: BuildRequest, progress: mpsc::Sender<Progress>) -> Result<ImageId> {
    let doing = format!("build image {}", request.tag);
    let tar = collected(request.context).await?;
    let mut context = Tree::default();
    let broken =
        |error| EngineError::new(ErrorKind::Denied, doing.clone(), "the context cannot be unpacked").caused_by(error);
    context.unpack(Utf8Path::new("/"), &tar).map_err(broken)?;
    let Some(dockerfile) = context.text("/Dockerfile") else {
        return refused(ErrorKind::Denied, doing, "the context has no Dockerfile");
    };
    let lines: Vec<&str> =
        dockerfile.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut made = empty()?;
    // What an instruction's result depends on: all before it, and the context.
    let mut done = format!("{:x?} {:?}", Sha256::digest(&tar), request.build_args);
    for (index, line) in lines.iter().enumerate() {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let step = Progress::Step { number: count(index + 1), of: count(lines.len()), text: (*line).to_owned() };
        // Nobody may be listening: that is no reason to end a build.
        let _ = progress.send(step).await;
        done.push_str(line);
        let is_cached = request.cache == BuildCache::Use && shared.world().has_built(&done);
        if is_cached && !line.starts_with("FROM") {
            let _ = progress.send(Progress::Log(" ---> Using cache".to_owned())).await;
        }
        match line.split_once(' ') {
            Some(("FROM", base)) => made = based_on(shared, &with_arguments(base, &request.build_args), &doing)?,
            Some(("ARG", _)) => {}
            Some(("COPY", paths)) => copy(&mut made.tree, &context, paths, &doing)?,
            Some(("RUN", _)) if is_cached => {}
            Some(("RUN", script)) => run(script, &progress, &doing).await?,
            Some(("LABEL", pairs)) => made.image.labels.extend(labels(pairs)),
            Some(_) | None => apply(&mut made.image, line, &request.build_args, &doing)?,
        }
        shared.world().note_built(&done);
    }
    made.image.labels.extend(request.labels);
    made.image.labels.extend(request.ownership.labels());
    shared.world().keep_image(made, &request.tag, &doing)
}

/// Text in which `${NAME}` stands for an argument.
fn with_arguments(text: &str, arguments: &BTreeMap<String, String>) -> String {
    arguments.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

/// `key="value"` pairs whose values hold neither quotes nor spaces.
fn labels(pairs: &str) -> impl Iterator<Item = (String, String)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((key.to_owned(), value.trim_matches('"').to_owned()))
    };
    pairs.split(' ').filter_map(pair)
}

fn based_on(shared: &Shared, base: &str, doing: &str) -> Result<StoredImage> {
    let reference = ImageRef::parse(base).map_err(|bad| EngineError::new(ErrorKind::Denied, doing, bad.to_string()))?;
    let gone = || EngineError::new(ErrorKind::Gone, doing, format!("the engine has no image {base}"));
    shared.world().image(&reference).cloned().ok_or_else(gone)
}

fn copy(tree: &mut Tree, context: &Tree, paths: &str, doing: &str) -> Result<()> {
    let copied = paths
        .split_once(' ')
        .and_then(|(from, to)| tree.copy(context, &Utf8Path::new("/").join(from), Utf8PathBuf::from(to)));
    copied.ok_or_else(|| EngineError::new(ErrorKind::Denied, doing, format!("COPY {paths} finds nothing")))
}

async fn run(script: &str, progress: &mpsc::Sender<Progress>, doing: &str) -> Result<()> {
    let spoken = interpret(script);
    let said = format!("{}{}", spoken.output, spoken.errors);
    for line in said.lines() {
        let _ = progress.send(Progress::Log(line.to_owned())).await;
    }
    if spoken.code == 0 {
        return Ok(());
    }
    refused(ErrorKind::Denied, doing, format!("RUN {script} returned {}\n{said}", spoken.code))
}

/// Fetches what was published and is not there, telling of its one layer.
pub(super) async fn pull(shared: &Shared, reference: &ImageRef, progress: mpsc::Sender<Progress>) -> Result<()> {
    let doing = format!("pull image {reference}");
    if shared.world().image(reference).is_some() {
        return Ok(());
    }
    let Some(published) = shared.world().published(reference) else {
        return refused(ErrorKind::Gone, doing, "no registry has it");
    };
    let layer = |status: &str, done_bytes| Progress::Layer {
        id: "0123456789ab".to_owned(),
        status: status.to_owned(),
        done_bytes,
        total_bytes: 2048,
    };
    for message in [layer("Downloading", 1024), layer("Downloading", 2048), layer("Pull complete", 0)] {
        // Nobody may be listening: that is no reason to end a fetch.
        let _ = progress.send(message).await;
    }
    shared.world().keep_image(published, reference, &doing).map(drop)
}
