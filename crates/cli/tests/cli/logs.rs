//! Output: byte for byte into a pipe, from offset 0, over streams that break off.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use wire::{
    Phase, Request,
    stream::{StreamTarget, TerminalOutput},
    view::ContentView,
};

use crate::scripted::{Berth, end, output};

/// Where each output stream was asked to begin.
fn begun(berth: &Berth) -> Vec<u64> {
    let asked = berth.script.asked.lock().unwrap();
    let targets = asked.iter().filter_map(|request| match request {
        Request::OpenStream(open) => Some(open.target.clone()),
        _other => None,
    });
    targets
        .filter_map(|target| match target {
            StreamTarget::Output { from, .. } => Some(from),
            StreamTarget::Updates
            | StreamTarget::Shell { .. }
            | StreamTarget::ExportHome { .. }
            | StreamTarget::ImportHome { .. } => None,
        })
        .collect()
}

#[tokio::test]
async fn output_arrives_byte_for_byte() {
    const HOSTILE: &[u8] = b"\x1b]52;c;x\x07\x1b[2J\xff\x00\r\n";
    let berth = Berth::start().await;
    berth.outputs([vec![output(0, b"one\n"), output(4, HOSTILE), TerminalOutput::Live]]);
    let ended = berth.berth(&["logs", "12"]).await.well();
    assert_eq!(ended.stdout, [b"one\n", HOSTILE].concat());
}

#[tokio::test]
async fn without_follow_it_ends_where_the_output_is_now() {
    let berth = Berth::start().await;
    berth.phases([Phase::Executing]);
    berth.outputs([vec![output(0, b"one\n"), TerminalOutput::Live, output(4, b"two\n")]]);
    assert_eq!(berth.berth(&["logs", "12"]).await.well().text(), "one\n");
}

#[tokio::test]
async fn a_run_without_output_prints_nothing() {
    let berth = Berth::start().await;
    berth.phases([Phase::Queued]);
    assert_eq!(berth.berth(&["logs", "12"]).await.well().text(), "");
    assert!(begun(&berth).is_empty());
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_taken_up_where_it_was() {
    let berth = Berth::start().await;
    berth.outputs([
        vec![output(0, b"one\n")],
        vec![TerminalOutput::Gap { from: 4, to: 10 }],
        vec![output(10, b"two\n"), TerminalOutput::Live, end()],
    ]);
    assert_eq!(berth.berth(&["logs", "12"]).await.well().text(), "one\ntwo\n");
    assert_eq!(begun(&berth), [0, 4, 10]);
}

#[tokio::test]
async fn what_was_printed_is_not_printed_again() {
    let berth = Berth::start().await;
    berth.outputs([vec![output(0, b"one\n")], vec![output(0, b"one\n"), output(2, b"e\ntwo\n"), TerminalOutput::Live]]);
    assert_eq!(berth.berth(&["logs", "12"]).await.well().text(), "one\ntwo\n");
}

#[tokio::test]
async fn a_stream_that_never_comes_back_is_given_up() {
    let berth = Berth::start().await;
    berth.outputs([vec![]]);
    let ended = berth.berth(&["logs", "12"]).await;
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("broke off"), "{}", ended.stderr);
    assert_eq!(begun(&berth), [0; 5]);
}

#[tokio::test]
async fn following_goes_on_to_the_end() {
    let berth = Berth::start().await;
    berth.phases([Phase::Executing, Phase::Executing, Phase::Completed]);
    berth.outputs([vec![output(0, b"one\n"), TerminalOutput::Live, output(4, b"two\n"), end()]]);
    assert_eq!(berth.berth(&["logs", "12", "--follow"]).await.well().text(), "one\ntwo\n");
}

#[tokio::test]
async fn json_is_one_piece_a_line() {
    let berth = Berth::start().await;
    berth.outputs([vec![output(0, b"one\n"), output(4, b"\xff"), TerminalOutput::Live]]);
    let ended = berth.berth(&["logs", "12", "--json"]).await.well();
    let pieces: Vec<ContentView> = ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [(0, b"one\n".as_slice()), (4, b"\xff")].map(|(offset, bytes)| ContentView {
        base64: STANDARD.encode(bytes),
        offset,
        size_bytes: offset + bytes.len() as u64,
    });
    assert_eq!(pieces, expected);
}
