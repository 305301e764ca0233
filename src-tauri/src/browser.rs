//! A Berth without a window (`berth serve`) already has the data folder: its interface opens in the browser instead.

use std::time::Duration;

use camino::Utf8Path;
use server::Announcement;
use wire::session::LinkReply;

/// How long a running Berth has to answer; one that was killed refuses at once.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(3);

/// Opens the Berth that runs on this data folder in the browser and says so. `false` where none runs, or none that answers.
pub(crate) async fn open_running(data_folder: &Utf8Path) -> bool {
    let Some(link) = link_of_running(data_folder).await else { return false };
    match tauri::async_runtime::spawn_blocking(move || open::that_detached(link)).await {
        Ok(Ok(())) => {
            tracing::info!("Berth already runs on {data_folder} without a window; its interface opens in the browser");
            true
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "Berth already runs on {data_folder}, and no browser opens: `berth open` prints its link");
            true
        }
        Err(error) => {
            tracing::error!(%error, "no browser opens");
            false
        }
    }
}

/// A link with a fresh one-time code, from the Berth that announced itself in the data folder.
async fn link_of_running(data_folder: &Utf8Path) -> Option<String> {
    let announcement = match Announcement::read(data_folder) {
        Ok(announcement) => announcement?,
        Err(error) => {
            tracing::warn!("{}", crate::failure::chain(&error));
            return None;
        }
    };
    // A Berth that was killed leaves its announcement behind, and its port may be another program's by now: what that one
    // gets is a token that opens nothing, and what it answers is not opened.
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_WAIT_MAX).build().ok()?;
    let request = client.post(format!("{}/api/link", announcement.address)).bearer_auth(announcement.token.reveal());
    let reply: LinkReply = request.send().await.ok()?.error_for_status().ok()?.json().await.ok()?;
    reply.link.starts_with(&format!("{}/#", announcement.address)).then_some(reply.link)
}
