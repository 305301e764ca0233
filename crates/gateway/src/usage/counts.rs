//! The providers' own words for what was used, and ours. Each token is counted once; where a provider's numbers contradict
//! themselves, a part is never more than its whole.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Tokens;

/// A number of tokens. What is no whole number is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(deserializer)?.as_u64().unwrap_or(0)))
    }
}

/// Anthropic: `input_tokens` is without the cache's, `output_tokens` is so far in all
/// (<https://docs.anthropic.com/en/api/messages>, <https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching>).
#[derive(Debug, Deserialize)]
pub(super) struct AnthropicUsage {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    cache_read_input_tokens: Count,
    #[serde(default)]
    cache_creation_input_tokens: Count,
    cache_creation: Option<CacheCreation>,
    #[serde(default)]
    output_tokens: Count,
    output_tokens_details: Option<AnthropicOutput>,
    pub(super) service_tier: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct CacheCreation {
    #[serde(default)]
    ephemeral_5m_input_tokens: Count,
    #[serde(default)]
    ephemeral_1h_input_tokens: Count,
}

#[derive(Debug, Deserialize)]
struct AnthropicOutput {
    #[serde(default)]
    thinking_tokens: Count,
}

impl AnthropicUsage {
    pub(super) fn tokens(&self) -> Tokens {
        let (five_minutes, hour) = self
            .cache_creation
            .as_ref()
            .map_or((0, 0), |creation| (creation.ephemeral_5m_input_tokens.0, creation.ephemeral_1h_input_tokens.0));
        let cache_write = self.cache_creation_input_tokens.0.max(five_minutes.saturating_add(hour));
        let reasoning = self.output_tokens_details.as_ref().map_or(0, |details| details.thinking_tokens.0);
        Tokens {
            input: self.input_tokens.0,
            cache_read: self.cache_read_input_tokens.0,
            cache_write,
            cache_write_hour: hour,
            output: self.output_tokens.0,
            reasoning: reasoning.min(self.output_tokens.0),
        }
    }
}

/// OpenAI, both of its APIs, and those who speak as it does: what comes from a cache is part of the input
/// (<https://platform.openai.com/docs/api-reference/chat/object>, <https://platform.openai.com/docs/api-reference/responses/object>).
///
/// The two name the same numbers differently, and some who speak as they do give both names.
#[derive(Debug, Deserialize)]
pub(super) struct OpenAiUsage {
    #[serde(default)]
    prompt_tokens: Count,
    prompt_tokens_details: Option<OpenAiInput>,
    /// DeepSeek's, likewise part of the input.
    #[serde(default)]
    prompt_cache_hit_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    completion_tokens_details: Option<OpenAiOutput>,
    #[serde(default)]
    input_tokens: Count,
    input_tokens_details: Option<OpenAiInput>,
    #[serde(default)]
    output_tokens: Count,
    output_tokens_details: Option<OpenAiOutput>,
    #[serde(default)]
    total_tokens: Count,
}

#[derive(Debug, Deserialize)]
struct OpenAiInput {
    #[serde(default)]
    cached_tokens: Count,
    #[serde(default)]
    cache_write_tokens: Count,
}

#[derive(Debug, Deserialize)]
struct OpenAiOutput {
    #[serde(default)]
    reasoning_tokens: Count,
}

impl OpenAiUsage {
    pub(super) fn tokens(&self) -> Tokens {
        let all = self.prompt_tokens.0.max(self.input_tokens.0);
        let said = self.completion_tokens.0.max(self.output_tokens.0);
        let of_input = self.prompt_tokens_details.as_ref().or(self.input_tokens_details.as_ref());
        let of_output = self.completion_tokens_details.as_ref().or(self.output_tokens_details.as_ref());
        let (cached, written) =
            of_input.map_or((0, 0), |details| (details.cached_tokens.0, details.cache_write_tokens.0));
        let cache_read = cached.max(self.prompt_cache_hit_tokens.0).min(all);
        let cache_write = written.min(all - cache_read);
        let reasoning = of_output.map_or(0, |details| details.reasoning_tokens.0);
        // With OpenAI reasoning is part of the output. With xAI it is not, and only the total says so.
        let said_and_thought = said.saturating_add(reasoning);
        let is_apart = reasoning > 0 && self.total_tokens.0 == all.saturating_add(said_and_thought);
        let output = if is_apart { said_and_thought } else { said };
        Tokens {
            input: all - cache_read - cache_write,
            cache_read,
            cache_write,
            cache_write_hour: 0,
            output,
            reasoning: reasoning.min(output),
        }
    }
}

/// Gemini: what comes from a cache is part of the prompt, what tools bring in is not; thoughts are no part of the candidates
/// (<https://ai.google.dev/api/generate-content#UsageMetadata>).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "they are Gemini's own")]
pub(super) struct GeminiUsage {
    #[serde(default)]
    prompt_token_count: Count,
    #[serde(default)]
    cached_content_token_count: Count,
    #[serde(default)]
    tool_use_prompt_token_count: Count,
    #[serde(default)]
    candidates_token_count: Count,
    #[serde(default)]
    thoughts_token_count: Count,
}

impl GeminiUsage {
    pub(super) fn tokens(&self) -> Tokens {
        let cache_read = self.cached_content_token_count.0.min(self.prompt_token_count.0);
        Tokens {
            input: (self.prompt_token_count.0 - cache_read).saturating_add(self.tool_use_prompt_token_count.0),
            cache_read,
            cache_write: 0,
            cache_write_hour: 0,
            output: self.candidates_token_count.0.saturating_add(self.thoughts_token_count.0),
            reasoning: self.thoughts_token_count.0,
        }
    }
}
