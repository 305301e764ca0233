//! From a [`ContainerSpec`] to what the engine is asked for. What DESIGN §7 demands is said here, once.

use std::collections::HashMap;

use bollard::models;
use camino::Utf8Path;

use crate::spec::{Access, FirstUse, LoopbackV6, Programs, ROOT_INSIDE_CAPABILITIES, is_plain_absolute};
use crate::{
    ContainerSpec, EngineError, ErrorKind, Identity, Image, Log, Mount, Network, Result, RootFilesystem, Seccomp,
    Tmpfs, VolumeName,
};

/// Size of one file of a rotated log.
const LOG_FILE_SIZE: &str = "10m";
/// Files of a rotated log.
const LOG_FILES: &str = "3";

/// The security option that brings a profile of system calls: the profile itself, since an engine cannot read the app's files.
const PROFILE_OPTION: &str = "seccomp=";

/// Whether a container was made with a profile of its own.
pub(super) fn has_profile(container: &models::ContainerInspectResponse) -> bool {
    let options = container.host_config.as_ref().and_then(|host| host.security_opt.as_deref()).unwrap_or_default();
    options.iter().any(|option| option.starts_with(PROFILE_OPTION))
}

/// The volumes that must exist.
pub(super) fn volume_names(spec: &ContainerSpec) -> impl Iterator<Item = &VolumeName> {
    spec.mounts.iter().filter_map(|mount| match mount {
        Mount::Volume { name, .. } => Some(name),
        Mount::Workspace { .. } => None,
    })
}

/// The request's body.
pub(super) fn body(spec: &ContainerSpec, image: &Image) -> Result<models::ContainerCreateBody> {
    let labels: HashMap<String, String> = spec.ownership.labels().into_iter().collect();
    Ok(models::ContainerCreateBody {
        hostname: Some(spec.hostname.clone()),
        user: Some(spec.identity.to_string()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        open_stdin: Some(true),
        // The guest sees the end of its input when the client that held it is gone.
        stdin_once: Some(true),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        entrypoint: Some(spec.argv.clone()),
        cmd: Some(Vec::new()),
        healthcheck: Some(models::HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() }),
        image: Some(spec.image.to_string()),
        working_dir: Some(spec.working_dir.to_string()),
        stop_signal: Some("SIGTERM".into()),
        stop_timeout: Some(i64::try_from(spec.stop_timeout.as_secs()).unwrap_or(i64::MAX)),
        host_config: Some(host_config(spec, image, &labels)?),
        labels: Some(labels),
        ..Default::default()
    })
}

fn host_config(spec: &ContainerSpec, image: &Image, labels: &HashMap<String, String>) -> Result<models::HostConfig> {
    let mut security_opt = vec!["no-new-privileges".to_owned()];
    match &spec.seccomp {
        Seccomp::EngineDefault => {}
        Seccomp::Profile { json } => security_opt.push(format!("{PROFILE_OPTION}{json}")),
    }
    let cap_add: Vec<String> = match spec.identity {
        Identity::User { .. } => Vec::new(),
        Identity::RootInside => ROOT_INSIDE_CAPABILITIES.map(str::to_owned).to_vec(),
    };
    let (Network::None { loopback_v6 } | Network::OfSandbox { loopback_v6 }) = spec.network;
    let (network_mode, sysctls, extra_hosts) = if let Some(name) = spec.network_name()? {
        // Of loopback alone: `all` would give the network card an address of IPv6 too, at which this machine is a neighbour.
        (name.to_string(), loopback_sysctls(loopback_v6, &["lo"]), Vec::new())
    } else {
        // Without a network the engine writes the host name into no file.
        let extra_hosts = vec![format!("{}:127.0.0.1", spec.hostname)];
        ("none".to_owned(), loopback_sysctls(loopback_v6, &["all", "lo"]), extra_hosts)
    };
    let memory = signed(spec.limits.memory_bytes);
    let mut mounts: Vec<models::Mount> = spec.mounts.iter().map(mount).collect();
    mounts.extend(nameless_volumes(spec, image, labels)?);
    Ok(models::HostConfig {
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(spec.limits.cpu_milli) * 1_000_000),
        pids_limit: Some(i64::from(spec.limits.pids)),
        shm_size: Some(signed(spec.limits.shm_bytes)),
        log_config: Some(log_config(spec.log)),
        network_mode: Some(network_mode),
        sysctls: Some(sysctls),
        extra_hosts: Some(extra_hosts),
        mounts: Some(mounts),
        tmpfs: Some(spec.tmpfs.iter().map(|one| tmpfs(one, spec.identity)).collect()),
        cap_add: Some(cap_add),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(security_opt),
        privileged: Some(false),
        publish_all_ports: Some(false),
        auto_remove: Some(false),
        readonly_rootfs: Some(match spec.root_filesystem {
            RootFilesystem::ReadOnly => true,
            RootFilesystem::Writable { .. } => false,
        }),
        ipc_mode: Some("private".into()),
        ..Default::default()
    })
}

fn loopback_sysctls(loopback_v6: LoopbackV6, interfaces: &[&str]) -> HashMap<String, String> {
    match loopback_v6 {
        LoopbackV6::On => interfaces
            .iter()
            .map(|interface| (format!("net.ipv6.conf.{interface}.disable_ipv6"), "0".to_owned()))
            .collect(),
        LoopbackV6::Engine => HashMap::new(),
    }
}

fn mount(mount: &Mount) -> models::Mount {
    match mount {
        Mount::Volume { name, target, access, first_use } => models::Mount {
            typ: Some(models::MountType::VOLUME),
            source: Some(name.to_string()),
            target: Some(target.to_string()),
            read_only: Some(*access == Access::ReadOnly),
            volume_options: Some(models::MountVolumeOptions {
                no_copy: Some(*first_use == FirstUse::Empty),
                ..Default::default()
            }),
            ..Default::default()
        },
        Mount::Workspace { folder, target } => models::Mount {
            typ: Some(models::MountType::BIND),
            source: Some(folder.path().to_string()),
            target: Some(target.to_string()),
            read_only: Some(false),
            bind_options: Some(models::MountBindOptions {
                propagation: Some(models::MountBindOptionsPropagationEnum::PRIVATE),
                ..Default::default()
            }),
            ..Default::default()
        },
    }
}

/// The volumes that the image declares and nothing covers. The engine would make them without labels; asked for by us they have
/// an owner, and go with the container.
fn nameless_volumes(
    spec: &ContainerSpec,
    image: &Image,
    labels: &HashMap<String, String>,
) -> Result<Vec<models::Mount>> {
    let mut mounts = Vec::new();
    for declared in &image.volumes {
        let target = Utf8Path::new(declared);
        if !is_plain_absolute(target) || target == "/" {
            let detail = format!("the image {} declares a volume at {declared:?}, which is no plain path", spec.image);
            return Err(EngineError::new(ErrorKind::Denied, format!("create container {}", spec.name), detail));
        }
        let is_covered = spec.mounts.iter().any(|mount| mount.target() == target)
            || spec.tmpfs.iter().any(|tmpfs| tmpfs.target == target);
        if !is_covered {
            mounts.push(models::Mount {
                typ: Some(models::MountType::VOLUME),
                target: Some(target.to_string()),
                read_only: Some(false),
                volume_options: Some(models::MountVolumeOptions { labels: Some(labels.clone()), ..Default::default() }),
                ..Default::default()
            });
        }
    }
    Ok(mounts)
}

fn tmpfs(tmpfs: &Tmpfs, identity: Identity) -> (String, String) {
    let programs = match tmpfs.programs {
        Programs::Run => "exec",
        Programs::Refused => "noexec",
    };
    // Where the image has a folder of that name the runtime gives the file system that folder's mode, whatever is asked for:
    // only the owner makes sure that the sandbox's user can write.
    let owner = match identity {
        Identity::User { uid, gid } => format!("uid={uid},gid={gid}"),
        Identity::RootInside => "uid=0,gid=0".to_owned(),
    };
    let options = format!("rw,nosuid,nodev,{programs},size={},mode={:o},{owner}", tmpfs.size_bytes, tmpfs.mode);
    (tmpfs.target.to_string(), options)
}

fn log_config(log: Log) -> models::HostConfigLogConfig {
    match log {
        Log::None => models::HostConfigLogConfig { typ: Some("none".into()), config: Some(HashMap::new()) },
        Log::Rotated => models::HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), LOG_FILE_SIZE.to_owned()),
                ("max-file".to_owned(), LOG_FILES.to_owned()),
            ])),
        },
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
