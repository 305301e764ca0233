//! The authority of this install: who is told to believe it, and where its key is.
//!
//! Its key is in the vault, beside the secrets: with a keyring, sandboxes that outlast the app believe it after the next start, too.
//! Where secrets are kept for a session alone, so is the authority, and another one comes with the next session.

use std::sync::Arc;

use gateway::{Authority, AuthorityError, Inspected};
use newtype_uuid::GenericUuid as _;
use pipe::host::GivenFile;
use tracing::{info, warn};
use vault::VaultError;
use wire::{ErrorCode, ErrorView, ids::SecretId};

use super::Access;
use super::secrets::of_vault;
use crate::house::House;
use crate::{blocking, certificates, faults, guest_volume};

/// The variables that name a bundle of the authorities that programs trust: OpenSSL (Go and httpx too), curl, git, Node, pip, requests,
/// cargo.
pub(crate) const AUTHORITY_VARIABLES: [&str; 7] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
];
/// Those that name a file of settings which names the bundle that all sandboxes have: wget, apt. Java finds its own by an option.
pub(crate) const AUTHORITY_SETTINGS: [(&str, &str); 2] =
    [("SYSTEM_WGETRC", guest_volume::AUTHORITIES_WGET), ("APT_CONFIG", guest_volume::AUTHORITIES_APT)];
/// The bundle's file in a sandbox. Files of secrets have their names, and none begins with a digit.
const BUNDLE_FILE: &str = "0-authorities.pem";
/// What the keyring's own window shows.
const NAME: &str = "Berth's own certificates";

impl Access {
    /// The authority of this install.
    pub(super) async fn authority(&self, house: &House) -> Result<Arc<Authority>, ErrorView> {
        self.authority.get_or_try_init(|| fetch_or_make(house)).await.cloned()
    }
}

async fn fetch_or_make(house: &House) -> Result<Arc<Authority>, ErrorView> {
    let vault = house.access.vault(house.install).await;
    // No secret has the id of the install, so nothing in any list leads to it.
    let id = SecretId::from_untyped_uuid(house.install.into_untyped_uuid());
    match vault.get(id).await {
        Ok(kept) => match Authority::from_kept(&kept) {
            Ok(authority) => return Ok(Arc::new(authority)),
            Err(error) => warn!(%error, "what the keyring has is no key of an authority: there will be another one"),
        },
        Err(VaultError::Missing) => info!("this install gets an authority for inspected hosts"),
        Err(error) => return Err(of_vault(NAME, &error)),
    }
    let authority = Authority::generate().map_err(|error| of_authority(&error))?;
    vault.put(id, NAME, authority.to_be_kept()).await.map_err(|error| of_vault(NAME, &error))?;
    Ok(Arc::new(authority))
}

/// Whom a sandbox shall believe, one of whose agent's hosts is inspected: whom this machine trusts, and this install about those hosts.
pub(super) async fn bundle(house: &House, inspected: &[Inspected]) -> Result<GivenFile, ErrorView> {
    let authority = house.access.authority(house).await?;
    let own = authority.vouch_for(inspected.iter().map(Inspected::host)).map_err(|error| of_authority(&error))?;
    let of_machine = match blocking::off_runtime(gateway::machine_trusts).await {
        Ok(found) => found,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    let mut text: String = of_machine.iter().map(|der| certificates::to_pem(der)).collect();
    text.push_str(&String::from_utf8_lossy(&house.access.extra_pem));
    text.push_str(&own);
    Ok(GivenFile { name: BUNDLE_FILE.to_owned(), variables: AUTHORITY_VARIABLES.map(str::to_owned).to_vec(), text })
}

fn of_authority(error: &AuthorityError) -> ErrorView {
    ErrorView::new(
        ErrorCode::Internal,
        "Berth cannot make the certificate by which the hosts of brokered secrets are inspected.",
    )
    .hint("Try again in a moment; where it stays so, look at the log.")
    .detail(faults::chain(error))
}
