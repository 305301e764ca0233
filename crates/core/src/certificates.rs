//! Certificates of authorities that this machine trusts beyond its distribution's, so that builds and sandboxes can trust
//! them too: those of a setting, those that an administrator added, and those in the bundle that programs are told to use.
//!
//! What it does not do: it does not verify a certificate (whoever can write these files is trusted by this machine already),
//! does not read key stores that are not PEM files, and does not follow links out of a folder into an endless walk: depth,
//! numbers and sizes are bounded.

mod key_store;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};

use base64::Engine as _;
use camino::{Utf8Path, Utf8PathBuf};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use tracing::warn;

pub(crate) use key_store::key_store;

/// Largest file read, in bytes; a bundle of all public authorities has about 250 KB.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Most files of one folder that are read.
const FOLDER_FILES_MAX: usize = 1024;
/// How deep folders are walked.
const FOLDER_DEPTH_MAX: usize = 4;
/// Most extra certificates; more is a bundle of everything by mistake.
const EXTRA_MAX: usize = 64;
/// Columns of a line of PEM (RFC 7468, section 2).
const PEM_COLUMNS: usize = 64;

/// Where administrators put authorities of their own: Debian, Fedora, Arch, openSUSE.
const ADMINISTRATOR_FOLDERS: [&str; 4] = [
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
    "/etc/ca-certificates/trust-source/anchors",
    "/etc/pki/trust/anchors",
];
/// Where distributions keep theirs: Debian (and Arch), Fedora, openSUSE.
const DISTRIBUTION_FOLDERS: [&str; 3] =
    ["/usr/share/ca-certificates", "/usr/share/pki/ca-trust-source", "/usr/share/pki/trust"];
/// The bundles that programs read: Debian (and Arch), Fedora.
const BUNDLES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
/// The variable that moves the bundle.
const BUNDLE_VARIABLE: &str = "SSL_CERT_FILE";

/// One certificate that is not the distribution's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtraCertificate {
    /// The certificate alone, in canonical PEM, with a final newline.
    pub(crate) pem: String,
    /// SHA-256 of its DER, in lower-case hex.
    pub(crate) sha256: String,
    /// The file that it was found in first.
    pub(crate) source: Utf8PathBuf,
}

/// A certificate as it was read.
#[derive(Clone, Debug)]
struct Found {
    der: Vec<u8>,
    /// SHA-256 of its DER, in lower-case hex.
    sha256: String,
    source: Utf8PathBuf,
}

impl From<Found> for ExtraCertificate {
    fn from(found: Found) -> Self {
        Self { pem: to_pem(&found.der), sha256: found.sha256, source: found.source }
    }
}

/// Why the extra certificates are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// A file of the setting cannot be read.
    #[error("the certificate file `{path}` cannot be read")]
    Unreadable {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the setting holds no certificate.
    #[error("`{path}` holds no certificate in PEM")]
    NoCertificate {
        /// The file.
        path: Utf8PathBuf,
    },
    /// More than anyone adds on purpose.
    #[error(
        "the certificate files of the setting hold {found} certificates, and {EXTRA_MAX} are the most that are passed on"
    )]
    TooMany {
        /// How many.
        found: usize,
    },
}

/// The places on this machine that say whom it trusts.
#[derive(Clone, Debug)]
pub struct HostTrust {
    /// Folders whose certificates are extra.
    administrator: Vec<Utf8PathBuf>,
    /// Folders whose certificates are the distribution's.
    distribution: Vec<Utf8PathBuf>,
    /// Files that hold both. Where no certificate of the distribution's is known, nothing in them is called extra.
    bundles: Vec<Utf8PathBuf>,
}

impl HostTrust {
    /// A machine that says nothing.
    pub fn nowhere() -> Self {
        Self { administrator: Vec::new(), distribution: Vec::new(), bundles: Vec::new() }
    }

    /// The usual places, and the bundle that `SSL_CERT_FILE` names.
    pub fn of_this_machine() -> Self {
        let named = std::env::var(BUNDLE_VARIABLE).ok().filter(|path| !path.is_empty());
        Self {
            administrator: ADMINISTRATOR_FOLDERS.map(Utf8PathBuf::from).into(),
            distribution: DISTRIBUTION_FOLDERS.map(Utf8PathBuf::from).into(),
            bundles: named.into_iter().map(Utf8PathBuf::from).chain(BUNDLES.map(Utf8PathBuf::from)).collect(),
        }
    }

    /// What lies in these places. Reads files: blocking. What is wrong in them is warned of and left out: it is the machine's affair,
    /// and nothing asked for it by name.
    pub(crate) fn read(&self) -> Trusted {
        let by_place = |places: &[Utf8PathBuf], read: fn(&Utf8Path) -> Vec<Found>| {
            // A bundle that a variable names may be the usual one.
            let each_once: BTreeSet<_> = places.iter().collect();
            each_once.into_iter().map(|place| (place.clone(), read(place))).collect()
        };
        Trusted {
            administrator: by_place(&self.administrator, read_folder),
            distribution: self.distribution.iter().flat_map(|folder| read_folder(folder)).collect(),
            bundles: by_place(&self.bundles, read_or_warn),
        }
    }
}

/// What this machine trusts, by where it says so.
#[derive(Debug)]
pub(crate) struct Trusted {
    administrator: Vec<(Utf8PathBuf, Vec<Found>)>,
    distribution: Vec<Found>,
    bundles: Vec<(Utf8PathBuf, Vec<Found>)>,
}

/// The extra certificates: those in the files `configured`, then those that `host` trusts beyond its distribution's; each
/// once, sorted by hash, so that the same set always gives the same image. Reads files: blocking.
///
/// # Errors
/// Where a configured file is unreadable or holds no certificate, or there are too many.
pub(crate) fn find(configured: &[Utf8PathBuf], host: &Trusted) -> Result<Vec<ExtraCertificate>, CertificateError> {
    let mut extra = BTreeMap::new();
    for path in configured {
        let found = read(path).map_err(|source| CertificateError::Unreadable { path: path.clone(), source })?;
        if found.is_empty() {
            return Err(CertificateError::NoCertificate { path: path.clone() });
        }
        add(&mut extra, &found);
    }
    if extra.len() > EXTRA_MAX {
        return Err(CertificateError::TooMany { found: extra.len() });
    }
    for (folder, found) in &host.administrator {
        add_of_host(&mut extra, folder, found);
    }
    let distribution: BTreeSet<&str> = host.distribution.iter().map(|found| found.sha256.as_str()).collect();
    if !distribution.is_empty() {
        for (bundle, found) in &host.bundles {
            let beyond: Vec<_> =
                found.iter().filter(|found| !distribution.contains(found.sha256.as_str())).cloned().collect();
            add_of_host(&mut extra, bundle, &beyond);
        }
    }
    Ok(extra.into_values().map(ExtraCertificate::from).collect())
}

/// Everything that a program in a sandbox shall trust, as one bundle of PEM: what this machine trusts, with `extra`. `None` where
/// there is nothing extra: an image's own bundle will do then.
pub(crate) fn bundle(extra: &[ExtraCertificate], host: &Trusted) -> Option<String> {
    if extra.is_empty() {
        return None;
    }
    let of_host = host.bundles.iter().flat_map(|(_, found)| found).chain(&host.distribution);
    let mut all: BTreeMap<&str, String> =
        extra.iter().map(|certificate| (certificate.sha256.as_str(), certificate.pem.clone())).collect();
    for found in of_host {
        all.entry(&found.sha256).or_insert_with(|| to_pem(&found.der));
    }
    Some(all.into_values().collect())
}

fn add(extra: &mut BTreeMap<String, Found>, found: &[Found]) {
    for certificate in found {
        extra.entry(certificate.sha256.clone()).or_insert_with(|| certificate.clone());
    }
}

/// Adds what a place of the host's has, unless that is too much: a bundle of public authorities that came from elsewhere than
/// the distribution is nobody's addition.
fn add_of_host(extra: &mut BTreeMap<String, Found>, place: &Utf8Path, found: &[Found]) {
    if extra.len() + found.len() > EXTRA_MAX {
        warn!(%place, found = found.len(), most = EXTRA_MAX, "too many certificates to be additions: they are left out");
    } else {
        add(extra, found);
    }
}

fn read_folder(folder: &Utf8Path) -> Vec<Found> {
    let mut files = Vec::new();
    list(folder, FOLDER_DEPTH_MAX, &mut files);
    files.sort();
    files.iter().flat_map(|path| read_or_warn(path)).collect()
}

fn list(folder: &Utf8Path, depth: usize, files: &mut Vec<Utf8PathBuf>) {
    let Ok(entries) = folder.read_dir_utf8() else { return };
    for entry in entries.flatten() {
        if files.len() == FOLDER_FILES_MAX {
            return;
        }
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth > 1 {
                list(path, depth - 1, files);
            }
        } else if path.is_file() {
            files.push(path.to_owned());
        }
    }
}

fn read_or_warn(path: &Utf8Path) -> Vec<Found> {
    match read(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            warn!(%path, %error, "a certificate file of this machine cannot be read and is left out");
            Vec::new()
        }
    }
}

/// All certificates of a file, whatever stands between them.
fn read(path: &Utf8Path) -> io::Result<Vec<Found>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    CertificateDer::pem_slice_iter(&bytes)
        .map(|der| {
            let der = der.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            if !is_one_sequence(&der) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a block that says CERTIFICATE is not one"));
            }
            Ok(Found { sha256: hex::encode(Sha256::digest(&der)), der: der.to_vec(), source: path.to_owned() })
        })
        .collect()
}

/// Whether the bytes are one DER SEQUENCE and nothing after it, as every certificate is (X.690, 8.1 and 10.1). It keeps cut
/// and glued files out of an image, where they would only be seen as a tool's warning.
fn is_one_sequence(der: &[u8]) -> bool {
    match der {
        [0x30, length @ 0..=0x7f, rest @ ..] | [0x30, 0x81, length, rest @ ..] => rest.len() == usize::from(*length),
        [0x30, 0x82, high, low, rest @ ..] => rest.len() == usize::from(u16::from_be_bytes([*high, *low])),
        _ => false,
    }
}

pub(crate) fn to_pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, later) = rest.split_at(rest.len().min(PEM_COLUMNS));
        pem.push_str(line);
        pem.push('\n');
        rest = later;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use camino_tempfile::Utf8TempDir;

    use super::*;

    struct Machine {
        folder: Utf8TempDir,
        host: HostTrust,
    }

    impl Machine {
        fn new() -> Self {
            let folder = camino_tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            for name in ["admin/deep", "distribution"] {
                std::fs::create_dir_all(path(name)).unwrap();
            }
            let host = HostTrust {
                administrator: vec![path("admin"), path("no-such-folder")],
                distribution: vec![path("distribution")],
                bundles: vec![path("bundle.crt"), path("no-such-bundle")],
            };
            Self { folder, host }
        }

        fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Utf8PathBuf {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    /// Something of a certificate's outer form, told apart by `n`.
    fn der(n: u8) -> Vec<u8> {
        let mut der = vec![0x30, 0x81, 200];
        der.resize(203, n);
        der
    }

    fn pem(n: u8) -> String {
        to_pem(&der(n))
    }

    fn hashes(numbers: &[u8]) -> Vec<String> {
        let mut hashes: Vec<_> = numbers.iter().map(|n| hex::encode(Sha256::digest(der(*n)))).collect();
        hashes.sort();
        hashes
    }

    fn found(configured: &[Utf8PathBuf], machine: &Machine) -> Vec<String> {
        find(configured, &machine.host.read()).unwrap().into_iter().map(|found| found.sha256).collect()
    }

    #[test]
    fn what_an_administrator_added_is_extra_however_deep_it_lies() {
        let machine = Machine::new();
        machine.write("admin/a.crt", pem(1));
        machine.write("admin/deep/b.pem", pem(2));
        assert_eq!(found(&[], &machine), hashes(&[1, 2]));
    }

    #[test]
    fn of_a_bundle_only_what_is_not_the_distributions_is_extra() {
        let machine = Machine::new();
        machine.write("distribution/known.crt", pem(1));
        machine.write("bundle.crt", format!("# all\n{}{}", pem(1), pem(2)));
        assert_eq!(found(&[], &machine), hashes(&[2]));
    }

    #[test]
    fn a_bundle_is_left_alone_where_the_distributions_are_unknown() {
        let machine = Machine::new();
        machine.write("bundle.crt", pem(1));
        assert_eq!(found(&[], &machine), hashes(&[]));
    }

    #[test]
    fn one_certificate_in_many_files_and_spellings_is_found_once() {
        let machine = Machine::new();
        machine.write("distribution/known.crt", pem(9));
        machine.write("bundle.crt", pem(1));
        machine.write("admin/a.crt", format!("subject: somebody\r\n{}", pem(1).replace('\n', "\r\n")));
        let configured = machine.write("mine.pem", pem(1));
        let extra = find(std::slice::from_ref(&configured), &machine.host.read()).unwrap();
        assert_eq!(extra, [ExtraCertificate { pem: pem(1), sha256: hashes(&[1])[0].clone(), source: configured }]);
    }

    #[test]
    fn a_private_key_beside_a_certificate_is_not_passed_on() {
        let machine = Machine::new();
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let configured = machine.write("both.pem", format!("{key}{}{key}", pem(1)));
        let extra = find(&[configured], &machine.host.read()).unwrap();
        assert_eq!(extra.len(), 1);
        assert_eq!(extra[0].pem, pem(1));
    }

    #[test]
    fn a_file_of_the_setting_must_be_there_and_hold_a_certificate() {
        let machine = Machine::new();
        let error = |path| find(&[path], &machine.host.read()).unwrap_err();
        assert!(matches!(error(machine.folder.path().join("none")), CertificateError::Unreadable { .. }));
        assert!(matches!(error(machine.write("empty", "")), CertificateError::NoCertificate { .. }));
        let cut = to_pem(&der(1)[..100]);
        assert!(matches!(error(machine.write("cut", cut)), CertificateError::Unreadable { .. }));
        let huge = vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
        assert!(matches!(error(machine.write("huge", huge)), CertificateError::Unreadable { .. }));
    }

    #[test]
    fn what_is_broken_on_the_host_is_left_out() {
        let machine = Machine::new();
        machine.write("admin/broken.crt", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
        machine.write("admin/key-store.p12", [0xff; 100]);
        machine.write("admin/right.crt", pem(1));
        assert_eq!(found(&[], &machine), hashes(&[1]));
    }

    #[test]
    fn a_bundle_of_everything_from_elsewhere_is_left_out() {
        let machine = Machine::new();
        machine.write("distribution/known.crt", pem(255));
        machine.write("bundle.crt", (0..=u8::try_from(EXTRA_MAX).unwrap()).map(pem).collect::<String>());
        machine.write("admin/a.crt", pem(200));
        assert_eq!(found(&[], &machine), hashes(&[200]));
    }

    #[test]
    fn a_setting_of_everything_is_refused() {
        let machine = Machine::new();
        let all: String = (0..=u8::try_from(EXTRA_MAX).unwrap()).map(pem).collect();
        let configured = machine.write("all.pem", all);
        let error = find(&[configured], &machine.host.read()).unwrap_err();
        assert!(matches!(error, CertificateError::TooMany { found } if found == EXTRA_MAX + 1));
    }

    #[test]
    fn a_bundle_has_what_the_machine_trusts_and_what_is_extra_each_once() {
        let machine = Machine::new();
        machine.write("distribution/a.crt", pem(1));
        machine.write("bundle.crt", pem(1) + &pem(2));
        let extra = find(&[machine.write("own.pem", pem(3))], &machine.host.read()).unwrap();
        let bundle = bundle(&extra, &machine.host.read()).unwrap();
        for n in [1, 2, 3] {
            assert_eq!(bundle.matches(&pem(n)).count(), 1, "{n}");
        }
    }

    #[test]
    fn without_anything_extra_there_is_no_bundle() {
        let machine = Machine::new();
        machine.write("bundle.crt", pem(1));
        assert_eq!(bundle(&[], &machine.host.read()), None);
    }
}
