//! Looks at everything that a Berth needs and says how it stands. Changes nothing; what lies around, [`upkeep`] finds.
//!
//! [`upkeep`]: crate::upkeep

use std::sync::Arc;

use wire::image::{ImageState, ImageView};
use wire::secret::VaultPlace;
use wire::upkeep::{Finding, OtherInstall, Remedy};
use wire::view::{CheckView, DoctorReport, EngineView, Verdict};

use crate::access::secrets;
use crate::house::House;
use crate::runner::exit::bytes;
use crate::{disk, faults, gallery, guest_volume, upkeep};

/// Below this much free space a person should know.
const FREE_BYTES_LOW: u64 = 5 << 30;

/// Makes every check.
pub(crate) async fn look(house: &Arc<House>) -> DoctorReport {
    house.link.looked_for().await;
    let mut checks = vec![data_folder(house), guest(house), engine(house), keyring(house).await];
    if let Ok(up) = house.link.up() {
        checks.push(engine_disk(house, &up));
        if up.facts.is_rootless {
            checks.push(check(
                "Rootless engine",
                Verdict::Bad,
                "This engine runs as an ordinary user, and shows shifted owners in workspaces.",
                "Use an engine that runs as root: this version of Berth cannot use rootless ones.",
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
    }
    let upkeep::Report { findings, others, errors } = upkeep::look(house).await;
    checks.push(leftover_check(&findings));
    checks.extend(errors.iter().map(|error| check("Leftovers", Verdict::Warning, &error.message, &error.hint)));
    checks.extend(others_check(&others));
    match gallery::list(house).await {
        Ok(images) => checks
            .extend(images.iter().filter(|image| is_of_use(image)).map(|image| image_check(&image.name, &image.state))),
        Err(error) => checks.push(check("Images", Verdict::Warning, &error.message, &error.hint)),
    }
    for notice in house.notices() {
        checks.push(check("Notice", Verdict::Warning, &notice, ""));
    }
    DoctorReport { checks, findings, others }
}

/// One that nobody needs is no reason to do anything.
fn is_of_use(image: &ImageView) -> bool {
    image.agents > 0 || !matches!(image.state, ImageState::NotBuilt | ImageState::Unknown)
}

fn check(name: &str, verdict: Verdict, message: &str, hint: &str) -> CheckView {
    CheckView { name: name.to_owned(), verdict, message: message.to_owned(), hint: hint.to_owned() }
}

fn data_folder(house: &House) -> CheckView {
    let folder = &house.config.data_folder;
    disk_check("Data folder", folder, house.disks.room().data.is_some(), house.disks.free_bytes_min())
}

fn engine_disk(house: &House, up: &crate::engine_link::Up) -> CheckView {
    const NAME: &str = "Engine's disk";
    match disk::engine_folder(&up.facts) {
        Some(folder) => {
            let is_short = house.disks.room().engine.is_some();
            disk_check(NAME, &folder, is_short, house.disks.free_bytes_min())
        }
        None => check(
            NAME,
            Verdict::Good,
            "The engine keeps what it has on another machine, so its disk is not watched.",
            "",
        ),
    }
}

/// How a disk stands; `is_short` where steps are held for it.
fn disk_check(name: &str, folder: &camino::Utf8Path, is_short: bool, floor: u64) -> CheckView {
    let Some(free) = disk::free(folder) else { return check(name, Verdict::Good, &format!("`{folder}`"), "") };
    let message = match floor {
        0 => format!("`{folder}`, {} free", bytes(free.bytes)),
        floor => format!("`{folder}`, {} free, at least {} are kept free", bytes(free.bytes), bytes(floor)),
    };
    if is_short {
        check(name, Verdict::Bad, &message, &disk::hint(floor))
    } else if free.bytes < FREE_BYTES_LOW {
        check(name, Verdict::Warning, &message, "Free some space: a full disk holds every step.")
    } else {
        check(name, Verdict::Good, &message, "")
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

/// Where secrets are kept. Does not unlock anything; what a locked keyring refused is among the notices.
async fn keyring(house: &House) -> CheckView {
    match secrets::place(house).await {
        VaultPlace::Keyring => check("Keyring", Verdict::Good, "Secrets are kept in this system's keyring.", ""),
        VaultPlace::Session { reason, hint } => check("Keyring", Verdict::Warning, &reason, &hint),
    }
}

fn image_check(name: &str, state: &ImageState) -> CheckView {
    let title = format!("Image {name}");
    let build = format!("`berth images build {name}` builds it; the first task that needs it does so too.");
    match state {
        ImageState::Unknown => check(&title, Verdict::Warning, "Not known while the engine does not answer.", ""),
        ImageState::NotBuilt => check(&title, Verdict::Warning, "Not built yet.", &build),
        ImageState::Outdated { .. } => check(&title, Verdict::Warning, "Built from other files than these.", &build),
        ImageState::Building { number, of, .. } => {
            check(&title, Verdict::Good, &format!("Being built, step {number} of {of}."), "")
        }
        ImageState::Ready { size_bytes, .. } => {
            check(&title, Verdict::Good, &format!("Ready, {}.", bytes(*size_bytes)), "")
        }
        ImageState::Failed { error } => check(&title, Verdict::Bad, &error.message, &error.hint),
    }
}

fn leftover_check(findings: &[Finding]) -> CheckView {
    let Some(first) = findings.first() else {
        return check(
            "Leftovers",
            Verdict::Good,
            "Everything that is there has an owner, and is as it is written down.",
            "",
        );
    };
    let mendable = findings.iter().filter(|finding| finding.remedy != Remedy::Leave).count();
    let message = match findings.len() {
        1 => format!("1 thing: the {} {}.", first.thing.word(), first.name),
        count => format!("{count} things, {mendable} of which can be brought in order."),
    };
    check("Leftovers", Verdict::Warning, &message, "`berth doctor --mend` lists what it would do, and asks.")
}

/// What belongs to others is nothing to worry about, but explains what one sees in the engine.
fn others_check(others: &[OtherInstall]) -> Option<CheckView> {
    let sum = |of: fn(&OtherInstall) -> u64| others.iter().map(of).sum::<u64>();
    let message = format!(
        "{} on this engine with {} containers ({} running), {} volumes, {} networks and {} images. They are never touched.",
        if others.len() == 1 { "Another Berth is".to_owned() } else { format!("{} other Berths are", others.len()) },
        sum(|other| other.containers),
        sum(|other| other.running),
        sum(|other| other.volumes),
        sum(|other| other.networks),
        sum(|other| other.images),
    );
    let hint = "Each has a data folder of its own: its own `berth doctor` looks after them. A `berth bench` that was killed \
                leaves such things too, and no data folder: `docker ps -a --filter label=berth.install=ID` shows them.";
    (!others.is_empty()).then(|| check("Other Berths", Verdict::Good, &message, hint))
}
