//! The frame around every screen: sidebar, status bar, banners.

pub mod banners;
pub mod sidebar;
pub mod statusbar;
