//! The rows that take the app's window: asked of the program that drives it, which a checkout alone has.

use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use tokio::process::Command;
use wire::bench::BenchRow;

/// Below the folder of this program, where Cargo puts it.
const PROGRAM: &str = "examples/bench_ui";

/// Measures them. The program ends with its standard input, and so at the latest with this process.
pub(super) async fn ui(samples: u32) -> anyhow::Result<Vec<BenchRow>> {
    let own = std::env::current_exe().context("this program does not know where it is")?;
    let program = own.with_file_name(PROGRAM);
    ensure!(program.is_file(), "it takes programs that only a checkout has: `./dev bench ui` builds and runs them");
    let mut command = Command::new(program);
    command.arg(samples.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("the program that drives the window does not start")?;
    let asking = child.stdin.take();
    let output = child.wait_with_output().await.context("the program that drives the window")?;
    drop(asking);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("the program that drives the window ended with {}: {}", output.status, said.trim());
    }
    serde_json::from_slice(&output.stdout).context("what the program that drives the window found")
}
