//! Berth without a window, and the way into a running one.

use anyhow::Context;
use berth_core::{App, Config};
use server::{Server, ServerError, ServerOptions};
use wire::{ErrorCode, ErrorView, session::LinkReply};

use super::{browser, signals::interrupted};
use crate::{
    arguments::{Open, Serve},
    connection::Connection,
    exit::Exit,
    show::{Printer, warn},
};

/// `berth serve`
pub(super) async fn serve(config: &Config, serve: &Serve, verbose: u8, printer: Printer) -> anyhow::Result<Exit> {
    crate::log::to_folder(&config.data_folder, verbose);
    let app = match App::start(config.clone()).await {
        Ok(app) => app,
        Err(error) => {
            let reply = Connection::after_failed_start(config, error).await?.link().await?;
            printer.aside("Berth already runs on this data folder.");
            return show_link(config, &reply, serve.open, printer);
        }
    };
    let options = ServerOptions { port: serve.port };
    let server = match Server::start(app.api(), &config.data_folder, options).await {
        Ok(server) => server,
        Err(error) => {
            app.shutdown().await;
            return Err(with_hint(error));
        }
    };
    let reply = LinkReply { address: server.address(), link: server.link()? };
    show_link(config, &reply, serve.open, printer)?;
    printer.aside("Ctrl-C ends it; sandboxes work on and are taken over at the next start.");
    interrupted().await.context("signals cannot be heard")?;
    printer.aside("Berth stops. Sandboxes work on.");
    let stopped = async {
        server.shutdown().await;
        app.shutdown().await;
    };
    // Whoever asks twice is not kept waiting; what is left undone is reconciled at the next start.
    tokio::select! {
        () = stopped => Ok(Exit::Done),
        _ = interrupted() => Ok(Exit::Interrupted),
    }
}

/// `berth open`
pub(super) async fn open(config: &Config, open: &Open, verbose: u8, printer: Printer) -> anyhow::Result<Exit> {
    crate::log::to_stderr(verbose);
    let Some(remote) = Connection::running(config).await else {
        let message = format!("No Berth runs on {}.", config.data_folder);
        return Err(ErrorView::new(ErrorCode::NotNow, message).hint("Start `berth serve`, or the app.").into());
    };
    let reply = remote.link().await?;
    show_link(config, &reply, !open.print && browser::has_screen(), printer)
}

fn show_link(config: &Config, reply: &LinkReply, open: bool, printer: Printer) -> anyhow::Result<Exit> {
    printer.reply(reply, |_| {
        let LinkReply { address, link } = reply;
        format!("Berth serves at {address}\nOpen it once, within ten minutes: {link}\n")
    })?;
    if open && let Err(error) = browser::open(&config.data_folder, &reply.link) {
        warn(&format!("the browser does not open ({error}); open the link yourself"));
    }
    Ok(Exit::Done)
}

fn with_hint(error: ServerError) -> anyhow::Error {
    match &error {
        ServerError::Bind { port, source } => {
            let message = format!("Port {port} of 127.0.0.1 cannot be used: {source}.");
            let hint = "Choose another with --port, or leave it out for any that is free.";
            ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint).into()
        }
        ServerError::Announce(_) | ServerError::Random(_) => error.into(),
    }
}
