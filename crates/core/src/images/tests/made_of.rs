//! What an image is made of: hashes, contexts, Dockerfiles.

use super::*;

fn hash(image: &AgentImage, certificates: &[ExtraCertificate]) -> String {
    context::hash(image, certificates)
}

#[test]
fn the_hash_follows_content_names_versions_base_and_certificates_and_nothing_else() {
    let of = |files: Vec<(String, Vec<u8>)>| {
        let folder = catalogue::read("trial", MANIFEST, files).unwrap();
        let folders = BTreeMap::from([("trial".to_owned(), folder)]);
        catalogue::joined(folders, BTreeMap::new()).unwrap().remove(0)
    };
    let plain = of(vec![file("a", "1"), file("b", "2")]);
    assert_eq!(hash(&plain, &[]), hash(&of(vec![file("a", "1"), file("b", "2")]), &[]));
    for other in [vec![file("a", "1"), file("b", "3")], vec![file("a", "1"), file("c", "2")], vec![file("a", "1b2")]] {
        assert_ne!(hash(&plain, &[]), hash(&of(other), &[]));
    }
    assert_ne!(hash(&plain, &[]), hash(&plain, &authority()));

    let chain = |inner: &str, version: &str| {
        let pins = format!("[inner]\nTOOL = {{ from = \"npm:tool\", version = {version:?} }}\n");
        let inner = format!("ARG BASE\nFROM ${{BASE}}\nARG TOOL\n{inner}");
        let outer = ("outer", "berth/inner", "ARG BASE\nFROM ${BASE}\n");
        hash(&images_of(&[("inner", "debian:bookworm-slim", &inner), outer], &pins)[1], &[])
    };
    let first = chain("RUN true\n", "1");
    assert_eq!(first, chain("RUN true\n", "1"));
    assert_ne!(first, chain("RUN false\n", "1"), "what it starts from is made of something else");
    assert_ne!(first, chain("RUN true\n", "2"), "what it starts from is another version");
}

#[test]
fn a_context_has_executable_tools_its_labels_and_always_the_certificates_folder() {
    let entries = |certificates: &[ExtraCertificate]| {
        let labels = BTreeMap::from([("berth.install".to_owned(), "i1".to_owned())]);
        let bytes = context::tar(&trial("# about\nARG BASE\nFROM ${BASE}\nUSER agent\n"), certificates, &labels);
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let (path, mode) = (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap());
            let mut content = String::new();
            std::io::Read::read_to_string(&mut entry, &mut content).unwrap();
            (path, mode, content)
        });
        entries.collect::<Vec<_>>()
    };
    let dockerfile = "# about\nARG BASE\nFROM ${BASE}\nLABEL berth.install=\"i1\"\nUSER agent\n";
    let plain = [
        ("Dockerfile".to_owned(), 0o644, dockerfile.to_owned()),
        ("tool".to_owned(), 0o755, "#!/bin/sh\necho tool\n".to_owned()),
        ("certs/".to_owned(), 0o755, String::new()),
    ];
    assert_eq!(entries(&[]), plain);
    let trusting = entries(&authority());
    assert_eq!(trusting[..3], plain);
    assert_eq!(trusting[3].0, format!("certs/berth-{}.crt", &authority()[0].sha256[..16]));
    assert_eq!(trusting[3].2, authority()[0].pem);
}

#[test]
fn instructions_are_joined_lines_without_comments() {
    let text = "# syntax\nFROM a AS b\nRUN one \\\n # between\n\n && two \\\n && three\n  copy x y\narg A=1\n";
    let instructions = dockerfile::instructions(text);
    assert_eq!(instructions, ["FROM a AS b", "RUN one && two && three", "copy x y", "arg A=1"]);
    assert_eq!(dockerfile::arguments(text), ["A"]);
    assert_eq!(dockerfile::first_base("ARG X\nFROM --platform=linux/amd64 a:1 AS b\n").as_deref(), Some("a:1"));
}

#[test]
fn labels_follow_each_from_and_nothing_else() {
    let labels = BTreeMap::from([("k".to_owned(), "a \"b\"".to_owned()), ("m".to_owned(), "1".to_owned())]);
    let text = "FROM a\nRUN echo \\\nFROM b\nfrom \\\n  c\nFROMAGE d\n";
    let label = "LABEL k=\"a \\\"b\\\"\" m=\"1\"\n";
    let expected = format!("FROM a\n{label}RUN echo \\\nFROM b\nfrom \\\n  c\n{label}FROMAGE d\n");
    assert_eq!(dockerfile::labelled(text, &labels), expected);
    assert_eq!(dockerfile::labelled(text, &BTreeMap::new()), text);
}

#[test]
fn what_nobody_has_tried_is_known_by_its_name() {
    let images = Images::new("0195510f-5a00-7000-8000-000000000004", Vec::new());
    let recipe = images.recipe(&trial("ARG BASE\nFROM ${BASE}\n"));
    let name = images.trial_name(&recipe);
    assert_eq!(name.as_str(), "berth/trial:trial-000000000004");
    assert!(is_trial(name.as_str()) && !is_trial(recipe.reference.as_str()));
    assert_eq!(version_in(recipe.reference.as_str()), Some("1"));
    assert_eq!(version_in("berth/x:1.2.3_rc.1-0123456789ab"), Some("1.2.3_rc.1"));
}
