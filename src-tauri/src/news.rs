//! Tells a person in the desktop's own way what they should hear of, wherever they are. What that is says the core.

use berth_core::{Api, Stream};
use notify_rust::Notification;
use wire::{
    call::ListNews,
    news::News,
    stream::{StreamTarget, Update},
};

/// Tells what is new from now on, until the core ends.
pub(crate) async fn follow(api: Api) {
    let mut updates = match api.open_stream(StreamTarget::Updates).await {
        Ok(Stream::Updates(updates)) => updates,
        Ok(Stream::Terminal(_) | Stream::Download(_) | Stream::Upload(_)) => return,
        Err(error) => return tracing::warn!(error = %error.message, "nobody is told of what is new"),
    };
    let mut after_seq = None;
    // The first update says where to begin.
    while let Some(update) = updates.recv().await {
        if !may_be_news(&update) {
            continue;
        }
        match api.call(ListNews { after_seq }).await {
            Ok(view) => {
                after_seq = Some(view.last_seq);
                for news in view.news.into_iter().filter(|news| !news.is_silent) {
                    show(news).await;
                }
            }
            Err(error) => tracing::warn!(error = %error.message, "what is new cannot be read"),
        }
    }
}

fn may_be_news(update: &Update) -> bool {
    match update {
        Update::All | Update::Task { .. } | Update::Costs => true,
        Update::Status
        | Update::Results { .. }
        | Update::Images
        | Update::Agents
        | Update::Homes
        | Update::Secrets
        | Update::Requests { .. }
        | Update::Projects => false,
    }
}

/// Shows one. A desktop without notifications shows none, which is no fault: the same stands in the window.
async fn show(news: News) {
    let shown = tauri::async_runtime::spawn_blocking(move || {
        Notification::new().appname("Berth").summary(&news.title).body(&news.body).show().map(drop)
    });
    match shown.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!(%error, "the desktop shows no notification"),
        Err(error) => tracing::warn!(%error, "showing a notification ended badly"),
    }
}
