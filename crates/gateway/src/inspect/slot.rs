//! The one place of a request to which a secret is bound: a header with a format, or a parameter of the query.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::denied::Denied;
use crate::headers::HOP_BY_HOP;
use crate::model::{Redactor, TAKEN_OUT};

/// What stands for the secret in a format.
const SECRET_HERE: &str = "{}";
/// How a header of the Basic scheme begins.
const BASIC: &str = "Basic ";
/// The longest name and password that are decoded, in bytes as they are sent.
const ENCODED_LENGTH_MAX: usize = 8 << 10;
/// The longest format, header name or name of a parameter, in bytes.
const LENGTH_MAX: usize = 200;
/// RFC 3986 §2.3: what needs no escape.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What says how a request is to be read, or where it goes.
const OF_THE_MESSAGE: [HeaderName; 6] = [HOST, CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, ACCEPT_ENCODING, EXPECT];

/// Where in a request a secret stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Header {
        name: HeaderName,
        before: String,
        after: String,
    },
    /// A header in which a name and a password stand encoded (RFC 7617); what is before and after is of them alone.
    Basic {
        name: HeaderName,
        before: String,
        after: String,
    },
    Query {
        name: String,
    },
}

/// Why there can be no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// No name of a header.
    #[error("it is not the name of a header")]
    Header,
    /// A header that says how the request is to be read.
    #[error("that header says how a request is read or sent on, so it holds no secret")]
    Taken,
    /// No format.
    #[error("a format has `{{}}` once, where the secret stands, and otherwise visible ASCII and spaces within")]
    Format,
    /// No name of a parameter.
    #[error("a parameter's name has letters, digits, `-`, `.`, `_` and `~`")]
    Query,
}

impl Slot {
    /// A header, `Authorization` say, in which the secret stands for `{}` in the format: `token {}`. Where the format is a name and a
    /// password of the Basic scheme, as `Basic git:{}`, they are sent encoded.
    pub fn header(name: &str, format: &str) -> Result<Self, SlotError> {
        let name = Some(name).filter(|name| name.len() <= LENGTH_MAX).and_then(|name| name.parse::<HeaderName>().ok());
        let name = name.ok_or(SlotError::Header)?;
        if OF_THE_MESSAGE.contains(&name) || HOP_BY_HOP.contains(&name) {
            return Err(SlotError::Taken);
        }
        let (before, after) = format.split_once(SECRET_HERE).ok_or(SlotError::Format)?;
        let is_text = format.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        // A space at either end is no part of a header's value.
        if !is_text || format.len() > LENGTH_MAX || after.contains(SECRET_HERE) || format.trim() != format {
            return Err(SlotError::Format);
        }
        // No colon is in what is encoded already.
        let pair = before.split_at_checked(BASIC.len()).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(BASIC));
        Ok(Self(match pair {
            Some((_, before)) if before.contains(':') || after.contains(':') => {
                Kind::Basic { name, before: before.to_owned(), after: after.to_owned() }
            }
            _ => Kind::Header { name, before: before.to_owned(), after: after.to_owned() },
        }))
    }

    /// A parameter of the query.
    pub fn query(name: &str) -> Result<Self, SlotError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if name.is_empty() || name.len() > LENGTH_MAX || !name.bytes().all(is_plain) {
            return Err(SlotError::Query);
        }
        Ok(Self(Kind::Query { name: name.to_owned() }))
    }

    /// Whether the placeholder stands there: once, whole, and nothing else in its place.
    pub(super) fn has(&self, placeholder: &str, headers: &HeaderMap, query: Option<&str>) -> bool {
        match &self.0 {
            Kind::Header { name, before, after } => {
                let mut values = headers.get_all(name).iter();
                let (Some(value), None) = (values.next(), values.next()) else { return false };
                within(value.as_bytes(), before, after).is_some_and(|found| is_same(found, placeholder))
            }
            Kind::Basic { name, before, after } => {
                let mut values = headers.get_all(name).iter();
                let (Some(value), None) = (values.next(), values.next()) else { return false };
                let encoded = within(value.as_bytes(), BASIC, "").filter(|encoded| encoded.len() <= ENCODED_LENGTH_MAX);
                let Some(pair) = encoded.and_then(|encoded| STANDARD.decode(encoded).ok()) else { return false };
                within(&pair, before, after).is_some_and(|found| is_same(found, placeholder))
            }
            Kind::Query { name } => {
                let mut found = query.into_iter().flat_map(pairs).filter(|pair| pair.name() == name);
                let (Some(pair), None) = (found.next(), found.next()) else { return false };
                is_same(&percent_decode_str(pair.value()).collect::<Vec<u8>>(), placeholder)
            }
        }
    }

    /// The secret put there, in the placeholder's place.
    pub(super) fn put(
        &self,
        secret: &SecretString,
        headers: &mut HeaderMap,
        query: &mut Option<String>,
    ) -> Result<(), Denied> {
        let mut insert = |name: &HeaderName, text: &str| -> Result<(), Denied> {
            let unusable = |_: InvalidHeaderValue| Denied::Credential("it cannot stand in a header".to_owned());
            let mut value = HeaderValue::from_str(text).map_err(unusable)?;
            // It prints as such, and HTTP/2 keeps it in no table. What it is held in is not overwritten when it goes.
            value.set_sensitive(true);
            headers.insert(name, value);
            Ok(())
        };
        match &self.0 {
            Kind::Header { name, before, after } => {
                let text = Zeroizing::new([before.as_str(), secret.expose_secret(), after.as_str()].concat());
                insert(name, &text)?;
            }
            Kind::Basic { name, before, after } => {
                let encoded = encoded(secret, before, after);
                insert(name, &Zeroizing::new([BASIC, encoded.as_str()].concat()))?;
            }
            Kind::Query { name } => {
                let Some(before) = query.take() else { return Ok(()) };
                let put = pairs(&before).map(|pair| {
                    if pair.name() == name { format!("{name}={}", escaped(secret)) } else { pair.0.to_owned() }
                });
                *query = Some(put.collect::<Vec<_>>().join("&"));
            }
        }
        Ok(())
    }
}

impl Slot {
    /// The forms in which a host would echo the secret: as it is, as it stands in a URL, and encoded where it is sent so.
    fn forms(&self, secret: &SecretString) -> Vec<SecretString> {
        let mut forms = vec![secret.clone()];
        let in_url = escaped(secret);
        if in_url != secret.expose_secret() {
            forms.push(in_url.into());
        }
        if let Kind::Basic { before, after, .. } = &self.0 {
            // A host may leave out what only fills it up.
            forms.push(encoded(secret, before, after).trim_end_matches('=').into());
        }
        forms
    }
}

/// How it is shown: `Authorization: token {}`, `?key=`.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Header { name, before, after } => write!(f, "{name}: {before}{SECRET_HERE}{after}"),
            Kind::Basic { name, before, after } => write!(f, "{name}: {BASIC}{before}{SECRET_HERE}{after}"),
            Kind::Query { name } => write!(f, "?{name}="),
        }
    }
}

/// What stands between the two. The beginning is compared without regard to case, as schemes of authentication are (RFC 9110 §11.1).
fn within<'a>(value: &'a [u8], before: &str, after: &str) -> Option<&'a [u8]> {
    let (begins, rest) = value.split_at_checked(before.len())?;
    let rest = begins.eq_ignore_ascii_case(before.as_bytes()).then_some(rest)?;
    rest.strip_suffix(after.as_bytes())
}

/// A name and a password of the Basic scheme.
fn encoded(secret: &SecretString, before: &str, after: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new([before, secret.expose_secret(), after].concat());
    Zeroizing::new(STANDARD.encode(pair.as_bytes()))
}

fn is_same(found: &[u8], placeholder: &str) -> bool {
    bool::from(found.ct_eq(placeholder.as_bytes()))
}

fn escaped(secret: &SecretString) -> String {
    utf8_percent_encode(secret.expose_secret(), ESCAPED).to_string()
}

/// One `name=value` of a query, as it stands.
struct Pair<'a>(&'a str);

impl<'a> Pair<'a> {
    fn name(&self) -> &'a str {
        self.0.split_once('=').map_or(self.0, |(name, _)| name)
    }

    fn value(&self) -> &'a str {
        self.0.split_once('=').map_or("", |(_, value)| value)
    }
}

fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query.split('&').map(Pair)
}

/// Takes a key out of a reply in the forms in which a host would echo it. (A reply that is packed
/// all the same, although it was asked for unpacked, is passed on as it is.)
pub(crate) struct Cleaner(Vec<Redactor>);

impl Cleaner {
    /// The key is not empty.
    pub(super) fn new(slot: &Slot, secret: &SecretString, placeholder: &str) -> Self {
        Self(slot.forms(secret).into_iter().map(|form| Redactor::new(form, placeholder.as_bytes())).collect())
    }

    /// What may be seen of it now.
    pub(crate) fn take(&mut self, piece: Bytes) -> Bytes {
        self.0.iter_mut().fold(piece, |piece, redactor| redactor.take(piece))
    }

    /// What was held back and is no key.
    pub(crate) fn finish(self) -> Bytes {
        let mut rest = BytesMut::new();
        for mut redactor in self.0 {
            let mut last = BytesMut::from(redactor.take(rest.freeze()));
            last.extend_from_slice(&redactor.finish());
            rest = last;
        }
        rest.freeze()
    }

    /// Takes the key out of a reply's head, where it is echoed there.
    pub(super) fn clean_head(slot: &Slot, secret: &SecretString, placeholder: &str, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let mut cleaner = Self::new(slot, secret, placeholder);
            let seen = value.as_bytes();
            let mut clean = BytesMut::from(cleaner.take(Bytes::copy_from_slice(seen)));
            clean.extend_from_slice(&cleaner.finish());
            if clean != seen {
                *value = HeaderValue::from_bytes(&clean).unwrap_or(TAKEN_OUT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACEHOLDER: &str = "berth-placeholder";

    fn has(slot: &Slot, headers: &[(&'static str, &str)], query: Option<&str>) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        slot.has(PLACEHOLDER, &map, query)
    }

    #[test]
    fn a_placeholder_counts_in_its_one_place_whole_and_once() {
        let slot = Slot::header("Authorization", "token {}").unwrap();
        for (value, is_there) in [
            ("token berth-placeholder", true),
            ("Token berth-placeholder", true),
            ("Bearer berth-placeholder", false),
            ("token berth-placeholder-and-more", false),
            ("token  berth-placeholder", false),
            ("berth-placeholder", false),
            ("token Berth-placeholder", false),
        ] {
            assert_eq!(has(&slot, &[("authorization", value)], None), is_there, "{value}");
        }
        let twice = [("authorization", "token berth-placeholder"), ("authorization", "token berth-placeholder")];
        assert!(!has(&slot, &twice, None));
        assert!(!has(&slot, &[("x-authorization", "token berth-placeholder")], Some("token=berth-placeholder")));
        let slot = Slot::header("X-Key", "{}").unwrap();
        assert!(has(&slot, &[("x-key", PLACEHOLDER)], None));

        let slot = Slot::query("key").unwrap();
        for (query, is_there) in [
            ("key=berth-placeholder", true),
            ("a=b&key=berth%2Dplaceholder&c", true),
            ("key=berth-placeholder&key=berth-placeholder", false),
            ("key=other&key=berth-placeholder", false),
            ("Key=berth-placeholder", false),
            ("akey=berth-placeholder", false),
            ("key=berth-placeholder2", false),
            ("key", false),
        ] {
            assert_eq!(has(&slot, &[], Some(query)), is_there, "{query}");
        }
        assert!(!has(&slot, &[("key", PLACEHOLDER)], None));
    }

    #[test]
    fn the_rest_of_a_query_stays_as_it_was_to_the_byte() {
        let slot = Slot::query("key").unwrap();
        let mut query = Some("a=%7e&&b=x+y&key=berth-placeholder&key2=berth-placeholder".to_owned());
        slot.put(&"k&y= 1".into(), &mut HeaderMap::new(), &mut query).unwrap();
        assert_eq!(query.as_deref(), Some("a=%7e&&b=x+y&key=k%26y%3D%201&key2=berth-placeholder"));
    }

    #[test]
    fn where_no_secret_can_stand_is_said() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "Connection",
            "Proxy-Authorization",
            "TE",
            "Upgrade",
            "Expect",
        ] {
            assert_eq!(Slot::header(name, "{}"), Err(SlotError::Taken), "{name}");
        }
        for name in ["", "a b", "a:", "ä", ":path", "a\r\nb"] {
            assert_eq!(Slot::header(name, "{}"), Err(SlotError::Header), "{name:?}");
        }
        for format in ["", "token", "{} {}", " {}", "{} ", "a\n{}", "ä{}", "{"] {
            assert_eq!(Slot::header("Authorization", format), Err(SlotError::Format), "{format:?}");
        }
        for name in ["", "a b", "a=b", "a&b", "ä", "a%20"] {
            assert_eq!(Slot::query(name), Err(SlotError::Query), "{name:?}");
        }
        assert_eq!(Slot::header("Authorization", "token {}").unwrap().to_string(), "authorization: token {}");
    }

    #[test]
    fn a_key_is_taken_out_as_it_is_and_as_it_stands_in_a_url() {
        let secret = SecretString::from("k/y+1");
        let slot = Slot::query("key").unwrap();
        let mut cleaner = Cleaner::new(&slot, &secret, "<->");
        let mut shown = cleaner.take(Bytes::from_static(b"a k/y+1 b k%2Fy%2")).to_vec();
        shown.extend_from_slice(&cleaner.take(Bytes::from_static(b"B1 c k%2Fy k/y")));
        shown.extend_from_slice(&cleaner.finish());
        assert_eq!(String::from_utf8(shown).unwrap(), "a <-> b <-> c k%2Fy k/y");
        let mut headers = HeaderMap::new();
        headers.insert("location", HeaderValue::from_static("/next?key=k%2Fy%2B1"));
        Cleaner::clean_head(&slot, &secret, "<->", &mut headers);
        assert_eq!(headers["location"], "/next?key=<->");
    }

    #[test]
    fn a_password_of_the_basic_scheme_is_swapped_within_what_is_encoded() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let slot = Slot::header("Authorization", "Basic git:{}").unwrap();
        for (value, is_there) in [
            (basic("git:berth-placeholder"), true),
            (basic("git:berth-placeholder").replace("Basic", "basic"), true),
            (basic("other:berth-placeholder"), false),
            (basic("git:berth-placeholder2"), false),
            (basic("berth-placeholder"), false),
            ("Basic git:berth-placeholder".to_owned(), false),
            ("Basic !".to_owned(), false),
            (basic(&format!("git:{}", "x".repeat(9_000))), false),
        ] {
            assert_eq!(has(&slot, &[("authorization", &value)], None), is_there, "{value}");
        }
        let secret = SecretString::from("k/y+1");
        let mut headers = HeaderMap::new();
        slot.put(&secret, &mut headers, &mut None).unwrap();
        assert_eq!(headers["authorization"], basic("git:k/y+1").as_str());
        assert!(headers["authorization"].is_sensitive());
        let mut echoed = headers.clone();
        Cleaner::clean_head(&slot, &secret, "<->", &mut echoed);
        assert_eq!(echoed["authorization"], "Basic <->");
        assert_eq!(slot.to_string(), "authorization: Basic git:{}");
        // The token may stand for the name, too; and what has no colon is encoded already.
        let slot = Slot::header("Authorization", "basic {}:x-oauth-basic").unwrap();
        assert!(has(&slot, &[("authorization", &basic("berth-placeholder:x-oauth-basic"))], None));
        let slot = Slot::header("Authorization", "Basic {}").unwrap();
        assert!(has(&slot, &[("authorization", "Basic berth-placeholder")], None));
    }
}
