//! The addresses of the screens. The server and the window both answer an unknown path with the same page, so these are plain paths.

use yew_router::prelude::*;

/// Where the person is.
#[derive(Clone, Debug, PartialEq, Eq, Routable)]
pub enum Route {
    #[at("/")]
    Home,
    #[at("/tasks")]
    Tasks,
    #[at("/tasks/:number")]
    Task { number: String },
    #[at("/tasks/:number/:tab")]
    TaskTab { number: String, tab: TaskTab },
    #[at("/agents")]
    Agents,
    #[at("/homes")]
    Homes,
    #[at("/homes/:home")]
    Folder { home: String },
    #[at("/images")]
    Images,
    #[at("/costs")]
    Costs,
    #[at("/settings")]
    Settings,
    #[at("/settings/secrets")]
    Secrets,
    #[at("/settings/projects")]
    Projects,
    #[at("/settings/notifications")]
    Notifications,
    #[not_found]
    #[at("/404")]
    Missing,
}

impl Route {
    /// The page of a task, on the tab that its phase calls for.
    pub fn task(number: i64) -> Self {
        Self::Task { number: number.to_string() }
    }

    /// The key that begins a new task there: where N makes what the screen is about, it has a Shift more.
    pub const fn new_task_key(here: Option<&Self>) -> &'static str {
        match here {
            Some(Self::Agents | Self::Images) => "⇧N",
            Some(
                Self::Home
                | Self::Tasks
                | Self::Task { .. }
                | Self::TaskTab { .. }
                | Self::Homes
                | Self::Folder { .. }
                | Self::Costs
                | Self::Settings
                | Self::Secrets
                | Self::Projects
                | Self::Notifications
                | Self::Missing,
            )
            | None => "N",
        }
    }

    /// The page of a task on one tab.
    pub fn task_tab(number: i64, tab: TaskTab) -> Self {
        Self::TaskTab { number: number.to_string(), tab }
    }

    /// The number of the task whose page this is.
    pub fn task_number(&self) -> Option<i64> {
        match self {
            Self::Task { number } | Self::TaskTab { number, .. } => number.parse().ok(),
            Self::Home
            | Self::Tasks
            | Self::Agents
            | Self::Homes
            | Self::Folder { .. }
            | Self::Images
            | Self::Costs
            | Self::Settings
            | Self::Secrets
            | Self::Projects
            | Self::Notifications
            | Self::Missing => None,
        }
    }
}

/// The tabs of a task's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskTab {
    /// What was asked for and how it stands.
    Overview,
    /// What the agent writes.
    Terminal,
    /// What it left.
    Results,
    /// What it asked the gateway for.
    Network,
    /// What happened.
    Log,
}

impl TaskTab {
    /// Every tab, in the order of its keys 1 to 5.
    pub const ALL: [Self; 5] = [Self::Overview, Self::Terminal, Self::Results, Self::Network, Self::Log];

    /// What a person reads.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Terminal => "Terminal",
            Self::Results => "Results",
            Self::Network => "Network",
            Self::Log => "Log",
        }
    }

    /// The name in the address and for tests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Terminal => "terminal",
            Self::Results => "results",
            Self::Network => "network",
            Self::Log => "log",
        }
    }

    /// The tab of a number key.
    pub fn of_key(key: &str) -> Option<Self> {
        let number: usize = key.parse().ok()?;
        Self::ALL.get(number.checked_sub(1)?).copied()
    }
}

impl std::fmt::Display for TaskTab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// An address that names no tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchTab;

impl std::str::FromStr for TaskTab {
    type Err = NoSuchTab;

    fn from_str(name: &str) -> Result<Self, NoSuchTab> {
        Self::ALL.into_iter().find(|tab| tab.name() == name).ok_or(NoSuchTab)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_leads_back_to_its_screen() {
        let folder = Route::Folder { home: "berth-home-1".to_owned() };
        let mut routes = vec![Route::Tasks, Route::Agents, Route::Homes, folder, Route::Images, Route::task(12)];
        routes.extend([Route::Costs, Route::Settings, Route::Secrets, Route::Projects, Route::Notifications]);
        routes.extend(TaskTab::ALL.map(|tab| Route::task_tab(12, tab)));
        for route in routes {
            assert_eq!(Route::recognize(&route.to_path()), Some(route));
        }
    }

    #[test]
    fn an_unknown_address_is_said_to_be_one() {
        for path in ["/settings/keys", "/tasks/12/desktop", "/tasks/12/results/3"] {
            assert_eq!(Route::recognize(path), Some(Route::Missing), "{path}");
        }
    }

    #[test]
    fn the_keys_one_to_five_are_the_tabs() {
        assert_eq!(["1", "2", "3", "4", "5"].map(TaskTab::of_key), TaskTab::ALL.map(Some));
        assert_eq!(["0", "6", "x", ""].map(TaskTab::of_key), [None; 4]);
    }
}
