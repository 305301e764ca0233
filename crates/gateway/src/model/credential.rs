//! The placeholder in, the key out.

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use wire::secret::CredentialKind;

use super::redact::Redactor;
use crate::denied::Denied;
use crate::ledger::NamedSecret;
use crate::passage::Passage;
use crate::route::{Credential, Family, Route};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const BEARER: &str = "Bearer ";
/// What stands for a key in a header that cannot carry the placeholder.
pub(crate) const TAKEN_OUT: HeaderValue = HeaderValue::from_static("taken-out-by-berth");

/// A header in which a family's credential goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    XApiKey,
    Bearer,
    XGoogApiKey,
}

/// A placeholder that was presented where it belongs.
#[derive(Debug)]
pub(crate) struct Presented<'a> {
    credential: Option<(&'a Credential, Slot)>,
}

impl<'a> Presented<'a> {
    /// Looks for the route's placeholder. A route without a secret asks for none.
    pub(crate) fn read(route: &'a Route, headers: &HeaderMap, in_query: Option<&str>) -> Result<Self, Denied> {
        let Some(credential) = route.credential() else { return Ok(Self { credential: None }) };
        let expected = credential.placeholder.as_bytes();
        let is_it = |presented: &[u8]| bool::from(presented.ct_eq(expected));
        let slots: &[Slot] = match (route.family(), credential.kind) {
            // Of a key's two, the second is that of programs that speak with a proxy.
            (Family::Anthropic, CredentialKind::Key) => &[Slot::XApiKey, Slot::Bearer],
            (Family::Anthropic, CredentialKind::Subscription) | (Family::OpenAi, _) => &[Slot::Bearer],
            (Family::Gemini, _) => &[Slot::XGoogApiKey],
        };
        let by_header = slots.iter().copied().find(|slot| slot.presented(headers).is_some_and(is_it));
        let by_query = || in_query.is_some_and(|key| is_it(key.as_bytes())).then_some(Slot::XGoogApiKey);
        let slot = by_header.or_else(by_query).ok_or(Denied::Placeholder)?;
        Ok(Self { credential: Some((credential, slot)) })
    }

    /// The key, as it is now.
    pub(crate) async fn key(self, passage: &Passage) -> Result<Option<Key>, Denied> {
        let Some((credential, slot)) = self.credential else { return Ok(None) };
        let value = passage.ledger.credential(credential.secret).await;
        let value = value.map_err(|missing| Denied::Credential(missing.reason))?;
        Key::new(credential, slot, value).map(Some)
    }
}

impl Slot {
    /// What a header presents; nothing where there are several.
    fn presented(self, headers: &HeaderMap) -> Option<&[u8]> {
        let mut values = headers.get_all(self.header()).iter();
        let value = values.next().filter(|_| values.next().is_none())?.as_bytes();
        match self {
            Self::XApiKey | Self::XGoogApiKey => Some(value),
            Self::Bearer => {
                let (scheme, token) = value.split_at_checked(BEARER.len())?;
                scheme.eq_ignore_ascii_case(BEARER.as_bytes()).then_some(token)
            }
        }
    }

    fn header(self) -> HeaderName {
        match self {
            Self::XApiKey => X_API_KEY,
            Self::Bearer => AUTHORIZATION,
            Self::XGoogApiKey => X_GOOG_API_KEY,
        }
    }
}

/// A key for one request.
pub(crate) struct Key {
    credential: Credential,
    header: HeaderName,
    /// Marked as sensitive: it prints as such, and HTTP/2 keeps it in no table. What it is held in is not overwritten when it goes.
    value: HeaderValue,
    secret: SecretString,
}

impl Key {
    fn new(credential: &Credential, slot: Slot, secret: SecretString) -> Result<Self, Denied> {
        let text = match slot {
            Slot::XApiKey | Slot::XGoogApiKey => Zeroizing::new(secret.expose_secret().to_owned()),
            Slot::Bearer => Zeroizing::new([BEARER, secret.expose_secret()].concat()),
        };
        let unusable = || Denied::Credential("it cannot stand in a header".to_owned());
        if secret.expose_secret().is_empty() {
            return Err(unusable());
        }
        let mut value = HeaderValue::from_str(&text).map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok(Self { credential: credential.clone(), header: slot.header(), value, secret })
    }

    pub(crate) fn named(&self) -> NamedSecret {
        NamedSecret { id: self.credential.secret, name: self.credential.name.clone() }
    }

    pub(crate) fn put(&self, headers: &mut HeaderMap) {
        headers.insert(&self.header, self.value.clone());
    }

    /// Takes the key out of a reply's head, where it is echoed there.
    pub(crate) fn redact(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let mut redactor = self.redactor();
            let seen = value.as_bytes();
            let mut clean = redactor.take(bytes::Bytes::copy_from_slice(seen)).to_vec();
            clean.extend_from_slice(&redactor.finish());
            if clean != seen {
                *value = HeaderValue::from_bytes(&clean).unwrap_or(TAKEN_OUT);
            }
        }
    }

    /// Takes the key out of a reply's body.
    pub(crate) fn redactor(&self) -> Redactor {
        Redactor::new(self.secret.clone(), self.credential.placeholder.as_bytes())
    }
}
