//! Networks of the scripted engine: names with owners, and a number that may be.

use engine::network::DRIVER;
use engine::{BridgeNetwork, ContainerSpec, ErrorKind, LabelFilter, NetworkName, Ownership, Result};

use super::{World, refused};

impl World {
    pub(in crate::scripted) fn create_network(&mut self, ownership: &Ownership) -> Result<BridgeNetwork> {
        let Some(name) = ownership.sandbox.as_deref().and_then(NetworkName::of_sandbox) else {
            let detail = "only a sandbox has a network, and none is named";
            return refused(ErrorKind::Denied, "create a network", detail);
        };
        let doing = format!("create network {name}");
        if let Some(found) = self.networks.get(name.as_str()) {
            if found.ownership().as_ref() != Some(ownership) {
                return refused(ErrorKind::Conflict, doing, "a network of that name belongs to another owner");
            }
            return Ok(found.clone());
        }
        if self.networks.len() >= self.networks_max {
            return refused(ErrorKind::Exhausted, doing, "all addresses are given out");
        }
        let network = BridgeNetwork { name, labels: ownership.labels(), driver: DRIVER.to_owned(), has_ipv6: false };
        self.networks.insert(network.name.to_string(), network.clone());
        Ok(network)
    }

    pub(in crate::scripted) fn networks(&self, filter: &LabelFilter) -> Vec<BridgeNetwork> {
        self.networks.values().filter(|network| filter.matches(&network.labels)).cloned().collect()
    }

    pub(in crate::scripted) fn remove_network(&mut self, name: &NetworkName) -> Result<()> {
        if let Some(user) = self.containers.values().find(|container| container.is_on(name)) {
            let detail = format!("container {} is on it", user.name());
            return refused(ErrorKind::Conflict, format!("remove network {name}"), detail);
        }
        self.networks.remove(name.as_str());
        Ok(())
    }

    /// That the network of a container is there, and is its sandbox's.
    pub(super) fn check_network(&self, spec: &ContainerSpec) -> Result<()> {
        let Some(name) = spec.network_name()? else { return Ok(()) };
        let doing = format!("create container {}", spec.name);
        let Some(network) = self.networks.get(name.as_str()) else {
            return refused(ErrorKind::Gone, doing, format!("the engine has no network {name}"));
        };
        let is_its_own = network.ownership().is_some_and(|owner| {
            (&owner.install, &owner.sandbox) == (&spec.ownership.install, &spec.ownership.sandbox)
        });
        if is_its_own {
            return Ok(());
        }
        refused(ErrorKind::Denied, doing, format!("the network {name} belongs to another owner"))
    }
}
