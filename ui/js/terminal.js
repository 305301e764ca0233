// xterm.js behind a few small functions; `terminal.rs` alone calls them and disposes what `open` returns.
// What a sandbox writes is hostile: it sets no title, reads and writes no clipboard, asks for no window change, and its links are
// never followed, only shown.
import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import { WebglAddon } from "@xterm/addon-webgl";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";

const FONT_PX = 12.5;
const SCROLLBACK_LINES = 10_000;
const LINK_CHARS_MAX = 2_048;
// Device control, title and icon names, colours of the palette, the clipboard, notifications: nothing a stranger may set.
const REFUSED_OSC = [0, 1, 2, 4, 9, 10, 11, 12, 50, 52, 99, 104, 110, 111, 112, 777, 1337];

// Custom properties read back as written (`light-dark(oklch(…))`); a canvas turns what they compute to into plain RGB.
function readColours(element) {
  const probe = element.appendChild(document.createElement("span"));
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const colour = (token) => {
    probe.style.color = `var(${token})`;
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = getComputedStyle(probe).color;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
    return `#${[r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  };
  const [text, ground] = [colour("--text"), colour("--bg-sunken")];
  const [red, green, yellow, blue, cyan, grey] = ["red", "green", "yellow", "blue", "cyan", "grey"].map((name) => colour(`--ansi-${name}`));
  const magenta = colour("--ansi-magenta");
  const theme = {
    background: ground,
    foreground: text,
    cursor: text,
    cursorAccent: ground,
    selectionBackground: `${colour("--accent")}59`,
    black: colour("--line"),
    red, green, yellow, blue, magenta, cyan,
    white: colour("--text-muted"),
    brightBlack: grey,
    brightRed: red, brightGreen: green, brightYellow: yellow, brightBlue: blue, brightMagenta: magenta, brightCyan: cyan,
    brightWhite: text,
  };
  probe.remove();
  return theme;
}

// Software rendering is slower than the DOM: WebGL only where the machine has it. A browser may not tell, but its renderer's name does.
// WebKitGTK hides the name and composes by processor more often than not: its DOM is the sure choice.
function hasFastWebgl() {
  const agent = navigator.userAgent;
  if (/Linux/.test(agent) && /AppleWebKit/.test(agent) && !/Chrom/.test(agent)) return false;
  const context = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (!context) return false;
  const names = context.getExtension("WEBGL_debug_renderer_info");
  const renderer = String(context.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : context.RENDERER));
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer);
}

function addWebgl(term) {
  if (!hasFastWebgl()) return "dom";
  try {
    const webgl = new WebglAddon();
    webgl.onContextLoss(() => webgl.dispose());
    term.loadAddon(webgl);
    return "webgl";
  } catch {
    return "dom";
  }
}

/**
 * A terminal in `element`. `input(bytes)` gets what a person types, only where `interactive`; `resized(columns, rows)` follows its
 * size; `linked(uri)` gets an http(s) link that a person clicked while holding Ctrl or Command.
 */
export function openTerminal(element, interactive, screenReader, input, resized, linked) {
  const term = new Terminal({
    allowProposedApi: true,
    convertEol: !interactive,
    cursorBlink: false,
    cursorInactiveStyle: interactive ? "outline" : "none",
    disableStdin: !interactive,
    fontFamily: '"JetBrains Mono", ui-monospace, monospace',
    fontSize: FONT_PX,
    lineHeight: 1.1,
    linkHandler: {
      allowNonHttpProtocols: false,
      activate(event, uri) {
        if ((event.ctrlKey || event.metaKey) && /^https?:\/\//i.test(uri)) linked(uri.slice(0, LINK_CHARS_MAX));
      },
    },
    minimumContrastRatio: 4.5,
    screenReaderMode: screenReader,
    scrollback: SCROLLBACK_LINES,
    theme: readColours(element),
  });
  for (const code of REFUSED_OSC) term.parser.registerOscHandler(code, () => true);
  const fit = new FitAddon();
  const search = new SearchAddon();
  term.loadAddon(fit);
  term.loadAddon(search);
  term.loadAddon(new Unicode11Addon());
  term.unicode.activeVersion = "11";
  term.open(element);
  const renderer = addWebgl(term);
  if (interactive) {
    const encoder = new TextEncoder();
    term.onData((text) => input(encoder.encode(text)));
    term.onBinary((text) => input(Uint8Array.from(text, (char) => char.charCodeAt(0))));
  } else {
    // A finished log has no cursor to show.
    term.write("\x1b[?25l");
  }
  // Every key is the terminal's, but for the one chord that leaves it and those of the browser's own find and copy.
  term.attachCustomKeyEventHandler((event) => {
    if (event.ctrlKey && event.shiftKey && event.key === "Escape") return false;
    if (!interactive) return event.key.startsWith("Page") || ["ArrowUp", "ArrowDown", "Home", "End"].includes(event.key);
    return !(event.ctrlKey && event.shiftKey && ["C", "F"].includes(event.key));
  });
  term.onResize(({ cols, rows }) => resized(cols, rows));
  const refit = () => {
    if (element.clientWidth > 0 && element.clientHeight > 0) fit.fit();
  };
  const observer = new ResizeObserver(refit);
  observer.observe(element);
  // A font that comes later has other widths.
  document.fonts.load(`${FONT_PX}px "JetBrains Mono"`).then(() => {
    if (!handle.disposed) {
      term.options.fontFamily = '"JetBrains Mono", monospace';
      refit();
    }
  });
  refit();
  const recolour = () => (term.options.theme = readColours(element));
  const themes = new MutationObserver(recolour);
  themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", recolour);
  const handle = {
    term,
    search,
    disposed: false,
    end() {
      observer.disconnect();
      themes.disconnect();
      system.removeEventListener("change", recolour);
      term.dispose();
    },
  };
  element.dataset.renderer = renderer;
  resized(term.cols, term.rows);
  return handle;
}

/** Draws bytes; `drawn(end)` once they are. */
export function writeTerminal(handle, bytes, end, drawn) {
  if (!handle.disposed) handle.term.write(bytes, () => handle.disposed || drawn(end));
}

export function focusTerminal(handle) {
  handle.term.focus();
}

/** Selects the next or the previous place with that text; whether there is one. */
export function findInTerminal(handle, text, forward) {
  if (!text) {
    handle.search.clearDecorations();
    return true;
  }
  return forward ? handle.search.findNext(text, { incremental: false }) : handle.search.findPrevious(text);
}

export function terminalSelection(handle) {
  return handle.term.getSelection();
}

export function disposeTerminal(handle) {
  handle.disposed = true;
  handle.end();
}
