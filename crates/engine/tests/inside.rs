//! DESIGN §7 as a program inside a container finds it, on the engine that this machine has.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is a panic")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use camino::Utf8Path;
use engine::contract::hardening::{ON_PURPOSE, violations};
use engine::contract::{Subject, Tar, run, unique};
use engine::image::{BuildCache, BuildNetwork};
use engine::spec::{HostFolder, HostRules};
use engine::{BuildRequest, ContainerSpec, ContainerState, ErrorKind, Exit, Identity, ImageRef, Mount, Progress, Role};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// What a shell script inside says, and how it ended.
async fn says(subject: &Subject, spec: &ContainerSpec) -> (String, Exit) {
    let id = subject.create(spec).await;
    let mut attached = subject.engine.attach(&id).await.unwrap();
    subject.engine.start(&id).await.unwrap();
    let mut text = String::new();
    attached.duplex.read_to_string(&mut text).await.unwrap();
    let ContainerState::Exited(exit) = subject.engine.wait(&id).await.unwrap() else {
        panic!("it should have ended: {text}")
    };
    (format!("{text}{}", attached.diagnostics.text()), exit)
}

async fn script_says(subject: &Subject, script: &str) -> String {
    says(subject, &subject.spec(&["sh", "-c", script])).await.0
}

#[tokio::test]
async fn a_program_inside_has_no_privilege_and_can_gain_none() {
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let status = script_says(subject, "cat /proc/self/status").await;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("{name} is missing: {status}"))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        for capabilities in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&field(capabilities), 16), Ok(0), "{capabilities}");
        }
        assert_eq!((field("NoNewPrivs"), field("Seccomp")), ("1".into(), "2".into()));
        assert_eq!((field("Uid"), field("Gid")), ("1000 1000 1000 1000".into(), "1000 1000 1000 1000".into()));
    })
    .await;
}

#[tokio::test]
async fn the_root_is_read_only_and_memory_file_systems_are_bounded() {
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let said = script_says(
            subject,
            "echo x >/x; echo x >/etc/x; echo kept >/tmp/x && cat /tmp/x; dd if=/dev/zero of=/tmp/large bs=1M count=32; \
             grep -E ' (/tmp|/run) ' /proc/mounts",
        )
        .await;
        assert!(said.contains("kept"), "{said}");
        assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
        assert!(said.contains("No space left on device"), "{said}");
        for line in said.lines().filter(|line| line.starts_with("tmpfs ")) {
            assert!(line.contains("nosuid") && line.contains("nodev"), "{line}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_limits_are_the_control_groups_own() {
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let said = script_says(
            subject,
            "cd /sys/fs/cgroup; for f in memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us \
             memory.max memory.swap.max pids.max cpu.max; do [ -e $f ] && echo $f $(cat $f); done",
        )
        .await;
        let value = |names: [&str; 2]| {
            let line =
                said.lines().find_map(|line| names.iter().find_map(|name| line.strip_prefix(&format!("{name} "))));
            line.unwrap_or_else(|| panic!("{names:?} is missing: {said}")).to_owned()
        };
        assert_eq!(value(["memory/memory.limit_in_bytes", "memory.max"]), (64 << 20).to_string());
        assert_eq!(value(["pids/pids.max", "pids.max"]), "32");
        assert!(value(["cpu/cpu.cfs_quota_us", "cpu.max"]).starts_with("100000"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn there_is_no_network_but_loopback_which_has_ipv6_and_knows_the_host_name() {
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let said = script_says(
            subject,
            "grep : /proc/net/dev; cat /proc/net/if_inet6 /proc/net/route /etc/hosts; hostname; \
             (echo answered | nc -l -p 7000 >/dev/null) & \
             for n in 1 2 3 4 5 6 7 8 9 10; do nc -w 1 ::1 7000 </dev/null && break; sleep 0.1; done; \
             echo x | nc -w 1 1.1.1.1 53; echo x | nc -w 1 169.254.169.254 80",
        )
        .await;
        let interfaces: Vec<&str> =
            said.lines().filter_map(|line| line.split_once(':').map(|(name, _)| name.trim())).collect();
        assert!(interfaces.contains(&"lo"), "{said}");
        assert!(!interfaces.iter().any(|name| name.starts_with("eth")), "{said}");
        assert!(said.contains("00000000000000000000000000000001 01"), "::1 is not up: {said}");
        assert!(said.contains("answered"), "{said}");
        assert!(said.lines().any(|line| line.split_whitespace().eq(["127.0.0.1", "sandbox"])), "{said}");
        assert_eq!(said.matches("Network is unreachable").count(), 2, "{said}");
    })
    .await;
}

#[tokio::test]
async fn on_the_network_of_its_sandbox_there_is_one_card_without_ipv6_and_no_privilege_more() {
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let sandbox = unique("sandbox");
        subject.engine.create_network(&subject.ownership_of(&sandbox, Role::Network)).await.unwrap();
        let script = "grep : /proc/net/dev; sed 's/^/v6 /' /proc/net/if_inet6; cat /proc/net/route /etc/resolv.conf /etc/hosts \
                      /proc/self/status; (echo answered | nc -l -p 7000 >/dev/null) & \
                      for n in 1 2 3 4 5 6 7 8 9 10; do nc -w 1 ::1 7000 </dev/null && break; sleep 0.1; done";
        let (said, _) = says(subject, &subject.spec_on_network(&sandbox, &["sh", "-c", script])).await;
        let has = |words: &[&str]| said.lines().any(|line| line.split_whitespace().eq(words.iter().copied()));
        let cards = said.lines().filter(|line| line.trim_start().starts_with("eth")).filter(|line| line.contains(':'));
        assert_eq!(cards.count(), 1, "{said}");
        let v6: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("v6 ")).collect();
        assert!(v6.len() == 1 && v6[0].starts_with("00000000000000000000000000000001 01"), "only ::1: {said}");
        assert!(said.contains("answered"), "::1 does not answer: {said}");
        assert!(said.lines().any(|line| line.split_whitespace().take(2).eq(["eth0", "00000000"])), "no route: {said}");
        assert!(has(&["nameserver", "127.0.0.11"]), "names are the engine's to resolve: {said}");
        assert!(said.lines().any(|line| line.split_whitespace().nth(1) == Some("sandbox")), "its own name: {said}");
        assert!(has(&["CapBnd:", "0000000000000000"]) && has(&["NoNewPrivs:", "1"]), "{said}");
    })
    .await;
}

#[tokio::test]
async fn running_out_of_memory_is_told_by_the_kernels_word() {
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let mut spec = subject.spec(&["tail", "/dev/zero"]);
        spec.limits.memory_bytes = 16 << 20;
        let (said, exit) = says(subject, &spec).await;
        assert_eq!((exit.code, exit.oom_killed), (Some(137), true), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_processes_ends_at_the_limit() {
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let said =
            script_says(subject, "n=0; while [ $n -lt 100 ]; do sleep 60 & n=$((n+1)); done; echo all started").await;
        assert!(said.contains("can't fork") && !said.contains("all started"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn no_engine_socket_and_nothing_of_the_host_is_inside() {
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let said =
            script_says(subject, "cat /proc/self/mountinfo; ls /var/run/docker.sock /run/docker.sock /dev").await;
        assert!(!said.lines().any(|line| line == "/run/docker.sock" || line == "/var/run/docker.sock"), "{said}");
        for device in ["sda", "vda", "kmsg", "mem", "kvm", "fuse"] {
            assert!(!said.lines().any(|line| line == device), "{device}: {said}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_workspace_is_the_same_folder_on_both_sides() {
    let parent = camino_tempfile::tempdir().unwrap();
    let path = parent.path().canonicalize_utf8().unwrap().join(unique("workspace"));
    std::fs::create_dir(&path).unwrap();
    // As root the folder is given to the sandbox's user, as the app does; else the sandbox runs as ours.
    let mut owner = path.metadata().unwrap().uid();
    if owner == 0 {
        owner = 1000;
        std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
    }
    std::fs::write(path.join("task.md"), "from the host").unwrap();
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let folder = HostFolder::check(path.clone(), HostRules::default()).unwrap();
        let mut spec = subject.spec(&["sh", "-c", "cat /workspace/task.md; echo from inside >/workspace/result"]);
        spec.identity = Identity::user(owner, owner).unwrap();
        spec.mounts = vec![Mount::Workspace { folder, target: "/workspace".into() }];
        let (said, _) = says(subject, &spec).await;
        assert_eq!(said, "from the host");
        let result = path.join("result");
        assert_eq!(std::fs::read_to_string(&result).unwrap(), "from inside\n");
        assert_eq!(result.metadata().unwrap().uid(), owner);

        // Anywhere else than at /workspace, a host folder is a violation.
        spec.name = engine::ContainerName::parse(unique("berth-contract")).unwrap();
        spec.ownership.run = Some(ON_PURPOSE.into());
        for mount in &mut spec.mounts {
            if let Mount::Workspace { target, .. } = mount {
                *target = "/elsewhere".into();
            }
        }
        let id = subject.engine.create(&spec).await.unwrap();
        let raw = subject.engine.raw_inspect(&id).await.unwrap();
        assert!(!violations(&raw).is_empty());
    })
    .await;
}

#[tokio::test]
async fn root_inside_can_own_files_and_nothing_else() {
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let mut spec = subject.spec(&["sh", "-c", "cat /proc/self/status; cat /home/agent/from-image"]);
        spec.ownership.run = Some(ON_PURPOSE.into());
        spec.identity = Identity::RootInside;
        let id = subject.engine.create(&spec).await.unwrap();
        let mut attached = subject.engine.attach(&id).await.unwrap();
        subject.engine.start(&id).await.unwrap();
        let mut said = String::new();
        attached.duplex.read_to_string(&mut said).await.unwrap();
        // CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID: bits 0, 1, 3, 6, 7 of linux/capability.h.
        assert!(said.contains("CapBnd:\t00000000000000cb"), "{said}");
        assert!(said.contains("NoNewPrivs:\t1"), "{said}");
        let path = Utf8Path::new("/etc/passwd");
        assert!(subject.engine.get_archive(&id, path, 1 << 20).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn dropping_a_build_ends_it_in_the_engine_too() {
    run(Subject::of_this_machine().await, async |subject: &Subject| {
        let dockerfile = format!("FROM {}\nRUN sleep 600\n", subject.base);
        let request = BuildRequest {
            context: Tar::default().file("Dockerfile", 0o644, 0, dockerfile.as_bytes()).finish().into(),
            tag: ImageRef::parse(format!("berth-contract/{}:dropped", unique("image"))).unwrap(),
            ownership: subject.ownership(Role::Image),
            labels: BTreeMap::new(),
            build_args: BTreeMap::new(),
            network: BuildNetwork::None,
            cache: BuildCache::Use,
        };
        let (tx, mut rx) = mpsc::channel(16);
        let second_step = async {
            while let Some(progress) = rx.recv().await {
                if matches!(progress, Progress::Step { number: 2, .. }) {
                    return;
                }
            }
        };
        tokio::select! {
            outcome = subject.engine.build(request, tx) => panic!("it should go on: {outcome:?}"),
            () = second_step => {}
        }
        // The container of the instruction holds the base image for as long as it is there.
        for _ in 0..LOOKS_MAX {
            match subject.engine.remove_image(&subject.base).await {
                Ok(()) => return,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the build goes on in the engine");
    })
    .await;
}

/// How often it is looked whether a dropped build has ended: twenty seconds in all.
const LOOKS_MAX: u32 = 400;
