//! Looks at everything that a Berth needs and says how it stands. Changes nothing.

use std::sync::Arc;

use wire::view::{CheckView, DoctorReport, EngineView, ImageState, Verdict};

use crate::house::House;
use crate::runner::exit::bytes;
use crate::runner::reconcile::{Leftovers, leftovers};
use crate::{faults, gallery, guest_volume};

/// Below this much free space a person should know.
const FREE_BYTES_LOW: u64 = 5 << 30;

/// Makes every check.
pub(crate) async fn look(house: &Arc<House>) -> DoctorReport {
    house.link.looked_for().await;
    let mut checks = vec![data_folder(house), guest(house), engine(house)];
    if let Ok(up) = house.link.up() {
        if up.facts.is_rootless {
            checks.push(check(
                "Rootless engine",
                Verdict::Bad,
                "This engine runs as an ordinary user, and shows shifted owners in workspaces.",
                "Use an engine that runs as root for now; rootless ones come with a later version of Berth.",
            ));
        }
        if !up.facts.security_options.iter().any(|option| option.contains("seccomp")) {
            checks.push(check(
                "System call filter",
                Verdict::Warning,
                "The engine applies no default seccomp profile.",
                "Enable seccomp in the engine: sandboxes are safer with it.",
            ));
        }
        if !up.facts.is_live_restore {
            checks.push(check(
                "Restart of the engine",
                Verdict::Good,
                "The engine ends sandboxes when it restarts; what they printed is kept, the steps have to be retried.",
                "With `\"live-restore\": true` in the engine's daemon.json they work on.",
            ));
        }
        checks.push(leftover_check(house, &up).await);
    }
    for image in gallery::list(house).await {
        checks.push(image_check(&image.name, &image.state));
    }
    for notice in house.notices() {
        checks.push(check("Notice", Verdict::Warning, &notice, ""));
    }
    DoctorReport { checks }
}

fn check(name: &str, verdict: Verdict, message: &str, hint: &str) -> CheckView {
    CheckView { name: name.to_owned(), verdict, message: message.to_owned(), hint: hint.to_owned() }
}

fn data_folder(house: &House) -> CheckView {
    let folder = &house.config.data_folder;
    let Some(free) = free_bytes(folder) else {
        return check("Data folder", Verdict::Good, &format!("`{folder}`"), "");
    };
    let message = format!("`{folder}`, {} free", bytes(free));
    if free < FREE_BYTES_LOW {
        check("Data folder", Verdict::Warning, &message, "Free some space: a full disk holds every step that prints.")
    } else {
        check("Data folder", Verdict::Good, &message, "")
    }
}

/// Free space for this user, in bytes; `None` where the system does not say.
fn free_bytes(folder: &camino::Utf8Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(folder.as_std_path()).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

fn guest(house: &House) -> CheckView {
    let architecture = house.link.up().map_or(std::env::consts::ARCH.to_owned(), |up| up.facts.architecture.clone());
    match house.guest_binary(&architecture) {
        Ok(_) => {
            let path = guest_volume::locate(house.config.guest_binary.as_deref(), &architecture);
            check("Guest", Verdict::Good, &path.map_or_else(|_| String::new(), |path| format!("`{path}`")), "")
        }
        Err(error) => check(
            "Guest",
            Verdict::Bad,
            &faults::chain(&error).replace('\n', ": "),
            "Install Berth again; in a checkout, run `./dev guest`.",
        ),
    }
}

fn engine(house: &House) -> CheckView {
    match house.link.view() {
        EngineView::Unknown => {
            check("Engine", Verdict::Warning, "The engine was not asked yet.", "Ask again in a moment.")
        }
        EngineView::Up { product, version, api_version, found } => {
            check("Engine", Verdict::Good, &format!("{product} {version}, API {api_version}, {found}"), "")
        }
        EngineView::Down { error, .. } => {
            let message = format!("{} {}", error.message, error.detail.replace('\n', ": "));
            check("Engine", Verdict::Bad, message.trim_end(), &error.hint)
        }
    }
}

fn image_check(name: &str, state: &ImageState) -> CheckView {
    let title = format!("Image {name}");
    let build = format!("`berth images build {name}` builds it; the first task that needs it does so too.");
    match state {
        ImageState::Unknown => check(&title, Verdict::Warning, "Not known while the engine does not answer.", ""),
        ImageState::NotBuilt => check(&title, Verdict::Warning, "Not built yet.", &build),
        ImageState::Outdated => check(&title, Verdict::Warning, "Built from other files than these.", &build),
        ImageState::Building { number, of, .. } => {
            check(&title, Verdict::Good, &format!("Being built, step {number} of {of}."), "")
        }
        ImageState::Ready { size_bytes } => {
            check(&title, Verdict::Good, &format!("Ready, {}.", bytes(*size_bytes)), "")
        }
        ImageState::Failed { error } => check(&title, Verdict::Bad, &error.message, &error.hint),
    }
}

async fn leftover_check(house: &House, up: &crate::engine_link::Up) -> CheckView {
    match leftovers(house, up).await {
        Ok(Leftovers { sandboxes, spools }) if sandboxes.is_empty() && spools.is_empty() => {
            check("Leftovers", Verdict::Good, "Every container and volume of this Berth has an owner.", "")
        }
        Ok(Leftovers { sandboxes, spools }) => check(
            "Leftovers",
            Verdict::Warning,
            &format!("{} sandboxes and {} volumes of this Berth belong to no step.", sandboxes.len(), spools.len()),
            "Berth takes them away within a minute.",
        ),
        Err(error) => check("Leftovers", Verdict::Warning, &faults::of_engine(&error).message, ""),
    }
}
