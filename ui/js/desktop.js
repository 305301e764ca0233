// The only JavaScript that knows Tauri. Requests and replies cross as JSON text, so that Rust owns their shapes.
import { invoke, isTauri } from "@tauri-apps/api/core";
import { emit } from "@tauri-apps/api/event";
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
 * the position in CSS pixels. Paths that were handed over at a start come the same way, as if dropped outside of everything.
 * Resolves to a function that ends it.
 */
export async function followFiles(follow) {
  const webview = getCurrentWebview();
  const endDrags = await webview.onDragDropEvent(({ payload }) => {
    const scale = globalThis.devicePixelRatio || 1;
    const { x = -1, y = -1 } = payload.position ?? {};
    follow(payload.type, JSON.stringify(payload.paths ?? []), x / scale, y / scale);
  });
  const endOpened = await webview.listen("berth://open-paths", ({ payload }) => {
    follow("drop", JSON.stringify(payload.paths ?? []), -1, -1);
  });
  // What came before this page listened was kept for it.
  await emit("berth://ready");
  return () => {
    endDrags();
    endOpened();
  };
}
