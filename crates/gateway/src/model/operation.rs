//! What of a provider's API a route serves: inference, and what a client of it needs to know. The same key also opens files, batches,
//! fine-tuning and administration, none of which is here.

use hyper::{Method, Uri};

use crate::denied::Denied;
use crate::ledger::Operation;
use crate::passage::shortened;
use crate::route::{Family, Route};
use crate::usage::Api;

/// Longest query parameter that is named in a refusal, in characters.
const PARAMETER_LENGTH_MAX: usize = 40;

/// A call as it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    /// Below the base.
    path: Below,
    /// Without what belongs elsewhere; without the question mark.
    query: String,
    /// Gemini's clients may put the key there.
    pub(crate) key_in_query: Option<String>,
}

/// A path below a route's base.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Below {
    /// As it stands.
    Whole(String),
    /// OpenAI's family: what its clients put behind a base URL, without `/v1`.
    OpenAi(String),
}

impl Call {
    /// Reads what is called. The path is compared as it stands: nothing in it is decoded, and what could be read in another way (an
    /// escape, an empty segment, dots) is refused.
    pub(crate) fn read(family: Family, method: &Method, path: &str, query: Option<&str>) -> Result<Self, Denied> {
        let no = || Denied::NotInference { method: shortened(method.as_str()), path: shortened(path) };
        let segments: Vec<&str> = path.strip_prefix('/').ok_or_else(no)?.split('/').collect();
        if !segments.iter().all(|segment| is_clean(segment)) {
            return Err(no());
        }
        let served = match family {
            Family::Anthropic => anthropic(method, &segments),
            Family::OpenAi => openai(method, &segments),
            Family::Gemini => gemini(method, &segments),
        };
        let (operation, path) = served.ok_or_else(no)?;
        let (query, key_in_query) = pass_query(family, operation, query.unwrap_or_default())?;
        Ok(Self { operation, path, query, key_in_query })
    }

    /// The path below the base, for what reads a model's name in it.
    pub(crate) fn path(&self) -> &str {
        match &self.path {
            Below::Whole(path) | Below::OpenAi(path) => path,
        }
    }

    /// The model, where the path names it.
    pub(crate) fn model_in_path(&self) -> Option<String> {
        let (_, model) = self.path().rsplit_once("/models/")?;
        Some(model.split_once(':').map_or(model, |(model, _)| model).to_owned())
    }

    /// Where it goes. Anthropic's and Gemini's paths are put behind the base as they are, but for a version that the base ends in. Of
    /// OpenAI's family, a base with a path is what its clients take (`https://openrouter.ai/api/v1`), and one without gets `/v1`.
    pub(crate) fn uri(&self, route: &Route) -> Result<Uri, Denied> {
        let base = route.base_path();
        let (base, path) = match &self.path {
            Below::OpenAi(path) if base.is_empty() => ("/v1", path.as_str()),
            Below::OpenAi(path) => (base, path.as_str()),
            Below::Whole(path) => {
                let version = path.split('/').nth(1).unwrap_or_default();
                let unversioned = base.strip_suffix(version).filter(|rest| rest.ends_with('/'));
                (unversioned.map_or(base, |rest| rest.trim_end_matches('/')), path.as_str())
            }
        };
        let mark = if self.query.is_empty() { "" } else { "?" };
        let uri = format!("{}{base}{path}{mark}{}", route.endpoint().origin(), self.query);
        uri.parse().map_err(|_| Denied::Malformed("its path cannot be put behind the route's base"))
    }
}

fn is_clean(segment: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | ':' | '@');
    !segment.is_empty() && segment != "." && segment != ".." && segment.chars().all(is_plain)
}

fn whole(segments: &[&str]) -> Below {
    Below::Whole(format!("/{}", segments.join("/")))
}

fn anthropic(method: &Method, segments: &[&str]) -> Option<(Operation, Below)> {
    let operation = match (method, segments) {
        (&Method::POST, ["v1", "messages"]) => Operation::Inference(Api::AnthropicMessages),
        (&Method::POST, ["v1", "messages", "count_tokens"]) => Operation::CountTokens,
        (&Method::GET, ["v1", "models"] | ["v1", "models", _]) => Operation::Models,
        _ => return None,
    };
    Some((operation, whole(segments)))
}

/// With `/v1` or without: a client's base URL may end in either.
fn openai(method: &Method, segments: &[&str]) -> Option<(Operation, Below)> {
    let segments = segments.strip_prefix(&["v1"]).unwrap_or(segments);
    let operation = match (method, segments) {
        (&Method::POST, ["chat", "completions"]) => Operation::Inference(Api::OpenAiChat),
        (&Method::POST, ["responses"]) => Operation::Inference(Api::OpenAiResponses),
        (&Method::POST, ["embeddings"]) => Operation::Embeddings,
        // Those who pass on others' models name them `maker/model`.
        (&Method::GET, ["models"] | ["models", _] | ["models", _, _]) => Operation::Models,
        _ => return None,
    };
    Some((operation, Below::OpenAi(format!("/{}", segments.join("/")))))
}

fn gemini(method: &Method, segments: &[&str]) -> Option<(Operation, Below)> {
    let [version @ ("v1" | "v1beta"), "models", rest @ ..] = segments else { return None };
    let _ = version;
    let operation = match (method, rest) {
        (&Method::GET, []) => Operation::Models,
        (&Method::GET, [model]) if !model.contains(':') => Operation::Models,
        (&Method::POST, [called]) => match called.split_once(':')? {
            ("", _) => return None,
            (_, "generateContent") => Operation::Inference(Api::GeminiGenerate),
            (_, "streamGenerateContent") => Operation::Inference(Api::GeminiStream),
            (_, "countTokens") => Operation::CountTokens,
            // Its own client sends even one text as a batch; not to be taken for the API of batches.
            (_, "embedContent" | "batchEmbedContents") => Operation::Embeddings,
            _ => return None,
        },
        _ => return None,
    };
    Some((operation, whole(segments)))
}

/// Passes on what is known to be harmless, and takes the key out.
fn pass_query(family: Family, operation: Operation, query: &str) -> Result<(String, Option<String>), Denied> {
    let (mut passed, mut key) = (Vec::new(), None);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let refused =
            || Denied::Query(name.chars().take(PARAMETER_LENGTH_MAX).collect::<String>().escape_debug().to_string());
        let is_plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-._~%".contains(c));
        if !is_plain {
            return Err(refused());
        }
        match (family, operation, name) {
            (Family::Gemini, _, "key") if key.is_none() => key = Some(value.to_owned()),
            (Family::Gemini, _, "alt") if matches!(value, "sse" | "json") => passed.push(parameter),
            (Family::Gemini, Operation::Models, "pageSize" | "pageToken")
            | (Family::Anthropic, Operation::Models, "limit" | "after_id" | "before_id")
            | (Family::OpenAi, Operation::Models, "limit" | "after")
            // Azure's, of those who speak OpenAI's API.
            | (Family::OpenAi, _, "api-version") => passed.push(parameter),
            (Family::Anthropic, _, "beta") if value == "true" => passed.push(parameter),
            _ => return Err(refused()),
        }
    }
    Ok((passed.join("&"), key))
}

#[cfg(test)]
mod tests;
