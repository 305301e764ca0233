//! What a person drops on the app, and what a page on the web can make a browser send to it.

/// A task file, from its bytes to a task that would be accepted.
pub(crate) fn task_file(data: &[u8]) {
    berth_core::fuzzing::task_file(data);
}

/// A request's head: method, target and headers, a line each.
pub(crate) fn guard(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let method = lines.next().unwrap_or_default();
    let target = lines.next().unwrap_or_default();
    let headers: Vec<(&[u8], &[u8])> = lines
        .filter_map(|line| line.iter().position(|byte| *byte == b':').map(|at| (&line[..at], &line[at + 1..])))
        .collect();
    server::fuzzing::guard(method, target, &headers);
}

/// The query of a stream, and whatever else opens something.
pub(crate) fn ticket(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(ticket) = server::fuzzing::ticket_of(&text) {
        berth_core::fuzzing::ticket(&ticket);
    }
    berth_core::fuzzing::ticket(&text);
    server::fuzzing::code(&text);
}

pub(crate) fn task_file_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "Tidy up the shed",
        "# A title #\n\nDo it.\n```sh\n# no heading\n```\n",
        "---\nagent: script\ntitle: Hello\nproject: p\nreview: skip\nlimits: {memory: 512MiB, cpus: 1.5, time: 2h, output: 1MB, processes: 48}\nfiles: [a.txt, b/]\n---\n# x\n",
        "---\nlimits:\n  memory: &a 1GiB\n  disk: *a\n---\nx",
        "---\n? [a, b]\n: {c: !!binary aGk=}\n---\nx",
        "---\r\nagent: |\r\n  a\r\n  b\r\n---\r\nx",
        "\u{feff}---\nagent: 7\nunknown: ~\n---\n\u{202e}x",
        "--- # no front matter\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

pub(crate) fn guard_seeds() -> Vec<Vec<u8>> {
    let heads = [
        "GET\n/\nhost:127.0.0.1:4242",
        "POST\n/api/call\nhost:localhost:4242\norigin:http://localhost:4242\nsec-fetch-site:same-origin",
        "GET\n/api/stream?ticket=x\nhost:127.0.0.1:4242\norigin:tauri://localhost\nsec-fetch-site:cross-site",
        "GET\nhttp://127.0.0.1:4242@evil.example/\nhost:127.0.0.1:4242",
        "GET\n/\nhost:127.0.0.1:4242\nsec-fetch-site:cross-site\nsec-fetch-mode:navigate\nsec-fetch-dest:document",
        "GET\n/\nhost:evil.example:4242\nhost:127.0.0.1:4242\norigin:null",
    ];
    heads.map(|head| head.as_bytes().to_vec()).to_vec()
}

pub(crate) fn ticket_seeds() -> Vec<Vec<u8>> {
    ["/api/stream?ticket=abc", "/api/stream?ticket=%41%zz&ticket=b", "?ticket", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}
