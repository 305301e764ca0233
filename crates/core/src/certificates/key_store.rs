//! A bundle of authorities as Java reads it: a key store of the format JKS, which every Java since the first reads, whatever type it
//! expects. Java reads no PEM.
//!
//! The format is documented nowhere but in OpenJDK's `sun.security.provider.JavaKeyStore`. It holds nothing secret here, so that its
//! password is the one that everybody's has; who names none reads it all the same.

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
/// The tag of an entry that is a certificate, and no key.
const CERTIFICATE: u32 = 2;
/// When each was put in, in milliseconds of Unix time: never, so that the same bundle is the same file.
const PUT_IN_MS: u64 = 0;
/// As `keytool` says it of the authorities that Java brings.
const PASSWORD: &str = "changeit";
/// Part of every digest.
const SALT: &[u8] = b"Mighty Aphrodite";

/// The certificates of a bundle in PEM, which are sound, as a key store.
pub(crate) fn key_store(bundle: &str) -> Vec<u8> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten().collect();
    let mut store = Vec::new();
    for number in [MAGIC, VERSION, length(certificates.len())] {
        store.extend(number.to_be_bytes());
    }
    for certificate in &certificates {
        store.extend(CERTIFICATE.to_be_bytes());
        text(&mut store, &hex::encode(Sha256::digest(certificate)));
        store.extend(PUT_IN_MS.to_be_bytes());
        text(&mut store, "X.509");
        store.extend(length(certificate.len()).to_be_bytes());
        store.extend_from_slice(certificate);
    }
    let mut digest = Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        digest.update(unit.to_be_bytes());
    }
    digest.update(SALT);
    digest.update(&store);
    store.extend(digest.finalize());
    store
}

/// ASCII, as `DataOutput.writeUTF` writes it.
fn text(store: &mut Vec<u8>, text: &str) {
    store.extend(u16::try_from(text.len()).expect("invariant: a name is short").to_be_bytes());
    store.extend_from_slice(text.as_bytes());
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("invariant: a bundle is far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a certificate that says `number` where its content would be.
    fn pem(number: u8) -> String {
        super::super::to_pem(&[0x30, 0x03, 0x02, 0x01, number])
    }

    #[test]
    fn each_certificate_is_an_entry_and_the_digest_is_the_passwords() {
        let store = key_store(&(pem(7) + &pem(8)));
        assert_eq!(store[..12], [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 2]);
        for number in [7, 8] {
            let entry = [0, 0, 0, 5, 0x30, 0x03, 0x02, 0x01, number];
            assert_eq!(store.windows(entry.len()).filter(|window| *window == entry).count(), 1);
        }
        let (content, digest) = store.split_at(store.len() - 20);
        let mut salted: Vec<u8> = b"\0c\0h\0a\0n\0g\0e\0i\0t".to_vec();
        salted.extend(SALT);
        salted.extend(content);
        assert_eq!(digest, Sha1::digest(salted).as_slice());
    }

    #[test]
    fn an_empty_bundle_is_a_store_without_entries() {
        assert_eq!(key_store("").len(), 12 + 20);
    }
}
