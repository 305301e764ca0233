//! The whole table, as it is. A change of the machine shows here, line by line, and has to be meant.

use std::fmt::Write;

use lifecycle::{Advance, Course, Input, Stage, StepState, advance};

use crate::states::kinds;

#[test]
fn every_input_is_answered_in_every_state() {
    let mut table = String::new();
    for (name, state) in kinds() {
        writeln!(table, "{name}").unwrap();
        for input in Input::ALL {
            let answer = match advance(&state, input) {
                Ok(Advance { state, effects }) if effects.is_empty() => format!("→ {}", words(state)),
                Ok(Advance { state, effects }) => format!("→ {}, then {effects:?}", words(state)),
                Err(denied) => format!("✗ {denied:?}"),
            };
            writeln!(table, "    {:<28} {answer}", format!("{input:?}")).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

fn words(state: StepState) -> String {
    let words = match state.stage() {
        Stage::Queued { holds } => format!("Queued {:?}", holds.iter().collect::<Vec<_>>()),
        Stage::Provisioning(course) => format!("Provisioning {}", course_words(course)),
        Stage::Executing(course) => format!("Executing {}", course_words(course)),
        Stage::AwaitingReview => "AwaitingReview".to_owned(),
        Stage::Completed => "Completed".to_owned(),
        Stage::Failed(failure) => format!("Failed({failure:?})"),
        Stage::Cancelled => "Cancelled".to_owned(),
    };
    if state.attempt() == 1 { words } else { format!("{words} attempt {}", state.attempt()) }
}

fn course_words(course: Course) -> String {
    match course {
        Course::On { holds } => format!("{:?}", holds.iter().collect::<Vec<_>>()),
        Course::Ending(ending) => format!("ending({ending:?})"),
    }
}
