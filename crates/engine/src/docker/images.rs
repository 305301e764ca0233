//! Making images: build, import, commit, pull.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::query_parameters as query;
use bollard::{Docker, models};
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::call::{bounded, idempotent, sorted};
use super::{QUICK_BOUND, TRANSFER_BOUND};
use crate::image::{BuildCache, BuildNetwork};
use crate::{
    BuildRequest, ContainerId, EngineError, ErrorKind, ImageId, ImageRef, ImportRequest, Ownership, Progress, Result,
};

/// Bound on the silence of a build or a pull: a single instruction may compile for long without a word.
const SILENCE_BOUND: Duration = Duration::from_hours(1);
/// Longest log line that is passed on, in bytes; the rest of a longer one is dropped.
const LOG_BYTES_MAX: usize = 16 * 1024;
/// How many of an instruction's last lines go into the error of a failed build.
const LAST_LINES_MAX: usize = 12;

pub(super) async fn build(docker: &Docker, request: BuildRequest, progress: mpsc::Sender<Progress>) -> Result<ImageId> {
    let doing = format!("build image {}", request.tag);
    let mut labels = request.labels;
    labels.extend(request.ownership.labels());
    let options = query::BuildImageOptions {
        dockerfile: "Dockerfile".into(),
        t: Some(request.tag.to_string()),
        rm: true,
        forcerm: true,
        buildargs: Some(request.build_args.into_iter().collect()),
        labels: Some(labels.into_iter().collect()),
        networkmode: match request.network {
            BuildNetwork::Usual => None,
            BuildNetwork::None => Some("none".into()),
        },
        nocache: request.cache == BuildCache::Ignore,
        version: query::BuilderVersion::BuilderV1,
        ..Default::default()
    };
    let context = bollard::body_try_stream(request.context.into_stream());
    let mut messages = docker.build_image(options, None, Some(context)).boxed();
    let mut last_lines: Vec<String> = Vec::new();
    loop {
        match heard(&doing, &mut messages).await {
            Ok(None) => return made(docker, &doing, &request.tag).await,
            Ok(Some(message)) => {
                for item in build_progress(message) {
                    if let Progress::Log(line) = &item {
                        last_lines.push(line.clone());
                        last_lines.drain(..last_lines.len().saturating_sub(LAST_LINES_MAX));
                    }
                    // Nobody may be listening: that is no reason to end a build.
                    let _ = progress.send(item).await;
                }
            }
            Err(error) if error.kind() == ErrorKind::Denied && !last_lines.is_empty() => {
                let detail = format!("{}\n{}", error.detail(), last_lines.join("\n"));
                return Err(EngineError::new(ErrorKind::Denied, doing, detail));
            }
            Err(error) => return Err(error),
        }
    }
}

fn build_progress(message: models::BuildInfo) -> Vec<Progress> {
    if let Some(status) = message.status {
        return vec![layer(message.id, &status, message.progress_detail)];
    }
    let text = message.stream.unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| step(line).unwrap_or_else(|| Progress::Log(cut(line))))
        .collect()
}

/// `Step 3/7 : RUN make`, as the classic builder announces an instruction.
fn step(line: &str) -> Option<Progress> {
    let (count, text) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, of) = count.split_once('/')?;
    Some(Progress::Step { number: number.parse().ok()?, of: of.parse().ok()?, text: cut(text) })
}

fn cut(line: &str) -> String {
    line[..line.floor_char_boundary(LOG_BYTES_MAX)].to_owned()
}

fn layer(id: Option<String>, status: &str, detail: Option<models::ProgressDetail>) -> Progress {
    let bytes = |number: Option<i64>| u64::try_from(number.unwrap_or_default()).unwrap_or_default();
    let detail = detail.unwrap_or_default();
    Progress::Layer {
        id: id.unwrap_or_default(),
        status: cut(status),
        done_bytes: bytes(detail.current),
        total_bytes: bytes(detail.total),
    }
}

pub(super) async fn import(docker: &Docker, request: ImportRequest) -> Result<ImageId> {
    let doing = format!("import image {}", request.tag);
    let (repository, tag) = named(&doing, &request.tag)?;
    let mut labels = request.labels;
    labels.extend(request.ownership.labels());
    let mut changes = request.changes;
    changes.extend(label_instruction(&labels));
    if let Some(change) = changes.iter().find(|change| change.contains(['\n', '\r'])) {
        return Err(EngineError::new(ErrorKind::Denied, doing, format!("{change:?} is more than one instruction")));
    }
    let options = query::CreateImageOptions {
        from_src: Some("-".into()),
        repo: Some(repository),
        tag: Some(tag),
        changes,
        ..Default::default()
    };
    let root = bollard::body_try_stream(request.root.into_stream());
    let whole = docker.create_image(Some(options), Some(root), None).try_for_each(|_| std::future::ready(Ok(())));
    bounded(|| doing.clone(), TRANSFER_BOUND, whole).await?;
    made(docker, &doing, &request.tag).await
}

/// One `LABEL` instruction with everything quoted (Dockerfile reference, "LABEL").
fn label_instruction(labels: &BTreeMap<String, String>) -> Option<String> {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"));
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{}={}", quoted(key), quoted(value))).collect();
    if pairs.is_empty() { None } else { Some(format!("LABEL {}", pairs.join(" "))) }
}

pub(super) async fn commit(
    docker: &Docker,
    container: &ContainerId,
    tag: &ImageRef,
    ownership: &Ownership,
    base: models::ImageInspect,
) -> Result<ImageId> {
    let doing = format!("commit container {container} as {tag}");
    let (repository, name) = named(&doing, tag)?;
    let options = query::CommitContainerOptions {
        container: Some(container.to_string()),
        repo: Some(repository),
        tag: Some(name),
        pause: true,
        ..Default::default()
    };
    // The engine fills what is missing from the container's configuration, which is ours and not the image's: so everything
    // that a container overrides is given.
    let base = base.config.unwrap_or_default();
    let mut labels = base.labels.unwrap_or_default();
    labels.extend(ownership.labels());
    let or_default = |text: Option<String>, default: &str| {
        Some(text.filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned()))
    };
    let config = models::ContainerConfig {
        env: base.env,
        cmd: Some(base.cmd.unwrap_or_default()),
        entrypoint: Some(base.entrypoint.unwrap_or_default()),
        user: or_default(base.user, "0:0"),
        working_dir: or_default(base.working_dir, "/"),
        labels: Some(labels),
        ..Default::default()
    };
    let call = docker.commit_container(options, config);
    bounded(|| doing.clone(), TRANSFER_BOUND, call).await?;
    made(docker, &doing, tag).await
}

pub(super) async fn tag(docker: &Docker, image: &ImageId, name: &ImageRef) -> Result<()> {
    let doing = || format!("name image {image} {name}");
    let (repository, tag) = named(&doing(), name)?;
    let options = query::TagImageOptions { repo: Some(repository), tag: Some(tag) };
    idempotent(doing, QUICK_BOUND, || docker.tag_image(image.as_str(), Some(options.clone()))).await
}

pub(super) async fn pull(docker: &Docker, reference: &ImageRef, progress: mpsc::Sender<Progress>) -> Result<()> {
    let doing = format!("pull image {reference}");
    // Without a tag an engine would fetch every tag that there is.
    let (from_image, tag) = match reference.repository_and_tag() {
        Some((repository, tag)) => (repository.to_owned(), Some(tag.to_owned())),
        None => (reference.to_string(), None),
    };
    let options = query::CreateImageOptions { from_image: Some(from_image), tag, ..Default::default() };
    let mut messages = docker.create_image(Some(options), None, None).boxed();
    while let Some(message) = heard(&doing, &mut messages).await? {
        let _ = progress.send(layer(message.id, &message.status.unwrap_or_default(), message.progress_detail)).await;
    }
    Ok(())
}

/// The next message, awaited no longer than [`SILENCE_BOUND`].
async fn heard<T>(
    doing: &str,
    messages: &mut (impl Stream<Item = Result<T, bollard::errors::Error>> + Unpin),
) -> Result<Option<T>> {
    match tokio::time::timeout(SILENCE_BOUND, messages.next()).await {
        Err(_elapsed) => Err(EngineError::new(ErrorKind::Transient, doing, "the engine fell silent")),
        Ok(None) => Ok(None),
        Ok(Some(Err(error))) => Err(sorted(doing.to_owned(), error)),
        Ok(Some(Ok(message))) => Ok(Some(message)),
    }
}

/// The image that a call has just made.
async fn made(docker: &Docker, doing: &str, tag: &ImageRef) -> Result<ImageId> {
    let inspect = idempotent(|| doing.to_owned(), QUICK_BOUND, || docker.inspect_image(tag.as_str())).await?;
    ImageId::parse(inspect.id.unwrap_or_default())
        .map_err(|bad| EngineError::new(ErrorKind::Broken, doing, bad.to_string()))
}

fn named(doing: &str, tag: &ImageRef) -> Result<(String, String)> {
    let parts = tag.repository_and_tag().map(|(repository, tag)| (repository.to_owned(), tag.to_owned()));
    parts.ok_or_else(|| EngineError::new(ErrorKind::Denied, doing, format!("{tag} is no name that can be given")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_builders_announcements_become_steps() {
        let message = models::BuildInfo { stream: Some("Step 3/7 : RUN make\n".into()), ..Default::default() };
        assert_eq!(build_progress(message), [Progress::Step { number: 3, of: 7, text: "RUN make".into() }]);
        let message = models::BuildInfo { stream: Some("Step into the light\n\nok\n".into()), ..Default::default() };
        assert_eq!(build_progress(message), [Progress::Log("Step into the light".into()), Progress::Log("ok".into())]);
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let line = "ä".repeat(LOG_BYTES_MAX);
        assert!(cut(&line).len() <= LOG_BYTES_MAX);
        assert!(cut(&format!("x{line}")).len() <= LOG_BYTES_MAX);
    }

    #[test]
    fn label_values_cannot_leave_their_quotes() {
        let labels = BTreeMap::from([("a".to_owned(), "b\" evil=\"$HOME\\".to_owned())]);
        assert_eq!(label_instruction(&labels).unwrap(), r#"LABEL "a"="b\" evil=\"\$HOME\\""#);
        assert_eq!(label_instruction(&BTreeMap::new()), None);
    }
}
