//! DESIGN §7, compared field by field with what an engine shows of a container. For every container that any test makes.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::labels::{AGENT, INSTALL, ROLE, RUN, SANDBOX};
use crate::network::DRIVER;
use crate::spec::ROOT_INSIDE_CAPABILITIES;
use crate::{BridgeNetwork, NetworkName, Role, Volume};

/// Where a workspace is mounted; the only place where a host folder may be.
const WORKSPACE_TARGET: &str = "/workspace";
/// Sysctls that a container may have: loopback's IPv6.
const SYSCTLS: [&str; 2] = ["net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.lo.disable_ipv6"];
/// Host paths that never enter, nor anything beneath.
const FORBIDDEN_SOURCES: [&str; 6] = ["/proc", "/sys", "/dev", "/etc", "/run", "/var/run"];

/// What a container declares beyond the rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a deviation of its own, and any of them go together")]
pub struct Declared {
    /// Its image declares why the root file system is writable.
    pub writable_root: bool,
    /// It runs as root inside.
    pub root_inside: bool,
    /// It is made only so that archives go through it, and never started: they go through its root, which a read-only one would
    /// refuse, and nothing runs in it that could write anywhere.
    pub is_never_started: bool,
    /// Its agent's policy is `bridge`: it is a sandbox on the network of its own, and on no other.
    pub has_network: bool,
    /// SHA-256, in hex, of the one seccomp profile that it may have instead of the default.
    pub seccomp_sha256: Option<String>,
}

/// The label `berth.run` of a container that deviates because a test of these very rules wants it to. A real one is an id.
pub const ON_PURPOSE: &str = "deviates-on-purpose";

/// What is wrong with a container that declares nothing. Empty where all is well.
pub fn violations(raw: &Value) -> Vec<String> {
    violations_of(raw, &Declared::default())
}

/// What is wrong with a container that declares `declared`.
pub fn violations_of(raw: &Value, declared: &Declared) -> Vec<String> {
    let mut wrong = Wrong { found: Vec::new() };
    let host = &raw["HostConfig"];
    let config = &raw["Config"];
    privileges(&mut wrong, host, config, declared);
    security_options(&mut wrong, host, declared);
    namespaces(&mut wrong, host);
    limits(&mut wrong, host);
    file_systems(&mut wrong, host, declared);
    mounts(&mut wrong, raw, declared);
    network(&mut wrong, raw, declared);
    upkeep(&mut wrong, host, config);
    wrong.found
}

/// What is wrong with a volume: with driver options it may be a host folder in disguise.
pub fn volume_violations(volume: &Volume) -> Vec<String> {
    let mut wrong = Wrong { found: Vec::new() };
    wrong.unless(volume.driver == "local", || format!("volume {} is stored by {:?}", volume.name, volume.driver));
    wrong.unless(volume.options.is_empty(), || {
        format!("volume {} has driver options {:?}", volume.name, volume.options)
    });
    for label in [INSTALL, SANDBOX, RUN, AGENT, ROLE] {
        wrong.unless(volume.labels.contains_key(label), || format!("volume {} has no label {label}", volume.name));
    }
    wrong.found
}

/// What is wrong with a network: anybody's, or one on which IPv6 goes past what a host's rules say of IPv4.
pub fn network_violations(network: &BridgeNetwork) -> Vec<String> {
    let mut wrong = Wrong { found: Vec::new() };
    let BridgeNetwork { name, labels, driver, has_ipv6 } = network;
    wrong.unless(driver == DRIVER, || format!("network {name} is made by {driver:?}"));
    wrong.unless(!has_ipv6, || format!("network {name} has IPv6"));
    for label in [INSTALL, SANDBOX, RUN, AGENT, ROLE] {
        wrong.unless(labels.contains_key(label), || format!("network {name} has no label {label}"));
    }
    let own = labels.get(SANDBOX).and_then(|sandbox| NetworkName::of_sandbox(sandbox));
    wrong.unless(own.as_ref() == Some(name), || format!("network {name} is not named after its sandbox"));
    wrong.found
}

struct Wrong {
    found: Vec<String>,
}

impl Wrong {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.found.push(what());
        }
    }

    /// `null`, absent, `false`, zero, or empty: nothing was asked for.
    fn nothing(&mut self, parent: &Value, field: &str) {
        let value = &parent[field];
        let is_nothing = match value {
            Value::Null => true,
            Value::Bool(flag) => !flag,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
        };
        self.unless(is_nothing, || format!("{field} is {value}"));
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn privileges(wrong: &mut Wrong, host: &Value, config: &Value, declared: &Declared) {
    wrong.nothing(host, "Privileged");
    let dropped = texts(&host["CapDrop"]);
    wrong.unless(dropped.iter().any(|name| name.eq_ignore_ascii_case("ALL")), || format!("CapDrop is {dropped:?}"));
    let mut added: Vec<String> =
        texts(&host["CapAdd"]).iter().map(|name| name.trim_start_matches("CAP_").to_owned()).collect();
    added.sort();
    let expected: &[&str] = if declared.root_inside { &ROOT_INSIDE_CAPABILITIES } else { &[] };
    wrong.unless(added == expected, || format!("CapAdd is {added:?}"));
    let user = config["User"].as_str().unwrap_or_default();
    let ids: Vec<&str> = user.split(':').collect();
    let is_number = |id: &&str| id.parse::<u32>().is_ok();
    wrong.unless(ids.len() == 2 && ids.iter().all(is_number), || format!("User is {user:?}, not uid:gid"));
    let is_root = ids.iter().any(|id| id.parse() == Ok(0_u32));
    wrong.unless(is_root == declared.root_inside, || format!("User is {user:?}"));
    wrong.nothing(host, "GroupAdd");
    wrong.nothing(host, "Devices");
    wrong.nothing(host, "DeviceRequests");
    wrong.nothing(host, "DeviceCgroupRules");
}

fn security_options(wrong: &mut Wrong, host: &Value, declared: &Declared) {
    let options = texts(&host["SecurityOpt"]);
    let mut no_new_privileges = false;
    for option in &options {
        match option.split_once(['=', ':']).map_or((option.as_str(), ""), |pair| pair) {
            ("no-new-privileges", "" | "true") => no_new_privileges = true,
            ("seccomp", profile) => {
                let hash = hex::encode(Sha256::digest(profile));
                wrong.unless(declared.seccomp_sha256.as_deref() == Some(hash.as_str()), || {
                    format!("the seccomp profile {hash} was not declared")
                });
            }
            _ => wrong.found.push(format!("SecurityOpt has {option:?}")),
        }
    }
    wrong.unless(no_new_privileges, || format!("SecurityOpt is {options:?}, without no-new-privileges"));
    // Shown by moby; an empty list is what `systempaths=unconfined` leaves behind.
    for field in ["MaskedPaths", "ReadonlyPaths"] {
        let is_unmasked = host[field].as_array().is_some_and(Vec::is_empty);
        wrong.unless(!is_unmasked, || format!("{field} is empty"));
    }
}

fn namespaces(wrong: &mut Wrong, host: &Value) {
    for field in ["PidMode", "UTSMode", "UsernsMode", "CgroupParent", "Cgroup"] {
        let value = host[field].as_str().unwrap_or_default();
        wrong.unless(matches!(value, "" | "private"), || format!("{field} is {value:?}"));
    }
    let ipc = host["IpcMode"].as_str().unwrap_or_default();
    wrong.unless(matches!(ipc, "private" | "none"), || format!("IpcMode is {ipc:?}"));
    let runtime = host["Runtime"].as_str().unwrap_or_default();
    wrong.unless(matches!(runtime, "" | "runc" | "crun" | "oci"), || format!("Runtime is {runtime:?}"));
    for sysctl in host["Sysctls"].as_object().into_iter().flatten() {
        wrong.unless(SYSCTLS.contains(&sysctl.0.as_str()), || format!("Sysctls has {}", sysctl.0));
    }
}

fn limits(wrong: &mut Wrong, host: &Value) {
    let number = |field: &str| host[field].as_i64().unwrap_or_default();
    wrong.unless(number("Memory") > 0, || format!("Memory is {}", host["Memory"]));
    wrong.unless(number("MemorySwap") == number("Memory"), || format!("MemorySwap is {}", host["MemorySwap"]));
    wrong.unless(number("NanoCpus") > 0 || number("CpuQuota") > 0, || "there is no limit of processor time".into());
    wrong.unless(number("PidsLimit") > 0, || format!("PidsLimit is {}", host["PidsLimit"]));
    wrong.nothing(host, "OomKillDisable");
    wrong.unless(number("OomScoreAdj") >= 0, || format!("OomScoreAdj is {}", host["OomScoreAdj"]));
    let no_processes = host["Ulimits"].as_array().into_iter().flatten().all(|limit| limit["Name"] != "nproc");
    wrong.unless(no_processes, || "RLIMIT_NPROC is set: it counts the host user's own processes".into());
}

fn file_systems(wrong: &mut Wrong, host: &Value, declared: &Declared) {
    let is_read_only = host["ReadonlyRootfs"].as_bool().unwrap_or(false);
    if declared.is_never_started {
        return;
    }
    wrong.unless(is_read_only || declared.writable_root, || "the root file system is writable".into());
    for target in ["/tmp", "/run"] {
        let options = host["Tmpfs"][target].as_str().unwrap_or_default();
        for option in ["nosuid", "nodev", "size="] {
            wrong.unless(options.contains(option), || format!("{target} in memory is {options:?}, without {option}"));
        }
    }
}

fn mounts(wrong: &mut Wrong, raw: &Value, declared: &Declared) {
    let host = &raw["HostConfig"];
    wrong.nothing(host, "Binds");
    wrong.nothing(host, "VolumesFrom");
    wrong.nothing(host, "VolumeDriver");
    let asked = host["Mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    for mount in asked {
        let options = &mount["VolumeOptions"];
        wrong.nothing(options, "DriverConfig");
        wrong.nothing(options, "Subpath");
        wrong.unless(matches!(mount["Type"].as_str(), Some("volume" | "bind")), || {
            format!("a mount of type {}", mount["Type"])
        });
    }
    // What was asked for, and what the engine made of it: both are looked at, since either may hide the other.
    let made = raw["Mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let targets = asked
        .iter()
        .map(|mount| (mount, &mount["Target"]))
        .chain(made.iter().map(|mount| (mount, &mount["Destination"])));
    for (mount, target) in targets {
        let source = mount["Source"].as_str().unwrap_or_default();
        wrong.unless(camino::Utf8Path::new(source).extension() != Some("sock"), || format!("{source} is a socket"));
        match mount["Type"].as_str() {
            Some("bind") => {
                wrong.unless(target == WORKSPACE_TARGET, || format!("the host's {source} is mounted at {target}"));
                wrong.unless(!declared.root_inside, || format!("root inside has the host's {source}"));
                let is_forbidden = source == "/"
                    || FORBIDDEN_SOURCES.iter().any(|path| camino::Utf8Path::new(source).starts_with(path));
                wrong.unless(!is_forbidden, || format!("the host's {source} is mounted"));
            }
            Some("volume") => {
                let driver = mount["Driver"].as_str().unwrap_or("local");
                wrong.unless(driver == "local", || format!("the volume at {target} is stored by {driver:?}"));
            }
            // Engines list their file systems in memory among the mounts.
            Some("tmpfs") => {}
            Some(_) | None => wrong.found.push(format!("a mount of type {} at {target}", mount["Type"])),
        }
    }
}

fn network(wrong: &mut Wrong, raw: &Value, declared: &Declared) {
    let (host, labels) = (&raw["HostConfig"], &raw["Config"]["Labels"]);
    let mode = host["NetworkMode"].as_str().unwrap_or_default();
    let is_sandbox = labels[ROLE] == Role::Sandbox.as_str();
    let own = labels[SANDBOX].as_str().filter(|_| is_sandbox).and_then(NetworkName::of_sandbox);
    let expected = if declared.has_network { own.as_ref().map_or("", NetworkName::as_str) } else { "none" };
    wrong.unless(mode == expected, || format!("NetworkMode is {mode:?}"));
    // What was asked for, and what it was put on since.
    for (name, _) in raw["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
        wrong.unless(name == expected, || format!("it is on the network {name:?}"));
    }
    wrong.nothing(host, "PublishAllPorts");
    wrong.nothing(host, "PortBindings");
    wrong.nothing(host, "Links");
}

fn upkeep(wrong: &mut Wrong, host: &Value, config: &Value) {
    wrong.unless(host["Init"].is_null() || host["Init"] == false, || "the engine's own init is set".into());
    let restart = host["RestartPolicy"]["Name"].as_str().unwrap_or_default();
    wrong.unless(matches!(restart, "" | "no"), || format!("RestartPolicy is {restart:?}"));
    let log = &host["LogConfig"];
    let kind = log["Type"].as_str().unwrap_or_default();
    let is_bounded = kind == "none" || !log["Config"]["max-size"].as_str().unwrap_or_default().is_empty();
    wrong.unless(is_bounded, || format!("the log has no bound: {log}"));
    let test = texts(&config["Healthcheck"]["Test"]);
    wrong.unless(test.is_empty() || test == ["NONE"], || format!("the image's health check runs: {test:?}"));
    for label in [INSTALL, SANDBOX, RUN, AGENT, ROLE] {
        wrong.unless(config["Labels"][label].is_string(), || format!("the label {label} is missing"));
    }
    let install = config["Labels"][INSTALL].as_str().unwrap_or_default();
    wrong.unless(!install.is_empty(), || format!("the label {INSTALL} is empty"));
}

#[cfg(test)]
mod tests;
