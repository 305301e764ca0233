//! The interface from `berth serve` in Chromium.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use berth_tests::{
    TestApp,
    app::RUN_TIME_MAX,
    binaries::assert_interface_is_built,
    browser::{Browser, Scheme},
    page::{Page, SEEN_TIME_MAX},
    sample, until,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use wire::{
    Phase,
    call::{ListResults, ListTasks},
    network::BRIDGE_GIVES_UP,
};

/// Opens the interface as the one who was given the link.
async fn enter(page: &Page, link: &str) {
    page.client().goto(link).await.unwrap();
    page.element("[data-test='screen-tasks']").await;
}

async fn started() -> (TestApp, Browser) {
    assert_interface_is_built();
    (TestApp::start().await, Browser::start().await)
}

/// Fills in the New task dialog for the agent `script` and queues it, to be watched.
async fn queue_and_watch(page: &Page, prompt: &str) {
    page.press("new-task").await;
    page.write("[data-test='prompt']", prompt).await;
    page.write("[data-test='agent']", "script").await;
    page.press("queue-and-watch").await;
    page.element("[data-test='screen-task']").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_in_the_link_leaves_the_address_and_works_once() {
    let (app, browser) = started().await;
    let link = app.link().to_owned();
    let body = async |page: &Page| {
        enter(page, &link).await;
        until("the code to leave the address", SEEN_TIME_MAX, async || {
            let url = page.client().current_url().await.ok()?;
            url.fragment().is_none_or(str::is_empty).then_some(())
        })
        .await;
        let history = page.script("return [location.href, document.referrer, document.cookie].join(' ')").await;
        assert!(!history.as_str().unwrap().contains("code="), "{history}");
        assert_eq!(page.script("return document.cookie").await, "", "no cookie is set");
        // A reload in the same tab goes on.
        page.client().refresh().await.unwrap();
        page.element("[data-test='screen-tasks']").await;
    };
    browser.page(Scheme::Light).await.test("code-first", body).await;
    let body = async |page: &Page| {
        page.client().goto(&link).await.unwrap();
        page.element("[data-test='signed-out']").await;
        assert!(!page.has("[data-test='screen-tasks']").await);
    };
    browser.page(Scheme::Light).await.test("code-again", body).await;
    let fresh = app.client().link().await;
    let body = async |page: &Page| enter(page, &fresh).await;
    browser.page(Scheme::Light).await.test("code-fresh", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_code_nothing_is_shown_and_no_call_is_answered() {
    let (app, browser) = started().await;
    app.create(&sample::script_with("title: Not for everyone", &["true"])).await;
    let address = app.client().address.clone();
    let body = async |page: &Page| {
        page.client().goto(&address).await.unwrap();
        page.element("[data-test='signed-out']").await;
        assert!(!page.text().await.unwrap().contains("Not for everyone"));
        let call =
            "const answer = await fetch('/api/call', { method: 'POST', headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ call: 'list_tasks', args: {} }) }); return answer.status;";
        assert_eq!(page.async_script(call).await, 401);
    };
    browser.page(Scheme::Light).await.test("signed-out", body).await;
    let url = format!("{address}/api/call");
    let call = json!({ "call": "list_tasks", "args": {} });
    let foreign = app.client().status_of(|http| {
        http.post(&url).bearer_auth(&app.client().token).header("origin", "http://evil.example").json(&call)
    });
    assert_eq!(foreign.await, StatusCode::FORBIDDEN);
    let rebound = app
        .client()
        .status_of(|http| http.post(&url).bearer_auth(&app.client().token).header("host", "evil.example").json(&call));
    assert_eq!(rebound.await, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_from_the_dialog_is_watched_live_and_replayed_after_a_reload() {
    let (app, browser) = started().await;
    let block = "echo the very beginning > /workspace/left.txt; cat left.txt; while [ ! -e go ]; do sleep 0.05; done; echo the very end";
    let body = async |page: &Page| {
        enter(page, app.link()).await;
        queue_and_watch(page, &sample::script(&[block])).await;
        assert!(page.path().await.ends_with("/terminal"), "{}", page.path().await);
        page.terminal_says_within(RUN_TIME_MAX, "the very beginning").await;
        page.phase_within(SEEN_TIME_MAX, Phase::Executing).await;
        assert!(!page.terminal().await.lines().any(|line| line.trim() == "the very end"));
        page.element("[data-test='terminal-state'][data-state='live']").await;
        // A reload in the middle of the work shows the same from the beginning.
        page.client().refresh().await.unwrap();
        page.terminal_says_within(SEEN_TIME_MAX, "the very beginning").await;
        let list = app.call(ListTasks::default()).await.unwrap();
        let run = list.rows[0].run.to_string();
        let results = app.call(ListResults { run }).await.unwrap();
        sample::write(results.workspace.as_deref().unwrap().as_ref(), "go", "");
        page.terminal_says_within(SEEN_TIME_MAX, "the very end").await;
        page.phase_within(SEEN_TIME_MAX, Phase::Completed).await;
        page.client().refresh().await.unwrap();
        page.terminal_says_within(SEEN_TIME_MAX, "the very end").await;
        page.element("[data-test='terminal-state'][data-state='ended']").await;
        page.press("tab-results").await;
        page.says("left.txt").await;
    };
    browser.page(Scheme::Dark).await.test("live", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_task_runs_and_its_results_can_be_read() {
    let (app, browser) = started().await;
    let body = async |page: &Page| {
        enter(page, app.link()).await;
        page.press("run-sample").await;
        page.phase_within(RUN_TIME_MAX, Phase::Completed).await;
        if !page.has("[data-test='screen-task']").await {
            page.element("[data-test='task-row'] a").await.click().await.unwrap();
        }
        page.element("[data-test='screen-task']").await;
        page.press("tab-results").await;
        for name in ["primes.csv", "report.md", "spiral.png"] {
            page.says(name).await;
        }
        page.choose_result("report.md").await;
        page.says("Gauss guessed").await;
        page.choose_result("spiral.png").await;
        until("the picture", SEEN_TIME_MAX, async || {
            let drawn = "return [...document.images].some(image => image.complete && image.naturalWidth === 401)";
            (page.script(drawn).await == Value::Bool(true)).then_some(())
        })
        .await;
        page.press("tab-log").await;
        page.says("Task taken in").await;
        page.press("tab-overview").await;
        page.element("[data-test='timeline']").await;
    };
    browser.page(Scheme::Light).await.test("sample", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_dropped_fill_in_the_dialog() {
    let (app, browser) = started().await;
    let text = sample::script_with("title: From a drop", &["cat numbers.csv > copied"]);
    let body = async |page: &Page| {
        enter(page, app.link()).await;
        page.drop_files(&[("task.md", text.as_bytes()), ("numbers.csv", b"1,2,3\n")]).await;
        page.element("[data-test='new-task-dialog']").await;
        page.element("[data-test='attachment'][data-name='numbers.csv']").await;
        page.write("[data-test='agent']", "script").await;
        page.press("queue").await;
        page.phase_within(RUN_TIME_MAX, Phase::Completed).await;
        page.says("From a drop").await;
        let row = app.call(ListTasks::default()).await.unwrap().rows.remove(0);
        let results = app.call(ListResults { run: row.run.to_string() }).await.unwrap();
        assert!(results.results.iter().any(|result| result.path == "copied" && result.size_bytes == 6), "{results:#?}");
    };
    browser.page(Scheme::Light).await.test("drop", body).await;
}

/// Everything that the policy forbids, tried from inside the page.
const ATTACKS: &str = r"
const outcome = {};
const violated = [];
addEventListener('securitypolicyviolation', event => violated.push(event.effectiveDirective));
const inline = document.createElement('script');
inline.textContent = 'globalThis.inlineRan = true';
document.head.append(inline);
outcome.inline = globalThis.inlineRan === true;
// In a task of the page's own: what a driver evaluates itself is exempt.
outcome.eval = await new Promise(done => setTimeout(() => {
  try { done(Function('return true')()); } catch { done(false); }
}));
outcome.image = await new Promise(done => {
  const image = new Image();
  image.onload = () => done(true);
  image.onerror = () => done(false);
  image.src = 'https://example.com/pixel.png';
});
outcome.fetch = await fetch('http://127.0.0.1:9/').then(() => true, () => false);
outcome.frame = await new Promise(done => {
  const frame = document.createElement('iframe');
  frame.src = 'https://example.com/';
  frame.onload = () => done(frame.contentDocument === null);
  document.body.append(frame);
});
const handler = document.createElement('div');
handler.setAttribute('onclick', 'globalThis.handlerRan = true');
handler.click();
outcome.handler = globalThis.handlerRan === true;
outcome.violated = [...new Set(violated)].sort();
return outcome;
";

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_forbids_what_is_not_ours_and_our_own_page_never_breaks_it() {
    let (app, browser) = started().await;
    let body = async |page: &Page| {
        enter(page, app.link()).await;
        queue_and_watch(page, &sample::script(&["echo painted in the terminal; echo x > x.txt"])).await;
        page.phase_within(RUN_TIME_MAX, Phase::Completed).await;
        page.terminal_says_within(SEEN_TIME_MAX, "painted in the terminal").await;
        page.press("tab-results").await;
        page.says("x.txt").await;
        let own = "return await new Promise(done => {
            const observer = new ReportingObserver(reports => done(reports.map(report => report.body)),
                { types: ['csp-violation'], buffered: true });
            observer.observe();
            requestAnimationFrame(() => requestAnimationFrame(() => done(observer.takeRecords().map(report => report.body))));
        });";
        assert_eq!(page.async_script(own).await, json!([]), "the interface itself breaks its policy");
        let complaints = page.console().await;
        assert!(!complaints.iter().any(|line| line.contains("Content Security Policy")), "{complaints:#?}");

        let outcome = page.async_script(ATTACKS).await;
        for attack in ["inline", "eval", "image", "fetch", "handler"] {
            assert_eq!(outcome[attack], false, "{attack}: {outcome:#}");
        }
        let violated: Vec<&str> = outcome["violated"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for directive in ["connect-src", "img-src", "script-src"] {
            assert!(violated.iter().any(|found| found.starts_with(directive)), "{directive}: {violated:?}");
        }
    };
    browser.page(Scheme::Light).await.test("policy", body).await;
}

/// Brightness of the page's ground, from 0 to 255.
const GROUND: &str = r"
const canvas = document.createElement('canvas');
canvas.width = canvas.height = 1;
const context = canvas.getContext('2d', { willReadFrequently: true });
for (const element of [document.documentElement, document.body, document.querySelector('main')]) {
  context.fillStyle = getComputedStyle(element).backgroundColor;
  context.fillRect(0, 0, 1, 1);
}
const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
return Math.round((r + g + b) / 3);
";

#[tokio::test(flavor = "multi_thread")]
async fn the_theme_is_the_systems_until_a_person_chooses_one_that_stays() {
    let (app, browser) = started().await;
    for (scheme, name) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
        let link = app.client().link().await;
        let body = async |page: &Page| {
            enter(page, &link).await;
            let ground = page.script(GROUND).await.as_u64().unwrap();
            assert_eq!(ground > 128, scheme == Scheme::Light, "{name}: {ground}");
            // The switch goes from the system's to light, then to dark.
            page.press("theme").await;
            page.press("theme").await;
            until("the dark theme", SEEN_TIME_MAX, async || {
                (page.script(GROUND).await.as_u64().unwrap() < 128).then_some(())
            })
            .await;
            page.client().refresh().await.unwrap();
            page.element("[data-test='screen-tasks']").await;
            assert!(page.script(GROUND).await.as_u64().unwrap() < 128, "the choice stays");
        };
        browser.page(scheme).await.test(&format!("theme-{name}"), body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_from_a_sandbox_is_shown_as_text() {
    let (app, browser) = started().await;
    let markup = "<img src=x onerror=\"globalThis.pwned=1\"><script>globalThis.pwned=2</script>";
    let blocks = [
        r"printf '%s' '<script>globalThis.pwned=3</script><img src=x onerror=globalThis.pwned=4>' > page.html",
        r#"printf '<svg xmlns="http://www.w3.org/2000/svg" onload="globalThis.pwned=5"><script>globalThis.pwned=6</script></svg>' > picture.svg"#,
        r"printf '# Hi\n\n<img src=x onerror=globalThis.pwned=7> [link](javascript:globalThis.pwned=8)\n' > '<b>bold<b>.md'",
        r"printf '\033]0;pwned title\007\033]8;;javascript:globalThis.pwned=9\007link\033]8;;\007\033]52;c;cHduZWQ=\007 end of output\n'",
    ];
    let body = async |page: &Page| {
        let text = format!("---\ntitle: '{}'\n---\n{}", markup.replace('\'', "''"), sample::script(&blocks));
        enter(page, app.link()).await;
        page.drop_files(&[("task.md", text.as_bytes())]).await;
        page.element("[data-test='new-task-dialog']").await;
        page.write("[data-test='agent']", "script").await;
        page.press("queue-and-watch").await;
        page.phase_within(RUN_TIME_MAX, Phase::Completed).await;
        page.says("<img src=x").await;
        page.terminal_says_within(SEEN_TIME_MAX, "end of output").await;
        page.press("tab-results").await;
        for name in ["page.html", "picture.svg", "<b>bold<b>.md"] {
            page.choose_result(name).await;
            page.says(name).await;
        }
        assert_eq!(page.script("return globalThis.pwned ?? null").await, Value::Null);
        let title = page.client().title().await.unwrap();
        assert!(!title.contains("pwned title"), "{title}");
    };
    browser.page(Scheme::Light).await.test("markup", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_the_page_says_so_and_what_to_do() {
    assert_interface_is_built();
    let app = TestApp::start_with(&[("BERTH_ENGINE", "unix:///nonexistent/docker.sock")]).await;
    let browser = Browser::start().await;
    let body = async |page: &Page| {
        enter(page, app.link()).await;
        page.element("[data-test='engine-down']").await;
        page.element("[data-test='engine'][data-state='down']").await;
        page.element("[data-test='retry-engine']").await;
    };
    browser.page(Scheme::Light).await.test("engine-down", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dialog_opens_and_closes_by_key_and_keeps_what_was_written() {
    let (app, browser) = started().await;
    let body = async |page: &Page| {
        enter(page, app.link()).await;
        let send = |key: &str| {
            format!(
                "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, cancelable: true, composed: true }}))"
            )
        };
        page.script(&send("n")).await;
        page.element("[data-test='new-task-dialog']").await;
        page.write("[data-test='prompt']", "half a thought").await;
        page.script(&send("Escape")).await;
        until("the dialog to close", SEEN_TIME_MAX, async || {
            (!page.has("[data-test='new-task-dialog']").await).then_some(())
        })
        .await;
        page.press("new-task").await;
        let kept = "return document.querySelector(\"[data-test='prompt']\").value";
        assert_eq!(page.script(kept).await, "half a thought");
        let heights = page
            .script("return [document.scrollingElement.scrollHeight, document.scrollingElement.clientHeight]")
            .await;
        assert_eq!(heights[0], heights[1], "the page itself does not scroll");
    };
    browser.page(Scheme::Light).await.test("keys", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dialog_reads_the_sample_and_a_pasted_task_file_as_tasks() {
    let (app, browser) = started().await;
    let value = |of: &str| format!("return document.querySelector(\"[data-test='{of}']\").value");
    let body = async |page: &Page| {
        enter(page, app.link()).await;
        page.press("new-task").await;
        page.press("insert-sample").await;
        until("the sample", SEEN_TIME_MAX, async || {
            page.script(&value("prompt")).await.as_str()?.starts_with("# Count the primes").then_some(())
        })
        .await;
        assert!(!page.has("[data-test='insert-sample']").await);
        page.says("Count the primes and draw them").await;
        page.press("clear-draft").await;
        page.write("[data-test='prompt']", "---\npriority: high\nlimits: {time: 7m}\n---\nCount to ten.\n").await;
        page.press("read-task-file").await;
        until("the task file", SEEN_TIME_MAX, async || {
            (page.script(&value("prompt")).await.as_str()?.trim() == "Count to ten.").then_some(())
        })
        .await;
        assert_eq!(page.script(&value("priority")).await, "high");
        assert_eq!(page.script(&value("minutes")).await, "7");
    };
    browser.page(Scheme::Light).await.test("offers", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_app_is_away_says_so_and_keeps_what_was_known() {
    let (mut app, browser) = started().await;
    let page = browser.page(Scheme::Light).await;
    let link = app.link().to_owned();
    let body = async |page: &Page| {
        enter(page, &link).await;
        app.kill().await;
        page.element("[data-test='away']").await;
        assert!(page.has("[data-test='screen-tasks']").await, "what was known stays to be read");
    };
    page.test("away", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_network_of_its_own_gives_up_is_said_where_it_is_chosen_and_on_the_task() {
    let (app, browser) = started().await;
    let body = async |page: &Page| {
        enter(page, app.link()).await;
        page.element("a[href='/agents']").await.click().await.unwrap();
        page.press("agent-edit").await;
        page.press("choose-bridge").await;
        let meaning = page.element("[data-test='policy-meaning']").await.text().await.unwrap();
        assert_eq!(meaning, BRIDGE_GIVES_UP);
        assert!(!page.has("[data-test='host-name']").await, "it has no list");
        page.press("save-agent").await;
        until("the agent to say it", SEEN_TIME_MAX, async || {
            let said = page.element("[data-test='agent-reach']").await.text().await.ok()?;
            (said == BRIDGE_GIVES_UP).then_some(())
        })
        .await;
        queue_and_watch(page, &sample::script(&["true"])).await;
        page.phase_within(RUN_TIME_MAX, Phase::Completed).await;
        assert_eq!(page.element("[data-test='network-gives-up']").await.text().await.unwrap(), BRIDGE_GIVES_UP);
        page.press("tab-network").await;
        page.element("[data-test='network-unseen']").await;
    };
    browser.page(Scheme::Light).await.test("bridge", body).await;
}
