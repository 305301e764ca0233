#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use proptest::prelude::*;

use super::*;

fn host(text: &str) -> Host {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn grant(hosts: &str) -> Grant {
    Grant { hosts: hosts.parse().unwrap_or_else(|error| panic!("{error}")), ports: Ports::Usual, reach: Reach::Public }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_host_has_one_form() {
    for (written, meant) in [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("ＥＸＡＭＰＬＥ.com", "example.com"),
        ("example。com", "example.com"),
        ("127.1", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("::ffff:7f00:1", "127.0.0.1"),
        ("[0:0::1]", "::1"),
    ] {
        assert_eq!(host(written).to_string(), meant, "{written}");
    }
}

#[test]
fn what_is_no_host_is_refused() {
    let long = "a".repeat(64);
    for text in [
        "",
        ".",
        "..",
        "a..b",
        ".example.com",
        "example.com..",
        "a b",
        "a/b",
        "a@b",
        "a:80",
        "1.2.3.4.5",
        "0x100.0.0.1",
    ]
    .into_iter()
    .chain(["%65xample.com", "exa\u{0}mple.com", "exa\nmple.com", "[::1", "[fe80::1%25eth0]", long.as_str()])
    {
        assert!(text.parse::<Host>().is_err(), "{text:?}");
    }
}

#[test]
fn a_rule_for_a_domain_is_fooled_by_nothing() {
    let rule: HostRule = "*.Example.com.".parse().unwrap();
    assert_eq!(rule.to_string(), "*.example.com");
    for below in ["a.example.com", "A.EXAMPLE.COM.", "a.b.example.com"] {
        assert!(rule.matches(&host(below)), "{below}");
    }
    for other in [
        "example.com",
        "evilexample.com",
        "example.com.evil.org",
        "example.org",
        "xample.com",
        "examp1e.com",
        "10.0.0.1",
    ] {
        assert!(!rule.matches(&host(other)), "{other}");
    }
    // An IDN that looks the same is another name.
    assert!(!rule.matches(&host("a.exаmple.com")));
}

#[test]
fn what_is_no_rule_is_refused() {
    for text in ["*", "*.", "*.com", "*.*.com", "a.*.com", "*example.com", "ex*.com", "*.10.0.0.1", "*.127.1", ""] {
        assert!(text.parse::<HostRule>().is_err(), "{text:?}");
    }
}

#[test]
fn closed_reaches_nothing() {
    assert_eq!(Policy::Closed.judge(&host("example.com"), 443), Err(Refusal::Closed));
}

#[test]
fn an_allowlist_reaches_what_is_on_it() {
    let policy = Policy::Allowlist(vec![grant("example.com"), grant("*.example.org")]);
    let public = [address("93.184.215.14")];
    for name in ["example.com", "a.example.org"] {
        let allowed = policy.judge(&host(name), 443).unwrap();
        assert_eq!(allowed.choose(&public), Ok(public[0]));
        assert!(policy.judge(&host(name), 80).is_ok());
        assert_eq!(policy.judge(&host(name), 22), Err(Refusal::Port(host(name), 22)));
    }
    assert_eq!(policy.judge(&host("a.example.com"), 443), Err(Refusal::NotListed(host("a.example.com"))));
    assert_eq!(policy.judge(&host("93.184.215.14"), 443), Err(Refusal::NotListed(host("93.184.215.14"))));
}

#[test]
fn a_grant_may_name_a_port() {
    let ssh = Grant { ports: Ports::One(22), ..grant("git.example.com") };
    for policy in [Policy::Allowlist(vec![ssh.clone()]), Policy::Open(vec![ssh])] {
        assert!(policy.judge(&host("git.example.com"), 22).is_ok());
        assert!(policy.judge(&host("git.example.com"), 25).is_err());
    }
}

#[test]
fn open_reaches_public_hosts_on_usual_ports() {
    let policy = Policy::Open(Vec::new());
    let allowed = policy.judge(&host("anything.example"), 443).unwrap();
    assert!(allowed.choose(&[address("2606:2800:21f:cb07:6820:80da:af6b:8b2c")]).is_ok());
    for port in [22, 25, 53, 0, 8080] {
        assert_eq!(policy.judge(&host("anything.example"), port), Err(Refusal::Port(host("anything.example"), port)));
    }
}

#[test]
fn no_policy_reaches_an_address_that_is_not_public() {
    let policy = Policy::Open(Vec::new());
    let any = policy.judge(&host("rebound.example"), 443).unwrap();
    for (text, why) in [
        ("127.0.0.1", NotPublic::Loopback),
        ("127.255.255.254", NotPublic::Loopback),
        ("0.0.0.0", NotPublic::Loopback),
        ("::1", NotPublic::Loopback),
        ("::", NotPublic::Loopback),
        ("::ffff:127.0.0.1", NotPublic::Loopback),
        ("10.1.2.3", NotPublic::Private),
        ("172.17.0.1", NotPublic::Private),
        ("172.31.255.255", NotPublic::Private),
        ("192.168.65.7", NotPublic::Private),
        ("100.100.100.200", NotPublic::Private),
        ("fd00:ec2::254", NotPublic::Private),
        ("169.254.169.254", NotPublic::LinkLocal),
        ("168.63.129.16", NotPublic::LinkLocal),
        ("fe80::1", NotPublic::LinkLocal),
        ("224.0.0.251", NotPublic::Multicast),
        ("ff02::fb", NotPublic::Multicast),
        ("255.255.255.255", NotPublic::Reserved),
        ("198.18.0.1", NotPublic::Reserved),
        ("::127.0.0.1", NotPublic::Reserved),
        ("fec0::1", NotPublic::Reserved),
        ("2001:0:1::1", NotPublic::Reserved),
        ("64:ff9b::7f00:1", NotPublic::Embedded),
        ("64:ff9b:1::7f00:1", NotPublic::Embedded),
        ("2002:7f00:1::", NotPublic::Embedded),
    ] {
        assert_eq!(not_public(address(text)), Some(why), "{text}");
        assert!(any.choose(&[address(text)]).is_err(), "{text}");
        assert!(any.choose(&[address("93.184.215.14"), address(text)]).is_err(), "{text} beside a public one");
        assert!(policy.judge(&Host::Address(address(text).to_canonical()), 443).is_err(), "{text}");
    }
    for text in
        ["1.1.1.1", "172.32.0.1", "172.15.0.1", "100.128.0.1", "192.167.0.1", "2a00:1450:4001::1", "2001:4860::1"]
    {
        assert_eq!(not_public(address(text)), None, "{text}");
        assert!(any.choose(&[address(text)]).is_ok(), "{text}");
    }
}

#[test]
fn a_private_host_needs_a_grant_that_says_so() {
    let name = host("nas.home.example");
    let local = [address("192.168.1.5")];
    let public_only = Policy::Allowlist(vec![grant("nas.home.example")]);
    assert!(public_only.judge(&name, 443).unwrap().choose(&local).is_err());

    let private = Grant { reach: Reach::Private, ..grant("nas.home.example") };
    let both = Policy::Open(vec![private.clone(), grant("*.home.example")]);
    for policy in [Policy::Allowlist(vec![grant("nas.home.example"), private]), both] {
        let allowed = policy.judge(&name, 443).unwrap();
        assert_eq!(allowed.choose(&local), Ok(local[0]));
        // Metadata services stay refused.
        assert!(allowed.choose(&[address("169.254.169.254")]).is_err());
    }
}

#[test]
fn a_name_without_addresses_is_refused() {
    let policy = Policy::Open(Vec::new());
    let allowed = policy.judge(&host("nowhere.example"), 443).unwrap();
    assert_eq!(allowed.choose(&[]), Err(Refusal::NoAddress(host("nowhere.example"))));
}

proptest! {
    /// Whatever form a host is written in, its own form is read as itself.
    #[test]
    fn a_host_is_read_back_as_itself(text in "\\PC{0,40}") {
        if let Ok(host) = text.parse::<Host>() {
            prop_assert_eq!(host.to_string().parse::<Host>(), Ok(host));
        }
    }

    /// IPv4 stays what it is within IPv6.
    #[test]
    fn a_mapped_address_is_judged_as_what_it_maps(bits: u32) {
        let plain = std::net::Ipv4Addr::from_bits(bits);
        prop_assert_eq!(not_public(plain.to_ipv6_mapped().into()), not_public(plain.into()));
    }

    /// A rule for a domain means just the names that end in it, after a dot.
    #[test]
    fn below_means_below(prefix in "[a-z0-9.-]{0,12}", domain in "[a-z]{1,5}\\.[a-z]{2,4}") {
        let rule: HostRule = format!("*.{domain}").parse().unwrap();
        if let Ok(Host::Name(name)) = format!("{prefix}{domain}").parse::<Host>() {
            let is_below = name.len() > domain.len() + 1 && name.ends_with(&format!(".{domain}"));
            prop_assert_eq!(rule.matches(&Host::Name(name)), is_below);
        }
    }
}
