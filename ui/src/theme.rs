//! Light, dark, or as the system has it; kept in this browser.

use crate::icon::Glyph;

const KEY: &str = "berth.theme";

/// A choice of theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// As the system has it.
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// The one that the switch goes to next.
    pub const fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }

    /// What a person reads.
    pub const fn label(self) -> &'static str {
        match self {
            Self::System => "Theme: as the system",
            Self::Light => "Theme: light",
            Self::Dark => "Theme: dark",
        }
    }

    /// Its icon.
    pub const fn glyph(self) -> Glyph {
        match self {
            Self::System => Glyph::Monitor,
            Self::Light => Glyph::Sun,
            Self::Dark => Glyph::Moon,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    fn of_name(name: &str) -> Self {
        [Self::Light, Self::Dark].into_iter().find(|theme| theme.name() == name).unwrap_or(Self::System)
    }

    /// The choice that was kept; the system's where none was or storage is forbidden.
    pub fn kept() -> Self {
        let name = storage().and_then(|storage| storage.get_item(KEY).ok().flatten());
        name.map_or(Self::System, |name| Self::of_name(&name))
    }

    /// Shows the page in it, and keeps the choice where storage is allowed.
    pub fn choose(self) {
        let root =
            web_sys::window().and_then(|window| window.document()).and_then(|document| document.document_element());
        if let Some(root) = root {
            let _ = match self {
                Self::System => root.remove_attribute("data-theme"),
                Self::Light | Self::Dark => root.set_attribute("data-theme", self.name()),
            };
        }
        if let Some(storage) = storage() {
            let _ = storage.set_item(KEY, self.name());
        }
    }
}

fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_reaches_every_theme_and_comes_back() {
        let round = [Theme::System, Theme::System.next(), Theme::System.next().next()];
        assert_eq!(round, [Theme::System, Theme::Light, Theme::Dark]);
        assert_eq!(Theme::Dark.next(), Theme::System);
    }

    #[test]
    fn a_kept_name_that_means_nothing_is_the_systems_theme() {
        assert_eq!(Theme::of_name("dark"), Theme::Dark);
        assert_eq!(Theme::of_name("sepia"), Theme::System);
    }
}
