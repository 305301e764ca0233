//! The facts of the selected agent: its instructions, what it brings, what it may reach, which secrets it has.

use wire::{
    secret::{SIGNED_IN_MEANS, logins_said},
    view::{AgentView, PersonaFile},
};
use yew::prelude::*;

use super::tools::Kind;
use crate::{
    icon::{Glyph, icon, small_icon},
    parts::Go,
    policy::{self, Mode},
    route::Route,
    say,
    screens::settings::secrets::way_badge,
};

/// How much of a text stands beside its name.
const OPENING_CHARS_MAX: usize = 80;
/// How many hosts are named in the facts; the rest are in the edit dialog.
const HOSTS_SHOWN_MAX: usize = 6;

/// The facts of the selected agent.
pub fn facts(agent: &AgentView) -> Html {
    let hosts = agent.network.hosts();
    html! {
        <div class="agent-facts" data-test="agent-facts">
            { instructions(&agent.persona) }
            { brings(agent) }
            <section class="section">
                <h2 class="title">{ "Network policy" }<span class="spring"></span>{ mode_badge(Mode::of(&agent.network)) }</h2>
                <p class="weak" data-test="agent-reach">{ Mode::of(&agent.network).meaning() }</p>
                if !hosts.is_empty() {
                    <ul class="hosts">
                        { for hosts.iter().take(HOSTS_SHOWN_MAX).map(|grant| html! { <li key={policy::said(grant)}><code>{ policy::said(grant) }</code></li> }) }
                        if hosts.len() > HOSTS_SHOWN_MAX { <li class="weak">{ format!("and {} more", hosts.len() - HOSTS_SHOWN_MAX) }</li> }
                    </ul>
                }
            </section>
            <section class="section">
                <h2 class="title">{ "Secrets" }<span class="spring"></span><Go class="link" to={Route::Secrets}>{ "All secrets" }</Go></h2>
                if agent.secrets.is_empty() { <p class="weak" data-test="agent-no-secrets">{ "It has none." }</p> }
                <ul class="hosts">
                    { for agent.secrets.iter().map(|secret| html! {
                        <li key={secret.name.clone()} data-test="agent-secret">{ small_icon(Glyph::Key) }<span>{ say::visible(&secret.name) }</span>{ way_badge(secret.way) }<code class="weak">{ say::visible(&secret.variable) }</code></li>
                    }) }
                    if !agent.logins.is_empty() {
                        <li data-test="signed-in">{ small_icon(Glyph::LockOpen) }<span>{ format!("Signed in inside the sandbox: {}", logins_said(&agent.logins)) }</span></li>
                    }
                </ul>
                if !agent.logins.is_empty() { <p class="weak">{ SIGNED_IN_MEANS }</p> }
            </section>
        </div>
    }
}

fn mode_badge(mode: Mode) -> Html {
    let (tone, glyph) = match mode {
        Mode::Closed => ("idle", Glyph::Lock),
        Mode::Allowlist => ("done", Glyph::Shield),
        Mode::Open | Mode::Bridge => ("review", Glyph::Triangle),
    };
    html! { <span class="badge" data-tone={tone} data-test="policy">{ icon(glyph) }{ mode.with(Vec::new()).word() }</span> }
}

/// The standing instructions: their files, and how the first of them begins.
fn instructions(files: &[PersonaFile]) -> Html {
    html! {
        <section class="section" data-test="agent-persona">
            <h2 class="title">{ "Standing instructions" }<span class="spring"></span>if !files.is_empty() { <span class="now">{ say::count(files.len() as u64, "file", "files") }</span> }</h2>
            if files.is_empty() { <p class="weak">{ "It has none: it does what a task says, as its image does." }</p> }
            { for files.iter().map(|file| html! {
                <details class="persona-shown" key={file.name.clone()}>
                    <summary>{ small_icon(Glyph::ChevronRight) }<code>{ say::visible(&file.name) }</code><span class="weak">{ opening(&file.text) }</span><span class="size">{ say::bytes(file.text.len() as u64) }</span></summary>
                    <pre class="code" tabindex="0">{ say::visible(&file.text) }</pre>
                </details>
            }) }
        </section>
    }
}

/// How a text begins: its first line that says something, without the marks of a heading.
fn opening(text: &str) -> String {
    let line = text
        .lines()
        .map(|line| line.trim_start_matches(['#', '-', '*', '>', ' ']).trim())
        .find(|line| !line.is_empty());
    say::visible(line.unwrap_or_default()).chars().take(OPENING_CHARS_MAX).collect()
}

/// Its model, its memory, and the packages on top of its image.
fn brings(agent: &AgentView) -> Html {
    let packages =
        Kind::ALL.into_iter().map(|kind| (kind, kind.list(&agent.tools))).filter(|(_, list)| !list.is_empty());
    html! {
        <section class="section" data-test="agent-brings">
            <h2 class="title">{ "Model, memory and tools" }</h2>
            <dl class="facts">
                <dt>{ "Model" }</dt>
                <dd data-test="agent-model">{ match &agent.model { Some(model) => html! { <code>{ say::visible(model) }</code> }, None => html! { "the image's own choice" } } }</dd>
                <dt>{ "Memory" }</dt>
                <dd data-test="agent-memory">{ if agent.has_memory { "on, in its home" } else { "off" } }</dd>
                if agent.tools.is_empty() { <dt>{ "Tools" }</dt><dd data-test="agent-tools">{ "nothing on top of the image" }</dd> }
                { for packages.map(|(kind, list)| html! {
                    <><dt>{ kind.word() }</dt><dd data-test="agent-tools">{ for list.iter().map(|name| html! { <code key={name.clone()}>{ say::visible(name) }{ " " }</code> }) }</dd></>
                }) }
            </dl>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_opens_with_its_first_words() {
        assert_eq!(opening("\n# mason\n\nYou are"), "mason");
        assert_eq!(opening("---\n> - Be brief."), "Be brief.");
        assert_eq!(opening("\n"), "");
        assert_eq!(opening(&"x".repeat(500)).len(), OPENING_CHARS_MAX);
    }
}
