//! What an image is built from: the tar that the engine gets, and the hash that tells whether it changed.
//!
//! Both are functions of the embedded files and the certificates alone: no clock, no owner, no order of a file system.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::AgentImage;
use crate::certificates::ExtraCertificate;

/// The folder of extra certificates in every context; it is there even when it is empty, since Dockerfiles copy it.
const CERTIFICATES_FOLDER: &str = "certs/";
/// How it is built.
pub(super) const DOCKERFILE: &str = "Dockerfile";
/// Part of the hash: raise it when the same files would give another context.
const CONTEXT_VERSION: &[u8] = b"berth image context 1";

/// SHA-256, in lower-case hex, of everything that the image is made from but its base.
pub(super) fn hash(image: &AgentImage, certificates: &[ExtraCertificate]) -> String {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        // Lengths keep one part's end from passing for the next one's beginning.
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(CONTEXT_VERSION);
    for (path, content) in &image.files {
        add(path.as_bytes());
        add(content);
    }
    for certificate in certificates {
        add(certificate.sha256.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// The build context. The labels are written into the Dockerfile too, right after its `FROM`: the builder itself adds those
/// of a request at the very end, and what it keeps of a build that fails would be nobody's.
pub(super) fn tar(image: &AgentImage, certificates: &[ExtraCertificate], labels: &BTreeMap<String, String>) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in &image.files {
        if *path == DOCKERFILE {
            append(&mut archive, path, labelled(&String::from_utf8_lossy(content), labels).as_bytes());
        } else {
            append(&mut archive, path, content);
        }
    }
    append_certificates(&mut archive, CERTIFICATES_FOLDER, certificates);
    archive.into_inner().expect(IN_MEMORY)
}

/// A folder with the extra certificates; it is there also where there are none.
pub(super) fn append_certificates(
    archive: &mut tar::Builder<Vec<u8>>,
    folder: &str,
    certificates: &[ExtraCertificate],
) {
    let mut header = header(tar::EntryType::Directory, 0o755, 0);
    archive.append_data(&mut header, folder, std::io::empty()).expect(IN_MEMORY);
    for certificate in certificates {
        // A name that says nothing of where on the machine it was found.
        let path = format!("{folder}berth-{}.crt", &certificate.sha256[..16]);
        append(archive, &path, certificate.pem.as_bytes());
    }
}

fn labelled(dockerfile: &str, labels: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut is_before_from = true;
    for line in dockerfile.lines() {
        text.push_str(line);
        text.push('\n');
        if is_before_from && line.starts_with("FROM ") {
            is_before_from = false;
            for (key, value) in labels {
                let _ = writeln!(text, "LABEL {key}={value:?}");
            }
        }
    }
    text
}

const IN_MEMORY: &str = "invariant: writing a tar into memory does not fail";

pub(super) fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    // Embedded files have no mode, and the classic builder cannot set one.
    let mode = if content.starts_with(b"#!") { 0o755 } else { 0o644 };
    let mut header = header(tar::EntryType::Regular, mode, content.len() as u64);
    archive.append_data(&mut header, path, content).expect(IN_MEMORY);
}

fn header(kind: tar::EntryType, mode: u32, size_bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size_bytes);
    header
}
