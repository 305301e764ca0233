// Starts the face: the chosen theme first, so that nothing is painted in the wrong one, then the program.
import init from "/ui.js";

try {
  const theme = localStorage.getItem("berth.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's theme it is.
}

await init({ module_or_path: "/ui_bg.wasm" });
