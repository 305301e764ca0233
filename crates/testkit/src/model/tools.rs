//! The client's own tools: which of them does what is wanted, and how its schema is filled.

use serde_json::{Map, Value, json};

use super::{Act, ToolCall, ToolInput, Turn, request::Protocol};

/// A tool as a request offers it.
struct Tool {
    name: String,
    /// The group that it belongs to, where its request groups tools.
    namespace: Option<String>,
    schema: Schema,
}

enum Schema {
    /// A JSON schema.
    Json(Value),
    /// Text in a format of its own.
    Text,
}

/// What properties are called that say where.
const PATH_NAMES: [&str; 7] = ["file_path", "absolute_path", "filePath", "path", "filename", "file", "target_file"];
/// What properties are called that say what is in a file.
const CONTENT_NAMES: [&str; 5] = ["content", "contents", "file_text", "text", "code"];
/// What properties are called that say what to run.
const COMMAND_NAMES: [&str; 3] = ["command", "cmd", "script"];

/// What a model does next. A client without a fitting tool hears that it is done.
pub(super) fn turn(act: &Act, protocol: Protocol, body: &Value, results: usize, number: usize) -> Turn {
    let tools = tools(protocol, body);
    let call = match act {
        Act::WriteFile { path, content } if results == 0 => write(&tools, path, content),
        Act::Loop { turns } if results < *turns => {
            run(&tools, &format!("echo turn {results}")).or_else(|| write(&tools, "/tmp/turn", &results.to_string()))
        }
        Act::RunLong { seconds } if results == 0 => run(&tools, &long(*seconds)),
        Act::Ask { question } => return Turn::Say(question.clone()),
        Act::WriteFile { .. } | Act::Loop { .. } | Act::RunLong { .. } | Act::Echo => None,
    };
    call.map_or_else(
        || Turn::Say("Done.".to_owned()),
        |(name, input)| {
            let namespace = tools.iter().find(|tool| tool.name == name).and_then(|tool| tool.namespace.clone());
            Turn::Call(ToolCall { id: format!("call_{number}"), name, namespace, input })
        },
    )
}

/// A command that takes so long. Not a bare `sleep`, which some clients do not run.
fn long(seconds: u32) -> String {
    format!("env sleep {seconds}")
}

/// Writes a file: by a tool that is for that, else by a shell, else by a patch.
fn write(tools: &[Tool], path: &str, content: &str) -> Option<(String, ToolInput)> {
    let by_tool = tools.iter().filter(|tool| has_word(tool, &["write", "create"])).find_map(|tool| {
        let Schema::Json(schema) = &tool.schema else { return None };
        let (where_name, what_name) = (property(schema, &PATH_NAMES)?, property(schema, &CONTENT_NAMES)?);
        let filled = fill(schema, &[(where_name, path.into()), (what_name, content.into())]);
        Some((tool.name.clone(), ToolInput::Arguments(filled)))
    });
    by_tool.or_else(|| run(tools, &format!("printf %s {} > {}", quoted(content), quoted(path)))).or_else(|| {
        let tool = tools.iter().find(|tool| matches!(tool.schema, Schema::Text) && has_word(tool, &["patch"]))?;
        let lines = content.lines().fold(String::new(), |lines, line| lines + "+" + line + "\n");
        let text = format!("*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n");
        Some((tool.name.clone(), ToolInput::Text(text)))
    })
}

/// Runs a command by a tool that takes a program, in which the client's other tools are functions: Codex has it for newer models.
fn run_by_program(tools: &[Tool], command: &str) -> Option<(String, ToolInput)> {
    let tool = tools.iter().find(|tool| matches!(tool.schema, Schema::Text) && tool.name == "exec")?;
    let arguments = json!({"cmd": command, "yield_time_ms": 250_000});
    let text = format!("const ran = await tools.exec_command({arguments}); text(JSON.stringify(ran));");
    Some((tool.name.clone(), ToolInput::Text(text)))
}

/// Runs a command of a shell.
fn run(tools: &[Tool], command: &str) -> Option<(String, ToolInput)> {
    let mut shells = tools.iter().filter(|tool| has_word(tool, &["bash", "shell", "exec", "run", "terminal"]));
    let by_tool = shells.find_map(|tool| {
        let Schema::Json(schema) = &tool.schema else { return None };
        let name = property(schema, &COMMAND_NAMES)?;
        let is_list =
            schema["properties"][name]["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("array"));
        let command = if is_list { json!(["bash", "-lc", command]) } else { command.into() };
        Some((tool.name.clone(), ToolInput::Arguments(fill(schema, &[(name, command)]))))
    });
    by_tool.or_else(|| run_by_program(tools, command))
}

fn tools(protocol: Protocol, body: &Value) -> Vec<Tool> {
    let offered = body["tools"].as_array().into_iter().flatten();
    let json = |tool: &Value, schema: &Value| {
        Some(Tool { name: tool["name"].as_str()?.to_owned(), namespace: None, schema: Schema::Json(schema.clone()) })
    };
    match protocol {
        Protocol::AnthropicMessages => offered.filter_map(|tool| json(tool, &tool["input_schema"])).collect(),
        Protocol::OpenAiChat => {
            offered.filter_map(|tool| json(&tool["function"], &tool["function"]["parameters"])).collect()
        }
        Protocol::OpenAiResponses => {
            // Codex sends what newer models call as the first of what was said.
            let said = body["input"].as_array().into_iter().flatten().filter(|item| item["type"] == "additional_tools");
            let more = said.flat_map(|item| item["tools"].as_array().into_iter().flatten());
            offered.chain(more).flat_map(of_responses).collect()
        }
        Protocol::GeminiGenerate | Protocol::GeminiStream { .. } => offered
            .flat_map(|tool| tool["functionDeclarations"].as_array().into_iter().flatten())
            .filter_map(|tool| json(tool, tool.get("parametersJsonSchema").unwrap_or(&tool["parameters"])))
            .collect(),
    }
}

/// A tool, or all of a group of them.
fn of_responses(tool: &Value) -> Vec<Tool> {
    let name = tool["name"].as_str().unwrap_or_default().to_owned();
    match tool["type"].as_str() {
        Some("namespace") => {
            let inner = tool["tools"].as_array().into_iter().flatten().flat_map(of_responses);
            inner.map(|inner| Tool { namespace: Some(name.clone()), ..inner }).collect()
        }
        Some("custom") => vec![Tool { name, namespace: None, schema: Schema::Text }],
        _ if name.is_empty() => Vec::new(),
        _ => vec![Tool { name, namespace: None, schema: Schema::Json(tool["parameters"].clone()) }],
    }
}

fn has_word(tool: &Tool, words: &[&str]) -> bool {
    let name = tool.name.to_ascii_lowercase();
    words.iter().any(|word| name.contains(word))
}

/// The first of these that a schema has.
fn property<'a>(schema: &Value, names: &[&'a str]) -> Option<&'a str> {
    names.iter().copied().find(|name| schema["properties"].get(name).is_some())
}

/// Arguments for a schema: what is given, and anything for whatever else is required.
fn fill(schema: &Value, given: &[(&str, Value)]) -> Value {
    let mut arguments: Map<String, Value> =
        given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !arguments.contains_key(name) {
            arguments.insert(name.to_owned(), anything(&schema["properties"][name]));
        }
    }
    Value::Object(arguments)
}

fn anything(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
        "boolean" => false.into(),
        "integer" | "number" => 1.into(),
        "array" => json!([]),
        "object" => json!({}),
        _ => "as the script says".into(),
    }
}

/// A word of a shell's.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
