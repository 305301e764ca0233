//! The one command.

use serde_json::Value;
use tauri::State;
use wire::{ErrorCode, ErrorView, Request};

use crate::house::House;

/// Answers one request (`{"call": …, "args": …}`) with its reply, as `POST /api/call` does.
///
/// # Errors
/// What the core says; [`ErrorCode::InvalidArgument`] where the request is none of its calls.
#[tauri::command]
pub(crate) async fn call(house: State<'_, House>, request: Value) -> Result<Value, ErrorView> {
    let request: Request = serde_json::from_value(request)
        .map_err(|error| ErrorView::new(ErrorCode::InvalidArgument, format!("this is no call: {error}")))?;
    house.api().await?.dispatch(request).await
}
