//! What a person should hear of wherever they are: that a budget is nearly spent, or spent, and that a task is held for it.

use wire::{
    ErrorView, EventKind, EventView, Hold,
    call::ListNews,
    news::{News, NewsView},
};

use crate::house::House;
use crate::{escape, faults};

/// Most that is told at once.
const NEWS_MAX: u32 = 20;

/// What is new since an event; nothing but where to ask from, where none is named.
pub(crate) async fn list(house: &House, call: &ListNews) -> Result<NewsView, ErrorView> {
    let failed = |error| faults::of_storage("read what happened", &error);
    let (last_seq, events) = house.store.news(call.after_seq, NEWS_MAX).await.map_err(failed)?;
    let mut news = Vec::new();
    for event in events {
        let about = match event.task {
            Some(task) => {
                let record = house.store.task(task).await.map_err(failed)?;
                format!("#{} {}", record.number, record.title)
            }
            None => "A task".to_owned(),
        };
        news.extend(told(&event, &about));
    }
    Ok(NewsView { last_seq, news })
}

/// An event as it is told; `None` for one that nobody needs to hear of.
#[expect(clippy::wildcard_enum_match_arm, reason = "of all that happens little is news")]
fn told(event: &EventView, about: &str) -> Option<News> {
    let about = plain(about);
    let (title, body) = match &event.kind {
        EventKind::BudgetUsed { percent: 100.., .. } => {
            ("A budget is spent", format!("{}. {about} spent the last of it.", plain(&event.text)))
        }
        EventKind::BudgetUsed { .. } => {
            ("A budget is nearly spent", format!("{}. {about} is at work.", plain(&event.text)))
        }
        EventKind::Held { hold: Hold::Budget } => (
            "A task is held for its budget",
            format!(
                "{about} rests: its next request has no room in a budget. Raise it, and the task goes on by itself."
            ),
        ),
        _ => return None,
    };
    Some(News { seq: event.seq, task: event.task, title: title.to_owned(), body })
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
