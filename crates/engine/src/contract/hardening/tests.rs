//! Every rule can fail: each of these takes a good container and spoils it in one way.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::contract::inspect_json;
use crate::spec::{Access, FirstUse, LoopbackV6};
use crate::{
    ContainerName, ContainerSpec, ErrorKind, Identity, Image, ImageId, ImageRef, Limits, Log, Mount, Network,
    Ownership, Role, RootFilesystem, Seccomp, Tmpfs, VolumeName,
};

fn spec() -> ContainerSpec {
    ContainerSpec {
        name: ContainerName::parse("one").unwrap(),
        image: ImageRef::parse("image").unwrap(),
        argv: vec!["true".into()],
        env: BTreeMap::new(),
        identity: Identity::user(1000, 1000).unwrap(),
        working_dir: "/".into(),
        hostname: "one".into(),
        ownership: Ownership::of_install("install", Role::Sandbox),
        mounts: vec![Mount::Volume {
            name: VolumeName::parse("home").unwrap(),
            target: "/home/agent".into(),
            access: Access::ReadWrite,
            first_use: FirstUse::Empty,
        }],
        tmpfs: Tmpfs::usual(1 << 20),
        limits: Limits { memory_bytes: 64 << 20, cpu_milli: 500, pids: 32, shm_bytes: 1 << 20 },
        network: Network::None { loopback_v6: LoopbackV6::On },
        log: Log::Rotated,
        root_filesystem: RootFilesystem::ReadOnly,
        seccomp: Seccomp::EngineDefault,
        stop_timeout: Duration::from_secs(1),
    }
}

fn image() -> Image {
    Image {
        id: ImageId::parse("sha256:0").unwrap(),
        architecture: String::new(),
        env: Vec::new(),
        user: String::new(),
        working_dir: String::new(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        volumes: Vec::new(),
        labels: BTreeMap::new(),
        size_bytes: 0,
        repo_tags: Vec::new(),
    }
}

fn good() -> Value {
    inspect_json(&spec(), &image()).unwrap()
}

#[test]
fn each_rule_finds_its_own_breach() {
    assert_eq!(violations(&good()), Vec::<String>::new());
    let bind = json!([{ "Type": "bind", "Source": "/home/me/.ssh", "Destination": "/keys" }]);
    let socket = json!([{ "Type": "bind", "Source": "/srv/docker.sock", "Destination": "/workspace" }]);
    let system = json!([{ "Type": "bind", "Source": "/proc/1", "Target": "/workspace" }]);
    let driver = json!([{ "Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": { "DriverConfig": { "Options": { "o": "bind" } } } }]);
    let foreign = json!([{ "Type": "volume", "Name": "v", "Destination": "/v", "Driver": "nfs" }]);
    for (pointer, value) in [
        ("/HostConfig/Privileged", json!(true)),
        ("/HostConfig/CapDrop", json!([])),
        ("/HostConfig/CapAdd", json!(["SYS_ADMIN"])),
        ("/HostConfig/CapAdd", json!(ROOT_INSIDE_CAPABILITIES)),
        ("/HostConfig/SecurityOpt", json!([])),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges", "seccomp=unconfined"])),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges", "apparmor=unconfined"])),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges:false", "no-new-privileges"])),
        ("/HostConfig/MaskedPaths", json!([])),
        ("/HostConfig/ReadonlyPaths", json!([])),
        ("/HostConfig/PidMode", json!("host")),
        ("/HostConfig/UTSMode", json!("host")),
        ("/HostConfig/UsernsMode", json!("host")),
        ("/HostConfig/IpcMode", json!("host")),
        ("/HostConfig/CgroupParent", json!("/else")),
        ("/HostConfig/Runtime", json!("kata-of-mine")),
        ("/HostConfig/Sysctls", json!({ "net.ipv4.ip_unprivileged_port_start": "0" })),
        ("/HostConfig/NetworkMode", json!("bridge")),
        ("/HostConfig/NetworkMode", json!("host")),
        ("/HostConfig/NetworkMode", json!("berth-net-one")),
        ("/NetworkSettings", json!({ "Networks": { "none": {}, "bridge": {} } })),
        ("/HostConfig/PublishAllPorts", json!(true)),
        ("/HostConfig/PortBindings", json!({ "80/tcp": [{ "HostPort": "0" }] })),
        ("/HostConfig/Links", json!(["other"])),
        ("/HostConfig/Memory", json!(0)),
        ("/HostConfig/MemorySwap", json!(-1)),
        ("/HostConfig/NanoCpus", json!(0)),
        ("/HostConfig/PidsLimit", json!(null)),
        ("/HostConfig/OomKillDisable", json!(true)),
        ("/HostConfig/OomScoreAdj", json!(-100)),
        ("/HostConfig/Ulimits", json!([{ "Name": "nproc", "Soft": 1, "Hard": 1 }])),
        ("/HostConfig/ReadonlyRootfs", json!(false)),
        ("/HostConfig/Tmpfs/~1tmp", json!("rw,nosuid,nodev")),
        ("/HostConfig/Tmpfs/~1run", json!("rw,nosuid,size=1")),
        ("/HostConfig/Binds", json!(["/:/host"])),
        ("/HostConfig/VolumesFrom", json!(["other"])),
        ("/HostConfig/Devices", json!([{ "PathOnHost": "/dev/kvm" }])),
        ("/HostConfig/DeviceRequests", json!([{ "Driver": "nvidia" }])),
        ("/HostConfig/DeviceCgroupRules", json!(["c 1:1 rwm"])),
        ("/HostConfig/GroupAdd", json!(["docker"])),
        ("/HostConfig/Mounts", system),
        ("/HostConfig/Mounts", driver),
        ("/Mounts", bind),
        ("/Mounts", socket),
        ("/Mounts", foreign),
        ("/HostConfig/Init", json!(true)),
        ("/HostConfig/RestartPolicy", json!({ "Name": "always" })),
        ("/HostConfig/LogConfig", json!({ "Type": "json-file", "Config": {} })),
        ("/Config/Healthcheck", json!({ "Test": ["CMD", "true"] })),
        ("/Config/User", json!("")),
        ("/Config/User", json!("agent")),
        ("/Config/User", json!("0:0")),
        ("/Config/User", json!("1000:0")),
        ("/Config/Labels/berth.run", json!(null)),
        ("/Config/Labels/berth.install", json!("")),
    ] {
        let mut spoilt = good();
        set(&mut spoilt, pointer, value.clone());
        assert!(!violations(&spoilt).is_empty(), "{pointer} = {value}");
    }
}

/// Sets a field that need not be there yet.
fn set(raw: &mut Value, pointer: &str, value: Value) {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    raw.pointer_mut(parent).unwrap()[field.replace("~1", "/")] = value;
}

#[test]
fn a_declared_network_is_the_sandboxs_own_and_the_only_one() {
    let mut spec = spec();
    spec.network = Network::OfSandbox { loopback_v6: LoopbackV6::On };
    assert_eq!(inspect_json(&spec, &image()).unwrap_err().kind(), ErrorKind::Denied, "it names no sandbox");
    spec.ownership.sandbox = Some("one".into());
    let mut raw = inspect_json(&spec, &image()).unwrap();
    let declared = Declared { has_network: true, ..Declared::default() };
    assert_eq!(violations(&raw), ["NetworkMode is \"berth-net-one\""]);
    assert_eq!(violations_of(&raw, &declared), Vec::<String>::new());
    assert_eq!(violations_of(&good(), &declared).len(), 1, "what is declared is there");
    raw["NetworkSettings"] = json!({ "Networks": { "berth-net-one": {} } });
    assert_eq!(violations_of(&raw, &declared), Vec::<String>::new());
    for (pointer, value) in [
        ("/HostConfig/NetworkMode", json!("bridge")),
        ("/HostConfig/NetworkMode", json!("host")),
        ("/HostConfig/NetworkMode", json!("berth-net-two")),
        ("/HostConfig/NetworkMode", json!("container:berth-net-one")),
        ("/NetworkSettings/Networks/bridge", json!({})),
        ("/Config/Labels/berth.sandbox", json!("")),
        ("/Config/Labels/berth.role", json!("filler")),
        ("/HostConfig/PortBindings", json!({ "80/tcp": [{ "HostPort": "0" }] })),
        ("/HostConfig/Sysctls", json!({ "net.ipv6.conf.eth0.disable_ipv6": "0" })),
    ] {
        let mut spoilt = raw.clone();
        set(&mut spoilt, pointer, value.clone());
        assert!(!violations_of(&spoilt, &declared).is_empty(), "{pointer} = {value}");
    }
}

#[test]
fn a_network_is_named_after_its_sandbox_and_has_no_ipv6() {
    let mut ownership = Ownership::of_install("install", Role::Network);
    ownership.sandbox = Some("one".into());
    let good = BridgeNetwork {
        name: NetworkName::of_sandbox("one").unwrap(),
        labels: ownership.labels(),
        driver: "bridge".into(),
        has_ipv6: false,
    };
    assert_eq!(network_violations(&good), Vec::<String>::new());
    for spoilt in [
        BridgeNetwork { name: NetworkName::of_sandbox("two").unwrap(), ..good.clone() },
        BridgeNetwork { driver: "macvlan".into(), ..good.clone() },
        BridgeNetwork { has_ipv6: true, ..good.clone() },
        BridgeNetwork { labels: BTreeMap::new(), ..good.clone() },
    ] {
        assert!(!network_violations(&spoilt).is_empty(), "{spoilt:?}");
    }
}

#[test]
fn only_the_declared_seccomp_profile_passes() {
    let mut spec = spec();
    spec.seccomp = Seccomp::Profile { json: r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#.into() };
    let raw = inspect_json(&spec, &image()).unwrap();
    assert_eq!(violations(&raw).len(), 1);
    let declared =
        |profile: &str| Declared { seccomp_sha256: Some(hex::encode(Sha256::digest(profile))), ..Declared::default() };
    assert_eq!(violations_of(&raw, &declared(r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#)), Vec::<String>::new());
    assert_eq!(violations_of(&raw, &declared(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#)).len(), 1);
}

#[test]
fn a_volume_with_driver_options_is_a_host_folder_in_disguise() {
    let mut volume = Volume {
        name: VolumeName::parse("v").unwrap(),
        labels: Ownership::of_install("install", Role::Home).labels(),
        driver: "local".into(),
        options: BTreeMap::new(),
    };
    assert_eq!(volume_violations(&volume), Vec::<String>::new());
    volume.options = BTreeMap::from([("o".into(), "bind".into()), ("device".into(), "/".into())]);
    assert_eq!(volume_violations(&volume).len(), 1);
    volume.labels.clear();
    assert_eq!(volume_violations(&volume).len(), 6);
}
