//! Manifests and pinned versions, as they should be and as they should not.

use std::collections::BTreeMap;

use super::*;
use crate::images::manifest::{Manifest, ManifestError};

/// One that has every field.
const WHOLE: &str = r#"
name = "whole"
call_sign = "WH"
title = "Whole"
description = "Has every field."
revision = 3
base = "berth/base"
include = ["base/tool"]
seccomp = "seccomp.json"
shared_memory_mib = 512
entry = ["berth-agent"]
persona = ".claude/CLAUDE.md"
hosts = ["example.com", "*.example.org"]
usage = "In the JSON that it prints."

[headless]
command = ["agent", "-p", "${prompt}", "--model=${model}", "${resume}", "${arguments}"]
prompt = "argument"
resume = ["--resume", "${session}"]

[interactive]
command = ["agent"]
resume = ["--resume", "${session}"]

[[provider]]
name = "anthropic"
model = "claude"
environment = { ANTHROPIC_MODEL = "${model}", PRICE = "5$$" }

[[provider]]
name = "openai"
arguments = ["--base-url", "${base_url}"]

[environment]
NO_UPDATE = "1"

[[first_run]]
path = ".claude.json"
json = { done = true, keys = ["${key_tail}"], folders = { "${workspace}" = { trusted = true } } }

[[first_run]]
path = ".config/agent/settings"
text = "home=${home}\n"

[[secret]]
variable = "OTHER_KEY"
hosts = ["api.example.com"]

[can]
desktop = true
ports = [8080]
"#;

fn whole() -> BTreeMap<String, catalogue::Folder> {
    let dockerfile = file("Dockerfile", "ARG BASE\nFROM ${BASE}\n");
    let base = manifest("base", "debian:bookworm-slim");
    let of_base = vec![dockerfile.clone(), file("tool", "#!/bin/sh\n")];
    let of_whole = vec![dockerfile, file("seccomp.json", "{}")];
    BTreeMap::from([
        ("base".to_owned(), catalogue::read("base", &base, of_base).unwrap()),
        ("whole".to_owned(), catalogue::read("whole", WHOLE, of_whole).unwrap()),
    ])
}

#[test]
fn a_manifest_says_what_is_started_and_what_there_is() {
    let images = catalogue::joined(whole(), versions::read("").unwrap()).unwrap();
    let image = &images[1];
    assert_eq!(image.launch().unwrap(), ["berth-agent", "headless"]);
    assert_eq!(image.interactive().unwrap(), ["berth-agent", "interactive"]);
    assert_eq!(image.version, "3");
    assert_eq!(image.base_name(), "base");
    assert_eq!(image.providers(), [wire::secret::Provider::Anthropic, wire::secret::Provider::Openai]);
    assert_eq!((image.seccomp(), image.shared_memory_mib()), (Some("{}"), Some(512)));
    assert_eq!((image.has_desktop(), image.ports(), image.can_resume()), (true, &[8080][..], true));
    assert!(image.files.iter().any(|(path, content)| path == "tool" && content == b"#!/bin/sh\n"));
    assert_eq!(images[0].launch().unwrap(), ["cat"]);
    assert_eq!(images[0].interactive(), None);
}

#[test]
fn a_manifest_with_a_wrong_or_unknown_field_is_refused() {
    let refused = |from: &str, to: &str| {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from:?} is not in the manifest");
        assert!(Manifest::read("whole", &text).is_err(), "{to:?} passes for {from:?}");
    };
    Manifest::read("whole", WHOLE).unwrap();
    refused("name = \"whole\"", "name = \"other\"");
    refused("\"WH\"", "\"wh\"");
    refused("\"WH\"", "\"WHO\"");
    refused("title = \"Whole\"", "title = \"\"");
    refused("title = \"Whole\"", "title = \"Who\\nle\"");
    refused("title = \"Whole\"\n", "");
    refused("revision = 3", "revision = 0");
    refused("revision = 3", "version = \"3\"");
    refused("\"berth/base\"", "\"berth/Base\"");
    refused("\"berth/base\"", "\"debian bookworm\"");
    refused("base/tool", "tool");
    refused("base/tool", "base/../tool");
    refused("\"seccomp.json\"", "\"../seccomp.json\"");
    refused("= 512", "= 0");
    refused("= 512", "= 999999");
    refused("entry = [\"berth-agent\"]\n", "");
    refused("\"OTHER_KEY\"", "\"OTHER KEY\"");
    refused("[\"api.example.com\"]", "[]");
    refused("[\"berth-agent\"]", "[\"\"]");
    refused(".claude/CLAUDE.md", "/etc/passwd");
    refused(".claude/CLAUDE.md", "../CLAUDE.md");
    refused("\"example.com\"", "\"https://example.com\"");
    refused("\"example.com\"", "\"localhost\"");
    refused("\"agent\", \"-p\"", "\"${model}\", \"-p\"");
    refused("--model=${model}", "--model=${modell}");
    refused("--model=${model}", "--model=$model");
    refused("\"${prompt}\", ", "");
    refused("prompt = \"argument\"", "prompt = \"stdin\"");
    refused("prompt = \"argument\"", "prompt = \"telepathy\"");
    refused("resume = [\"--resume\", \"${session}\"]", "resume = [\"--continue\"]");
    refused("promp", "promtp");
    refused("name = \"anthropic\"", "name = \"somebody\"");
    refused("name = \"openai\"", "name = \"anthropic\"");
    refused("PRICE = \"5$$\"", "PRICE = \"5$\"");
    refused("PRICE = \"5$$\"", "\"A B\" = \"5\"");
    refused("[\"${key_tail}\"]", "[\"${secret}\"]");
    refused("[\"${key_tail}\"]", "[1979-05-27]");
    refused("path = \".claude.json\"", "path = \"a/../../b\"");
    refused("text = ", "json = {}\ntext = ");
    refused("text = \"home=${home}\\n\"\n", "");
    refused("ports = [8080]", "ports = [0]");
    refused("ports = [8080]", "ports = [8080]\nflight = true");
}

#[test]
fn without_an_entry_only_a_plain_command_can_be_started() {
    let read = |more: &str| {
        Manifest::read("trial", &MANIFEST.replace("prompt = \"stdin\"", &format!("prompt = \"stdin\"\n{more}")))
    };
    read("").unwrap();
    assert!(read("resume = [\"--resume\", \"${session}\"]").is_err());
    let plain = read("[interactive]\ncommand = [\"bash\"]").unwrap();
    assert_eq!(plain.interactive_launch().unwrap(), ["bash"]);
    assert!(read("[interactive]\ncommand = [\"bash\", \"${model}\"]").is_err());
    assert!(read("[interactive]\ncommand = [\"bash\"]\nresume = [\"${session}\"]").is_err());
    assert!(read("[[provider]]\nname = \"openai\"").is_err());
    assert!(Manifest::read("trial", &MANIFEST.replace("[\"cat\"]", "[]")).is_err());
    let no_headless = MANIFEST.split("[headless]").next().unwrap();
    assert!(Manifest::read("trial", no_headless).is_err());
    Manifest::read("trial", &format!("{no_headless}is_part = true\n")).unwrap();
}

#[test]
fn folders_lead_to_a_base_and_to_files_that_are_there() {
    let error = |folders: BTreeMap<String, catalogue::Folder>| catalogue::joined(folders, BTreeMap::new()).unwrap_err();
    let folder = |name: &str, base: &str| {
        (name.to_owned(), catalogue::read(name, &manifest(name, base), vec![file("Dockerfile", "FROM a\n")]).unwrap())
    };
    let circle = BTreeMap::from([folder("a", "berth/b"), folder("b", "berth/a")]);
    assert!(matches!(error(circle), ManifestError::Base { .. }));
    assert!(matches!(error(BTreeMap::from([folder("a", "berth/none")])), ManifestError::Base { .. }));
    let mut without = whole();
    without.remove("base");
    assert!(matches!(error(without), ManifestError::Wrong { field: "include", .. }));
    let no_profile = vec![file("Dockerfile", "FROM a\n")];
    assert!(matches!(catalogue::read("whole", WHOLE, no_profile), Err(ManifestError::Wrong { field: "seccomp", .. })));
}

#[test]
fn pinned_versions_are_arguments_that_a_dockerfile_takes() {
    let pins = "[trial]\nZ_FIRST = { from = \"npm:@a/b\", version = \"1.2.3-rc.1\" }\nA_SECOND = { from = \"debian:git\", version = \"1:2.39+deb12\" }\n";
    let takes = "ARG BASE\nFROM ${BASE}\nARG Z_FIRST\nARG A_SECOND=1\n";
    let image = images_of(&[("trial", "debian:bookworm-slim", takes)], pins).remove(0);
    assert_eq!(image.version, "1.2.3-rc.1", "the first that is written, not the first by name");
    assert_eq!(image.arguments["A_SECOND"], "1:2.39+deb12");
    let images = Images::new("install", Vec::new());
    assert!(images.reference(&image).as_str().starts_with("berth/trial:1.2.3_rc.1-"));
    assert_eq!(images.recipe(&image).arguments["BASE"], "debian:bookworm-slim");

    let joined = |pins: &str, dockerfile: &str| {
        let folder = catalogue::read("trial", MANIFEST, vec![file("Dockerfile", dockerfile)])?;
        catalogue::joined(BTreeMap::from([("trial".to_owned(), folder)]), versions::read(pins)?)
    };
    joined(pins, takes).unwrap();
    for (pins, dockerfile) in [
        (pins, "FROM a\nARG Z_FIRST\n"),
        ("[other]\nA = { from = \"npm:a\", version = \"1\" }\n", takes),
        ("[trial]\nBASE = { from = \"npm:a\", version = \"1\" }\n", takes),
        ("[trial]\nZ_FIRST = { from = \"github:a\", version = \"1\" }\n", takes),
        ("[trial]\nZ_FIRST = { from = \"npm:a\", version = \"1 && rm\" }\n", takes),
        ("[trial]\nZ_FIRST = { from = \"npm:a\", version = \"1\", hash = \"2\" }\n", takes),
        ("[trial]\nZ_FIRST = \"1\"\n", takes),
    ] {
        assert!(joined(pins, dockerfile).is_err(), "{pins}");
    }
}
