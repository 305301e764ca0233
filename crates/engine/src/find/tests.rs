use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[derive(Default)]
struct FakeFiles {
    texts: BTreeMap<Utf8PathBuf, String>,
    sockets: BTreeSet<Utf8PathBuf>,
}

impl FakeFiles {
    fn text(mut self, path: impl Into<Utf8PathBuf>, text: &str) -> Self {
        self.texts.insert(path.into(), text.to_owned());
        self
    }

    fn socket(mut self, path: &str) -> Self {
        self.sockets.insert(path.into());
        self
    }

    fn context(self, name: &str, host: &str) -> Self {
        let meta = format!(
            r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
        );
        self.text(context_file(name, "meta", "meta.json"), &meta)
    }
}

impl HostFiles for FakeFiles {
    fn read(&self, path: &Utf8Path) -> std::io::Result<Option<String>> {
        Ok(self.texts.get(path).cloned())
    }

    fn is_socket(&self, path: &Utf8Path) -> bool {
        self.sockets.contains(path)
    }
}

fn context_file(name: &str, part: &str, file: &str) -> String {
    format!("/home/p/.docker/contexts/{part}/{}/{file}", hex::encode(Sha256::digest(name)))
}

fn person() -> Environment {
    Environment { home: Some("/home/p".into()), runtime_dir: Some("/run/user/7".into()), ..Environment::default() }
}

fn one(environment: &Environment, files: &FakeFiles) -> Found {
    let candidates = find(environment, files).unwrap();
    assert_eq!(candidates.len(), 1, "{candidates:?}");
    candidates[0].clone()
}

fn unix(path: &str) -> Endpoint {
    Endpoint::Unix(path.into())
}

/// Everything at once; each test takes away from the front.
fn full() -> (Environment, FakeFiles) {
    let environment = Environment {
        setting: Some("unix:///setting.sock".into()),
        docker_host: Some("tcp://10.0.0.9:2375".into()),
        docker_context: Some("other".into()),
        ..person()
    };
    let files = FakeFiles::default()
        .text("/home/p/.docker/config.json", r#"{"currentContext":"configured","auths":{}}"#)
        .context("other", "unix:///other.sock")
        .context("configured", "unix:///configured.sock")
        .socket("/var/run/docker.sock");
    (environment, files)
}

#[test]
fn the_order_is_setting_variable_context_socket() {
    let (mut environment, files) = full();
    assert_eq!(one(&environment, &files), Found { endpoint: unix("/setting.sock"), source: Source::Setting });
    environment.setting = None;
    assert_eq!(
        one(&environment, &files),
        Found { endpoint: Endpoint::Tcp("10.0.0.9:2375".into()), source: Source::DockerHost }
    );
    environment.docker_host = None;
    assert_eq!(
        one(&environment, &files),
        Found { endpoint: unix("/other.sock"), source: Source::Context("other".into()) }
    );
    environment.docker_context = None;
    let configured = Found { endpoint: unix("/configured.sock"), source: Source::Context("configured".into()) };
    assert_eq!(one(&environment, &files), configured);
    environment.docker_context = Some("default".into());
    assert_eq!(one(&environment, &files).source, Source::KnownSocket("Docker"));
}

#[test]
fn empty_words_are_no_words() {
    let (mut environment, files) = full();
    environment.setting = Some(" ".into());
    environment.docker_host = Some(String::new());
    environment.docker_context = Some(String::new());
    assert_eq!(one(&environment, &files).source, Source::Context("configured".into()));
}

#[test]
fn a_context_that_is_not_there_is_an_error_and_not_another_engine() {
    let (mut environment, files) = full();
    environment.setting = None;
    environment.docker_host = None;
    environment.docker_context = Some("gone".into());
    let error = find(&environment, &files).unwrap_err();
    assert!(matches!(&error, FindError::BadContext { name, .. } if name == "gone"), "{error:?}");
}

#[test]
fn docker_config_moves_the_contexts() {
    let (mut environment, files) = full();
    environment.setting = None;
    environment.docker_host = None;
    environment.docker_context = None;
    environment.docker_config = Some("/elsewhere".into());
    assert_eq!(one(&environment, &files).source, Source::KnownSocket("Docker"));
}

#[test]
fn a_configuration_that_is_no_json_names_no_context() {
    let files = FakeFiles::default().text("/home/p/.docker/config.json", "{").socket("/var/run/docker.sock");
    assert_eq!(one(&person(), &files).source, Source::KnownSocket("Docker"));
}

#[test]
fn all_existing_sockets_are_candidates_best_first() {
    let files = FakeFiles::default()
        .socket("/run/podman/podman.sock")
        .socket("/home/p/.colima/default/docker.sock")
        .socket("/home/p/.orbstack/run/docker.sock")
        .socket("/run/user/7/docker.sock");
    let candidates = find(&person(), &files).unwrap();
    let products: Vec<_> = candidates.iter().map(|found| found.source.to_string()).collect();
    assert_eq!(
        products,
        ["rootless Docker", "Colima", "OrbStack", "Podman"].map(|product| format!("the usual place of {product}"))
    );
}

#[test]
fn without_anything_the_error_says_what_to_do_and_where_it_looked() {
    let error = find(&person(), &FakeFiles::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("no container engine was found: start Docker"), "{text}");
    assert!(text.contains("/var/run/docker.sock") && text.contains("/run/user/7/podman/podman.sock"), "{text}");
}

#[test]
fn windows_looks_for_named_pipes() {
    let environment = Environment { system: System::Windows, ..person() };
    let files = FakeFiles::default().socket("//./pipe/docker_engine");
    assert_eq!(one(&environment, &files).endpoint, Endpoint::Pipe("//./pipe/docker_engine".into()));
}

#[test]
fn ssh_and_tls_are_refused_by_name() {
    for (address, tls, kind) in
        [("ssh://me@host", None, "SSH"), ("https://host:2376", None, "TLS"), ("tcp://host:2376", Some("1"), "TLS")]
    {
        let environment =
            Environment { docker_host: Some(address.into()), docker_tls_verify: tls.map(str::to_owned), ..person() };
        let error = find(&environment, &FakeFiles::default()).unwrap_err();
        assert!(matches!(&error, FindError::NotSupported { kind: found, .. } if *found == kind), "{error:?}");
        assert!(error.to_string().contains("DOCKER_HOST"), "{error}");
    }
}

#[test]
fn a_context_with_certificates_is_tls() {
    let files = FakeFiles::default()
        .text("/home/p/.docker/config.json", r#"{"currentContext":"far"}"#)
        .context("far", "tcp://far:2376")
        .text(context_file("far", "tls", "docker/ca.pem"), "certificate");
    assert!(matches!(find(&person(), &files), Err(FindError::NotSupported { kind: "TLS", .. })));
}

#[test]
fn addresses_are_read_as_people_write_them() {
    for (address, endpoint) in [
        ("unix:///a b.sock", unix("/a b.sock")),
        ("/a.sock", unix("/a.sock")),
        ("tcp://host", Endpoint::Tcp("host:2375".into())),
        ("tcp://[::1]:9", Endpoint::Tcp("[::1]:9".into())),
        ("tcp://[::1]", Endpoint::Tcp("[::1]:2375".into())),
        ("http://host:80/", Endpoint::Tcp("host:80".into())),
        ("npipe:////./pipe/docker_engine", Endpoint::Pipe("//./pipe/docker_engine".into())),
    ] {
        let environment = Environment { setting: Some(address.into()), ..person() };
        assert_eq!(one(&environment, &FakeFiles::default()).endpoint, endpoint, "{address}");
    }
    for address in
        ["unix://relative", "tcp://", "tcp://host:port", "tcp://host/path", "ftp://host", "docker", "tcp://user@host"]
    {
        let environment = Environment { setting: Some(address.into()), ..person() };
        let error = find(&environment, &FakeFiles::default()).unwrap_err();
        assert!(matches!(error, FindError::BadAddress { .. }), "{address}: {error:?}");
    }
}
