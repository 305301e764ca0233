//! The root: lets the page in, keeps the stream of updates and what everything shares, and stands the screens in the house.

mod updates;

use std::rc::Rc;

use wire::{
    call::{CreateTask, Hello, ListAgents, ListImages, ListNews, ListTasks, PreviewTask, Status},
    stream::Update,
    task::TaskSource,
    view::TaskRow,
};
use yew::prelude::*;
use yew_router::prelude::*;

use self::updates::use_updates;
use crate::{
    announce::{Change, changes},
    backend::{
        self, CallError,
        session::{self, Entry},
    },
    clock::Clock,
    context::{Desk, Known, Place},
    feed::{Feed, FeedAction, Link},
    house::{banners::Banners, sidebar::Sidebar, statusbar::StatusBar},
    keys::{Scope, Taken, presses, use_keys},
    query::{use_call, use_calm},
    route::Route,
    screens::{
        agents::Agents,
        costs::{Costs, asked::Asked},
        drop::DropTarget,
        homes::{Homes, folder::HomeFolder},
        images::Images,
        new_task::{Dialog, DialogAction, NewTaskDialog},
        settings::{notifications::Notifications, projects::Projects, secrets::Secrets},
        signed_out::{SignedOut, Unanswered},
        task::Task,
        tasks::{PAGE_ROWS, Tasks},
    },
    toast::{ToastAction, ToastStack, Toasts, Told},
};

/// How often at most the sums are asked for again while agents spend.
const COST_MS: u32 = 2_000;

/// The whole face.
#[component]
pub fn App() -> Html {
    let entry = use_state(|| None::<Entry>);
    {
        let entry = entry.setter();
        use_effect_with((), move |()| {
            let on_loss = entry.clone();
            session::on_loss(Callback::from(move |()| on_loss.set(Some(Entry::Closed))));
            wasm_bindgen_futures::spawn_local(async move { entry.set(Some(session::enter().await)) });
        });
    }
    use_effect_with(entry.is_some(), |has_something| {
        let frame = web_sys::window().and_then(|window| window.document()?.get_element_by_id("frame"));
        if let Some(frame) = frame.filter(|_| *has_something) {
            frame.remove();
        }
    });
    match &*entry {
        None => Html::default(),
        Some(Entry::Open) => html! { <BrowserRouter><House /></BrowserRouter> },
        Some(Entry::Closed) => html! { <SignedOut /> },
        Some(Entry::Unanswered { code }) => {
            let (entry, code) = (entry.setter(), code.clone());
            let on_retry = Callback::from(move |()| {
                let (entry, code) = (entry.clone(), code.clone());
                wasm_bindgen_futures::spawn_local(async move { entry.set(Some(session::exchange(code).await)) });
            });
            html! { <Unanswered {on_retry} /> }
        }
    }
}

#[component]
fn House() -> Html {
    let feed = use_reducer(Feed::default);
    let known = use_known_from(&feed);
    let hello = known.hello.data.clone();
    use_updates(&feed, hello.as_deref());
    let toasts = use_reducer(Toasts::default);
    let dialog = use_reducer(Dialog::default);
    let place = use_state_eq(|| Place { limit: PAGE_ROWS, ..Place::default() });
    let costs = use_state_eq(Asked::default);
    let (image, agent) = (use_state_eq(|| None::<String>), use_state_eq(|| None::<String>));
    let route = use_route::<Route>();
    let said = use_announcements(&known, &toasts);
    use_news(&feed, &toasts);
    let navigator = use_navigator();
    let new_task = {
        let dialog = dialog.dispatcher();
        Callback::from(move |draft| dialog.dispatch(DialogAction::Open(draft)))
    };
    let run_sample = {
        let (hello, dialog, navigator) = (hello.clone(), dialog.dispatcher(), navigator.clone());
        Callback::from(move |()| {
            let (Some(hello), Some(navigator)) = (hello.clone(), navigator.clone()) else { return };
            let dialog = dialog.clone();
            wasm_bindgen_futures::spawn_local(async move {
                match run_sample(&hello.sample).await {
                    Ok(number) => navigator.push(&Route::task(number)),
                    Err(error) => dialog.dispatch(DialogAction::Refused(error)),
                }
            });
        })
    };
    let refresh = {
        let feed = feed.dispatcher();
        Callback::from(move |()| feed.dispatch(FeedAction::Updates(vec![Update::All])))
    };
    {
        let (new_task, navigator) = (new_task.clone(), navigator.clone());
        let new_task_key = Route::new_task_key(route.as_ref());
        use_keys(Scope::Page, move |event| {
            match (event.key().as_str(), &navigator) {
                (pressed, _) if presses(pressed, event.shift_key(), new_task_key) => new_task.emit(None),
                (",", Some(navigator)) => navigator.push(&Route::Secrets),
                _ => return Taken::No,
            }
            Taken::Yes
        });
    }
    let desk = Desk { new_task, run_sample, refresh, place, costs, image, agent };
    let is_build_in_sight = route == Some(Route::Images) && known.is_building();
    let is_live = feed.link != Link::Live
        || is_build_in_sight
        || known.status.data.as_ref().is_some_and(|status| !status.live.is_empty());
    let is_down = known.engine_down().is_some();
    html! {
        <ContextProvider<Rc<Known>> context={known}>
        <ContextProvider<Rc<Feed>> context={Rc::new((*feed).clone())}>
        <ContextProvider<Desk> context={desk}>
        <Clock {is_live}>
            <div class={classes!("app", is_down.then_some("is-down"))} inert={dialog.is_open()}>
                <Banners />
                <Sidebar />
                <Switch<Route> render={screen} />
                <StatusBar />
            </div>
            <ToastStack {toasts} />
            <NewTaskDialog dialog={dialog.clone()} />
            <DropTarget {dialog} />
            <div class="visually-hidden" role="status" aria-live="polite" data-test="live-region">{ said }</div>
        </Clock>
        </ContextProvider<Desk>>
        </ContextProvider<Rc<Feed>>>
        </ContextProvider<Rc<Known>>>
    }
}

fn screen(route: Route) -> Html {
    match route {
        Route::Home | Route::Tasks => html! { <Tasks /> },
        Route::Task { number } => html! { <Task key={number.clone()} number={number.clone()} tab={None} /> },
        Route::TaskTab { number, tab } => {
            html! { <Task key={number.clone()} number={number.clone()} tab={Some(tab)} /> }
        }
        Route::Agents => html! { <Agents /> },
        Route::Homes => html! { <Homes /> },
        Route::Folder { home } => html! { <HomeFolder key={home.clone()} home={home.clone()} /> },
        Route::Images => html! { <Images /> },
        Route::Costs => html! { <Costs /> },
        Route::Settings | Route::Secrets => html! { <Secrets /> },
        Route::Projects => html! { <Projects /> },
        Route::Notifications => html! { <Notifications /> },
        Route::Missing => html! {
            <main class="content" data-test="missing">
                <header class="header"><h1>{ "Nothing here" }</h1></header>
                <div class="empty">
                    <h2>{ "There is no such page" }</h2>
                    <div class="actions"><crate::parts::Go class="button" to={Route::Tasks}>{ "Go to the tasks" }</crate::parts::Go></div>
                </div>
            </main>
        },
    }
}

/// Asks for what everything shares, again whenever its topic changed.
#[hook]
fn use_known_from(feed: &Feed) -> Rc<Known> {
    let hello = use_call(Some(Hello {}), u64::from(feed.link == Link::Live));
    // What was spent stands in both; it grows with requests, which come as often as agents like.
    let spent = use_calm(feed.spending(), COST_MS);
    let status = use_call(Some(Status {}), feed.status() + spent);
    let tasks = use_call(Some(ListTasks { limit: PAGE_ROWS, ..ListTasks::default() }), feed.tasks() + spent);
    let agents = use_call(Some(ListAgents {}), feed.agents() + feed.status());
    let images = use_call(Some(ListImages {}), feed.images());
    let known = Known { hello, status, tasks, agents, images };
    (*use_memo(known, |known| Rc::new(known.clone()))).clone()
}

/// Says what changed, to who listens and to who looks elsewhere, and keeps the window's title true.
#[hook]
fn use_announcements(known: &Rc<Known>, toasts: &UseReducerHandle<Toasts>) -> AttrValue {
    let said = use_state(AttrValue::default);
    let before = use_mut_ref(|| None::<Vec<TaskRow>>);
    let here = use_mut_ref(|| None::<Route>);
    *here.borrow_mut() = use_route::<Route>();
    {
        let (said, toasts) = (said.setter(), toasts.dispatcher());
        use_effect_with(known.tasks.clone(), move |tasks| {
            let Some(list) = &tasks.data else { return };
            let changes = before.borrow().as_deref().map(|before| changes(before, &list.rows)).unwrap_or_default();
            before.replace(Some(list.rows.clone()));
            if changes.is_empty() {
                return;
            }
            said.set(changes.iter().map(Change::sentence).collect::<Vec<_>>().join(". ").into());
            let here = here.borrow();
            for change in
                changes.into_iter().filter(|change| change.is_worth_a_toast() && !shows(here.as_ref(), change))
            {
                toasts.dispatch(ToastAction::Show(Told::Change(change)));
            }
        });
    }
    let reviews = known.in_phase(wire::Phase::AwaitingReview);
    use_effect_with(reviews, |reviews| {
        if let Some(document) = web_sys::window().and_then(|window| window.document()) {
            document.set_title(&if *reviews > 0 { format!("({reviews}) Berth") } else { "Berth".to_owned() });
        }
    });
    (*said).clone()
}

/// Tells what is new since the page was opened, wherever the person looks.
#[hook]
fn use_news(feed: &UseReducerHandle<Feed>, toasts: &UseReducerHandle<Toasts>) {
    let after_seq = use_state_eq(|| None::<i64>);
    let news = use_call(Some(ListNews { after_seq: *after_seq }), feed.budgets() + feed.tasks());
    let (after_seq, toasts) = (after_seq.setter(), toasts.dispatcher());
    use_effect_with(news, move |news| {
        if let Some(view) = &news.data {
            for news in &view.news {
                toasts.dispatch(ToastAction::Show(Told::News(news.clone())));
            }
            after_seq.set(Some(view.last_seq));
        }
    });
}

/// Whether the screen in sight shows a change by itself.
fn shows(here: Option<&Route>, change: &Change) -> bool {
    match here {
        Some(Route::Home | Route::Tasks) => true,
        Some(route @ (Route::Task { .. } | Route::TaskTab { .. })) => route.task_number() == Some(change.number),
        Some(
            Route::Agents
            | Route::Homes
            | Route::Folder { .. }
            | Route::Images
            | Route::Costs
            | Route::Settings
            | Route::Secrets
            | Route::Projects
            | Route::Notifications
            | Route::Missing,
        )
        | None => false,
    }
}

async fn run_sample(sample: &str) -> Result<i64, CallError> {
    let draft = backend::call(PreviewTask { source: TaskSource::Text { text: sample.to_owned() } }).await?;
    let created = backend::call(CreateTask { task: crate::screens::new_task::draft::task_of(draft) }).await?;
    Ok(created.number)
}
