//! What an image of the Gallery needs of its sandboxes that is not as usual.

use engine::Seccomp;

use super::catalogue;

/// Size of `/dev/shm`, where nothing else is said.
const SHM_BYTES: u64 = 256 << 20;
/// The least of it.
const SHM_BYTES_MIN: u64 = 1 << 20;
/// What a profile of system calls of an image's own gives up.
const PROFILE_IN_SHORT: &str = "This image's sandboxes have a profile of system calls of their own instead of the engine's: programs inside may make user \
     namespaces, as a browser does for its own sandbox. More of the kernel can be reached from them.";

/// What an image of the Gallery needs that is less strict, or larger, than usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// A profile of system calls of its own.
    pub(crate) seccomp: Option<String>,
    /// A `/dev/shm` of that size.
    pub(crate) shared_memory_bytes: Option<u64>,
}

impl Needs {
    /// What the image of that name says. An own image, whatever it is made from, says nothing: nobody has looked at its profile.
    pub(crate) fn of(image: &str) -> Self {
        catalogue::find(image).map_or_else(Self::default, |image| Self {
            seccomp: image.seccomp().map(str::to_owned),
            shared_memory_bytes: image.shared_memory_bytes(),
        })
    }

    /// What is weaker for it, in words; empty where nothing is.
    pub(crate) fn weaker(&self) -> Vec<String> {
        let mut weaker = Vec::new();
        if self.seccomp.is_some() {
            weaker.push(PROFILE_IN_SHORT.to_owned());
        }
        weaker
    }

    /// Which system calls its sandboxes may make.
    pub(crate) fn seccomp(&self) -> Seccomp {
        self.seccomp.as_ref().map_or(Seccomp::EngineDefault, |json| Seccomp::Profile { json: json.clone() })
    }

    /// The size of `/dev/shm`, which counts against the memory: never more than half of it.
    pub(crate) fn shm_bytes(&self, memory_bytes: u64) -> u64 {
        match self.shared_memory_bytes {
            Some(bytes) => bytes.clamp(SHM_BYTES_MIN, memory_bytes / 2),
            None => SHM_BYTES.min(memory_bytes / 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_needs_is_bounded_by_memory_and_said_where_it_is_weaker() {
        let usual = Needs::default();
        assert_eq!((usual.seccomp(), usual.weaker()), (Seccomp::EngineDefault, Vec::new()));
        assert_eq!((usual.shm_bytes(4 << 30), usual.shm_bytes(64 << 20)), (SHM_BYTES, 16 << 20));
        let json = "{}".to_owned();
        let browser = Needs { seccomp: Some(json.clone()), shared_memory_bytes: Some(1 << 30) };
        assert_eq!((browser.shm_bytes(4 << 30), browser.shm_bytes(1 << 30)), (1 << 30, 512 << 20));
        assert_eq!(browser.seccomp(), Seccomp::Profile { json });
        assert_eq!(browser.weaker().len(), 1);
        assert_eq!(Needs::of("script"), usual);
        assert_eq!(Needs::of("debian:bookworm-slim"), usual, "an own image says nothing");
    }
}
