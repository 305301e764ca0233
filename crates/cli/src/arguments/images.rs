//! What can be typed about images.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

/// Arguments of `berth images`.
#[derive(Debug, Args)]
pub(crate) struct Images {
    #[command(subcommand)]
    pub(crate) command: Option<ImagesCommand>,
}

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImagesCommand {
    /// Build images, or fetch them; returns when all are there. Ctrl-C cancels the build
    Build(BuildImages),
    /// Print the log of an image's build, or of its last one
    Log {
        /// Its short name
        name: String,
        /// Go on printing until the build is over
        #[arg(long, short)]
        follow: bool,
    },
    /// End a build
    Cancel {
        /// Its short name
        name: String,
    },
    /// Try an image in a sandbox without a network card, as after each build
    Smoke {
        /// Its short name
        name: String,
    },
    /// Take an image off the engine; one of your own goes from the list, too
    Remove {
        /// Its short name
        name: String,
    },
    /// Add an image of your own, for agents that run a command of their own in it
    Add(AddImage),
}

/// Arguments of `berth images build`.
#[derive(Debug, Args)]
pub(crate) struct BuildImages {
    /// Their short names
    #[arg(required_unless_present = "all")]
    pub(crate) names: Vec<String>,
    /// All of the Gallery that are not built as they would be now
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// Carry out every step anew, with nothing from the engine's cache
    #[arg(long)]
    pub(crate) fresh: bool,
}

/// Arguments of `berth images add`.
#[derive(Debug, Args)]
pub(crate) struct AddImage {
    /// Its name: 1 to 40 of a-z, 0-9 and -, beginning with a letter
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) source: AddedSource,
}

/// Where an image of a person's own comes from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AddedSource {
    /// A reference, such as debian:bookworm-slim: from the engine, or fetched with what `docker login` keeps
    #[arg(long)]
    pub(crate) reference: Option<String>,
    /// A folder with a Dockerfile; what its .dockerignore names is left out
    #[arg(long)]
    pub(crate) folder: Option<Utf8PathBuf>,
}
