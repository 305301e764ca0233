//! What an image is built from: the tar that the engine gets, and the hash that tells whether it changed.
//!
//! Both are functions of the files and the certificates alone: no clock, no owner, no order of a file system.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::catalogue::{AgentImage, Base};
use super::dockerfile::labelled;
use crate::certificates::ExtraCertificate;

/// The folder of extra certificates in every context; it is there even when it is empty, since Dockerfiles copy it.
const CERTIFICATES_FOLDER: &str = "certs/";
/// How it is built.
pub(super) const DOCKERFILE: &str = "Dockerfile";
/// Part of the hash: raise it when the same files would give another context.
const CONTEXT_VERSION: &[u8] = b"berth image context 2";

/// A hash over parts whose ends count.
pub(super) struct PartsHash(Sha256);

impl PartsHash {
    pub(super) fn new(version: &[u8]) -> Self {
        let mut hash = Self(Sha256::new());
        hash.add(version);
        hash
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        // Lengths keep one part's end from passing for the next one's beginning.
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// In lower-case hex.
    pub(super) fn end(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// SHA-256, in lower-case hex, of everything that the image is made from: its own files, what it includes, its pinned versions, the
/// machine's certificates, and all of that of the image that it starts from. Of a base from a registry it is the reference alone.
pub(super) fn hash(image: &AgentImage, certificates: &[ExtraCertificate]) -> String {
    let mut parts = PartsHash::new(CONTEXT_VERSION);
    match &image.base {
        Base::Image(base) => parts.add(hash(base, certificates).as_bytes()),
        Base::Outside(reference) => parts.add(reference.as_str().as_bytes()),
    }
    for (path, content) in &image.files {
        parts.add(path.as_bytes());
        parts.add(content);
    }
    parts.add(b"arguments");
    for (name, value) in &image.arguments {
        parts.add(name.as_bytes());
        parts.add(value.as_bytes());
    }
    parts.add(b"certificates");
    for certificate in certificates {
        parts.add(certificate.sha256.as_bytes());
    }
    parts.end()
}

/// The build context, with the labels in its Dockerfile.
pub(super) fn tar(image: &AgentImage, certificates: &[ExtraCertificate], labels: &BTreeMap<String, String>) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in &image.files {
        if path == DOCKERFILE {
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

pub(super) const IN_MEMORY: &str = "invariant: writing a tar into memory does not fail";

pub(super) fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    // Embedded files have no mode, and the classic builder cannot set one.
    let mode = if content.starts_with(b"#!") { 0o755 } else { 0o644 };
    let mut header = header(tar::EntryType::Regular, mode, content.len() as u64);
    archive.append_data(&mut header, path, content).expect(IN_MEMORY);
}

pub(super) fn header(kind: tar::EntryType, mode: u32, size_bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size_bytes);
    header
}
