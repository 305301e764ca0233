//! What lies in the data folder without a row, and rows whose files are not as they say.
//!
//! The app's lock is no finding: the system lets go of it with the process that holds it, however that ends.

use std::sync::Arc;

use camino::Utf8Path;
use store::{KeptStep, Owners};
use wire::{
    ErrorView,
    ids::{StepId, TaskId},
    upkeep::{Finding, Outcome, Remedy, Thing},
};

use crate::blocking::blocking;
use crate::dispatch::of_store;
use crate::escape::visible;
use crate::faults;
use crate::house::House;
use crate::output::Outputs;
use crate::retention::sweep::{TRASH_PREFIX, bytes_below, list, remove_tree};

/// What is younger may be on its way to its row.
const ORPHAN_AGE_S_MIN: i64 = 600;
/// Steps whose files are compared with their rows: the latest ones.
const STEPS_COMPARED_MAX: u32 = 10_000;
/// What a server writes when it begins to serve, and takes away when it ends in order.
const ANNOUNCEMENT: &str = "server.json";
/// The longest announcement that is read.
const ANNOUNCEMENT_BYTES_MAX: u64 = 16 << 10;

/// The folders of the data folder in which each entry belongs to a row.
const PLACES: [&str; 4] = ["workspaces", "outputs", "baselines", "attachments"];

/// Looks, and changes nothing.
pub(super) async fn look(house: &Arc<House>) -> Result<Vec<Finding>, ErrorView> {
    // The folders first: what is made afterwards has its row by then.
    let data_folder = house.config.data_folder.clone();
    let listed = blocking(move || {
        PLACES.iter().map(|place| Ok((*place, list(&data_folder, place)?))).collect::<std::io::Result<Vec<_>>>()
    });
    let listed = listed.await.map_err(|error| faults::of_storage("look through its data folder", &error))?;
    let owners = house.store.owners().await.map_err(|error| of_store(&error))?;
    let half_taken = !house.store.half_taken().await.map_err(|error| of_store(&error))?.is_empty();
    let now_s = house.time.now().as_second();

    let mut findings = Vec::new();
    for (place, entries) in listed {
        for (name, changed_s) in entries {
            let is_trash = name.starts_with(TRASH_PREFIX);
            let is_young = now_s.saturating_sub(changed_s) < ORPHAN_AGE_S_MIN;
            let finding = match owner(&owners, place, &name) {
                Owned::Yes => continue,
                Owned::No if is_young || (is_trash && half_taken) => continue,
                Owned::No => orphan(&house.config.data_folder, place, &name, is_trash).await,
                Owned::NotOurs => stranger(place, &name),
            };
            findings.push(finding);
        }
    }
    findings.extend(announcement(&house.config.data_folder).await);
    let mut kept = house.store.kept_steps(STEPS_COMPARED_MAX).await.map_err(|error| of_store(&error))?;
    // An actor that is there may still be about to write.
    kept.retain(|kept| house.step(kept.step).is_none());
    let (data_folder, outputs) = (house.config.data_folder.clone(), house.outputs.clone());
    let compared =
        blocking(move || Ok(kept.iter().flat_map(|kept| compared(&data_folder, &outputs, kept)).collect::<Vec<_>>()));
    findings.extend(compared.await.map_err(|error| faults::of_storage("look through its data folder", &error))?);
    Ok(findings)
}

enum Owned {
    Yes,
    No,
    /// It has no name that Berth gives.
    NotOurs,
}

fn owner(owners: &Owners, place: &str, name: &str) -> Owned {
    let name = name.strip_prefix(TRASH_PREFIX).unwrap_or(name);
    let said = |is_owned: Option<bool>| match is_owned {
        Some(true) => Owned::Yes,
        Some(false) => Owned::No,
        None => Owned::NotOurs,
    };
    let step = |name: &str| name.parse::<StepId>().ok().map(|step| owners.steps.contains(&step));
    match place {
        "workspaces" => {
            let is_id = name.parse::<wire::ids::SandboxId>().is_ok();
            said((is_id || owners.folders.contains(name)).then(|| owners.folders.contains(name)))
        }
        "outputs" => said(step(name)),
        "baselines" => said(name.strip_suffix(".json").and_then(step)),
        "attachments" => said(name.parse::<TaskId>().ok().map(|task| owners.tasks.contains(&task))),
        _ => Owned::NotOurs,
    }
}

async fn orphan(data_folder: &Utf8Path, place: &str, name: &str, is_trash: bool) -> Finding {
    let folder = data_folder.join(place).join(name);
    let measured = blocking(move || {
        let metadata = std::fs::symlink_metadata(&folder)?;
        Ok(if metadata.is_dir() { bytes_below(&folder) } else { metadata.len() })
    });
    let why = if is_trash {
        "What is left of a folder that was being deleted when the app ended."
    } else {
        match place {
            "workspaces" => {
                "The workspace of a sandbox that no task knows: the database may be an older copy than the folder."
            }
            "outputs" => "What a step printed that no task knows: the database may be an older copy than the folder.",
            "attachments" => {
                "Files that were copied for a task that did not come about, because the app ended meanwhile."
            }
            _ => "What a workspace looked like before a step that no task knows.",
        }
    };
    Finding {
        key: format!("folder:{place}/{name}"),
        thing: Thing::Folder,
        name: visible(format!("{place}/{name}").as_bytes()),
        why: why.to_owned(),
        remedy: Remedy::Remove,
        then: "It is deleted. Look into it first if anything of yours may be in it.".to_owned(),
        size_bytes: measured.await.ok(),
        run: None,
    }
}

fn stranger(place: &str, name: &str) -> Finding {
    Finding {
        key: format!("folder:{place}/{}", visible(name.as_bytes())),
        thing: Thing::File,
        name: visible(format!("{place}/{name}").as_bytes()),
        why: "It has no name that Berth gives: somebody else put it there.".to_owned(),
        remedy: Remedy::Leave,
        then: "It stays. Move it elsewhere.".to_owned(),
        size_bytes: None,
        run: None,
    }
}

/// A server's announcement whose process is gone. Nothing goes wrong by it: whoever reads it looks for the process.
async fn announcement(data_folder: &Utf8Path) -> Option<Finding> {
    #[derive(serde::Deserialize)]
    struct Announced {
        pid: i32,
    }
    let path = data_folder.join(ANNOUNCEMENT);
    let read = blocking(move || {
        use std::io::Read as _;
        let mut text = String::new();
        std::fs::File::open(&path)?.take(ANNOUNCEMENT_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    });
    let Announced { pid } = serde_json::from_str(&read.await.ok()?).ok()?;
    let pid = rustix::process::Pid::from_raw(pid)?;
    let is_gone = rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
    is_gone.then(|| Finding {
        key: format!("file:{ANNOUNCEMENT}"),
        thing: Thing::File,
        name: ANNOUNCEMENT.to_owned(),
        why: "A `berth serve` that was killed left its address behind. Nothing answers there.".to_owned(),
        remedy: Remedy::Remove,
        then: "It is deleted. The next `berth serve` writes its own.".to_owned(),
        size_bytes: None,
        run: None,
    })
}

/// What is written down of a step that is over, beside what there is.
fn compared(data_folder: &Utf8Path, outputs: &Outputs, kept: &KeptStep) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(folder) = &kept.folder {
        let path = data_folder.join("workspaces").join(folder);
        let missing = std::fs::symlink_metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        if missing {
            findings.push(Finding {
                key: format!("missing:{}", kept.step),
                thing: Thing::Folder,
                name: format!("#{}: workspaces/{folder}", kept.number),
                why: "The workspace of this task was removed from outside: its results cannot be read any more."
                    .to_owned(),
                remedy: Remedy::Leave,
                then: "Nothing can be done about it here. Retry the task, or put the folder back.".to_owned(),
                size_bytes: None,
                run: None,
            });
        }
    }
    let found = outputs.length_now(kept.step, kept.attempt);
    if found != kept.output_bytes {
        let why = if found < kept.output_bytes {
            format!(
                "{} bytes of output were noted and {found} are there: the rest was lost from the disk.",
                kept.output_bytes
            )
        } else {
            format!("{found} bytes of output are there and {} were noted: the app ended in between.", kept.output_bytes)
        };
        findings.push(Finding {
            key: format!("output:{}", kept.step),
            thing: Thing::Output,
            name: format!("#{}: outputs/{}/{}.log", kept.number, kept.step, kept.attempt),
            why,
            remedy: Remedy::WriteDown,
            then: "The number is corrected, and the task's log says so. The output stays as it is.".to_owned(),
            size_bytes: None,
            run: None,
        });
    }
    findings
}

/// Brings one finding in order.
pub(super) async fn mend(house: &House, kind: &str, name: &str) -> (Outcome, String) {
    let failed = |doing: &str, error: &std::io::Error| (Outcome::Failed, faults::of_storage(doing, error).message);
    match kind {
        "folder" => {
            let Some((place, name)) = name.split_once('/').map(|(place, name)| (place.to_owned(), name.to_owned()))
            else {
                return (Outcome::Moot, "It is nothing that was found.".to_owned());
            };
            let data_folder = house.config.data_folder.clone();
            let name = name.strip_prefix(TRASH_PREFIX).unwrap_or(&name).to_owned();
            match blocking(move || remove_tree(&data_folder, &place, &name)).await {
                Ok(()) => (Outcome::Done, "It was deleted.".to_owned()),
                Err(error) => failed("delete the folder", &error),
            }
        }
        "file" => match tokio::fs::remove_file(house.config.data_folder.join(ANNOUNCEMENT)).await {
            Ok(()) => (Outcome::Done, "It was deleted.".to_owned()),
            Err(error) => failed("delete the file", &error),
        },
        _ => {
            let corrected = correct(house, name).await;
            corrected.unwrap_or_else(|error| (Outcome::Failed, of_store(&error).message))
        }
    }
}

async fn correct(house: &House, step: &str) -> Result<(Outcome, String), store::StoreError> {
    let kept = house.store.kept_steps(STEPS_COMPARED_MAX).await?;
    let Some(kept) = kept.into_iter().find(|kept| kept.step.to_string() == step) else {
        return Ok((Outcome::Moot, "Its data is not kept any more.".to_owned()));
    };
    let found = house.outputs.length(kept.step, kept.attempt).await;
    let text = format!("{} bytes of output were noted; {found} are there, which is what counts now", kept.output_bytes);
    house.store.correct_output(&kept, found, text, house.time.now()).await?;
    Ok((Outcome::Done, format!("{found} bytes are noted now.")))
}
