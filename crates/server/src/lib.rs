//! HTTP and WebSocket skin over the core's Api.
