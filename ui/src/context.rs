//! What every screen may need, in contexts split by concern: what is known of the app ([`Known`]), the revisions
//! ([`Feed`](crate::feed::Feed)), and what a screen can ask of the house around it ([`Desk`]).

use std::rc::Rc;

use jiff::Timestamp;
use wire::{
    ErrorView, Phase,
    call::HelloReply,
    ids::TaskId,
    image::{ImageState, ImageView},
    queue::QueueState,
    task::TaskDraft,
    view::{AgentView, EngineView, StatusView, TaskList},
};
use yew::prelude::*;

use crate::{feed::Feed, query::Query, screens::costs::asked::Asked};

/// What is known of the app as a whole.
#[derive(Clone, Default, PartialEq)]
pub struct Known {
    /// Who answers.
    pub hello: Query<HelloReply>,
    /// The app at a glance.
    pub status: Query<StatusView>,
    /// The newest tasks, unfiltered.
    pub tasks: Query<TaskList>,
    /// The agents.
    pub agents: Query<Vec<AgentView>>,
    /// The images of the Gallery.
    pub images: Query<Vec<ImageView>>,
}

impl Known {
    /// Why the engine does not answer, and since when.
    pub fn engine_down(&self) -> Option<(&ErrorView, Timestamp)> {
        match &self.status.data.as_ref()?.engine {
            EngineView::Down { error, since } => Some((error, *since)),
            EngineView::Up { .. } | EngineView::Unknown => None,
        }
    }

    /// Whether a person paused the queue.
    pub fn is_queue_paused(&self) -> bool {
        self.status.data.as_ref().is_some_and(|status| status.queue == QueueState::Paused)
    }

    /// Whether an image is being built.
    pub fn is_building(&self) -> bool {
        let images = self.images.data.iter().flat_map(|images| images.iter());
        images.into_iter().any(|image| matches!(image.state, ImageState::Building { .. }))
    }

    /// How many tasks are in a phase.
    pub fn in_phase(&self, phase: Phase) -> u64 {
        let Some(status) = &self.status.data else { return 0 };
        status.tasks.iter().filter(|count| count.phase == phase).map(|count| count.count).sum()
    }

    /// How many tasks have not ended.
    pub fn open_tasks(&self) -> u64 {
        Phase::ALL.into_iter().filter(|phase| !phase.is_final()).map(|phase| self.in_phase(phase)).sum()
    }
}

/// Where a person was in the task list, so that they find it as they left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The words searched for.
    pub search: String,
    /// The one phase that is shown; all where it is `None`.
    pub phase: Option<Phase>,
    /// The selected task.
    pub selected: Option<TaskId>,
    /// How many rows are asked for.
    pub limit: u32,
}

/// What a screen can ask of the house.
#[derive(Clone, PartialEq)]
pub struct Desk {
    /// Open the New task dialog, filled in where there is a draft.
    pub new_task: Callback<Option<TaskDraft>>,
    /// Queue the sample task and go to its page.
    pub run_sample: Callback<()>,
    /// Look at everything again.
    pub refresh: Callback<()>,
    /// Where the person is in the task list.
    pub place: UseStateHandle<Place>,
    /// What the person asked of the costs.
    pub costs: UseStateHandle<Asked>,
    /// The image that is selected in the Gallery, by name.
    pub image: UseStateHandle<Option<String>>,
    /// The agent that is selected, by id.
    pub agent: UseStateHandle<Option<String>>,
}

/// What is known of the app.
#[hook]
pub fn use_known() -> Rc<Known> {
    use_context::<Rc<Known>>().unwrap_or_default()
}

/// The revisions.
#[hook]
pub fn use_feed() -> Rc<Feed> {
    use_context::<Rc<Feed>>().unwrap_or_default()
}

/// The house.
#[hook]
pub fn use_desk() -> Desk {
    use_context::<Desk>().expect("invariant: every screen stands in the house, which provides its desk")
}
