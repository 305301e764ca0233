//! Where a proxy's request goes.

use hyper::Uri;

use crate::denied::Denied;
use crate::inspect::Inspected;
use crate::passage::Rules;
use crate::policy::{Allowed, Host, Policy, Refusal};

/// A host and a port, as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

impl Target {
    /// Reads the authority of a request's target (RFC 9112 §3.2). `usual` is the port where none is named; CONNECT has none.
    pub(crate) fn read(uri: &Uri, usual: Option<u16>) -> Result<Self, Denied> {
        let authority = uri.authority().ok_or(Denied::Malformed("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(Denied::Malformed("a target has no user and no password"));
        }
        // `host:` is read as the usual port by some and as an error by others.
        if authority.as_str().ends_with(':') {
            return Err(Denied::Malformed("it names an empty port"));
        }
        let port = authority.port_u16().or(usual).ok_or(Denied::Malformed("CONNECT names host and port"))?;
        Ok(Self { host: authority.host().parse()?, port })
    }

    /// Whether it may be reached, as far as its name says.
    pub(crate) fn judge(&self, rules: &Rules) -> Result<Allowed, Denied> {
        self.has_no_route(rules)?;
        Ok(rules.policy.judge(&self.host, self.port)?)
    }

    /// Whether what goes there is read.
    pub(crate) fn inspected<'a>(&self, rules: &'a Rules) -> Result<Option<&'a Inspected>, Denied> {
        self.has_no_route(rules)?;
        match (rules.inspected_at(self), &rules.policy) {
            (Some(_), Policy::Closed) => Err(Denied::Policy(Refusal::Closed)),
            (inspected, _) => Ok(inspected),
        }
    }

    fn has_no_route(&self, rules: &Rules) -> Result<(), Denied> {
        match rules.routes.iter().find(|route| route.covers(&self.host, self.port)) {
            Some(route) => Err(Denied::HasRoute { host: self.host.clone(), route: route.name().to_owned() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str, usual: Option<u16>) -> Result<(String, u16), Denied> {
        let uri: Uri = target.parse().unwrap();
        Target::read(&uri, usual).map(|target| (target.host.to_string(), target.port))
    }

    #[test]
    fn a_target_is_read_in_its_one_form() {
        for (written, meant) in [
            ("http://Example.COM/a", ("example.com", 80)),
            ("http://example.com.:8080/", ("example.com", 8080)),
            ("http://0x7f.1/", ("127.0.0.1", 80)),
            ("http://[::ffff:7f00:1]:81/", ("127.0.0.1", 81)),
        ] {
            let (host, port) = read(written, Some(80)).unwrap();
            assert_eq!((host.as_str(), port), meant, "{written}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for target in ["http://example.com@evil.example/", "http://user:pass@example.com/", "http://example.com:/"] {
            assert!(read(target, Some(80)).is_err(), "{target}");
        }
        assert!(read("example.com", None).is_err());
        assert!(read("example.com:443", None).is_ok());
    }
}
