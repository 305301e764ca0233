//! What differs between the agents, as far as a test must know it.

use testkit::Act;
use wire::secret::Provider;

/// An agent of the Gallery.
pub(crate) struct Agent {
    /// Its image.
    pub(crate) image: &'static str,
    /// Whose key it is given.
    pub(crate) provider: Provider,
    /// How it edits files.
    pub(crate) edits: Edits,
    /// Whether it says what of its input came from a cache.
    pub(crate) tells_cached: bool,
    /// Whether the table of prices knows its own choice of a model at that provider.
    pub(crate) is_priced: bool,
    /// What its screen shows when a person can type.
    pub(crate) greeting: &'static str,
}

/// How an agent edits files.
#[derive(Clone, Copy)]
pub(crate) enum Edits {
    /// By a tool that the model calls.
    Tool,
    /// By what the model says, in blocks to search and replace.
    Blocks,
}

impl Edits {
    /// What has it write `hello.txt`.
    pub(crate) fn act(self, content: &str) -> Act {
        match self {
            Self::Tool => Act::WriteFile { path: "/workspace/hello.txt".to_owned(), content: content.to_owned() },
            Self::Blocks => Act::Ask {
                question: format!("hello.txt\n```\n<<<<<<< SEARCH\n=======\n{content}\n>>>>>>> REPLACE\n```\n"),
            },
        }
    }
}

const fn agent(image: &'static str, provider: Provider, greeting: &'static str) -> Agent {
    Agent { image, provider, edits: Edits::Tool, tells_cached: true, is_priced: true, greeting }
}

pub(crate) const CLAUDE_CODE: Agent = agent("claude-code", Provider::Anthropic, "Claude Code");
pub(crate) const GEMINI_CLI: Agent = agent("gemini-cli", Provider::Gemini, "Type your message");
pub(crate) const OPENCODE: Agent = agent("opencode", Provider::Anthropic, "Ask anything");
pub(crate) const AIDER: Agent =
    Agent { edits: Edits::Blocks, tells_cached: false, ..agent("aider", Provider::Openai, "Aider v") };
pub(crate) const COPILOT: Agent = agent("copilot", Provider::Openai, "Copilot");
pub(crate) const CODEX: Agent = agent("codex", Provider::Openai, "Codex");
pub(crate) const QWEN_CODE: Agent =
    Agent { is_priced: false, ..agent("qwen-code", Provider::Openai, "Type your message") };
