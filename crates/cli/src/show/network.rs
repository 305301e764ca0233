//! What agents may reach, and what their sandboxes asked for.

use wire::{
    cost::UsageView,
    network::{GrantReach, HostGrant, NetworkPolicy, RequestView},
};

use super::{
    costs::to_four_decimals,
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::size,
};

/// The widest path, in columns of the terminal.
const PATH_WIDTH_MAX: usize = 48;

/// A policy in two words.
pub(crate) fn policy(policy: &NetworkPolicy) -> String {
    let mode = policy.word().to_lowercase();
    match policy.hosts().len() {
        0 => mode,
        1 => format!("{mode}, 1 host"),
        count => format!("{mode}, {count} hosts"),
    }
}

/// A host as it is typed, and how far it goes where that is further than usual.
pub(crate) fn host(grant: &HostGrant) -> String {
    let name = with_port(&grant.host, grant.port);
    match grant.reach {
        GrantReach::Public => name,
        GrantReach::Private => format!("{name} (on private networks too)"),
    }
}

fn with_port(host: &str, port: Option<u16>) -> String {
    match port {
        None => host.to_owned(),
        Some(port) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
    }
}

/// One line a request.
pub(crate) fn requests(requests: &[RequestView], ink: Ink) -> String {
    if requests.is_empty() {
        return "No requests.\n".to_owned();
    }
    let mut table = Table::new([
        "TIME (UTC)",
        "KIND",
        "METHOD",
        "HOST",
        "PATH",
        "STATUS",
        "SENT",
        "RECEIVED",
        "MODEL",
        "IN",
        "OUT",
        "COST",
        "OUTCOME",
    ]);
    for request in requests {
        let usage = request.usage.as_ref();
        let of_usage = |show: &dyn Fn(&UsageView) -> String| Cell::plain(&usage.map(show).unwrap_or_default());
        table.row([
            Cell::toned(Tone::Faint, &request.at.strftime("%Y-%m-%d %H:%M:%S").to_string()),
            Cell::plain(request.kind.word()),
            Cell::plain(&request.method),
            Cell::plain(&with_port(&request.host, Some(request.port))),
            Cell::plain(&request.path).cut(PATH_WIDTH_MAX),
            Cell::plain(&request.status.map(|status| status.to_string()).unwrap_or_default()),
            Cell::plain(&size(request.sent_bytes)),
            Cell::plain(&size(request.received_bytes)),
            of_usage(&|usage| usage.model.clone()),
            of_usage(&|UsageView { tokens, .. }| {
                tokens.input.saturating_add(tokens.cache_read).saturating_add(tokens.cache_write).to_string()
            }),
            of_usage(&|usage| usage.tokens.output.to_string()),
            of_usage(&cost),
            outcome(request),
        ]);
    }
    table.lay_out(ink)
}

fn cost(usage: &UsageView) -> String {
    let list = if usage.is_list_price { "list price " } else { "" };
    match usage.cost {
        None if usage.is_list_price => "list price unknown".to_owned(),
        None => "price unknown".to_owned(),
        Some(cost) if usage.is_at_least => format!("{list}at least {}", to_four_decimals(cost)),
        Some(cost) => format!("{list}{}", to_four_decimals(cost)),
    }
}

fn outcome(request: &RequestView) -> Cell {
    use wire::network::RequestOutcome::{Cut, Done, Open, Refused};

    let tone = match request.outcome {
        Open => Tone::Busy,
        Done => Tone::Good,
        Cut { .. } => Tone::Attention,
        Refused { .. } => Tone::Bad,
    };
    let word = request.outcome.word();
    Cell::toned(tone, &request.outcome.reason().map_or_else(|| word.to_owned(), |reason| format!("{word}: {reason}")))
}
