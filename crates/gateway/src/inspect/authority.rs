//! The authority of an install: it vouches for inspected hosts, to sandboxes that are told to believe it.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, SerialNumber,
    date_time_ymd,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::policy::Host;

/// How long a sandbox may believe the authority. It is told anew with each start of its agent's process.
const BELIEVED: Duration = Duration::from_hours(365 * 24);
/// How long a host's certificate holds, and after how much of that there is another.
const HOST_LIFETIME: Duration = Duration::from_hours(7 * 24);
const HOST_RENEWAL: Duration = Duration::from_hours(24);
const DAY: Duration = Duration::from_hours(24);
/// Hosts whose certificates are kept.
const HOSTS_KEPT_MAX: usize = 256;
/// Bytes of the key's identifier that stand in the authority's name, so that those of two installs are told apart.
const IDENTIFIER_BYTES: usize = 8;

/// Why there is no authority, or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// What was kept is no key of an authority.
    #[error("the kept key of this install's authority cannot be read")]
    Unreadable,
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Certificate(#[source] rcgen::Error),
    /// TLS could not be set up with it.
    #[error("TLS could not be set up with it")]
    Tls(#[source] tokio_rustls::rustls::Error),
}

/// An authority of one install. Its key stays in this process and in the vault; sandboxes get certificates.
pub struct Authority {
    key: KeyPair,
    /// Of every inspected host: it is on this machine, in this process, and goes with it.
    host_key: KeyPair,
    name: DistinguishedName,
    /// A std mutex: held for a map operation and the making of one certificate, never over an await.
    hosts: Mutex<HashMap<Host, Vouched>>,
}

/// What a host is shown with, and since when.
struct Vouched {
    config: Arc<ServerConfig>,
    made_at: SystemTime,
}

impl Authority {
    /// A new one.
    pub fn generate() -> Result<Self, AuthorityError> {
        Self::of(KeyPair::generate().map_err(AuthorityError::Certificate)?)
    }

    /// The one that was kept.
    pub fn from_kept(kept: &SecretString) -> Result<Self, AuthorityError> {
        let der = hex::decode(kept.expose_secret()).map(Zeroizing::new).map_err(|_| AuthorityError::Unreadable)?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(&der[..]), &PKCS_ECDSA_P256_SHA256);
        Self::of(key.map_err(|_| AuthorityError::Unreadable)?)
    }

    /// Its key, to be kept where secrets are: one line of text.
    pub fn to_be_kept(&self) -> SecretString {
        hex::encode(self.key.serialized_der()).into()
    }

    fn of(key: KeyPair) -> Result<Self, AuthorityError> {
        let mut name = DistinguishedName::new();
        let identifier = CertificateParams::default().key_identifier(&key);
        let identifier = identifier.get(..IDENTIFIER_BYTES).unwrap_or(&identifier);
        name.push(DnType::CommonName, format!("Berth on this machine {}", hex::encode(identifier)));
        let host_key = KeyPair::generate().map_err(AuthorityError::Certificate)?;
        Ok(Self { key, host_key, name, hosts: Mutex::default() })
    }

    /// A certificate in PEM that makes whoever believes it believe this authority about these hosts, and about nothing else (RFC 5280
    /// §4.2.1.10): the key vouches for no other host in that sandbox, whoever had it.
    pub fn vouch_for<'a>(&self, hosts: impl IntoIterator<Item = &'a Host>) -> Result<String, AuthorityError> {
        let mut params = self.params();
        params.name_constraints = Some(constraints(hosts));
        let certificate = params.self_signed(&self.key).map_err(AuthorityError::Certificate)?;
        Ok(certificate.pem())
    }

    /// What TLS is answered with in a host's stead.
    pub(crate) fn shown_as(&self, host: &Host) -> Result<Arc<ServerConfig>, AuthorityError> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        let is_fresh = |vouched: &Vouched| {
            // A clock that was set back makes it old, too.
            now.duration_since(vouched.made_at).is_ok_and(|age| age < HOST_RENEWAL)
        };
        if let Some(vouched) = hosts.get(host).filter(|vouched| is_fresh(vouched)) {
            return Ok(vouched.config.clone());
        }
        let config = Arc::new(self.config_for(host)?);
        if hosts.len() >= HOSTS_KEPT_MAX {
            hosts.clear();
        }
        hosts.insert(host.clone(), Vouched { config: config.clone(), made_at: now });
        Ok(config)
    }

    fn config_for(&self, host: &Host) -> Result<ServerConfig, AuthorityError> {
        let names = CertificateParams::new([host.to_string()]).map_err(AuthorityError::Certificate)?.subject_alt_names;
        let mut params = lasting(HOST_LIFETIME);
        params.subject_alt_names = names;
        params.distinguished_name = DistinguishedName::new();
        // No common name: GnuTLS, which git speaks with on Debian, compares one with the constraints on names of hosts, whatever it is, where
        // the host is an address.
        params.distinguished_name.push(DnType::OrganizationName, "inspected by Berth");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let authority = self.params();
        let issuer = Issuer::from_params(&authority, &self.key);
        let certificate = params.signed_by(&self.host_key, &issuer).map_err(AuthorityError::Certificate)?;
        let key = PrivateKeyDer::Pkcs8(self.host_key.serialize_der().into());
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(AuthorityError::Tls)?;
        let builder = builder.with_no_client_auth();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).map_err(AuthorityError::Tls)?;
        // HTTP/2 would be another protocol to read; whoever speaks it speaks this one as well.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn params(&self) -> CertificateParams {
        let mut params = lasting(BELIEVED);
        params.distinguished_name = self.name.clone();
        // It vouches for hosts, and not for further authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }
}

/// A number that no other certificate of the authority has: when it was made, to the nanosecond.
fn numbered(now: SystemTime) -> SerialNumber {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Positive, and so within 20 bytes with a first bit of zero (RFC 5280 §4.1.2.2): 8 bytes are enough until the year 2262.
    SerialNumber::from_slice(&u64::try_from(since.as_nanos()).unwrap_or(1).to_be_bytes())
}

/// Parameters of a certificate that lasts from a day before now on, in whole days: clocks differ.
fn lasting(lifetime: Duration) -> CertificateParams {
    let now = SystemTime::now();
    let day = |at: SystemTime| {
        let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
        let date = at.to_zoned(TimeZone::UTC).date();
        let part = |part: i8| u8::try_from(part).unwrap_or(1);
        date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    let mut params = CertificateParams::default();
    params.not_before = day(now - DAY);
    params.not_after = day(now + lifetime + DAY);
    params.serial_number = Some(numbered(now));
    params
}

/// Those hosts and no others. A kind of name of which none is allowed is excluded as a whole: a constraint on names says nothing about
/// addresses, and the other way round.
fn constraints<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> NameConstraints {
    let permitted: Vec<_> = hosts
        .into_iter()
        .map(|host| match host {
            Host::Name(name) => GeneralSubtree::DnsName(name.clone()),
            Host::Address(address) => {
                let whole = if address.is_ipv4() { 32 } else { 128 };
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, whole))
            }
        })
        .collect();
    let has_names = permitted.iter().any(|one| matches!(one, GeneralSubtree::DnsName(_)));
    let has_addresses = permitted.iter().any(|one| matches!(one, GeneralSubtree::IpAddress(_)));
    let mut excluded = Vec::new();
    if !has_names {
        excluded.push(GeneralSubtree::DnsName(String::new()));
    }
    if !has_addresses {
        for any in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
            excluded.push(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(any, 0)));
        }
    }
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    fn host(text: &str) -> Host {
        text.parse().unwrap()
    }

    /// Whether someone who believes a certificate of one authority takes the other for that host.
    async fn is_believed(vouching: &Authority, believed: &[&str], showing: &Authority, shown: &str) -> bool {
        let hosts: Vec<Host> = believed.iter().map(|text| host(text)).collect();
        let pem = vouching.vouch_for(&hosts).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let connector = TlsConnector::from(Arc::new(builder.with_no_client_auth()));
        let (client, server) = tokio::io::duplex(16 << 10);
        let acceptor = TlsAcceptor::from(showing.shown_as(&host(shown)).unwrap());
        let name = ServerName::try_from(shown.to_owned()).unwrap();
        let (client, _server) = tokio::join!(connector.connect(name, client), acceptor.accept(server));
        client.is_ok()
    }

    #[tokio::test]
    async fn the_authority_is_believed_about_the_hosts_it_was_given_out_for_and_no_others() {
        let authority = Authority::generate().unwrap();
        for (believed, shown, is_fine) in [
            (&["api.test", "10.0.0.1"][..], "api.test", true),
            (&["api.test", "10.0.0.1"], "10.0.0.1", true),
            (&["api.test"], "bank.test", false),
            (&["api.test"], "10.0.0.1", false),
            (&["10.0.0.1"], "10.0.0.2", false),
            (&["10.0.0.1"], "api.test", false),
            (&["fd00::1"], "fd00::1", true),
            (&["fd00::1"], "10.0.0.1", false),
        ] {
            assert_eq!(is_believed(&authority, believed, &authority, shown).await, is_fine, "{believed:?} {shown}");
        }
    }

    #[tokio::test]
    async fn a_kept_authority_is_the_same_one() {
        let authority = Authority::generate().unwrap();
        let again = Authority::from_kept(&authority.to_be_kept()).unwrap();
        assert!(is_believed(&authority, &["api.test"], &again, "api.test").await);
        let another = Authority::generate().unwrap();
        assert!(!is_believed(&authority, &["api.test"], &another, "api.test").await);
        assert!(Authority::from_kept(&"no key".into()).is_err());
    }

    #[test]
    fn no_key_is_in_what_is_printed_and_a_kept_one_is_a_line_that_keyrings_take() {
        let authority = Authority::generate().unwrap();
        let kept = authority.to_be_kept();
        assert!(kept.expose_secret().len() <= 2_560 && !kept.expose_secret().contains('\n'));
        assert!(!format!("{authority:?}").contains(&kept.expose_secret()[..32]));
    }

    #[test]
    fn a_host_keeps_its_certificate_for_a_while() {
        let authority = Authority::generate().unwrap();
        let first = authority.shown_as(&host("api.test")).unwrap();
        assert!(Arc::ptr_eq(&first, &authority.shown_as(&host("API.test.")).unwrap()));
        assert!(!Arc::ptr_eq(&first, &authority.shown_as(&host("other.test")).unwrap()));
        let mut hosts = authority.hosts.lock().unwrap();
        hosts.get_mut(&host("api.test")).unwrap().made_at -= HOST_RENEWAL;
        drop(hosts);
        assert!(!Arc::ptr_eq(&first, &authority.shown_as(&host("api.test")).unwrap()));
    }
}
