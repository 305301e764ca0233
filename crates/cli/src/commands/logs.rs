//! What a run printed: byte for byte into a file or a pipe, tamed onto a terminal.

use std::{
    io::{self, IsTerminal, Write},
    pin::pin,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::time::sleep;
use wire::{
    ErrorCode, ErrorView, Phase,
    call::ShowRun,
    ids::StepId,
    stream::{ACK_EVERY_BYTES, StreamTarget, TerminalOutput},
    view::{ContentView, RunView, StepView},
};

use super::watch::{Watch, is_settled};
use crate::{
    arguments::Logs,
    connection::{Broken, Connection, Output},
    exit::Exit,
    show::{Format, Printer, ink::Ink, tame::Tamer},
};

/// How often in a row a stream that breaks off at once is opened again.
const REOPEN_MAX: u32 = 5;
/// How long to wait before that.
const REOPEN_PAUSE: Duration = Duration::from_millis(300);

/// `berth logs RUN`
pub(super) async fn logs(connection: &Connection, logs: Logs, printer: Printer) -> anyhow::Result<Exit> {
    let view = connection.call(ShowRun { run: logs.run.run }).await?;
    let mut paper = match printer.format {
        Format::Json => Paper::lines(),
        Format::Words if logs.raw => Paper::bytes(),
        Format::Words => Paper::stdout(printer.ink),
    };
    if logs.follow {
        let mut watch = Watch::quiet(connection, view.summary.run, view.summary.task).await;
        follow(&mut watch, &mut paper).await?;
    } else {
        for step in view.steps.iter().filter(|step| has_begun(step)) {
            print_step(connection, step.step, Until::Live, std::future::pending::<()>(), &mut paper).await?;
        }
    }
    paper.finish()?;
    Ok(Exit::Done)
}

/// Prints the output of one step after another as it comes, until the run is settled; returns the run then.
pub(super) async fn follow(watch: &mut Watch<'_>, paper: &mut Paper) -> anyhow::Result<RunView> {
    let mut printed: Vec<StepId> = Vec::new();
    loop {
        let next = |view: &RunView| {
            let mut steps = view.steps.iter().filter(|step| has_begun(step));
            steps.find(|step| !printed.contains(&step.step)).map(|step| step.step)
        };
        let view = watch.until(|view| is_settled(view.summary.phase) || next(view).is_some()).await?;
        let Some(step) = next(&view) else { return Ok(view) };
        let connection = watch.connection();
        let settled = watch
            .until(|view| view.steps.iter().find(|other| other.step == step).is_none_or(|step| is_settled(step.phase)));
        print_step(connection, step, Until::End, settled, paper).await?;
        printed.push(step);
    }
}

fn has_begun(step: &StepView) -> bool {
    step.output_bytes > 0 || step.phase == Phase::Executing
}

/// How far to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// To what there is now.
    Live,
    /// To the end of the output.
    End,
}

/// How printing one stream came out.
enum Printed {
    /// Everything there is.
    All,
    /// The step came to rest; what is left is to be printed.
    Settled,
    /// The connection broke off.
    Off,
}

/// Prints a step's output from its first byte. A stream that breaks off is opened again where it was.
async fn print_step(
    connection: &Connection,
    step: StepId,
    mut until: Until,
    settled: impl Future,
    paper: &mut Paper,
) -> anyhow::Result<()> {
    let mut settled = pin!(settled);
    let (mut from, mut broken) = (0, 0);
    loop {
        let begun_at = from;
        let mut output = connection.output(StreamTarget::Output { step, from }).await?;
        match print_stream(&mut output, &mut from, until, &mut settled, paper).await? {
            Printed::All => return Ok(()),
            Printed::Settled => until = Until::Live,
            Printed::Off => {
                broken = if from > begun_at { 0 } else { broken + 1 };
                if broken == REOPEN_MAX {
                    let error = ErrorView::new(ErrorCode::Internal, "The output broke off and does not come back.");
                    return Err(error.hint("See whether Berth still runs.").into());
                }
                sleep(REOPEN_PAUSE).await;
            }
        }
    }
}

async fn print_stream(
    output: &mut Output,
    from: &mut u64,
    until: Until,
    settled: &mut (impl Future + Unpin),
    paper: &mut Paper,
) -> anyhow::Result<Printed> {
    let mut acknowledged = *from;
    loop {
        let frame = match until {
            Until::Live => output.next().await,
            Until::End => tokio::select! {
                frame = output.next() => frame,
                _ = &mut *settled => return Ok(Printed::Settled),
            },
        };
        match frame {
            Ok(TerminalOutput::Output { offset, bytes }) => {
                // What was printed before is not printed again, wherever the stream begins.
                let known = usize::try_from(from.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
                paper.print(offset.saturating_add(known as u64), &bytes[known..])?;
                *from = (*from).max(offset.saturating_add(bytes.len() as u64));
                if from.saturating_sub(acknowledged) >= ACK_EVERY_BYTES / 2 {
                    output.ack(*from).await;
                    acknowledged = *from;
                }
            }
            Ok(TerminalOutput::Gap { from: gone_from, to }) => {
                paper.gap(to.saturating_sub(gone_from))?;
                *from = (*from).max(to);
            }
            Ok(TerminalOutput::Live) if until == Until::End => {}
            Ok(TerminalOutput::Live | TerminalOutput::End { .. }) => return Ok(Printed::All),
            Err(Broken::Refused(error)) => return Err(error.into()),
            Err(Broken::Off) => return Ok(Printed::Off),
        }
    }
}

/// What output is printed on. Writing blocks, which is as it should be: nothing else goes on in the thread that does it, and
/// a reader that is slow slows the stream down.
pub(super) struct Paper {
    out: Box<dyn Write>,
    form: Form,
}

/// In which form.
enum Form {
    /// As it is.
    Bytes,
    /// With what a terminal may obey taken out.
    Tamed(Box<Tamer>),
    /// One JSON object a piece.
    Lines,
}

impl Paper {
    /// Stdout: tamed where it is a terminal, as it is elsewhere.
    pub(super) fn stdout(ink: Ink) -> Self {
        if io::stdout().is_terminal() { Self::tamed(Box::new(io::stdout()), ink) } else { Self::bytes() }
    }

    /// Stderr, always tamed.
    pub(super) fn stderr() -> Self {
        Self::tamed(Box::new(io::stderr()), Ink::of(io::stderr().is_terminal()))
    }

    /// Stdout, as it is.
    fn bytes() -> Self {
        Self { out: Box::new(io::stdout()), form: Form::Bytes }
    }

    /// Stdout, one [`ContentView`] a line.
    fn lines() -> Self {
        Self { out: Box::new(io::stdout()), form: Form::Lines }
    }

    fn tamed(out: Box<dyn Write>, ink: Ink) -> Self {
        Self { out, form: Form::Tamed(Box::new(Tamer::new(ink))) }
    }

    fn print(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.form {
            Form::Bytes => self.out.write_all(bytes)?,
            Form::Tamed(tamer) => {
                let text = tamer.tame(bytes);
                self.out.write_all(&text)?;
            }
            Form::Lines => {
                let size_bytes = offset.saturating_add(bytes.len() as u64);
                let mut line = serde_json::to_vec(&ContentView { base64: STANDARD.encode(bytes), offset, size_bytes })?;
                line.push(b'\n');
                self.out.write_all(&line)?;
            }
        }
        self.out.flush()
    }

    /// Says that bytes are missing; a script sees it by the offsets.
    fn gap(&mut self, bytes: u64) -> io::Result<()> {
        match &self.form {
            Form::Bytes | Form::Lines => Ok(()),
            Form::Tamed(_) => {
                self.out.write_all(format!("\n[{bytes} bytes are gone]\n").as_bytes())?;
                self.out.flush()
            }
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if let Form::Tamed(tamer) = self.form {
            self.out.write_all(tamer.finish())?;
        }
        self.out.flush()
    }
}
