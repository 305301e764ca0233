//! Allowing a host, to the agent, to the runs of a project or to one run: its exact form, how far it goes, and what that means.

use wire::{
    call::AllowHost,
    ids::RunId,
    network::{GrantReach, GrantScope, HostGrant},
};
use yew::prelude::*;

use super::looked::Ask;
use crate::{
    dialog::Modal,
    parts::{refusal, segmented},
    policy, say,
    sending::use_sending,
};

/// Who can be allowed something beside the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whom {
    /// The run, unless it has ended.
    pub run: Option<RunId>,
    /// The project of its task.
    pub project: Option<String>,
}

impl Whom {
    /// The choices from the narrowest, each with its name in the page, what it is called and what it means.
    fn choices(&self, agent: &str) -> Vec<(&'static str, GrantScope, String, String)> {
        let once = self.run.map(|run| {
            let means = "in this run, until it ends; a retry starts without it";
            ("once", GrantScope::Run { run: run.to_string() }, "Once".to_owned(), means.to_owned())
        });
        let project = self.project.as_ref().map(|project| {
            let shown = say::visible(project);
            let means = format!("in every run of {shown}, whoever works on it");
            ("project", GrantScope::Project { project: project.clone() }, format!("Project {shown}"), means)
        });
        let means = format!("in this task and all others of {agent}");
        let always = ("agent", GrantScope::Agent, format!("Agent {agent}"), means);
        once.into_iter().chain(project).chain([always]).collect()
    }
}

#[derive(PartialEq, Properties)]
pub struct AllowProps {
    pub ask: Ask,
    pub whom: Whom,
    pub on_close: Callback<()>,
}

/// The dialog.
#[component]
pub fn AllowHostDialog(props: &AllowProps) -> Html {
    let ask = &props.ask;
    let reach = use_state_eq(GrantReach::default);
    let choices = props.whom.choices(&ask.agent);
    let name = use_state_eq(|| choices.first().map_or("agent", |(name, ..)| *name));
    let sending = use_sending(props.on_close.clone());
    let chosen =
        choices.iter().find(|(other, ..)| *other == *name).map(|(_, scope, _, means)| (scope.clone(), means.clone()));
    let offered: Vec<_> = choices.iter().map(|(name, _, label, _)| (*name, *name, label.clone())).collect();
    let on_name = {
        let name = name.setter();
        Callback::from(move |chosen| name.set(chosen))
    };
    let (scope, means) = chosen.unzip();
    // A run may end while one chooses: then nobody chose anything wider.
    let reason =
        if sending.is_busy { Some("At work") } else { scope.is_none().then_some("The run has ended: choose again") };
    let grant = policy::grant_of(&ask.host, ask.port, *reach);
    let exact = policy::said(&HostGrant { reach: GrantReach::Public, ..grant.clone() });
    let ports = if grant.port.is_some() { "that port alone" } else { "ports 80 and 443" };
    let on_reach = {
        let reach = reach.clone();
        Callback::from(move |_: Event| {
            reach.set(match *reach {
                GrantReach::Public => GrantReach::Private,
                GrantReach::Private => GrantReach::Public,
            });
        })
    };
    let on_yes = {
        let (sending, agent) = (sending.clone(), ask.agent.clone());
        Callback::from(move |_: MouseEvent| {
            if let (Some(scope), None) = (&scope, reason) {
                sending.send(AllowHost { agent: agent.clone(), grant: grant.clone(), scope: scope.clone() });
            }
        })
    };
    let foot = html! {
        <>
            <span class="note" role="status">{ reason.unwrap_or_default() }</span>
            <span class="spring"></span>
            <button class="button" data-test="allow-no" onclick={props.on_close.reform(|_: MouseEvent| ())}>{ "Keep refusing" }</button>
            <button class="button" data-test="allow-yes" aria-disabled={reason.is_some().then_some("true")} onclick={on_yes}>{ "Allow" }</button>
        </>
    };
    html! {
        <Modal title="Allow a host" test="allow-host" on_close={props.on_close.clone()} {foot}>
            <p><code data-test="allow-exact">{ exact }</code>{ " " }<span class="weak">{ format!("({ports})") }</span></p>
            { segmented("For whom", offered, *name, &on_name) }
            if let Some(means) = means { <p class="weak" data-test="allow-means">{ format!("Whatever runs in a sandbox can send anything there from its next request on, {means}.") }</p> }
            <p class="weak">{ format!("It was refused because: {}", say::visible(&ask.reason)) }</p>
            <label class="choice"><input type="checkbox" data-test="allow-private" checked={*reach == GrantReach::Private} onchange={on_reach} />
                { "Private addresses too: this machine, and networks behind it" }</label>
            if let Some(error) = &sending.refused { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_can_be_allowed_something_and_the_narrowest_stands_first() {
        let names = |whom: &Whom| whom.choices("mason").into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
        let run = serde_json::from_value("0195510f-5a00-7000-8000-000000000001".into()).unwrap();
        let both = Whom { run: Some(run), project: Some("site".to_owned()) };
        assert_eq!(names(&both), ["once", "project", "agent"]);
        assert_eq!(names(&Whom { run: None, ..both }), ["project", "agent"]);
        assert_eq!(names(&Whom::default()), ["agent"]);
    }
}
