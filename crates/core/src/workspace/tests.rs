use std::{
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use camino_tempfile::{Utf8TempDir, tempdir};
use rustix::fs::{CWD, FileType, mknodat};
use wire::view::{ResultChange, ResultView};

use super::*;

/// A workspace in a data folder of its own, owned by whoever runs the tests.
struct Place {
    data_folder: Utf8TempDir,
    sandbox: SandboxId,
    workspace: Workspace,
}

fn me() -> Owner {
    Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

impl Place {
    async fn new() -> Self {
        let data_folder = tempdir().unwrap();
        let sandbox = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let workspace = Workspace::create(data_folder.path().to_owned(), sandbox, me()).await.unwrap();
        Self { data_folder, sandbox, workspace }
    }

    fn path(&self, name: impl AsRef<Path>) -> std::path::PathBuf {
        self.workspace.path().as_std_path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    async fn scan(&self, baseline: &Baseline, thoroughness: Thoroughness) -> Scan {
        self.workspace.scan(Arc::new(baseline.clone()), thoroughness).await.unwrap()
    }

    /// What a final scan finds beyond an empty baseline.
    async fn results(&self) -> Vec<ResultView> {
        self.scan(&Baseline::default(), Thoroughness::Final).await.results
    }
}

fn sha256(content: &[u8]) -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(content))
}

fn brief(results: &[ResultView]) -> Vec<(&str, ResultChange)> {
    results.iter().map(|result| (result.path.as_str(), result.change)).collect()
}

fn make_fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

#[tokio::test]
async fn new_changed_and_deleted_are_told_apart() {
    let place = Place::new().await;
    for (name, content) in
        [("same.txt", b"same"), ("grown.txt", b"1234"), ("other.txt", b"abcd"), ("gone/away.txt", b"away")]
    {
        place.write(name, content);
    }
    symlink("same.txt", place.path("link")).unwrap();
    let baseline = place.workspace.baseline().await.unwrap();
    let kept: Baseline = serde_json::from_slice(&serde_json::to_vec(&baseline).unwrap()).unwrap();
    assert_eq!(kept, baseline, "it survives the app");
    assert_eq!(place.scan(&baseline, Thoroughness::Live).await.results, []);

    place.write("same.txt", b"same");
    place.write("grown.txt", b"12345");
    place.write("other.txt", b"dcba");
    place.write("sub/new.md", b"# New");
    fs::remove_dir_all(place.path("gone")).unwrap();
    fs::remove_file(place.path("link")).unwrap();
    symlink("elsewhere", place.path("link")).unwrap();
    for thoroughness in [Thoroughness::Live, Thoroughness::Final] {
        let scan = place.scan(&kept, thoroughness).await;
        assert_eq!(
            brief(&scan.results),
            [
                ("gone/away.txt", ResultChange::Deleted),
                ("grown.txt", ResultChange::Changed),
                ("link", ResultChange::Changed),
                ("other.txt", ResultChange::Changed),
                ("sub/new.md", ResultChange::New),
            ]
        );
        let new = &scan.results[4];
        assert_eq!(new.sha256.as_deref(), Some(sha256(b"# New").as_str()));
        assert_eq!((new.size_bytes, new.media_type.as_str(), new.key.as_str()), (5, "text/markdown", "sub/new.md"));
        assert_eq!((new.is_final, scan.pending, scan.left_out), (thoroughness == Thoroughness::Final, 0, 0));
        assert!(new.modified_at.is_some() && new.unreadable.is_none());
    }
}

#[tokio::test]
async fn a_folder_in_the_place_of_a_file_is_told() {
    let place = Place::new().await;
    place.write("a", b"file");
    place.write("b/c", b"file");
    let baseline = place.workspace.baseline().await.unwrap();
    fs::remove_file(place.path("a")).unwrap();
    place.write("a/inside", b"x");
    fs::remove_dir_all(place.path("b")).unwrap();
    symlink("/etc", place.path("b")).unwrap();
    assert_eq!(
        brief(&place.scan(&baseline, Thoroughness::Final).await.results),
        [
            ("a", ResultChange::Deleted),
            ("a/inside", ResultChange::New),
            ("b", ResultChange::New),
            ("b/c", ResultChange::Deleted)
        ]
    );
}

#[tokio::test]
async fn what_is_no_regular_file_is_listed_and_not_opened() {
    let place = Place::new().await;
    symlink("/etc/passwd", place.path("link")).unwrap();
    make_fifo(&place.path("fifo"));
    let _listener = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        // /dev/full: reading it would give zeros for ever.
        let _ = mknodat(CWD, place.path("device"), FileType::CharacterDevice, Mode::RWXU, rustix::fs::makedev(1, 7));
    }
    let scanned = tokio::time::timeout(Duration::from_secs(10), place.results()).await.unwrap();
    for result in &scanned {
        assert_eq!((result.sha256.as_deref(), result.size_bytes), (None, 0));
        assert!(result.unreadable.is_some());
        let error = place.workspace.read(result.key.clone(), 0, 0).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error:?}");
    }
    let reason = |name: &str| scanned.iter().find(|result| result.path == name).unwrap().unreadable.clone().unwrap();
    assert_eq!(reason("link"), "a link to /etc/passwd; links are not followed");
    assert_eq!(reason("fifo"), "a FIFO (named pipe); it is not opened");
    assert_eq!(reason("socket"), "a socket; it is not opened");
    assert_eq!(scanned.len(), 3 + usize::from(place.path("device").exists()));
}

#[tokio::test]
async fn a_link_out_is_followed_neither_as_file_nor_as_folder() {
    let place = Place::new().await;
    let outside = place.data_folder.path().join("secret");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("key"), b"secret").unwrap();
    symlink(outside.join("key"), place.path("file")).unwrap();
    symlink(&outside, place.path("folder")).unwrap();
    symlink("..", place.path("up")).unwrap();
    let results = place.results().await;
    assert_eq!(results.iter().map(|result| result.path.as_str()).collect::<Vec<_>>(), ["file", "folder", "up"]);
    for key in ["file", "folder/key", "up/../secret/key", "..%2F..%2Fsecret%2Fkey", "%2Fetc%2Fpasswd", "", "a%00"] {
        let error = place.workspace.read(key.to_owned(), 0, 0).await.unwrap_err();
        assert!(matches!(error.code, ErrorCode::InvalidArgument | ErrorCode::NotFound), "{key}: {error:?}");
    }
}

#[tokio::test]
async fn a_file_that_keeps_turning_into_a_link_never_leaks_what_it_points_to() {
    const SECRET: &[u8] = b"what the sandbox must not see";
    let place = Place::new().await;
    let outside = place.data_folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x"), SECRET).unwrap();
    let secret_hash = sha256(SECRET);
    let is_over = Arc::new(AtomicBool::new(false));
    let (folder, elsewhere, over) = (place.path("."), outside.clone(), Arc::clone(&is_over));
    let swapping = std::thread::spawn(move || {
        let mut swaps = 0_u64;
        while !over.load(Ordering::Relaxed) {
            // The file itself, and a folder on the way to one.
            fs::write(folder.join("a-file"), b"harmless").unwrap();
            fs::rename(folder.join("a-file"), folder.join("x")).unwrap();
            symlink(elsewhere.join("x"), folder.join("a-link")).unwrap();
            fs::rename(folder.join("a-link"), folder.join("x")).unwrap();
            fs::create_dir(folder.join("d")).unwrap();
            fs::write(folder.join("d/x"), b"harmless").unwrap();
            fs::remove_dir_all(folder.join("d")).unwrap();
            symlink(&elsewhere, folder.join("d")).unwrap();
            fs::remove_file(folder.join("d")).unwrap();
            swaps += 1;
        }
        swaps
    });
    let (mut seen_as_file, mut seen_as_link) = (0, 0);
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        for result in place.results().await {
            assert_ne!(result.sha256.as_ref(), Some(&secret_hash), "{result:?}");
            assert_ne!(result.size_bytes, SECRET.len() as u64, "{result:?}");
            seen_as_file += u32::from(result.path == "x" && result.sha256.is_some());
            seen_as_link += u32::from(result.path == "x" && result.unreadable.is_some());
        }
        for key in ["x", "d/x"] {
            if let Ok(piece) = place.workspace.read(key.to_owned(), 0, 0).await {
                assert_ne!(piece.bytes, SECRET, "{key}");
            }
        }
    }
    is_over.store(true, Ordering::Relaxed);
    let swaps = swapping.join().unwrap();
    assert!(
        swaps > 100 && seen_as_file > 0 && seen_as_link > 0,
        "{swaps} swaps, seen {seen_as_file} and {seen_as_link} times"
    );
}

#[tokio::test]
async fn any_name_is_shown_escaped_and_can_be_asked_for() {
    let place = Place::new().await;
    let longest = [b'l'; 255];
    let names: [&[u8]; 6] =
        [b"a\nb", b"\x1b[2Jc", b"\xff\xfe", "\u{202E}fdp.exe".as_bytes(), b"100% #?&.txt", &longest];
    for name in names {
        fs::write(place.path(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    let results = place.results().await;
    assert_eq!(results.len(), names.len());
    for name in names {
        let result = results.iter().find(|result| result.path == visible(name)).unwrap();
        assert!(!result.path.chars().any(crate::escape::is_unsafe_to_show));
        assert!(result.key.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(place.workspace.read(result.key.clone(), 0, 0).await.unwrap().bytes, name);
    }
}

#[tokio::test]
async fn a_file_is_read_by_pieces() {
    let place = Place::new().await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    place.write("sub/big.bin", &content);
    let read = |offset, length| place.workspace.read("sub/big.bin".to_owned(), offset, length);
    assert_eq!(read(0, 0).await.unwrap().bytes, content[..256 << 10]);
    assert_eq!(
        read(7, u32::MAX).await.unwrap(),
        Piece { bytes: content[7..7 + (1 << 20)].to_vec(), offset: 7, size_bytes: 3_000_000 }
    );
    assert_eq!(read(2_999_999, 10).await.unwrap().bytes, content[2_999_999..]);
    assert_eq!(read(3_000_000, 10).await.unwrap().bytes, b"");
    assert_eq!(read(u64::MAX, 10).await.unwrap().bytes, b"");
    assert_eq!(place.workspace.read("sub".to_owned(), 0, 0).await.unwrap_err().code, ErrorCode::InvalidArgument);
    assert_eq!(
        place.workspace.read("gone\n".to_owned(), 0, 0).await.unwrap_err().message,
        "there is no file gone\\u{a} in the workspace"
    );
}

#[tokio::test]
async fn hard_links_are_files_like_others() {
    let place = Place::new().await;
    place.write("one", b"same");
    fs::hard_link(place.path("one"), place.path("two")).unwrap();
    let results = place.results().await;
    assert_eq!(brief(&results), [("one", ResultChange::New), ("two", ResultChange::New)]);
    assert_eq!(results[0].sha256, results[1].sha256);
}

#[tokio::test]
async fn a_sparse_terabyte_is_not_hashed() {
    let place = Place::new().await;
    fs::File::create(place.path("huge")).unwrap().set_len(1 << 40).unwrap();
    let results = tokio::time::timeout(Duration::from_secs(5), place.results()).await.unwrap();
    assert_eq!((results[0].size_bytes, results[0].sha256.as_deref()), (1 << 40, None));
    assert_eq!(results[0].unreadable.as_deref(), Some("too large to hash and show: 1.0 TiB, and the bound is 8.0 GiB"));
    assert_eq!(place.workspace.read("huge".to_owned(), 1 << 39, 4).await.unwrap().bytes, [0; 4]);
}

#[tokio::test]
async fn a_large_file_is_hashed_live_only_when_it_has_come_to_rest() {
    let place = Place::new().await;
    let content = vec![7; (8 << 20) + 1];
    place.write("large", &content);
    let first = place.scan(&Baseline::default(), Thoroughness::Live).await;
    assert_eq!((first.pending, first.results[0].sha256.as_deref()), (1, None));
    assert_eq!(first.results[0].unreadable, None);
    let second = place.scan(&Baseline::default(), Thoroughness::Live).await;
    assert_eq!((second.pending, second.results[0].sha256.clone()), (0, Some(sha256(&content))));
}

#[tokio::test]
async fn a_change_that_hides_its_time_and_size_is_found() {
    let place = Place::new().await;
    place.write("sly", b"before");
    let baseline = place.workspace.baseline().await.unwrap();
    let times = fs::metadata(place.path("sly")).unwrap().modified().unwrap();
    for _ in 0..2 {
        assert_eq!(place.scan(&baseline, Thoroughness::Live).await.results, []);
    }
    let file = fs::OpenOptions::new().write(true).open(place.path("sly")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"after!", 0).unwrap();
    file.set_modified(times).unwrap();
    let results = place.scan(&baseline, Thoroughness::Live).await.results;
    assert_eq!(brief(&results), [("sly", ResultChange::Changed)]);
    assert_eq!(results[0].sha256, Some(sha256(b"after!")));
}

#[tokio::test]
async fn a_growing_file_ends_no_scan_and_its_last_hash_is_right() {
    let place = Place::new().await;
    place.write("log", b"");
    let is_over = Arc::new(AtomicBool::new(false));
    let (path, over) = (place.path("log"), Arc::clone(&is_over));
    let growing = std::thread::spawn(move || {
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        while !over.load(Ordering::Relaxed) && file.metadata().unwrap().len() < 64 << 20 {
            io::Write::write_all(&mut file, &[b'x'; 4_096]).unwrap();
        }
    });
    for _ in 0..20 {
        let scan = tokio::time::timeout(Duration::from_secs(10), place.scan(&Baseline::default(), Thoroughness::Live))
            .await
            .unwrap();
        assert_eq!(scan.results.len(), 1);
    }
    is_over.store(true, Ordering::Relaxed);
    growing.join().unwrap();
    let content = fs::read(place.path("log")).unwrap();
    let results = place.results().await;
    assert_eq!((results[0].size_bytes, results[0].sha256.clone()), (content.len() as u64, Some(sha256(&content))));
}

#[tokio::test]
async fn files_that_go_away_during_a_scan_fail_nothing() {
    let place = Place::new().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (folder, over) = (place.path("."), Arc::clone(&is_over));
    let churning = std::thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            for number in 0..20 {
                fs::create_dir_all(folder.join(format!("d{number}"))).unwrap();
                fs::write(folder.join(format!("d{number}/f")), vec![1; 100_000]).unwrap();
            }
            for number in 0..20 {
                fs::remove_dir_all(folder.join(format!("d{number}"))).unwrap();
            }
        }
    });
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        place.scan(&Baseline::default(), Thoroughness::Live).await;
    }
    is_over.store(true, Ordering::Relaxed);
    churning.join().unwrap();
    assert_eq!(place.results().await, []);
}

#[tokio::test]
async fn what_may_not_be_read_is_said() {
    let place = Place::new().await;
    place.write("locked", b"x");
    place.write("closed/inside", b"x");
    fs::set_permissions(place.path("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(place.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let results = place.results().await;
    fs::set_permissions(place.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    if rustix::process::geteuid().is_root() {
        // Nothing is closed to root.
        assert_eq!(brief(&results), [("closed/inside", ResultChange::New), ("locked", ResultChange::New)]);
        return;
    }
    assert_eq!(brief(&results), [("closed", ResultChange::New), ("locked", ResultChange::New)]);
    assert_eq!(results[0].unreadable.as_deref(), Some("a folder that cannot be entered: no permission to read it"));
    assert_eq!(results[1].unreadable.as_deref(), Some("no permission to read it"));
}

#[tokio::test]
async fn too_many_files_are_counted_and_none_of_them_counts_as_deleted() {
    let place = Place::new().await;
    place.write("kept", b"x");
    let baseline = place.workspace.baseline().await.unwrap();
    fs::create_dir(place.path("many")).unwrap();
    for number in 0..scan::LISTED_MAX + 500 {
        fs::File::create(place.path(format!("many/{number}"))).unwrap();
    }
    let scan = place.scan(&baseline, Thoroughness::Final).await;
    assert!(
        scan.results.iter().all(|result| result.change == ResultChange::New),
        "the kept file is there, listed or not"
    );
    let listed_of_baseline = scan::LISTED_MAX - scan.results.len();
    assert!(listed_of_baseline <= 1);
    assert_eq!(scan.left_out, 501);
}

#[tokio::test]
async fn what_lies_too_deep_is_counted() {
    let place = Place::new().await;
    let deepest = vec!["d"; path::DEPTH_MAX].join("/");
    place.write(&format!("{deepest}/listed"), b"x");
    place.write(&format!("{deepest}/too/deep"), b"x");
    let scan = place.scan(&Baseline::default(), Thoroughness::Final).await;
    assert_eq!(brief(&scan.results), [(format!("{deepest}/listed").as_str(), ResultChange::New)]);
    assert_eq!(scan.left_out, 1);
    assert_eq!(place.workspace.read(scan.results[0].key.clone(), 0, 0).await.unwrap().bytes, b"x");
}

#[tokio::test]
async fn attachments_arrive_twice_over_and_replace_a_link_that_waits_there() {
    let place = Place::new().await;
    let staging = place.data_folder.path().join("staging");
    let inline = |name: &str, base64: &str| wire::task::Attachment {
        name: name.to_owned(),
        size_bytes: 0,
        content: wire::task::AttachmentContent::Inline { base64: base64.to_owned() },
    };
    let staged =
        crate::intake::copy_attachments(vec![inline("a.txt", "aGk="), inline("sub/b.txt", "aG8=")], staging.clone())
            .await
            .unwrap();
    let victim = place.data_folder.path().join("victim");
    fs::write(&victim, b"untouched").unwrap();
    symlink(&victim, place.path("a.txt")).unwrap();
    symlink(&victim, place.path(".berth-incoming-0")).unwrap();
    for _ in 0..2 {
        place.workspace.write_attachments(staging.clone(), staged.clone(), me()).await.unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
        assert_eq!(brief(&place.results().await), [("a.txt", ResultChange::New), ("sub/b.txt", ResultChange::New)]);
    }
    assert_eq!(place.results().await[0].sha256.as_ref(), Some(&staged[0].sha256));

    fs::remove_dir_all(place.path("sub")).unwrap();
    symlink(place.data_folder.path(), place.path("sub")).unwrap();
    let error = place.workspace.write_attachments(staging.clone(), staged.clone(), me()).await.unwrap_err();
    assert!(error.message.starts_with("sub/b.txt cannot be put into the workspace"), "{error:?}");
    assert!(!place.data_folder.path().join("b.txt").exists());

    fs::write(staging.join("a.txt"), b"no").unwrap();
    let error = place.workspace.write_attachments(staging, staged, me()).await.unwrap_err();
    assert!(error.message.contains("is not what it was"), "{error:?}");
}

#[tokio::test]
async fn as_root_the_folder_and_its_files_are_given_away() {
    if !rustix::process::geteuid().is_root() {
        // Then it must fail, and say so.
        let data_folder = tempdir().unwrap();
        let sandbox = "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap();
        let error =
            Workspace::create(data_folder.path().to_owned(), sandbox, Owner { uid: 0, gid: 0 }).await.unwrap_err();
        assert!(error.message.contains("cannot be given to the user 0:0"), "{error:?}");
        return;
    }
    let place = Place::new().await;
    let agent = Owner { uid: 54_321, gid: 54_322 };
    let workspace = Workspace::create(place.data_folder.path().to_owned(), place.sandbox, agent).await.unwrap();
    let staging = place.data_folder.path().join("staging");
    let attachment = wire::task::Attachment {
        name: "sub/deep/a.txt".to_owned(),
        size_bytes: 0,
        content: wire::task::AttachmentContent::Inline { base64: "aGk=".to_owned() },
    };
    let staged = crate::intake::copy_attachments(vec![attachment], staging.clone()).await.unwrap();
    workspace.write_attachments(staging, staged, agent).await.unwrap();
    for name in ["", "sub", "sub/deep", "sub/deep/a.txt"] {
        let metadata = fs::metadata(place.path(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (54_321, 54_322), "{name}");
    }
    assert_eq!(fs::metadata(place.path("")).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_workspace_is_opened_again_until_it_is_gone() {
    let place = Place::new().await;
    place.write("a", b"x");
    let data_folder = place.data_folder.path().to_owned();
    let again = Workspace::open(data_folder.clone(), place.sandbox).await.unwrap();
    assert_eq!(again.path(), place.workspace.path());
    assert_eq!(again.read("a".to_owned(), 0, 0).await.unwrap().bytes, b"x");
    fs::remove_dir_all(place.path("")).unwrap();
    let error = Workspace::open(data_folder, place.sandbox).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_workspace_that_was_swapped_for_a_link_is_not_opened() {
    let place = Place::new().await;
    fs::remove_dir_all(place.path("")).unwrap();
    symlink("/etc", place.workspace.path()).unwrap();
    let data_folder = place.data_folder.path().to_owned();
    assert!(Workspace::open(data_folder.clone(), place.sandbox).await.is_err());
    assert!(Workspace::create(data_folder, place.sandbox, me()).await.is_err());
}
