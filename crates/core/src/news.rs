//! What a person should hear of wherever they are: that a budget is nearly spent, or spent, and that a task is held for it.

use std::collections::BTreeSet;

use wire::{
    ErrorView, EventKind, EventView, Hold,
    call::{ListNews, SetNews},
    news::{News, NewsKind, NewsSettings, NewsView},
    stream::Update,
};

use crate::house::House;
use crate::{escape, faults};

/// Most that is told at once.
const NEWS_MAX: u32 = 20;
/// The setting that has what the desktop is silent about.
const SILENT: &str = "news.silent";

/// What is new since an event; nothing but where to ask from, where none is named.
pub(crate) async fn list(house: &House, call: &ListNews) -> Result<NewsView, ErrorView> {
    let failed = |error| faults::of_storage("read what happened", &error);
    let (last_seq, events) = house.store.news(call.after_seq, NEWS_MAX).await.map_err(failed)?;
    // Mostly there is nothing, and this is asked for often.
    let silent = if events.is_empty() { BTreeSet::new() } else { silent(house).await? };
    let mut news = Vec::new();
    for event in events {
        let about = match event.task {
            Some(task) => {
                let record = house.store.task(task).await.map_err(failed)?;
                format!("#{} {}", record.number, record.title)
            }
            None => "A task".to_owned(),
        };
        news.extend(told(&event, &about).map(|news| News { is_silent: silent.contains(&news.kind), ..news }));
    }
    Ok(NewsView { last_seq, news })
}

/// Of what a person is told by their desktop.
pub(crate) async fn settings(house: &House) -> Result<NewsSettings, ErrorView> {
    Ok(NewsSettings { silent: silent(house).await?.into_iter().collect() })
}

/// Lets the desktop tell of something, or no longer.
pub(crate) async fn set(house: &House, call: &SetNews) -> Result<NewsSettings, ErrorView> {
    let _turn = house.news_turn.lock().await;
    let mut kinds = silent(house).await?;
    for kind in &call.kinds {
        if call.is_silent {
            kinds.insert(*kind);
        } else {
            kinds.remove(kind);
        }
    }
    let set = house.store.set_setting(SILENT, &kinds).await;
    set.map_err(|error| faults::of_storage("write down of what you are told", &error))?;
    house.tell(Update::Status);
    settings(house).await
}

async fn silent(house: &House) -> Result<BTreeSet<NewsKind>, ErrorView> {
    let silent = house.store.setting(SILENT).await;
    Ok(silent.map_err(|error| faults::of_storage("read of what you are told", &error))?.unwrap_or_default())
}

/// An event as it is told; `None` for one that nobody needs to hear of.
#[expect(clippy::wildcard_enum_match_arm, reason = "of all that happens little is news")]
fn told(event: &EventView, about: &str) -> Option<News> {
    let about = plain(about);
    let (kind, body) = match &event.kind {
        EventKind::BudgetUsed { percent: 100.., .. } => {
            (NewsKind::BudgetSpent, format!("{}. {about} spent the last of it.", plain(&event.text)))
        }
        EventKind::BudgetUsed { .. } => {
            (NewsKind::BudgetNearlySpent, format!("{}. {about} is at work.", plain(&event.text)))
        }
        EventKind::Held { hold: Hold::Budget } => (
            NewsKind::HeldForBudget,
            format!(
                "{about} rests: its next request has no room in a budget. Raise it, and the task goes on by itself."
            ),
        ),
        _ => return None,
    };
    Some(News { seq: event.seq, kind, is_silent: false, task: event.task, title: kind.word().to_owned(), body })
}

/// Text that nobody who shows notifications takes for markup (Desktop Notifications 1.2, "Markup"), or for more than a line.
fn plain(text: &str) -> String {
    let shown = escape::visible(text.as_bytes());
    shown.replace('<', "‹").replace('>', "›").replace('&', "＆")
}

#[cfg(test)]
mod tests {
    use wire::MicroUsd;

    use super::*;

    fn event(kind: EventKind) -> EventView {
        let text = kind.sentence();
        EventView { seq: 7, at: jiff::Timestamp::UNIX_EPOCH, task: None, run: None, step: None, kind, text }
    }

    #[test]
    fn thresholds_and_holds_of_budgets_are_told_and_nothing_else_is() {
        let used = |percent| EventKind::BudgetUsed {
            budget: "budget of each run".to_owned(),
            percent,
            limit: MicroUsd(5_000_000),
        };
        let title = |kind| told(&event(kind), "#3 Tidy up").map(|news| news.title);
        assert_eq!(title(used(80)).as_deref(), Some("A budget is nearly spent"));
        assert_eq!(title(used(100)).as_deref(), Some("A budget is spent"));
        assert_eq!(title(EventKind::Held { hold: Hold::Budget }).as_deref(), Some("A task is held for its budget"));
        assert_eq!(title(EventKind::Held { hold: Hold::Engine }), None);
        assert_eq!(title(EventKind::Note { text: "anything".to_owned() }), None);
        let news = told(&event(used(80)), "#3 Tidy up").unwrap();
        assert_eq!(news.body, "The budget of each run is used up to 80 % of $5.00. #3 Tidy up is at work.");
    }

    #[test]
    fn a_title_is_no_markup_and_no_more_than_a_line() {
        let news = told(&event(EventKind::Held { hold: Hold::Budget }), "<a href='x'>&\n\u{202E}").unwrap();
        for bad in ['<', '>', '&', '\n', '\u{202E}'] {
            assert!(!news.body.contains(bad), "{bad:?} in {}", news.body);
        }
    }
}
