//! What sandboxes asked for.

use store::RequestFilter;
use wire::{ErrorView, call::ListRequests, network::RequestView};

use crate::house::House;
use crate::{dispatch, faults};

/// The requests, newest first.
pub(crate) async fn list(house: &House, call: &ListRequests) -> Result<Vec<RequestView>, ErrorView> {
    let filter = RequestFilter {
        task: call.task,
        run: call.run,
        before_seq: call.before_seq,
        limit: dispatch::limit_of(call.limit),
    };
    house.store.requests(&filter).await.map_err(|error| faults::of_storage("read the requests", &error))
}
