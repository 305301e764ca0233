//! The settings, section by section.

pub mod notifications;
pub mod projects;
pub mod secrets;

use yew::prelude::*;

use crate::{
    icon::{Glyph, small_icon},
    parts::Go,
    route::Route,
};

/// Where in the settings one is, and where else one can go.
pub fn place(here: &Route) -> Html {
    let sections =
        [(Route::Secrets, "Secrets"), (Route::Projects, "Projects"), (Route::Notifications, "Notifications")];
    let name = sections.iter().find(|(route, _)| route == here).map_or("Settings", |(_, name)| name);
    let others = sections.iter().filter(|(route, _)| route != here);
    html! {
        <>
            <span class="crumb weak">{ "Settings" }{ small_icon(Glyph::ChevronRight) }</span>
            <h1>{ name }</h1>
            <span class="rule"></span>
            <nav class="settings-places" aria-label="Settings">
                { for others.map(|(route, name)| html! { <Go key={*name} class="link" to={route.clone()}>{ *name }</Go> }) }
            </nav>
        </>
    }
}
