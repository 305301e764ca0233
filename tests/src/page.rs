//! A page of the interface over WebDriver, the same for Chromium and for the real window.
//!
//! Things are found as a person finds them: by what they say, and by role. Where that is not enough, the interface carries
//! hooks of its own (`data-phase`, `data-test`).

use std::{panic::AssertUnwindSafe, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use camino::Utf8PathBuf;
use fantoccini::{
    Client, ClientBuilder, Locator,
    elements::Element,
    error::CmdError,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use futures::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::{binaries, wait::until};

/// How long anything on a page takes that does not wait for a sandbox.
pub const SEEN_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a driver takes to give a page.
const SESSION_TIME_MAX: Duration = Duration::from_mins(1);

/// A page.
#[derive(Debug)]
pub struct Page {
    client: Client,
}

impl Page {
    /// Opens one through the driver on that port of 127.0.0.1.
    ///
    /// # Panics
    /// Where the driver gives none.
    pub async fn open(port: u16, capabilities: Value) -> Self {
        let capabilities: Capabilities = serde_json::from_value(capabilities).expect("capabilities are an object");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let session =
            tokio::time::timeout(SESSION_TIME_MAX, builder.connect(&format!("http://127.0.0.1:{port}"))).await;
        let client = session
            .unwrap_or_else(|_| panic!("the driver gives no page within {SESSION_TIME_MAX:?}"))
            .unwrap_or_else(|error| panic!("the driver gives no page: {error}"));
        Self { client }
    }

    /// The WebDriver client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs the body of a test on the page. Where it fails, what the page shows is drawn into `target/test-screenshots`.
    ///
    /// # Panics
    /// Where the body does.
    pub async fn test(self, name: &str, body: impl AsyncFnOnce(&Self)) {
        let outcome = AssertUnwindSafe(body(&self)).catch_unwind().await;
        if outcome.is_err() {
            match self.picture(name).await {
                Ok(path) => eprintln!("what the page showed: {path}"),
                Err(error) => eprintln!("no picture of the page: {error}"),
            }
            eprintln!("what the page said:\n{}", self.text().await.unwrap_or_default());
        }
        let _driver_gone = self.client.close().await;
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    /// Draws what the page shows into `target/test-screenshots/NAME.png`.
    ///
    /// # Errors
    /// Where the driver gives no picture.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub async fn picture(&self, name: &str) -> Result<Utf8PathBuf, CmdError> {
        let picture = self.client.screenshot().await?;
        let path = screenshots().join(format!("{name}.png"));
        std::fs::write(&path, picture).expect("target/ is writable");
        Ok(path)
    }

    /// All that can be read on the page.
    ///
    /// # Errors
    /// Where there is no page.
    pub async fn text(&self) -> Result<String, CmdError> {
        let text = self.client.execute("return document.body ? document.body.innerText : ''", vec![]).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// What a script returns.
    ///
    /// # Panics
    /// Where it throws.
    pub async fn script(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// What a script returns that awaits.
    ///
    /// # Panics
    /// Where it throws.
    pub async fn async_script(&self, script: &str) -> Value {
        let wrapped = format!(
            "const done = arguments[arguments.length - 1];
             (async () => {{ {script} }})().then(done, error => done({{ thrown: String(error) }}));"
        );
        let value =
            self.client.execute_async(&wrapped, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"));
        assert!(value["thrown"].is_null(), "{script}: {}", value["thrown"]);
        value
    }

    /// Waits until a text can be read on the page.
    ///
    /// # Panics
    /// Where it cannot within the bound.
    pub async fn says_within(&self, bound: Duration, text: &str) {
        until(&format!("the page to say {text:?}"), bound, async || {
            self.text().await.is_ok_and(|page| page.contains(text)).then_some(())
        })
        .await;
    }

    /// The same within [`SEEN_TIME_MAX`].
    pub async fn says(&self, text: &str) {
        self.says_within(SEEN_TIME_MAX, text).await;
    }

    /// Waits for an element by its CSS selector.
    ///
    /// # Panics
    /// Where there is none in time.
    pub async fn element(&self, selector: &str) -> Element {
        self.element_within(SEEN_TIME_MAX, selector).await
    }

    /// The same with another bound.
    ///
    /// # Panics
    /// Where there is none within it.
    pub async fn element_within(&self, bound: Duration, selector: &str) -> Element {
        until(&format!("`{selector}` on the page"), bound, async || self.client.find(Locator::Css(selector)).await.ok())
            .await
    }

    /// Whether there is such an element now.
    pub async fn has(&self, selector: &str) -> bool {
        self.client.find(Locator::Css(selector)).await.is_ok()
    }

    /// Clicks a button, tab or link by what it says or is labelled with.
    ///
    /// # Panics
    /// Where there is none that can be clicked in time.
    pub async fn click(&self, name: &str) {
        let said = format!("normalize-space(.) = '{name}' or starts-with(normalize-space(.), '{name} ')");
        let labelled = format!("@aria-label = '{name}'");
        let path = format!(
            "//*[self::button or self::a or @role = 'button' or @role = 'tab' or @role = 'link' or @role = 'option'][{labelled} or {said}]"
        );
        until(&format!("a click on {name:?}"), SEEN_TIME_MAX, async || {
            for element in self.client.find_all(Locator::XPath(&path)).await.ok()? {
                let can = element.is_displayed().await.unwrap_or(false) && element.is_enabled().await.unwrap_or(false);
                if can && element.click().await.is_ok() {
                    return Some(());
                }
            }
            None
        })
        .await;
    }

    /// Writes into a field in place of what is in it, or chooses from a list, as a person would: the field hears of it.
    ///
    /// # Panics
    /// Where there is no such field in time.
    pub async fn write(&self, selector: &str, text: &str) {
        let field = self.element(selector).await;
        let argument = serde_json::to_value(&field).expect("an element is JSON");
        let script = "const [field, text] = arguments;
            const kinds = { TEXTAREA: HTMLTextAreaElement, SELECT: HTMLSelectElement };
            const kind = kinds[field.tagName] ?? HTMLInputElement;
            field.focus();
            Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(field, text);
            field.dispatchEvent(new InputEvent('input', { bubbles: true }));
            field.dispatchEvent(new Event('change', { bubbles: true }));";
        let written = self.client.execute(script, vec![argument, json!(text)]).await;
        written.unwrap_or_else(|error| panic!("`{selector}` cannot be written into: {error}"));
    }

    /// Clicks what the interface marks with that `data-test`.
    ///
    /// # Panics
    /// Where there is nothing that can be clicked in time.
    pub async fn press(&self, mark: &str) {
        let selector = format!("[data-test='{mark}']");
        until(&format!("a click on `{selector}`"), SEEN_TIME_MAX, async || {
            let element = self.client.find(Locator::Css(&selector)).await.ok()?;
            element.click().await.ok()
        })
        .await;
    }

    /// Selects a result by its path, in the tab that lists them.
    ///
    /// # Panics
    /// Where there is none in time.
    pub async fn choose_result(&self, path: &str) {
        until(&format!("the result {path:?}"), SEEN_TIME_MAX, async || {
            for row in self.client.find_all(Locator::Css("[data-test='result-row']")).await.ok()? {
                if row.attr("data-path").await.ok()?.as_deref() == Some(path) {
                    return row.click().await.ok();
                }
            }
            None
        })
        .await;
    }

    /// What can be read in the terminal now: its visible lines.
    pub async fn terminal(&self) -> String {
        let script = "const rows = document.querySelector(\"[data-test='terminal'] .xterm-rows\");
            return rows ? [...rows.children].map(row => row.textContent).join('\\n') : ''";
        self.script(script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a text can be read in the terminal.
    ///
    /// # Panics
    /// Where it cannot within the bound.
    pub async fn terminal_says_within(&self, bound: Duration, text: &str) {
        until(&format!("the terminal to say {text:?}"), bound, async || {
            self.terminal().await.contains(text).then_some(())
        })
        .await;
    }

    /// Waits until the page shows a task in that phase.
    ///
    /// # Panics
    /// Where it does not within the bound, or the task ends otherwise.
    pub async fn phase_within(&self, bound: Duration, phase: wire::Phase) {
        // The badge on the page of a task, or its row in the list.
        let shown = "return [...document.querySelectorAll(\"[data-test='phase'], [data-test='task-row']\")]
            .map(element => element.dataset.name ?? element.dataset.phaseName)";
        until(&format!("{phase:?} on the page"), bound, async || {
            let names = self.script(shown).await;
            let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if names.contains(&phase.name()) {
                return Some(());
            }
            let ended = names.iter().filter_map(|name| wire::Phase::from_name(name)).find(|shown| shown.is_final());
            assert!(ended.is_none(), "the task ended otherwise: {names:?}");
            None
        })
        .await;
    }

    /// The path of the address.
    ///
    /// # Panics
    /// Where there is no page.
    pub async fn path(&self) -> String {
        self.client.current_url().await.expect("there is a page").path().to_owned()
    }

    /// Drops files on the page as a browser does, at its middle.
    ///
    /// # Panics
    /// Where the page throws.
    pub async fn drop_files(&self, files: &[(&str, &[u8])]) {
        let files: Vec<Value> =
            files.iter().map(|(name, bytes)| json!({ "name": name, "base64": STANDARD.encode(bytes) })).collect();
        let script = "const transfer = new DataTransfer();
            for (const { name, base64 } of arguments[0])
                transfer.items.add(new File([Uint8Array.from(atob(base64), c => c.charCodeAt(0))], name));
            const [clientX, clientY] = [innerWidth / 2, innerHeight / 2];
            const target = document.elementFromPoint(clientX, clientY) ?? document.body;
            for (const kind of ['dragenter', 'dragover', 'drop'])
                target.dispatchEvent(new DragEvent(kind,
                    { dataTransfer: transfer, bubbles: true, cancelable: true, composed: true, clientX, clientY }));";
        let dropped = self.client.execute(script, vec![Value::Array(files)]).await;
        dropped.unwrap_or_else(|error| panic!("the files cannot be dropped: {error}"));
    }

    /// What the browser's console has been told since it was asked last (Chromium only).
    ///
    /// # Panics
    /// Where the driver keeps no such log.
    pub async fn console(&self) -> Vec<String> {
        let log = self.client.issue_cmd(ConsoleLog).await.expect("the driver keeps the console's log");
        let lines = log.as_array().cloned().unwrap_or_default();
        lines.iter().filter_map(|line| line["message"].as_str().map(str::to_owned)).collect()
    }
}

/// Where pictures of failed tests go.
///
/// # Panics
/// Where `target/` cannot be written.
pub fn screenshots() -> Utf8PathBuf {
    let folder = binaries::folder().parent().expect("target/debug lies in target").join("test-screenshots");
    std::fs::create_dir_all(&folder).expect("target/ is writable");
    folder
}

/// Chromedriver's own command for the browser's log.
#[derive(Debug)]
struct ConsoleLog;

impl WebDriverCompatibleCommand for ConsoleLog {
    fn endpoint(&self, base_url: &url::Url, session_id: Option<&str>) -> Result<url::Url, url::ParseError> {
        base_url.join(&format!("session/{}/se/log", session_id.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
