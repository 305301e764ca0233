// The only JavaScript that knows Tauri. Requests and replies cross as JSON text, so that Rust owns their shapes.
import { invoke, isTauri } from "@tauri-apps/api/core";
import { getCurrentWebview } from "@tauri-apps/api/webview";

/** Whether the page runs in Berth's own window. */
export function inDesktop() {
  return isTauri() || "__TAURI_INTERNALS__" in globalThis;
}

/** One call; rejects with the error's JSON text. */
export async function desktopCall(request) {
  try {
    return JSON.stringify((await invoke("call", { request: JSON.parse(request) })) ?? null);
  } catch (error) {
    throw JSON.stringify(error);
  }
}

/**
 * Follows files dragged over the window: `follow(kind, paths, x, y)` with kind enter, over, drop or leave, paths as JSON text and
 * the position in CSS pixels. Resolves to a function that ends it.
 */
export async function followFileDrags(follow) {
  return await getCurrentWebview().onDragDropEvent(({ payload }) => {
    const scale = globalThis.devicePixelRatio || 1;
    const { x = 0, y = 0 } = payload.position ?? {};
    follow(payload.type, JSON.stringify(payload.paths ?? []), x / scale, y / scale);
  });
}
