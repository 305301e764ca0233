//! The fields of the form of an agent, each a function of the draft and of what hears of a change.

use std::rc::Rc;

use wire::{
    image::ImageView,
    network::{GrantReach, HostGrant},
    secret::SecretsView,
    task::ReviewGate,
    view::{AgentColour, AgentView},
};
use yew::prelude::*;

use super::super::{
    chooser::ImageChooser,
    draft::{Draft, LimitTexts, Program},
    network::EditNetwork,
    tools::{ToolLists, said},
};
use crate::{
    icon::{Glyph, icon, small_icon},
    parts::{chosen, typed},
    say,
};

/// A change of the draft.
pub type Edit = Box<dyn FnOnce(&mut Draft)>;

/// A field's text into the draft.
fn write(change: &Callback<Edit>, edit: fn(&mut Draft, String)) -> Callback<InputEvent> {
    change.reform(move |event: InputEvent| -> Edit {
        let text = typed(&event);
        Box::new(move |draft| edit(draft, text))
    })
}

/// The name of a new agent.
pub fn name_field(draft: &Draft, change: &Callback<Edit>) -> Html {
    html! {
        <label class="field half"><span class="label">{ "Name" }</span>
            <span class="input"><input class="value" autocomplete="off" spellcheck="false" placeholder="mason" data-test="new-agent-name" value={draft.name.clone()} oninput={write(change, |draft, text| draft.name = text)} /></span>
        </label>
    }
}

/// What it runs in.
pub fn image_field(
    draft: &Draft,
    images: Option<Rc<Vec<ImageView>>>,
    secrets: Option<Rc<SecretsView>>,
    change: &Callback<Edit>,
) -> Html {
    let on_choose = change.reform(|image: String| -> Edit { Box::new(move |draft| draft.image = image) });
    html! {
        <div class="field"><span class="label">{ "Image" }</span>
            <ImageChooser {images} {secrets} chosen={draft.image.clone()} {on_choose} />
        </div>
    }
}

/// The colour of its plate, which has the letters of its image.
pub fn plate_field(
    draft: &Draft,
    image: Option<&ImageView>,
    agent: Option<&AgentView>,
    change: &Callback<Edit>,
) -> Html {
    let call_sign = image.map(|image| image.call_sign.as_str()).or(agent.map(|agent| agent.call_sign.as_str()));
    html! {
        <div class="field half"><span class="label">{ "Plate" }</span>
            <span class="plates" role="radiogroup" aria-label="Colour of the plate">
                { for AgentColour::ALL.map(|colour| {
                    let onclick = change.reform(move |_: MouseEvent| -> Edit { Box::new(move |draft| draft.colour = colour) });
                    html! {
                        <button type="button" class="plate" role="radio" key={colour.name()} aria-checked={(draft.colour == colour).to_string()} aria-label={colour.name()} title={colour.name()} data-test={format!("colour-{}", colour.name())} {onclick}>
                            <span class="pennant" data-colour={colour.name()} aria-hidden="true">{ say::visible(call_sign.unwrap_or("··")) }</span>
                        </button>
                    }
                }) }
            </span>
        </div>
    }
}

/// Whether it has a memory, and what that means.
pub fn memory_field(draft: &Draft, change: &Callback<Edit>) -> Html {
    let onclick = change.reform(|_: MouseEvent| -> Edit { Box::new(|draft| draft.has_memory = !draft.has_memory) });
    html! {
        <div class="switch-row">
            <button type="button" class="switch" role="switch" aria-checked={draft.has_memory.to_string()} aria-label="Memory" data-test="edit-memory-on" {onclick}></button>
            <span><b>{ "Memory" }</b><span class="weak">{ "Notes in its home that it reads when a task begins and adds to as it works; you can read and change them, too. Without them each task begins with its instructions alone." }</span></span>
        </div>
    }
}

/// The model of its providers that it uses.
pub fn model_field(draft: &Draft, is_new: bool, change: &Callback<Edit>) -> Html {
    html! {
        <label class={classes!("field", (!is_new).then_some("half"))}><span class="label">{ "Model" }</span>
            <span class="input"><input class="value" autocomplete="off" spellcheck="false" placeholder="The image's own choice" data-test="edit-model" value={draft.model.clone()} oninput={write(change, |draft, text| draft.model = text)} /></span>
        </label>
    }
}

/// What it may reach, and what its image asks to.
pub fn network_field(draft: &Draft, image: Option<&ImageView>, change: &Callback<Edit>) -> Html {
    let on_mode = change.reform(|mode| -> Edit { Box::new(move |draft| draft.mode = mode) });
    let on_hosts =
        change.reform(|hosts: Vec<HostGrant>| -> Edit { Box::new(move |draft| draft.hosts = Rc::new(hosts)) });
    let on_line = change.reform(|has_line: bool| -> Edit { Box::new(move |draft| draft.has_line = has_line) });
    let wished: Vec<_> =
        image.filter(|_| draft.mode.has_list()).map(|image| wished(image, &draft.hosts)).unwrap_or_default();
    html! {
        <>
            <EditNetwork mode={draft.mode} hosts={draft.hosts.clone()} {on_mode} {on_hosts} {on_line} />
            if !wished.is_empty() {
                <div class="wished" data-test="wished-hosts">
                    <span class="weak">{ "The image asks for:" }</span>
                    { for wished.into_iter().map(|host| {
                        let added = host.clone();
                        let onclick = change.reform(move |_: MouseEvent| -> Edit {
                            let host = added.clone();
                            Box::new(move |draft| Rc::make_mut(&mut draft.hosts).push(HostGrant { host, port: None, reach: GrantReach::Public }))
                        });
                        html! { <button type="button" class="button" data-size="s" key={host.clone()} data-test="add-wished" {onclick}>{ icon(Glyph::Plus) }<code>{ say::visible(&host) }</code></button> }
                    }) }
                </div>
            }
        </>
    }
}

/// The hosts that an image needs beside its model and that are not listed.
fn wished(image: &ImageView, hosts: &[HostGrant]) -> Vec<String> {
    image.hosts.iter().filter(|wished| !hosts.iter().any(|grant| grant.host == **wished)).cloned().collect()
}

/// The packages on top of its image.
pub fn tools_fold(draft: &Draft, change: &Callback<Edit>) -> Html {
    let on_change = change.reform(|tools| -> Edit { Box::new(move |draft| draft.tools = tools) });
    html! { { fold("Tools", "fold-tools", &said(&draft.tools), html! { <ToolLists tools={draft.tools.clone()} {on_change} /> }) } }
}

/// A limit: its label, its unit, its name for tests, its text, and how a text is put in.
type Limit = (&'static str, &'static str, &'static str, String, fn(&mut LimitTexts, String));

/// What its steps may use.
pub fn limits_fold(draft: &Draft, change: &Callback<Edit>) -> Html {
    let limits = &draft.limits;
    let fields: [Limit; 5] = [
        ("Time", "min", "edit-minutes", limits.minutes.clone(), |limits, text| limits.minutes = text),
        ("Memory", "MiB", "edit-memory", limits.memory_mib.clone(), |limits, text| limits.memory_mib = text),
        ("Processor", "cores", "edit-cores", limits.cores.clone(), |limits, text| limits.cores = text),
        ("Processes", "", "edit-processes", limits.processes.clone(), |limits, text| limits.processes = text),
        ("Disk", "GiB", "edit-disk", limits.disk_gib.clone(), |limits, text| limits.disk_gib = text),
    ];
    let summary =
        format!("{} min, {} MiB, {} cores", limits.minutes.trim(), limits.memory_mib.trim(), limits.cores.trim());
    let body = html! {
        <div class="limit-grid">
            { for fields.into_iter().map(|(label, unit, test, text, edit)| {
                let oninput = change.reform(move |event: InputEvent| -> Edit {
                    let text = typed(&event);
                    Box::new(move |draft| edit(&mut draft.limits, text))
                });
                html! {
                    <label class="field" key={test}><span class="label">{ label }</span>
                        <span class="input"><input class="value" inputmode="decimal" autocomplete="off" data-test={test} value={text} {oninput} /><span class="unit">{ unit }</span></span></label>
                }
            }) }
        </div>
    };
    fold("Limits of a step", "fold-limits", &summary, body)
}

/// What is started, and what happens at the end.
pub fn start_fold(draft: &Draft, change: &Callback<Edit>) -> Html {
    let on_program = change.reform(|event: Event| -> Edit {
        let program = Program::from_name(&chosen(&event));
        Box::new(move |draft| draft.program = program.unwrap_or(draft.program))
    });
    let on_review = change.reform(|event: Event| -> Edit {
        let review = if chosen(&event) == "skip" { ReviewGate::Skip } else { ReviewGate::Ask };
        Box::new(move |draft| draft.review = review)
    });
    let at_the_end = match draft.review {
        ReviewGate::Ask => "waits for you at the end",
        ReviewGate::Skip => "completes by itself",
    };
    let starts =
        Program::ALL.into_iter().find(|(program, ..)| *program == draft.program).map_or("", |(_, _, label)| label);
    let body = html! {
        <>
            <div class="pair">
                <label class="field"><span class="label">{ "Starts" }</span>
                    <span class="input"><select class="value" data-test="edit-program" onchange={on_program}>
                        { for Program::ALL.map(|(program, name, label)| html! { <option key={name} value={name} selected={draft.program == program}>{ label }</option> }) }
                    </select></span>
                </label>
                <label class="field"><span class="label">{ "At the end" }</span>
                    <span class="input"><select class="value" data-test="edit-review" onchange={on_review}>
                        <option value="ask" selected={draft.review == ReviewGate::Ask}>{ "Waits for you" }</option>
                        <option value="skip" selected={draft.review == ReviewGate::Skip}>{ "Completes by itself" }</option>
                    </select></span></label>
            </div>
            if draft.program == Program::Command {
                <label class="field"><span class="label">{ "Command, an argument a line" }</span>
                    <textarea class="input mono" data-kind="area" rows="3" spellcheck="false" data-test="edit-command" value={draft.command.clone()} oninput={write(change, |draft, text| draft.command = text)} />
                </label>
            }
        </>
    };
    fold("Start and end", "fold-start", &format!("{starts}; {at_the_end}"), body)
}

/// A part of the form that is folded away until it is wanted.
fn fold(title: &'static str, test: &'static str, says: &str, body: Html) -> Html {
    html! {
        <details class="fold" data-test={test}>
            <summary>{ small_icon(Glyph::ChevronRight) }<span class="label">{ title }</span><span class="weak">{ says.to_owned() }</span></summary>
            <div class="fold-body">{ body }</div>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture;

    #[test]
    fn a_host_that_an_image_needs_is_offered_until_it_is_listed() {
        let mut image = fixture::image("codex", json!({"origin": "gallery"}), json!({"state": "not_built"}));
        image.hosts = vec!["registry.npmjs.org".to_owned(), "pypi.org".to_owned()];
        let listed = HostGrant { host: "pypi.org".to_owned(), port: None, reach: GrantReach::Public };
        assert_eq!(wished(&image, &[listed]), ["registry.npmjs.org"]);
    }
}
