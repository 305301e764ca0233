//! What is on the screen, and keys that come from the keyboard: as the X server knows them.

use std::{collections::HashMap, time::Duration};

use berth_tests::desk::Desk;
use tokio::time::{Instant, MissedTickBehavior, interval};
use x11rb::{
    connection::Connection as _,
    protocol::{
        xproto::{ConnectionExt as _, ImageFormat, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, Keycode, Window},
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
};

/// How often the screen is looked at. Looking without a pause would take a core away from what is measured.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How many looks have to show the same for the screen to be at rest.
const LOOKS_AT_REST: u32 = 30;
/// Longest wait for anything to appear, on a machine that does other things.
const SEEN_TIME_MAX: Duration = Duration::from_mins(5);
/// The keysym of the left control key (`keysymdef.h`).
const CONTROL: u32 = 0xffe3;
/// Bytes of a pixel at a depth of 24.
const PIXEL_BYTES: usize = 4;
/// More than one pixel in so many has to differ from the plain ground for there to be something on it.
const PLAIN_PART: usize = 200;

/// A part of the screen, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) left: i16,
    pub(super) top: i16,
    pub(super) width: u16,
    pub(super) height: u16,
}

/// A client of the desk's X server.
pub(super) struct Eye {
    connection: RustConnection,
    root: Window,
    keys: HashMap<u32, Keycode>,
}

impl Eye {
    /// Opens it.
    pub(super) fn at(desk: &Desk) -> Self {
        let environment = desk.environment();
        let display = environment.iter().find(|(name, _)| *name == "DISPLAY").map(|(_, value)| value.as_str());
        let (connection, screen) = RustConnection::connect(display).expect("the desk has a display");
        let setup = connection.setup();
        let root = setup.roots[screen].root;
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let mapping = connection.get_keyboard_mapping(first, last - first + 1).unwrap().reply().unwrap();
        let rows = mapping.keysyms.chunks(usize::from(mapping.keysyms_per_keycode));
        let keys = (first..=last).zip(rows).filter_map(|(code, symbols)| Some((*symbols.first()?, code))).collect();
        Self { connection, root, keys }
    }

    /// The pixels of an area now.
    pub(super) fn picture(&self, area: Area) -> Vec<u8> {
        let Area { left, top, width, height } = area;
        let image = self.connection.get_image(ImageFormat::Z_PIXMAP, self.root, left, top, width, height, !0);
        image.unwrap().reply().expect("the area is on the screen").data
    }

    /// Presses and lets go of the key of a small letter.
    pub(super) fn press(&self, letter: char) {
        self.strike(&[u32::from(letter)]);
    }

    /// The same with the control key held.
    pub(super) fn press_with_control(&self, letter: char) {
        self.strike(&[CONTROL, u32::from(letter)]);
    }

    fn strike(&self, symbols: &[u32]) {
        let presses = symbols.iter().map(|symbol| (KEY_PRESS_EVENT, symbol));
        let releases = symbols.iter().rev().map(|symbol| (KEY_RELEASE_EVENT, symbol));
        for (kind, symbol) in presses.chain(releases) {
            self.connection.xtest_fake_input(kind, self.keys[symbol], 0, self.root, 0, 0, 0).unwrap();
        }
        self.connection.flush().unwrap();
    }

    /// Looks until the area is as wanted; when that was.
    pub(super) async fn until(&self, what: &str, area: Area, mut is_so: impl FnMut(&[u8]) -> bool) -> Instant {
        let begun = Instant::now();
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if is_so(&self.picture(area)) {
                return Instant::now();
            }
            assert!(begun.elapsed() < SEEN_TIME_MAX, "waited {SEEN_TIME_MAX:?} to see {what}");
            looks.tick().await;
        }
    }

    /// What the area shows once it does not change any more.
    pub(super) async fn at_rest(&self, area: Area) -> Vec<u8> {
        let (mut shown, mut looks) = (Vec::new(), 0);
        self.until("the screen at rest", area, |picture| {
            if picture == shown {
                looks += 1;
            } else {
                (shown, looks) = (picture.to_vec(), 0);
            }
            looks >= LOOKS_AT_REST
        })
        .await;
        shown
    }
}

/// Whether a picture is more than a plain ground.
pub(super) fn has_content(picture: &[u8]) -> bool {
    let mut colours: HashMap<&[u8], usize> = HashMap::new();
    for pixel in picture.chunks_exact(PIXEL_BYTES) {
        *colours.entry(&pixel[..3]).or_default() += 1;
    }
    let ground = colours.values().copied().max().unwrap_or_default();
    let pixels = picture.len() / PIXEL_BYTES;
    (pixels - ground) * PLAIN_PART > pixels
}
