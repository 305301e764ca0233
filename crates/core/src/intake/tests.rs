use std::{fs, os::unix::fs::symlink};

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::{Utf8TempDir, tempdir};
use wire::{
    ErrorCode, LimitsPatch,
    task::{AttachmentContent, ReviewGate},
};

use super::*;

/// A folder with files in it, by relative path.
fn folder(files: &[(&str, &[u8])]) -> Utf8TempDir {
    let folder = tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

async fn draft_of(paths: &[Utf8PathBuf]) -> Result<TaskDraft, ErrorView> {
    preview(TaskSource::Paths { paths: paths.iter().map(ToString::to_string).collect() }).await
}

async fn draft_of_file(content: &[u8]) -> Result<TaskDraft, ErrorView> {
    let folder = folder(&[("task.md", content)]);
    draft_of(&[folder.path().join("task.md")]).await
}

fn names(draft: &TaskDraft) -> Vec<&str> {
    let mut names: Vec<_> = draft.attachments.iter().map(|attachment| attachment.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn inline(name: &str, base64: &str) -> Attachment {
    Attachment {
        name: name.to_owned(),
        size_bytes: 0,
        content: AttachmentContent::Inline { base64: base64.to_owned() },
    }
}

fn by_path(name: &str, path: &Utf8Path) -> Attachment {
    Attachment { name: name.to_owned(), size_bytes: 0, content: AttachmentContent::Path { path: path.to_string() } }
}

fn new_task(prompt: &str) -> NewTask {
    NewTask {
        title: None,
        prompt: prompt.to_owned(),
        agent: None,
        project: None,
        limits: None,
        review: None,
        priority: None,
        attachments: Vec::new(),
    }
}

#[tokio::test]
async fn a_task_file_becomes_a_draft() {
    let folder = folder(&[
        ("task.md", b"---\ntitle: Tidy\nagent: script\nreview: skip\nfiles: [data.csv, ./pictures/]\n---\n\n# Heading\n\nDo it.\n"),
        ("data.csv", b"a,b"),
        ("pictures/one.png", b"1"),
        ("pictures/deep/two.png", b"22"),
        ("other.txt", b"not listed"),
    ]);
    let draft = draft_of(&[folder.path().join("task.md")]).await.unwrap();
    assert_eq!((draft.title.as_str(), draft.prompt.as_str()), ("Tidy", "# Heading\n\nDo it.\n"));
    assert_eq!((draft.agent.as_deref(), draft.review), (Some("script"), Some(ReviewGate::Skip)));
    assert_eq!(names(&draft), ["data.csv", "pictures/deep/two.png", "pictures/one.png"]);
    assert_eq!(draft.attachments.iter().map(|attachment| attachment.size_bytes).sum::<u64>(), 6);
    assert_eq!(draft.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn typed_text_is_a_task_with_or_without_front_matter() {
    let draft = preview(TaskSource::Text { text: "Say hello.\nTwice.".to_owned() }).await.unwrap();
    assert_eq!((draft.title.as_str(), draft.prompt.as_str()), ("Say hello.", "Say hello.\nTwice."));
    let draft = preview(TaskSource::Text { text: "\u{FEFF}---\nagent: script\n---\nGo".to_owned() }).await.unwrap();
    assert_eq!((draft.agent.as_deref(), draft.prompt.as_str()), (Some("script"), "Go"));
    let error = preview(TaskSource::Text { text: "---\nfiles: [a]\n---\nGo".to_owned() }).await.unwrap_err();
    assert_eq!(error.message, "a task without a file has no folder that \"files\" could be in");
}

#[tokio::test]
async fn the_content_of_any_other_text_file_is_the_prompt() {
    let content = b"---\nnot: front matter\n---\nprint('hi')\n";
    for name in ["run.py", "notes.txt", "Makefile", "config.yaml"] {
        let folder = folder(&[(name, content)]);
        let draft = draft_of(&[folder.path().join(name)]).await.unwrap();
        assert_eq!(draft.prompt.as_bytes(), content, "{name}");
    }
}

#[tokio::test]
async fn bad_task_files_get_a_clear_error() {
    let huge = vec![b'a'; 3 << 20];
    let just_too_large = vec![b'a'; PROMPT_BYTES_MAX + 1];
    for (content, code, message, hint) in [
        (&b""[..], ErrorCode::TaskInvalid, "there is nothing to do in it: the prompt is empty", "write below"),
        (b" \n\t\n", ErrorCode::TaskInvalid, "there is nothing to do in it: the prompt is empty", "write below"),
        (b"---\ntitle: T\n---\n \n", ErrorCode::TaskInvalid, "there is nothing to do in it", "write below"),
        (&huge, ErrorCode::TaskInvalid, "the prompt is too large (3.0 MiB): it may have 1.0 MiB", "attach it"),
        (
            &just_too_large,
            ErrorCode::TaskInvalid,
            "the prompt is too large (1.0 MiB): it may have 1.0 MiB",
            "attach it",
        ),
        (b"a\0b", ErrorCode::TaskInvalid, "it is no text but binary (a NUL at byte 1)", "attach it"),
        (
            b"---\nagent: script\n---\n#\x1Cx\n",
            ErrorCode::TaskInvalid,
            "it is no text but binary (1 control characters in 4 bytes)",
            "attach it",
        ),
        (b"Gr\xFC\xDFe", ErrorCode::TaskInvalid, "it is not UTF-8: byte 2 is not valid", "save it as UTF-8"),
        (b"\xFF\xFEG\0o\0", ErrorCode::TaskInvalid, "it is UTF-16, not UTF-8", "save it as UTF-8"),
        (
            b"---\ntitle: T\nGo",
            ErrorCode::TaskInvalid,
            "the front matter that begins with \"---\" in line 1 has no end",
            "leave line 1 empty",
        ),
        (
            b"---\ntitle: T\nreview: 7\n---\nGo",
            ErrorCode::TaskInvalid,
            "line 3: \"review\" must be ask or skip, not the number 7",
            "",
        ),
    ] {
        let error = draft_of_file(content).await.unwrap_err();
        assert_eq!(error.code, code, "{error:?}");
        assert!(error.message.contains(message), "{message} in {error:?}");
        assert!(error.message.contains("task.md: "), "{error:?}");
        assert!(error.hint.contains(hint), "{error:?}");
    }
}

#[tokio::test]
async fn a_prompt_of_exactly_the_bound_is_taken() {
    let content = vec![b'a'; PROMPT_BYTES_MAX];
    assert_eq!(draft_of_file(&content).await.unwrap().prompt.len(), PROMPT_BYTES_MAX);
}

#[tokio::test]
async fn a_huge_file_is_not_read_to_its_end() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("task.md");
    // A terabyte that takes no room.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = draft_of(&[path]).await.unwrap_err();
    assert!(error.message.contains("too large (1.0 TiB)"), "{error:?}");
}

#[tokio::test]
async fn unknown_front_matter_is_a_warning() {
    let draft = draft_of_file(b"---\ntitel: T\n---\nGo\n").await.unwrap();
    assert_eq!(draft.warnings, ["Line 2: the key \"titel\" is not known and has no effect. Did you mean \"title\"?"]);
    assert_eq!(draft.title, "Go");
}

#[tokio::test]
async fn a_folder_with_a_task_file_brings_its_other_files() {
    for task_file in ["task.md", "TASK.md", "only.markdown"] {
        let folder = folder(&[(task_file, b"Go"), ("b.txt", b"b"), ("c/d.txt", b"d"), (".git/config", b"[core]")]);
        let draft = draft_of(&[folder.path().to_owned()]).await.unwrap();
        assert_eq!((names(&draft), draft.prompt.as_str()), (vec!["b.txt", "c/d.txt"], "Go"));
        assert_eq!(draft.warnings, [".git is not attached: a repository is not attached with its history."]);
    }
    let folder = folder(&[("task.md", b"---\nfiles: [b.txt]\n---\nGo"), ("notes.md", b"n"), ("b.txt", b"b")]);
    let draft = draft_of(&[folder.path().to_owned()]).await.unwrap();
    assert_eq!(names(&draft), ["b.txt", "notes.md"], "listed and found is attached once");
}

#[tokio::test]
async fn a_folder_without_a_clear_task_file_lists_the_choices() {
    let empty = folder(&[("a.txt", b"a")]);
    let error = draft_of(&[empty.path().to_owned()]).await.unwrap_err();
    assert!(error.message.starts_with("there is no task file in the folder /"), "{error:?}");
    let several = folder(&[("b.md", b"b"), ("a.md", b"a")]);
    let error = draft_of(&[several.path().to_owned()]).await.unwrap_err();
    assert_eq!(error.message, "it is not clear which file is the task: a.md, b.md");
    assert!(error.hint.contains("task.md"));
}

#[tokio::test]
async fn of_several_paths_the_first_task_file_is_the_task() {
    let folder =
        folder(&[("data.csv", b"a"), ("note.txt", b"n"), ("do.md", b"Go"), ("more.md", b"m"), ("pics/a.png", b"p")]);
    let paths: Vec<_> =
        ["data.csv", "note.txt", "do.md", "more.md", "pics"].iter().map(|name| folder.path().join(name)).collect();
    let draft = draft_of(&paths).await.unwrap();
    assert_eq!((draft.prompt.as_str(), names(&draft)), ("Go", vec!["data.csv", "more.md", "note.txt", "pics/a.png"]));
    let draft = draft_of(&paths[..2]).await.unwrap();
    assert_eq!((draft.prompt.as_str(), names(&draft)), ("n", vec!["data.csv"]));
    let error = draft_of(&[paths[0].clone(), folder.path().join("data.csv").clone()]).await.unwrap_err();
    assert!(error.message.starts_with("it is not clear which file is the task"), "{error:?}");
}

#[tokio::test]
async fn paths_that_are_no_task_get_a_clear_error() {
    let folder = tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, fifo.as_std_path(), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    for (paths, code, message) in [
        (vec![], ErrorCode::InvalidArgument, "no file was given"),
        (vec![Utf8PathBuf::from("task.md")], ErrorCode::InvalidArgument, "task.md is not an absolute path"),
        (vec![folder.path().join("gone\n.md")], ErrorCode::NotFound, "gone\\u{a}.md cannot be read"),
        (vec![fifo], ErrorCode::TaskInvalid, "is a FIFO (named pipe), neither a file nor a folder"),
    ] {
        let error = draft_of(&paths).await.unwrap_err();
        assert_eq!(error.code, code, "{error:?}");
        assert!(error.message.contains(message), "{error:?}");
    }
}

#[tokio::test]
async fn a_task_file_names_nothing_outside_its_folder() {
    let outside = folder(&[("id_rsa", b"secret")]);
    let inside = folder(&[("sub/x", b"x")]);
    symlink(outside.path().join("id_rsa"), inside.path().join("key")).unwrap();
    symlink(outside.path(), inside.path().join("sub/away")).unwrap();
    for listed in ["../id_rsa", "/etc/passwd", "key", "sub/away/id_rsa", "sub/away", "sub/../../a"] {
        let task_file = inside.path().join("task.md");
        fs::write(&task_file, format!("---\nfiles: [\"{listed}\"]\n---\nGo")).unwrap();
        let error = draft_of(&[task_file]).await.unwrap_err();
        assert!(
            error.message.contains("cannot be attached under that name")
                || error.message.contains("is not in the folder"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn odd_things_in_an_attached_folder_are_passed_over_with_a_warning() {
    let outside = folder(&[("secret", b"s")]);
    let folder = folder(&[("task.md", b"Go"), ("in/real", b"r"), ("in/new\nline", b"n")]);
    let into = folder.path().join("in");
    symlink(outside.path().join("secret"), into.join("leak")).unwrap();
    symlink("real", into.join("alias")).unwrap();
    symlink("nowhere", into.join("dangling")).unwrap();
    symlink("..", into.join("loop")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        into.join("fifo").as_std_path(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(into.join("socket")).unwrap();
    let draft = draft_of(&[folder.path().to_owned()]).await.unwrap();
    assert_eq!(names(&draft), ["in/alias", "in/real"]);
    assert_eq!(
        draft.warnings,
        [
            "in/dangling is not attached: it is a link that leads nowhere.",
            "in/fifo is not attached: it is a FIFO (named pipe).",
            "in/leak is not attached: it is a link that leads out of the folder.",
            "in/loop is not attached: it is a link that leads out of the folder.",
            "in/new\\u{a}line is not attached: it has control characters or invisible ones.",
            "in/socket is not attached: it is a socket.",
        ]
        .map(|warning| if warning.starts_with("in/loop") {
            "in/loop is not attached: it is a link, and not to a file."
        } else {
            warning
        })
    );
}

#[tokio::test]
async fn attachments_are_bounded_in_number_and_size() {
    let many = folder(&[("task.md", b"Go")]);
    for number in 0..=ATTACHMENTS_MAX {
        fs::write(many.path().join(format!("{number}.txt")), b"").unwrap();
    }
    let error = draft_of(&[many.path().to_owned()]).await.unwrap_err();
    assert_eq!(error.message, "more than 1000 files would be attached");
    let large = folder(&[("task.md", b"Go")]);
    fs::File::create(large.path().join("disk.img")).unwrap().set_len(ATTACHMENTS_BYTES_MAX + 1).unwrap();
    let error = draft_of(&[large.path().to_owned()]).await.unwrap_err();
    assert_eq!(error.message, "the attached files are larger than 2.0 GiB together");
}

#[tokio::test]
async fn two_files_of_one_name_are_an_error() {
    let left = folder(&[("task.md", b"Go"), ("data.csv", b"1")]);
    let right = folder(&[("data.csv", b"2")]);
    let error = draft_of(&[left.path().join("task.md"), left.path().join("data.csv"), right.path().join("data.csv")])
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::InvalidArgument, "two files would be attached as data.csv")
    );
}

#[tokio::test]
async fn a_file_without_permission_is_named() {
    if rustix::process::geteuid().is_root() {
        // Root reads it all the same: the draft must then be made.
        let folder = folder(&[("task.md", b"Go"), ("locked", b"l")]);
        fs::set_permissions(folder.path().join("locked"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        assert_eq!(names(&draft_of(&[folder.path().to_owned()]).await.unwrap()), ["locked"]);
        return;
    }
    let folder = folder(&[("task.md", b"Go"), ("locked", b"l")]);
    fs::set_permissions(folder.path().join("locked"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let error = draft_of(&[folder.path().to_owned()]).await.unwrap_err();
    assert!(error.message.contains("locked cannot be read"), "{error:?}");
}

#[test]
fn a_task_as_asked_for_is_checked_and_titled() {
    let task = accept(NewTask { attachments: vec![inline("a/b.txt", "aGk=")], ..new_task("# Tidy up\nnow") }).unwrap();
    assert_eq!((task.title.as_deref(), task.attachments[0].size_bytes), (Some("Tidy up"), 2));
    let titled = accept(NewTask { title: Some("Two\nlines \u{202E}x".to_owned()), ..new_task("Go") }).unwrap();
    assert_eq!(titled.title.as_deref(), Some("Two lines x"));
    for (task, message) in [
        (new_task(" \n"), "the prompt is empty"),
        (new_task(&"a".repeat(PROMPT_BYTES_MAX + 1)), "too large"),
        (new_task("a\0"), "binary"),
        (
            NewTask { limits: Some(LimitsPatch { pids: Some(1), ..LimitsPatch::default() }), ..new_task("Go") },
            "processes must be at least 16",
        ),
        (NewTask { attachments: vec![inline("../a", "")], ..new_task("Go") }, "leads out of the folder"),
        (
            NewTask { attachments: vec![inline("a", ""), inline("a", "")], ..new_task("Go") },
            "two files would be attached as a",
        ),
        (
            NewTask { attachments: vec![inline("a", ""), inline("a/b", "")], ..new_task("Go") },
            "both a file and a folder",
        ),
        (
            NewTask { attachments: vec![by_path("a", Utf8Path::new("rel"))], ..new_task("Go") },
            "rel is not an absolute path",
        ),
    ] {
        let error = accept(task).unwrap_err();
        assert!(error.message.contains(message), "{error:?}");
    }
}

#[tokio::test]
async fn attachments_are_copied_hashed_and_copied_again() {
    let folder = folder(&[("abc", b"abc")]);
    let staging = folder.path().join("below/staging");
    let attachments =
        vec![by_path("in/abc", &folder.path().join("abc")), inline("empty", ""), inline("in/deep/hi", "aGk=")];
    for _ in 0..2 {
        let staged = copy_attachments(attachments.clone(), staging.clone()).await.unwrap();
        assert_eq!(
            staged.iter().map(|file| (file.name.as_str(), file.size_bytes)).collect::<Vec<_>>(),
            [("in/abc", 3), ("empty", 0), ("in/deep/hi", 2)]
        );
        assert_eq!(staged[0].sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(fs::read(staging.join("in/deep/hi")).unwrap(), b"hi");
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&staging).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn what_cannot_be_copied_is_named() {
    let folder = folder(&[("abc", b"abc")]);
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, fifo.as_std_path(), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    for (attachment, message) in [
        (inline("a", "not base64!"), "the content of a is no Base64"),
        (inline("../a", ""), "cannot be attached under that name"),
        (by_path("a", &folder.path().join("gone")), "gone cannot be read"),
        (by_path("a", &fifo), "is a FIFO"),
        (by_path("a", folder.path()), "is a folder"),
    ] {
        let error = copy_attachments(vec![attachment], folder.path().join("staging")).await.unwrap_err();
        assert!(error.message.contains(message), "{error:?}");
    }
    assert!(!folder.path().join("a").exists());
}
