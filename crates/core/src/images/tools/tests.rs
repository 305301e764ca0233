use std::collections::{BTreeMap, HashSet};

use engine::ImageId;

use super::*;

fn list(packages: &[&str]) -> Vec<String> {
    packages.iter().map(|&package| package.to_owned()).collect()
}

fn base(id: char) -> Image {
    Image {
        id: ImageId::parse(format!("sha256:{}", id.to_string().repeat(64))).unwrap(),
        architecture: "x86_64".to_owned(),
        env: vec!["PATH=/opt/node/bin:/bin".to_owned()],
        user: "agent\nRUN evil".to_owned(),
        working_dir: String::new(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        volumes: Vec::new(),
        labels: BTreeMap::new(),
        size_bytes: 0,
        repo_tags: Vec::new(),
    }
}

#[test]
fn each_registrys_names_are_taken_as_it_writes_them() {
    let tools = Tools {
        apt: list(&[
            "jq",
            "g++",
            "libstdc++6",
            "python3.11",
            "ripgrep=13.0.0-4+b2",
            "vim=2:9.0.1378-2+deb12u2",
            "7zip",
        ]),
        npm: list(&[
            "left-pad",
            "@scope/name",
            "typescript@5.9.2",
            "@scope/name@1.0.0-beta.1+build",
            "x@latest",
            "2048",
        ]),
        pip: list(&["requests", "Flask", "zope.interface", "ruff==0.14.5", "x==1!2.0.post1", "six==1.16.0+local", "a"]),
    };
    check(&tools).unwrap();
}

#[test]
fn what_could_be_an_option_a_path_or_a_word_of_a_shell_is_refused() {
    let hostile = [
        "",
        " ",
        "-",
        "--force",
        "-oAPT::Update::Pre-Invoke::=id",
        "a b",
        "a;id",
        "a|id",
        "$(id)",
        "`id`",
        "a\nb",
        "a'b",
        "a\"b",
        "a\\b",
        "../a",
        "./a",
        "/etc/passwd",
        "~/a",
        "a*",
        "a?",
        "[a]",
        "{a}",
        "a&b",
        "a>b",
        "<a",
        "#a",
        "a#b",
        "ä",
        "http://x/y",
        "https://x/y.deb",
        "git+https://x/y",
        "file:x",
        "npm:x",
        "a@git+ssh://x",
        "a@file:..",
        "a@/x",
        "a@-x",
        "a@",
        "@a",
        "@a/",
        "@/a",
        "@-a/b",
        "@a/-b",
        "@a/b/c",
        "a==",
        "a== 1",
        "a==-1",
        "a=",
        "a=-1",
        "a=1 2",
        "a[extra]",
        "a>=1",
        "a;python_version>'3'",
        "a @ https://x",
        "x.tgz",
        "x.tar.gz",
        "x.whl",
        "x.zip",
        "a\0b",
    ];
    for name in hostile {
        for tools in [
            Tools { apt: list(&[name]), ..Tools::default() },
            Tools { npm: list(&[name]), ..Tools::default() },
            Tools { pip: list(&[name]), ..Tools::default() },
        ] {
            // A dot is a part of Debian's names, and a file's end means nothing to apt, which takes only paths with a slash.
            if matches!(name, "x.tgz" | "x.tar.gz" | "x.whl" | "x.zip") && !tools.apt.is_empty() {
                continue;
            }
            assert!(check(&tools).is_err(), "{tools:?}");
        }
    }
    for (name, registry) in
        [("jq-", Registry::Debian), ("x", Registry::Debian), ("Left", Registry::Npm), ("a-", Registry::Pypi)]
    {
        assert!(!registry.is_package(name), "{registry:?} {name}");
    }
    let many = Tools { apt: vec!["jq".to_owned(); 65], ..Tools::default() };
    assert_eq!(check(&many), Err(RefusedTool::TooMany { count: 65, registry: "Debian" }));
}

#[test]
fn another_base_another_list_and_other_certificates_are_another_image() {
    let one = Tools { apt: list(&["jq"]), ..Tools::default() };
    let other = Tools { pip: list(&["jq"]), ..Tools::default() };
    let certificate = ExtraCertificate { pem: "pem".to_owned(), sha256: "ab".repeat(32), source: "x".into() };
    let hashes = [
        hash(&base('a'), &one, &[]),
        hash(&base('b'), &one, &[]),
        hash(&base('a'), &other, &[]),
        hash(&base('a'), &one, &[certificate]),
    ];
    assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len(), "{hashes:?}");
    assert_eq!(hashes[0], hash(&base('a'), &one, &[]));
    assert!(is_name(&name_of(&hashes[0])) && !is_name("tools:x") && !is_name("script"));
}

#[test]
fn what_the_bases_maker_wrote_is_no_instruction() {
    let tools = Tools { apt: list(&["jq"]), pip: list(&["six"]), ..Tools::default() };
    let recipe = Images::new("install", Vec::new()).recipe_of_tools("script", &base('a'), &tools);
    assert_eq!(recipe.arguments["BASE_USER"], "agent\nRUN evil");
    let text = recipe.dockerfile;
    assert!(!text.contains("evil") && !text.contains("jq"), "{text}");
    let steps: Vec<_> = text.lines().filter(|line| line.starts_with("RUN")).collect();
    assert_eq!(
        steps,
        [
            r#"RUN ["/bin/sh", "/usr/local/share/berth-tools/install", "apt"]"#,
            r#"RUN ["/bin/sh", "/usr/local/share/berth-tools/install", "pip"]"#,
        ]
    );
    assert!(text.ends_with("USER ${BASE_USER}\n"), "{text}");
}
