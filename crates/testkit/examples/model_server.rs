//! The scripted model server by hand:
//! `cargo run -p testkit --example model_server -- PORT KEY write PATH CONTENT | loop TURNS | run SECONDS | ask QUESTION | echo`.
//!
//! It says which requests it got, until it is interrupted.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it speaks to whoever started it")]

use std::{process::ExitCode, time::Duration};

use testkit::{Act, ModelScript, ModelServer};

/// How often it looks for requests to tell of.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((port, key, act)) = read(&words) else {
        eprintln!("PORT KEY (write PATH CONTENT | loop TURNS | run SECONDS | ask QUESTION | echo)");
        return ExitCode::FAILURE;
    };
    let server = match ModelServer::start_at(port, key, ModelScript::new(act)).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("it cannot listen: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", server.url());
    let mut told = 0;
    loop {
        for request in server.requests().iter().skip(told) {
            let tools = request.body["tools"].as_array().map_or(0, Vec::len);
            println!("{} {} → {} ({tools} tools)", request.method, request.path, request.status);
            told += 1;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            _ = tokio::signal::ctrl_c() => return ExitCode::SUCCESS,
        }
    }
}

fn read<'a>(words: &[&'a str]) -> Option<(u16, &'a str, Act)> {
    let [port, key, act @ ..] = words else { return None };
    let act = match act {
        ["write", path, content] => Act::WriteFile { path: (*path).to_owned(), content: (*content).to_owned() },
        ["loop", turns] => Act::Loop { turns: turns.parse().ok()? },
        ["run", seconds] => Act::RunLong { seconds: seconds.parse().ok()? },
        ["ask", question] => Act::Ask { question: (*question).to_owned() },
        ["echo"] => Act::Echo,
        _ => return None,
    };
    Some((port.parse().ok()?, key, act))
}
