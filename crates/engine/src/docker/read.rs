//! From the engine's answers to our own words.

use std::collections::{BTreeMap, HashMap};

use bollard::models;
use jiff::Timestamp;

use crate::container::EventObject;
use crate::{
    ApiVersion, BridgeNetwork, CgroupVersion, Container, ContainerId, ContainerState, EngineError, EngineFacts,
    ErrorKind, Event, Exit, Image, ImageId, NetworkName, Product, Result, Stats, Volume, VolumeName,
};

/// What engines write for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(super) fn facts(version: models::SystemVersion, info: models::SystemInfo, api_version: ApiVersion) -> EngineFacts {
    let components = version.components.unwrap_or_default();
    let platform = version.platform.map(|platform| platform.name).unwrap_or_default();
    let product = if components.iter().any(|component| component.name.starts_with("Podman")) {
        Product::Podman
    } else if components.iter().any(|component| component.name == "Engine") || platform.starts_with("Docker") {
        Product::Docker
    } else {
        Product::Other(platform)
    };
    let security_options = info.security_options.unwrap_or_default();
    EngineFacts {
        product,
        version: version.version.unwrap_or_default(),
        api_version,
        os: info.os_type.unwrap_or_default().to_lowercase(),
        architecture: architecture(&info.architecture.unwrap_or_default()),
        kernel: info.kernel_version.unwrap_or_default(),
        cgroup: match info.cgroup_version {
            Some(models::SystemInfoCgroupVersionEnum::_1) => CgroupVersion::V1,
            Some(models::SystemInfoCgroupVersionEnum::_2) => CgroupVersion::V2,
            Some(models::SystemInfoCgroupVersionEnum::EMPTY) | None => CgroupVersion::Unknown,
        },
        is_rootless: security_options.iter().any(|option| option == "rootless" || option.starts_with("name=rootless")),
        is_live_restore: info.live_restore_enabled.unwrap_or(false),
        memory_bytes: unsigned(info.mem_total),
        cpus: u32::try_from(info.ncpu.unwrap_or_default()).unwrap_or_default(),
        storage_driver: info.driver.unwrap_or_default(),
        root_folder: info.docker_root_dir.filter(|folder| !folder.is_empty()).map(Into::into),
        machine_name: info.name.unwrap_or_default(),
        security_options,
    }
}

/// Images say `amd64`, machines say `x86_64`; we say what Rust says.
fn architecture(text: &str) -> String {
    match text {
        "amd64" | "x86-64" => "x86_64".into(),
        "arm64" => "aarch64".into(),
        "386" | "i386" | "i686" => "x86".into(),
        other => other.to_owned(),
    }
}

pub(super) fn image(inspect: models::ImageInspect) -> Result<Image> {
    let config = inspect.config.unwrap_or_default();
    Ok(Image {
        id: image_id(inspect.id.unwrap_or_default())?,
        architecture: architecture(&inspect.architecture.unwrap_or_default()),
        env: config.env.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        volumes: config.volumes.unwrap_or_default(),
        labels: sorted_labels(config.labels),
        size_bytes: unsigned(inspect.size),
        repo_tags: inspect.repo_tags.unwrap_or_default(),
    })
}

pub(super) fn image_summary(summary: models::ImageSummary) -> Result<Image> {
    Ok(Image {
        id: image_id(summary.id)?,
        architecture: String::new(),
        env: Vec::new(),
        user: String::new(),
        working_dir: String::new(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        volumes: Vec::new(),
        labels: sorted_labels(Some(summary.labels)),
        size_bytes: unsigned(Some(summary.size)),
        repo_tags: summary.repo_tags,
    })
}

fn image_id(text: String) -> Result<ImageId> {
    ImageId::parse(text).map_err(|bad| EngineError::new(ErrorKind::Broken, "read an image", bad.to_string()))
}

pub(super) fn volume(volume: models::Volume) -> Result<Volume> {
    Ok(Volume {
        name: VolumeName::parse(volume.name)
            .map_err(|bad| EngineError::new(ErrorKind::Broken, "read a volume", bad.to_string()))?,
        labels: sorted_labels(Some(volume.labels)),
        driver: volume.driver,
        options: sorted_labels(Some(volume.options)),
    })
}

/// `None` where it has a name that none of Berth's has.
pub(super) fn network(network: models::Network) -> Option<BridgeNetwork> {
    Some(BridgeNetwork {
        name: NetworkName::parse(network.name.unwrap_or_default()).ok()?,
        labels: sorted_labels(network.labels),
        driver: network.driver.unwrap_or_default(),
        has_ipv6: network.enable_ipv6.unwrap_or(false),
    })
}

pub(super) fn container(inspect: models::ContainerInspectResponse) -> Result<Container> {
    let state = inspect.state.unwrap_or_default();
    let config = inspect.config.unwrap_or_default();
    Ok(Container {
        id: container_id(inspect.id)?,
        name: inspect.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        labels: sorted_labels(config.labels),
        image: config.image.unwrap_or_default(),
        created_at: timestamp(inspect.created.as_deref()),
        started_at: timestamp(state.started_at.as_deref()),
        state: container_state(&state),
    })
}

fn container_state(state: &models::ContainerState) -> ContainerState {
    use models::ContainerStateStatusEnum as Status;
    let exit = || Exit {
        code: state.exit_code,
        oom_killed: state.oom_killed.unwrap_or(false),
        finished_at: timestamp(state.finished_at.as_deref()),
        error: state.error.clone().unwrap_or_default(),
    };
    match state.status {
        // A container whose program could not be executed is shown as created by some engines; its error tells it apart.
        Some(Status::CREATED) if !state.error.as_deref().unwrap_or_default().is_empty() => {
            ContainerState::Exited(exit())
        }
        Some(Status::CREATED | Status::EMPTY) | None => ContainerState::Created,
        Some(Status::RUNNING | Status::STOPPING) => ContainerState::Running,
        Some(Status::PAUSED) => ContainerState::Paused,
        Some(Status::RESTARTING) => ContainerState::Restarting,
        Some(Status::REMOVING) => ContainerState::Removing,
        Some(Status::EXITED) => ContainerState::Exited(exit()),
        Some(Status::DEAD) => ContainerState::Dead,
    }
}

pub(super) fn container_summary(summary: models::ContainerSummary) -> Result<Container> {
    use models::ContainerSummaryStateEnum as State;
    let name = summary.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    let exit = Exit { code: None, oom_killed: false, finished_at: None, error: String::new() };
    Ok(Container {
        id: container_id(summary.id)?,
        name: name.trim_start_matches('/').to_owned(),
        labels: sorted_labels(summary.labels),
        image: summary.image.unwrap_or_default(),
        created_at: summary.created.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        started_at: None,
        state: match summary.state {
            Some(State::CREATED | State::EMPTY) | None => ContainerState::Created,
            Some(State::RUNNING | State::STOPPING) => ContainerState::Running,
            Some(State::PAUSED) => ContainerState::Paused,
            Some(State::RESTARTING) => ContainerState::Restarting,
            Some(State::REMOVING) => ContainerState::Removing,
            Some(State::EXITED) => ContainerState::Exited(exit),
            Some(State::DEAD) => ContainerState::Dead,
        },
    })
}

fn container_id(id: Option<String>) -> Result<ContainerId> {
    ContainerId::parse(id.unwrap_or_default())
        .map_err(|bad| EngineError::new(ErrorKind::Broken, "read a container", bad.to_string()))
}

/// `None` where the container does not run: the engine then answers with a sample of nothing.
pub(super) fn stats(sample: &models::ContainerStatsResponse) -> Option<Stats> {
    let memory = sample.memory_stats.as_ref()?;
    let usage = memory.usage?;
    let counters = memory.stats.as_ref();
    // Cgroup v1 and v2 by turns; the rule is the one that `docker stats` shows people.
    let given_back = ["total_inactive_file", "inactive_file"]
        .into_iter()
        .find_map(|name| counters?.get(name).copied())
        .filter(|inactive| *inactive < usage);
    Some(Stats {
        memory_bytes: usage - given_back.unwrap_or_default(),
        memory_limit_bytes: memory.limit.unwrap_or_default(),
        cpu_total_ns: sample.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage).unwrap_or_default(),
        pids: sample.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or_default(),
    })
}

pub(super) fn event(message: models::EventMessage) -> Event {
    use models::EventMessageTypeEnum as Kind;
    Event {
        object: match message.typ {
            Some(Kind::CONTAINER) => EventObject::Container,
            Some(Kind::IMAGE) => EventObject::Image,
            Some(Kind::VOLUME) => EventObject::Volume,
            Some(
                Kind::EMPTY
                | Kind::BUILDER
                | Kind::CONFIG
                | Kind::DAEMON
                | Kind::NETWORK
                | Kind::NODE
                | Kind::PLUGIN
                | Kind::SECRET
                | Kind::SERVICE,
            )
            | None => EventObject::Other,
        },
        id: message.actor.and_then(|actor| actor.id).unwrap_or_default(),
        action: message.action.unwrap_or_default(),
    }
}

fn timestamp(text: Option<&str>) -> Option<Timestamp> {
    let text = text.filter(|text| !text.is_empty() && *text != NEVER)?;
    text.parse().ok()
}

fn sorted_labels(labels: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    labels.unwrap_or_default().into_iter().collect()
}

fn unsigned(number: Option<i64>) -> u64 {
    u64::try_from(number.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_no_time() {
        assert_eq!(timestamp(Some(NEVER)), None);
        assert_eq!(timestamp(Some("")), None);
        assert!(timestamp(Some("2026-11-21T03:05:29.983123456Z")).is_some());
        assert!(timestamp(Some("2026-11-21T03:05:29+01:00")).is_some());
    }

    #[test]
    fn exit_137_without_the_kernels_word_is_not_out_of_memory() {
        let state = |oom_killed| models::ContainerState {
            status: Some(models::ContainerStateStatusEnum::EXITED),
            exit_code: Some(137),
            oom_killed: Some(oom_killed),
            ..Default::default()
        };
        for oom_killed in [false, true] {
            let ContainerState::Exited(exit) = container_state(&state(oom_killed)) else { panic!("it ended") };
            assert_eq!((exit.code, exit.oom_killed), (Some(137), oom_killed));
        }
    }
}
