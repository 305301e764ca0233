//! What a page shows that may not call: why, and the one way on.

use yew::prelude::*;

use crate::icon::{Glyph, icon, mark};

/// The link was used, has expired, or there was none.
#[component]
pub fn SignedOut() -> Html {
    html! {
        <main class="gate" data-test="signed-out">
            <div class="empty">
                { mark() }
                <h2>{ "This link was used or has expired" }</h2>
                <p>
                    { "A link works once, so that nobody who sees it later can use it. Run " }<code>{ "berth open" }</code>
                    { " in a terminal: it prints a new one." }
                </p>
                <p class="small">{ "Agents work on without this page." }</p>
            </div>
        </main>
    }
}

#[derive(PartialEq, Properties)]
pub struct UnansweredProps {
    /// Try the link again.
    pub on_retry: Callback<()>,
}

/// The server did not answer.
#[component]
pub fn Unanswered(props: &UnansweredProps) -> Html {
    html! {
        <main class="gate" data-test="unanswered">
            <div class="empty">
                { mark() }
                <h2>{ "Berth does not answer" }</h2>
                <p>{ "The link was not used up. Start " }<code>{ "berth serve" }</code>{ " if it has ended: it prints a link of its own." }</p>
                <div class="actions">
                    <button class="button" data-kind="primary" onclick={props.on_retry.reform(|_: MouseEvent| ())}>
                        { icon(Glyph::Refresh) }{ "Try again" }
                    </button>
                </div>
            </div>
        </main>
    }
}
