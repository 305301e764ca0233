//! The vault on a real Secret Service (gnome-keyring), without one, and with a locked one.
//!
//! A process asks its platform only once whether there is a keyring, so each question is put to a process of its own: this program
//! again, told by its environment what to do.

#![allow(clippy::print_stderr, reason = "it is a program for a terminal, too")]

mod keep;

use std::io::Write as _;
use std::process::{ExitCode, Output, Stdio};

use anyhow::{Context as _, ensure};
use libtest_mimic::{Arguments, Failed, Trial};

use testkit::Bus;

/// What this program is to do as a vault, one argument a line.
const KEEP: &str = "BERTH_TEST_KEEP";

const INSTALL: &str = "01938a00-0000-7000-8000-000000000001";
const OTHER_INSTALL: &str = "01938a00-0000-7000-8000-000000000002";
const SECRET: &str = "01938a00-0000-7000-8000-00000000000a";
const VALUE: &str = "sk-ant-a b=ünï\u{1f511}";

fn main() -> ExitCode {
    if let Ok(arguments) = std::env::var(KEEP) {
        let arguments: Vec<String> = arguments.lines().map(str::to_owned).collect();
        return match keep::carry_out(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let trials = vec![
        fact("a_secret_outlives_the_process_that_kept_it", a_secret_outlives_the_process_that_kept_it),
        fact("a_person_finds_it_in_the_keyring_by_its_name", a_person_finds_it_in_the_keyring_by_its_name),
        fact("two_installs_share_a_keyring_and_no_secret", two_installs_share_a_keyring_and_no_secret),
        fact("a_secret_that_is_deleted_is_gone", a_secret_that_is_deleted_is_gone),
        fact("a_locked_keyring_is_said_to_be_locked", a_locked_keyring_is_said_to_be_locked),
        fact("without_a_service_values_stay_in_memory", without_a_service_values_stay_in_memory),
        fact("without_a_bus_values_stay_in_memory", without_a_bus_values_stay_in_memory),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn fact(name: &str, check: fn() -> anyhow::Result<()>) -> Trial {
    Trial::test(name, move || check().map_err(|error| Failed::from(format!("{error:#}"))))
}

/// Runs this test program as a vault on a bus.
fn on(bus: &Bus, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
    let program = std::env::current_exe()?;
    let mut child = bus
        .command(program.to_str().context("the path of this program")?)
        .env(KEEP, arguments.join("\n"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("its input")?.write_all(input.as_bytes())?;
    Ok(child.wait_with_output()?)
}

fn good(output: &Output) -> anyhow::Result<String> {
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout.clone())?)
}

fn said(output: &Output) -> anyhow::Result<String> {
    ensure!(!output.status.success(), "it ended well: {}", String::from_utf8_lossy(&output.stdout));
    Ok(String::from_utf8(output.stderr.clone())?)
}

fn a_secret_outlives_the_process_that_kept_it() -> anyhow::Result<()> {
    let bus = Bus::with_keyring()?;
    ensure!(good(&on(&bus, &[INSTALL, "place"], "")?)?.trim() == "keyring");
    good(&on(&bus, &[INSTALL, "put", SECRET, "KEY"], VALUE)?)?;
    ensure!(good(&on(&bus, &[INSTALL, "get", SECRET], "")?)? == VALUE);
    good(&on(&bus, &[INSTALL, "put", SECRET, "KEY"], "newer")?)?;
    ensure!(good(&on(&bus, &[INSTALL, "get", SECRET], "")?)? == "newer");
    Ok(())
}

fn a_person_finds_it_in_the_keyring_by_its_name() -> anyhow::Result<()> {
    let bus = Bus::with_keyring()?;
    good(&on(&bus, &[INSTALL, "put", SECRET, "ANTHROPIC_API_KEY"], VALUE)?)?;
    let found = bus.command("secret-tool").args(["search", "--all", "service", "berth"]).output()?;
    let found = good(&found)?;
    ensure!(found.contains("label = Berth: ANTHROPIC_API_KEY"), "{found}");
    Ok(())
}

fn two_installs_share_a_keyring_and_no_secret() -> anyhow::Result<()> {
    let bus = Bus::with_keyring()?;
    good(&on(&bus, &[INSTALL, "put", SECRET, "KEY"], VALUE)?)?;
    let refused = said(&on(&bus, &[OTHER_INSTALL, "get", SECRET], "")?)?;
    ensure!(refused.contains("does not have the secret"), "{refused}");
    good(&on(&bus, &[OTHER_INSTALL, "delete", SECRET], "")?)?;
    ensure!(good(&on(&bus, &[INSTALL, "get", SECRET], "")?)? == VALUE);
    Ok(())
}

fn a_secret_that_is_deleted_is_gone() -> anyhow::Result<()> {
    let bus = Bus::with_keyring()?;
    good(&on(&bus, &[INSTALL, "put", SECRET, "KEY"], VALUE)?)?;
    good(&on(&bus, &[INSTALL, "delete", SECRET], "")?)?;
    let refused = said(&on(&bus, &[INSTALL, "get", SECRET], "")?)?;
    ensure!(refused.contains("does not have the secret"), "{refused}");
    good(&on(&bus, &[INSTALL, "delete", SECRET], "")?)?;
    Ok(())
}

fn a_locked_keyring_is_said_to_be_locked() -> anyhow::Result<()> {
    let bus = Bus::with_keyring()?;
    good(&on(&bus, &[INSTALL, "put", SECRET, "KEY"], VALUE)?)?;
    bus.lock()?;
    // Nobody is there to type the password: no display, so the prompt is dismissed.
    ensure!(good(&on(&bus, &[INSTALL, "place"], "")?)?.trim() == "keyring", "it is there, and locked");
    let refused = said(&on(&bus, &[INSTALL, "get", SECRET], "")?)?;
    ensure!(refused.contains("the keyring is locked"), "{refused}");
    ensure!(!refused.contains(VALUE));
    bus.unlock()?;
    ensure!(good(&on(&bus, &[INSTALL, "get", SECRET], "")?)? == VALUE);
    Ok(())
}

fn without_a_service_values_stay_in_memory() -> anyhow::Result<()> {
    let bus = Bus::bare()?;
    let place = good(&on(&bus, &[INSTALL, "place"], "")?)?;
    ensure!(place.starts_with("session Absent"), "{place}");
    good(&on(&bus, &[INSTALL, "put", SECRET, "KEY"], VALUE)?)?;
    let refused = said(&on(&bus, &[INSTALL, "get", SECRET], "")?)?;
    ensure!(refused.contains("does not have the secret"), "it went with its process: {refused}");
    Ok(())
}

fn without_a_bus_values_stay_in_memory() -> anyhow::Result<()> {
    let bus = Bus::bare()?;
    let program = std::env::current_exe()?;
    let output = bus
        .command(program.as_os_str().to_str().unwrap_or_default())
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .env(KEEP, format!("{INSTALL}\nplace"))
        .output()?;
    let place = good(&output)?;
    ensure!(place.starts_with("session Absent"), "{place}");
    Ok(())
}
