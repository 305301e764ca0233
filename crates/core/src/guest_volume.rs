//! The volume that holds the guest: filled once, through a container that never runs, and read back before it is trusted.
//!
//! ```text
//! empty image ── created, never started ──▶ filler container, the volume at /berth
//!                                            │ PUT  berth-guest (root's, 0111), authorities.*, run/ (where the spool is mounted)
//!                                            │ GET  all of it, compare SHA-256
//!                                            ▼
//!                    every sandbox mounts it read-only, and empty volumes stay empty (`no_copy`)
//! ```
//!
//! The name carries the hash of what is in it, so that a newer app never changes what an older sandbox runs, and the install, so
//! that nobody else's clean-up takes it away.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use camino::{Utf8Path, Utf8PathBuf};
use engine::{
    ContainerId, ContainerName, ContainerSpec, Engine, EngineError, ErrorKind, Identity, ImageRef, ImportRequest,
    Limits, Log, Mount, Network, Ownership, Role, RootFilesystem, Seccomp, VolumeName,
    archive::{ArchiveBody, empty_image_tar},
    spec::{Access, FirstUse, LoopbackV6},
};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use wire::{ErrorCode, ErrorView, ids::InstallId};

use crate::certificates;
use crate::engine_link::Up;
use crate::fault_points::{Point, around};
use crate::faults;
use crate::house::House;

/// Where the volume is mounted in every sandbox.
pub(crate) const GUEST_FOLDER: &str = "/berth";
/// The guest's program in a sandbox.
pub(crate) const GUEST_PROGRAM: &str = "/berth/berth-guest";
/// The file's name in the volume.
const GUEST_FILE: &str = "berth-guest";
/// Where the spool volume is mounted.
pub(crate) const SPOOL_FOLDER: &str = "/berth/run";
/// The authorities that this machine trusts, its extra ones included, for programs of any image.
pub(crate) const AUTHORITIES_FILE: &str = "/berth/authorities.pem";
/// The same for Java.
pub(crate) const AUTHORITIES_KEY_STORE: &str = "/berth/authorities.jks";
/// Names the bundle to apt, which reads no variable for it. (apt.conf(5), apt-transport-https(1))
pub(crate) const AUTHORITIES_APT: &str = "/berth/authorities.apt.conf";
/// Names the bundle to wget, likewise. (<https://www.gnu.org/software/wget/manual/wget.html#Wgetrc-Location>)
pub(crate) const AUTHORITIES_WGET: &str = "/berth/authorities.wgetrc";
/// The image that holds nothing.
const EMPTY_IMAGE: &str = "berth/empty:1";
/// How often to ask for a container whose name is held and that is not there, and between two times.
const CREATE_TRIES: usize = 12;
const CREATE_DELAY_MIN: Duration = Duration::from_millis(50);
const CREATE_DELAY_MAX: Duration = Duration::from_secs(2);
/// No guest is larger; a file that is, is not one.
const GUEST_BYTES_MAX: u64 = 64 << 20;
/// No bundle of authorities is larger, the archive's own bytes included.
const AUTHORITIES_BYTES_MAX: u64 = 16 << 20;

/// What the volume holds: the guest's program, as the app brings it, and the authorities that sandboxes shall trust.
#[derive(Clone)]
pub(crate) struct GuestBinary {
    files: Vec<VolumeFile>,
}

/// A file of the volume, root's.
#[derive(Clone)]
struct VolumeFile {
    name: &'static str,
    mode: u32,
    bytes: Vec<u8>,
}

/// What a file is, as far as it can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    mode: u32,
    sha256: String,
}

impl GuestBinary {
    /// Reads it. `authorities` is a bundle in PEM, where sandboxes need one.
    pub(crate) fn read(path: &Utf8Path, authorities: Option<&str>) -> Result<Self, GuestVolumeError> {
        let unreadable = |source| GuestVolumeError::NoGuest { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(GUEST_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > GUEST_BYTES_MAX || !bytes.starts_with(b"\x7fELF") {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, "not a guest's program")));
        }
        let mut files = vec![VolumeFile { name: GUEST_FILE, mode: 0o111, bytes }];
        files.extend(authorities.into_iter().flat_map(files_of));
        Ok(Self { files })
    }

    /// Each file as it should be read back.
    fn prints(&self) -> BTreeMap<String, Print> {
        let print = |file: &VolumeFile| Print { mode: file.mode, sha256: hex::encode(Sha256::digest(&file.bytes)) };
        self.files.iter().map(|file| (file.name.to_owned(), print(file))).collect()
    }

    /// SHA-256 of the guest alone, or of all hashes where there is more.
    fn hash(&self) -> String {
        let hashes: Vec<_> = self.prints().into_values().map(|print| print.sha256).collect();
        if let [guest] = hashes.as_slice() {
            return guest.clone();
        }
        hex::encode(Sha256::digest(hashes.join("\n")))
    }

    /// The volume that holds it, for one installation.
    pub(crate) fn volume_name(&self, install: InstallId) -> VolumeName {
        let install = install.to_string();
        VolumeName::parse(format!("berth-guest-{}-{}", &self.hash()[..12], &install[install.len() - 8..]))
            .expect("invariant: hex digits and dashes are a volume's name")
    }
}

/// A bundle in PEM, and what leads programs to it that do not read it or know no variable for it.
fn files_of(bundle: &str) -> Vec<VolumeFile> {
    let file = |path: &'static str, bytes: Vec<u8>| VolumeFile {
        name: path.trim_start_matches("/berth/"),
        mode: 0o444,
        bytes,
    };
    vec![
        file(AUTHORITIES_FILE, bundle.as_bytes().to_vec()),
        file(AUTHORITIES_KEY_STORE, certificates::key_store(bundle)),
        file(AUTHORITIES_APT, format!("Acquire::https::CAInfo \"{AUTHORITIES_FILE}\";\n").into_bytes()),
        file(AUTHORITIES_WGET, format!("ca_certificate = {AUTHORITIES_FILE}\n").into_bytes()),
    ]
}

/// Where the guest's program is: what was set, else beside the app's own program, by the engine's architecture in Rust's words
/// (`berth-guest-x86_64`).
pub(crate) fn locate(configured: Option<&Utf8Path>, architecture: &str) -> Result<Utf8PathBuf, GuestVolumeError> {
    if let Some(path) = configured {
        return Ok(path.to_owned());
    }
    let own =
        std::env::current_exe().map_err(|source| GuestVolumeError::NoGuest { path: GUEST_FILE.into(), source })?;
    let folder = Utf8PathBuf::from_path_buf(own).ok().and_then(|own| own.parent().map(Utf8Path::to_owned));
    let name = format!("{GUEST_FILE}-{architecture}");
    let beside = folder.clone().unwrap_or_default().join(&name);
    // An installed app keeps programs that are not for a person's PATH in its library folder.
    let library = folder.unwrap_or_default().join("../lib/berth").join(&name);
    Ok([beside.clone(), library].into_iter().find(|path| path.is_file()).unwrap_or(beside))
}

/// Why there is no guest volume.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestVolumeError {
    /// The guest's program is not where it should be.
    #[error("the guest's program cannot be read at `{path}`")]
    NoGuest {
        /// Where it should be.
        path: Utf8PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What the engine gave back is not what was put in.
    #[error("the guest in volume `{volume}` is not the one that was put there")]
    Changed {
        /// The volume.
        volume: VolumeName,
    },
}

/// The guest's volume on that engine: filled once per connection, and again where somebody has taken it away since. To be called while
/// nothing that fills is taken for a leftover (`House::filling`).
///
/// # Errors
/// As [`ensure`].
pub(crate) async fn made_sure(house: &House, up: &Up) -> Result<VolumeName, GuestVolumeError> {
    let mut known = up.guest_volume.lock().await;
    if let Some(volume) = &*known
        && up.engine.volume(volume).await?.is_some()
    {
        return Ok(volume.clone());
    }
    let guest = house.guest_binary(&up.facts.architecture)?;
    let volume = ensure(up.engine.as_ref(), house.install, &guest).await?;
    Ok(known.insert(volume).clone())
}

/// The same for whoever is not filling anything.
pub(crate) async fn of_link(house: &House, up: &Up) -> Result<VolumeName, ErrorView> {
    let made_sure = {
        let _filling = house.filling.read().await;
        made_sure(house, up).await
    };
    made_sure.map_err(|error| match &error {
        GuestVolumeError::Engine(error) => faults::of_engine(error),
        GuestVolumeError::NoGuest { .. } | GuestVolumeError::Changed { .. } => {
            ErrorView::new(ErrorCode::Internal, "Berth's own program for sandboxes is missing or damaged.")
                .hint("Install Berth again; in a checkout, run `./dev guest`.")
                .detail(faults::chain(&error))
        }
    })
}

/// Makes sure that the volume is there and holds exactly this guest.
pub(crate) async fn ensure(
    engine: &dyn Engine,
    install: InstallId,
    guest: &GuestBinary,
) -> Result<VolumeName, GuestVolumeError> {
    let volume = guest.volume_name(install);
    let install = install.to_string();
    let ownership = Ownership::of_install(&install, Role::Guest);
    around(Point::GuestVolumeCreate, engine.create_volume(&volume, &ownership)).await?;
    ensure_empty_image(engine, &install).await?;

    let spec = filler(&install, &volume);
    let filler = make_filler(engine, &spec).await?;
    let outcome = fill(engine, &filler, &volume, guest).await;
    remove_filler(engine, &filler).await?;
    outcome?;
    Ok(volume)
}

async fn fill(
    engine: &dyn Engine,
    filler: &ContainerId,
    volume: &VolumeName,
    guest: &GuestBinary,
) -> Result<(), GuestVolumeError> {
    let wanted = guest.prints();
    if read_back(engine, filler).await? == wanted {
        return Ok(());
    }
    let filling = engine.put_archive(filler, Utf8Path::new(GUEST_FOLDER), archive_of(guest));
    around(Point::GuestVolumeFill, filling).await?;
    if read_back(engine, filler).await? == wanted {
        return Ok(());
    }
    Err(GuestVolumeError::Changed { volume: volume.clone() })
}

/// What the volume holds. A file that is not root's counts as none.
async fn read_back(engine: &dyn Engine, filler: &ContainerId) -> Result<BTreeMap<String, Print>, GuestVolumeError> {
    let bytes_max = GUEST_BYTES_MAX + AUTHORITIES_BYTES_MAX;
    let stream = engine.get_archive(filler, Utf8Path::new(GUEST_FOLDER), bytes_max).await?;
    let archive: Vec<u8> = stream
        .try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await?;
    prints_of(&archive)
}

/// The files in an archive of the volume's folder.
pub(crate) fn prints_of(archive: &[u8]) -> Result<BTreeMap<String, Print>, GuestVolumeError> {
    let broken = |error: io::Error| {
        EngineError::new(ErrorKind::Broken, "read the guest back", "the archive is malformed").caused_by(error)
    };
    let mut prints = BTreeMap::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // The archive begins with the folder's own name.
        let name = path.split_once('/').map_or(path.as_str(), |(_, name)| name).to_owned();
        let header = entry.header();
        if !header.entry_type().is_file() || header.uid().map_err(broken)? != 0 {
            continue;
        }
        let mode = header.mode().map_err(broken)? & 0o7777;
        let mut hasher = Sha256::new();
        io::copy(&mut entry, &mut hasher).map_err(broken)?;
        prints.insert(name, Print { mode, sha256: hex::encode(hasher.finalize()) });
    }
    Ok(prints)
}

fn archive_of(guest: &GuestBinary) -> ArchiveBody {
    let mut archive = tar::Builder::new(Vec::new());
    let written = (|| {
        let mut folder = tar::Header::new_gnu();
        folder.set_entry_type(tar::EntryType::Directory);
        folder.set_mode(0o755);
        folder.set_size(0);
        folder.set_uid(0);
        folder.set_gid(0);
        archive.append_data(&mut folder, "run/", io::empty())?;
        for file in &guest.files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(file.mode);
            header.set_size(file.bytes.len() as u64);
            header.set_uid(0);
            header.set_gid(0);
            archive.append_data(&mut header, file.name, file.bytes.as_slice())?;
        }
        archive.into_inner()
    })();
    written.map(ArchiveBody::from).expect("invariant: writing a tar into memory does not fail")
}

/// Makes sure that the engine has the image that holds nothing.
pub(crate) async fn ensure_empty_image(engine: &dyn Engine, install: &str) -> Result<(), EngineError> {
    let tag = empty_image();
    if engine.image(&tag).await?.is_some() {
        return Ok(());
    }
    engine
        .import(ImportRequest {
            root: empty_image_tar(),
            tag,
            ownership: Ownership::of_install(install, Role::Image),
            labels: BTreeMap::new(),
            changes: Vec::new(),
        })
        .await
        .map(drop)
}

fn filler(install: &str, volume: &VolumeName) -> ContainerSpec {
    let mount = Mount::Volume {
        name: volume.clone(),
        target: GUEST_FOLDER.into(),
        access: Access::ReadWrite,
        first_use: FirstUse::Empty,
    };
    filler_of(volume, mount, empty_image(), Ownership::of_install(install, Role::Filler))
}

/// The image that holds nothing, which [`ensure`] makes sure of.
pub(crate) fn empty_image() -> ImageRef {
    ImageRef::parse(EMPTY_IMAGE).expect("invariant: a constant reference")
}

/// The name of the container through which a volume is filled.
pub(crate) fn filler_name(volume: &VolumeName) -> ContainerName {
    ContainerName::parse(format!("{volume}-filler")).expect("invariant: a volume's name and letters")
}

/// Makes that container, in the place of one that a crash left behind.
pub(crate) async fn make_filler(engine: &dyn Engine, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
    engine.remove(&spec.name.clone().into()).await?;
    around(Point::FillerCreate, create_or_find(engine, spec)).await
}

/// Makes a container, or finds the one of that name which an earlier try has made. An engine holds a name from the moment on at
/// which it is asked for a container: a process that died may have asked just now, and then there is nothing to be found yet, and
/// perhaps never will be.
pub(crate) async fn create_or_find(engine: &dyn Engine, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
    let bounded = ExponentialBuilder::default()
        .with_min_delay(CREATE_DELAY_MIN)
        .with_max_delay(CREATE_DELAY_MAX)
        .with_max_times(CREATE_TRIES);
    let name: ContainerId = spec.name.clone().into();
    let create = async || match create_of_image(engine, spec).await {
        Err(error) if error.kind() == ErrorKind::Conflict => match engine.inspect(&name).await? {
            Some(_) => Ok(name.clone()),
            None => Err(error),
        },
        created => created,
    };
    create.retry(bounded).when(|error: &EngineError| error.kind() == ErrorKind::Conflict).await
}

/// Makes a container, and first the image that holds nothing where it is of that one and the image is gone: whoever prunes an engine takes
/// away what no container uses just now.
pub(crate) async fn create_of_image(engine: &dyn Engine, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
    match engine.create(spec).await {
        Err(error) if error.is_gone() && spec.image == empty_image() => {
            ensure_empty_image(engine, &spec.ownership.install).await?;
            engine.create(spec).await
        }
        created => created,
    }
}

/// Takes that container away.
pub(crate) async fn remove_filler(engine: &dyn Engine, filler: &ContainerId) -> Result<(), EngineError> {
    around(Point::FillerRemove, engine.remove(filler)).await
}

/// A container through which a volume is filled. Hardened like every other but for its root, which could be written if it ever ran:
/// a volume's own root can only be given away from above it.
pub(crate) fn filler_of(volume: &VolumeName, mount: Mount, image: ImageRef, ownership: Ownership) -> ContainerSpec {
    ContainerSpec { mounts: vec![mount], ..bare_filler(filler_name(volume), image, ownership) }
}

/// The same without a volume, through which an image is looked into.
pub(crate) fn bare_filler(name: ContainerName, image: ImageRef, ownership: Ownership) -> ContainerSpec {
    ContainerSpec {
        name,
        image,
        argv: vec![GUEST_PROGRAM.to_owned()],
        env: BTreeMap::new(),
        identity: Identity::user(1000, 1000).expect("invariant: not root"),
        working_dir: "/".into(),
        hostname: "filler".to_owned(),
        ownership,
        mounts: Vec::new(),
        tmpfs: Vec::new(),
        limits: Limits { memory_bytes: 16 << 20, cpu_milli: 100, pids: 16, shm_bytes: 1 << 20 },
        network: Network::None { loopback_v6: LoopbackV6::Engine },
        log: Log::None,
        root_filesystem: RootFilesystem::Writable {
            reason: "it never runs; archives come from above the volume".to_owned(),
        },
        seccomp: Seccomp::EngineDefault,
        stop_timeout: Duration::from_secs(1),
    }
}
