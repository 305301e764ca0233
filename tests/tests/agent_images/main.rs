//! The images of the Gallery with the real agents in them: each does a task in a sandbox without a network card, asks a scripted model
//! through the gateway with a key that it never sees, goes on with its conversation, ends whole, and says what went wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

mod agent;
mod scene;
mod terminal;

use agent::Agent;

/// The tests of one agent, each with an app of its own.
macro_rules! agents {
    ($($name:ident => $agent:expr;)*) => {
        $(
            mod $name {
                use super::{Agent, agent, scene, terminal};

                const AGENT: Agent = $agent;

                #[tokio::test(flavor = "multi_thread")]
                async fn it_writes_a_file_says_what_it_used_and_goes_on_when_changes_are_asked_for() {
                    scene::works_and_goes_on(&AGENT).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn it_leaves_no_process_when_it_is_cancelled() {
                    scene::is_cancelled(&AGENT).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn an_error_of_the_model_is_the_runs_error() {
                    scene::says_what_the_model_refused(&AGENT).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn it_speaks_with_a_person_without_a_first_question() {
                    terminal::speaks(&AGENT).await;
                }
            }
        )*
    };
}

agents! {
    claude_code => agent::CLAUDE_CODE;
    gemini_cli => agent::GEMINI_CLI;
    opencode => agent::OPENCODE;
    aider => agent::AIDER;
    copilot => agent::COPILOT;
    codex => agent::CODEX;
    qwen_code => agent::QWEN_CODE;
}
