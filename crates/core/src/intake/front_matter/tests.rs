use super::*;

fn parsed(yaml: &str) -> FrontMatter {
    parse(&format!("---\n{yaml}")).unwrap()
}

fn problem(yaml: &str) -> String {
    parse(&format!("---\n{yaml}")).unwrap_err().to_string()
}

#[test]
fn everything_it_can_say_is_read() {
    let front_matter = parsed(
        "title: Tidy the report\nagent: script\nproject: books\nreview: skip\npriority: high\nlimits: {memory: 2GB, cpus: 1.5, processes: 256, time: 30m, output: 1GiB, disk: 10GiB}\nfiles:\n  - data.csv\n  - pictures\n",
    );
    assert_eq!(
        front_matter,
        FrontMatter {
            title: Some("Tidy the report".to_owned()),
            agent: Some("script".to_owned()),
            project: Some("books".to_owned()),
            review: Some(ReviewGate::Skip),
            priority: Some(Priority::High),
            limits: Some(LimitsPatch {
                memory_bytes: Some(2_000_000_000),
                cpu_milli: Some(1_500),
                pids: Some(256),
                wall_clock_s: Some(1_800),
                output_bytes: Some(1 << 30),
                disk_bytes: Some(10 << 30),
            }),
            files: vec!["data.csv".to_owned(), "pictures".to_owned()],
            warnings: Vec::new(),
        }
    );
}

#[test]
fn what_is_left_out_or_empty_is_not_set() {
    assert_eq!(parsed(""), FrontMatter::default());
    assert_eq!(parsed("title:\nagent: ~\nfiles:\nlimits:\n"), FrontMatter::default());
    let limits = parsed("limits:\n  time: 1h 30m\n  memory:\n").limits.unwrap();
    assert_eq!(limits, LimitsPatch { wall_clock_s: Some(5_400), ..LimitsPatch::default() });
    assert_eq!(parsed("limits: {memory: 536870912, cpus: 2, time: 2d}\n").limits.unwrap().wall_clock_s, Some(172_800));
    assert_eq!(parsed("files: data.csv\n").files, ["data.csv"]);
}

#[test]
fn an_unknown_key_is_a_warning_with_its_line_and_the_nearest_key() {
    let front_matter = parsed("title: T\nagnet: script\nlimits:\n  memroy: 2GB\n  cpus: 1\nmemory: 1GB\ncolour: red\n");
    assert_eq!(front_matter.title.as_deref(), Some("T"));
    assert_eq!(front_matter.limits.unwrap().cpu_milli, Some(1_000));
    assert_eq!(
        front_matter.warnings,
        [
            "Line 3: the key \"agnet\" is not known and has no effect. Did you mean \"agent\"?",
            "Line 5: the key \"limits.memroy\" is not known and has no effect. Did you mean \"limits.memory\"?",
            "Line 7: the key \"memory\" is not known and has no effect. Did you mean \"limits.memory\"?",
            "Line 8: the key \"colour\" is not known and has no effect. The keys are title, agent, project, review, priority, limits, files.",
        ]
    );
}

#[test]
fn many_unknown_keys_are_counted() {
    let lines: Vec<String> = (0..500).map(|number| format!("zz{number}: 1")).collect();
    let warnings = parsed(&lines.join("\n")).warnings;
    assert_eq!(warnings.len(), WARNINGS_MAX + 1);
    assert_eq!(warnings.last().unwrap(), "480 more keys are not known.");
}

#[test]
fn a_wrong_value_is_an_error_with_its_line() {
    for (yaml, message) in [
        ("title: [a]\n", "line 2: \"title\" must be text, not a list; put it in quotes"),
        ("\ntitle: 12\n", "line 3: \"title\" must be text, not the number 12; put it in quotes"),
        ("title: T\nagent: true\n", "line 3: \"agent\" must be text, not the truth value true; put it in quotes"),
        ("agent: \"\"\n", "line 2: \"agent\" is empty: give it a value or leave it out"),
        ("priority: urgent\n", "line 2: \"priority\" must be high, normal or low, not \"urgent\""),
        ("review: maybe\n", "line 2: \"review\" must be ask or skip, not \"maybe\""),
        (
            "files: {a: b}\n",
            "line 2: \"files\" must be a list of paths, such as [data.csv, pictures], not keys with values",
        ),
        (
            "files:\n  - a\n  - 3\n",
            "line 4: \"files\" must be a list of paths, such as [data.csv, pictures]; this item is the number 3",
        ),
        ("limits: 2GB\n", "line 2: \"limits\" must be keys with values, such as {memory: 2GB, time: 30m}"),
        ("limits:\n  memory: lots\n", "line 3: \"limits.memory\" must be a size such as 2GB or 512MiB, not \"lots\""),
        (
            "limits:\n  memory: -1\n",
            "line 3: \"limits.memory\" must be a size such as 2GB or 512MiB, not the number -1",
        ),
        ("limits:\n  memory: 1KB\n", "line 3: \"limits.memory\": memory must be at least 16 MiB"),
        (
            "limits:\n  cpus: .inf\n",
            "line 3: this is no YAML that Berth reads: non-finite float `.inf` rejected by the configured policy",
        ),
        (
            "limits:\n  cpus: 1e9\n",
            "line 3: \"limits.cpus\" must be a number of cores such as 1.5, not the number 1000000000",
        ),
        ("limits:\n  cpus: 0\n", "line 3: \"limits.cpus\": cpus must be at least 0.010"),
        (
            "limits:\n  processes: 1.5\n",
            "line 3: \"limits.processes\" must be a whole number such as 256, not the number 1.5",
        ),
        ("limits:\n  processes: 2\n", "line 3: \"limits.processes\": processes must be at least 16"),
        (
            "limits:\n  time: 90\n",
            "line 3: \"limits.time\" must be a length of time such as 30m or 1h 30m, not the number 90",
        ),
        (
            "limits:\n  time: 1 month\n",
            "line 3: \"limits.time\" must be a length of time such as 30m or 1h 30m, not \"1 month\"",
        ),
        ("limits:\n  time: 60d\n", "line 3: \"limits.time\": time must be from 1 second to 30 days"),
        ("just a sentence\n", "line 2: front matter must be a list of keys with values, such as \"title: My task\""),
    ] {
        assert_eq!(problem(yaml), message, "{yaml}");
    }
}

#[test]
fn what_is_no_yaml_is_an_error_with_its_line() {
    for (yaml, line) in [
        ("title: \"open\nagent: x\n", 2..=4),
        ("title: T\nagent: [a\n", 3..=4),
        ("a: b: c\n", 2..=2),
        ("title: a\ntitle: b\n", 3..=3),
    ] {
        let problem = parse(&format!("---\n{yaml}")).unwrap_err();
        assert!(
            matches!(&problem, IntakeError::FrontMatter { line: at, .. } if line.contains(at)),
            "{yaml:?}: {problem}"
        );
    }
}

#[test]
fn a_document_that_unfolds_is_refused() {
    let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..9 {
        let before = level - 1;
        lines.push(format!("a{level}: &a{level} [{}]", vec![format!("*a{before}"); 9].join(", ")));
    }
    assert!(problem(&lines.join("\n")).starts_with("line "));
    assert!(problem("a: &a b\n").starts_with("line "));
    assert!(problem(&format!("a: {}{}\n", "[".repeat(5_000), "]".repeat(5_000))).starts_with("line "));
}

#[test]
fn hostile_keys_are_shown_and_not_sent() {
    let warnings = parsed("\"\\e[2J\\u202e\": 1\n").warnings;
    assert!(warnings[0].contains("\\u{1b}[2J\\u{202e}"), "{warnings:?}");
}

#[test]
fn a_text_is_split_at_the_two_lines() {
    let parts = split("---\ntitle: T\n---\nDo it.\n").unwrap();
    assert_eq!(parts, Parts { yaml: Some("---\ntitle: T\n"), body: "Do it.\n" });
    assert_eq!(split("--- \r\ntitle: T\r\n---\r\nDo it.").unwrap().body, "Do it.");
    assert_eq!(split("---\n---").unwrap(), Parts { yaml: Some("---\n"), body: "" });
    assert_eq!(split("Do it.\n---\nNow.\n---\n").unwrap().yaml, None);
    assert_eq!(split("\n---\nrule\n---\n").unwrap().yaml, None);
    assert_eq!(split("").unwrap(), Parts { yaml: None, body: "" });
    assert!(matches!(split("---\ntitle: T\n"), Err(IntakeError::FrontMatterUnclosed)));
    assert!(matches!(split(&format!("---\n{}---\n", "#\n".repeat(40_000))), Err(IntakeError::FrontMatterTooLong(_))));
}

proptest::proptest! {
    #[test]
    fn any_text_is_split_without_loss(text in "(---|[ \\r\\na:é-]){0,40}") {
        if let Ok(parts) = split(&text) {
            proptest::prop_assert!(text.ends_with(parts.body));
            proptest::prop_assert!(text.starts_with(parts.yaml.unwrap_or_default()));
            proptest::prop_assert!(parts.yaml.is_some() || parts.body == text);
        }
    }

    #[test]
    fn any_front_matter_is_answered(yaml in "(title|agent|limits|files|memory|time|: |- |[\\[\\]{}&*!|>'\"#%@`, \\n\\ta0-9.é-]){0,60}") {
        let _ = parse(&format!("---\n{yaml}"));
    }

    #[test]
    fn any_value_of_a_limit_is_answered(key in "memory|output|cpus|processes|time", value in "[0-9a-zA-Z.+ -]{1,24}") {
        let _ = parse(&format!("---\nlimits:\n  {key}: {value}\n"));
    }
}
