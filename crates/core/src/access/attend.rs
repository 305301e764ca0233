//! Takes what a sandbox wants out to the gateway, for as long as its guest is connected.

use std::sync::{Arc, PoisonError};

use gateway::Gateway;
use pipe::host::{Guest, OutwardConnections, Refusal, RefusalCode};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};
use wire::ids::{SandboxId, StepId};

use super::books::Books;
use crate::house::House;
use crate::runner::attempt::Brief;

/// A sandbox whose connections are taken. Dropping it ends them.
pub(crate) struct Attending {
    house: Arc<House>,
    step: StepId,
    _cancel: DropGuard,
}

impl Drop for Attending {
    fn drop(&mut self) {
        let mut attended = self.house.access.attended.lock().unwrap_or_else(PoisonError::into_inner);
        attended.remove(&self.step);
    }
}

/// Begins. A sandbox whose rules cannot be read reaches nothing, which its programs are told.
pub(crate) async fn attend(house: &Arc<House>, brief: &Arc<Brief>, sandbox: SandboxId, guest: &Guest) -> Attending {
    let cancel = house.stop.child_token();
    let attending = Attending { house: house.clone(), step: brief.step, _cancel: cancel.clone().drop_guard() };
    let (sender, rules) = watch::channel(Arc::new(super::rules::nothing()));
    {
        let mut attended = house.access.attended.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = sender.clone();
        attended.insert(brief.step, super::Attended { agent: brief.agent, run: brief.run, rules });
    }
    {
        // Whoever changes something from here on finds this sandbox.
        let _turn = house.access.rules_turn.lock().await;
        sender.send_replace(Arc::new(super::rules_now(house, brief.agent, brief.run).await));
    }
    // An earlier look took them; there is one for each connection of the guest.
    if let Some(wanted) = guest.outward() {
        let books = Arc::new(Books::new(house.clone(), brief.clone(), sandbox));
        match house.access.gateway().await {
            Ok(gateway) => {
                house.notice("gateway", None);
                let passage = gateway.passage(sandbox, rules, books);
                house.tasks.spawn(take(gateway, passage, wanted, cancel));
            }
            Err(error) => {
                warn!(%error, "there is no gateway");
                house.notice("gateway", Some(NO_GATEWAY.to_owned()));
                house.tasks.spawn(refuse(wanted, cancel));
            }
        }
    }
    attending
}

const NO_GATEWAY: &str = "Berth cannot read the certificates that this machine trusts, so no agent reaches its model. Look at \
     `BERTH_EXTRA_CERTIFICATES` and `SSL_CERT_FILE`, then start Berth again.";

/// How many there are at once the pipe bounds.
async fn take(
    gateway: Arc<Gateway>,
    passage: Arc<gateway::Passage>,
    mut wanted: OutwardConnections,
    cancel: CancellationToken,
) {
    let carried = TaskTracker::new();
    while let Some(outward) = tokio::select! {
        biased;
        () = cancel.cancelled() => None,
        outward = wanted.next() => outward,
    } {
        let (gateway, passage, cancel) = (gateway.clone(), passage.clone(), cancel.clone());
        carried.spawn(async move {
            let serving = async {
                match outward.accept().await {
                    Ok(stream) => gateway.serve(stream, passage).await,
                    Err(error) => debug!(%error, "a connection from a sandbox went before it was taken"),
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = serving => {}
            }
        });
    }
    carried.close();
    carried.wait().await;
}

async fn refuse(mut wanted: OutwardConnections, cancel: CancellationToken) {
    while let Some(outward) = tokio::select! {
        biased;
        () = cancel.cancelled() => None,
        outward = wanted.next() => outward,
    } {
        let refusal = Refusal::new(RefusalCode::Other, NO_GATEWAY);
        if let Err(error) = outward.refuse(refusal).await {
            debug!(%error, "a refusal was not taken");
        }
    }
}
