//! Volumes: storage that outlives containers.

use std::collections::BTreeMap;

use crate::{Ownership, VolumeName};

/// A volume as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What stores it; `local` for all that Berth makes.
    pub driver: String,
    /// The driver's options. Berth sets none: with `o=bind` a volume would be a host folder in disguise.
    pub options: BTreeMap<String, String>,
}

impl Volume {
    /// Whose it is; `None` where it is not Berth's.
    pub fn ownership(&self) -> Option<Ownership> {
        Ownership::from_labels(&self.labels)
    }
}
