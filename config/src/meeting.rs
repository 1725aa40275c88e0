//! Gateways that can never meet this one: neither can be dialled.

use crate::{Config, Fault, GatewayId};

impl Config {
    /// True if the record of our organization says where this gateway can be dialled.
    pub fn is_dialled(&self) -> bool {
        let own = self.own.gateway(&self.id.name);
        own.is_some_and(|own| !own.endpoints.is_empty())
    }

    /// Every other gateway to which no tunnel can come up, at its record: neither end has an
    /// endpoint.
    pub fn never_met(&self) -> Vec<Fault> {
        if self.is_dialled() {
            return Vec::new();
        }

        let mut faults = Vec::new();
        for record in self.records() {
            // Nobody expects a tunnel to a gateway that is revoked.
            let revoked = &record.revoked.gateways;
            for gateway in &record.gateways {
                let id = GatewayId {
                    org: record.org.clone(),
                    name: gateway.name.clone(),
                };
                let counts = id != self.id && !revoked.contains(&id.name);
                if counts && gateway.endpoints.is_empty() {
                    faults.push(Fault {
                        place: record.place.clone(),
                        message: format!(
                            "{id} has no endpoint, and neither has this gateway: no tunnel between \
                             them can ever come up; give one of them an endpoint in its record"
                        ),
                    });
                }
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Config;

    #[test]
    fn gateways_without_an_endpoint_meet_only_those_that_have_one() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/gateway.toml");
        let mut config = Config::load(&example).expect("the example is right");
        assert!(config.is_dialled() && config.never_met().is_empty());

        for gateway in &mut config.own.gateways {
            gateway.endpoints.clear();
        }
        let before = config.never_met().len();
        for gateway in config
            .members
            .iter_mut()
            .flat_map(|member| &mut member.gateways)
        {
            gateway.endpoints.clear();
        }
        let faults = config.never_met();
        assert!(faults.len() > before, "{faults:?}");

        for member in &mut config.members {
            let names = member.gateways.iter().map(|gateway| gateway.name.clone());
            member.revoked.gateways = names.collect();
        }
        let own = config.own.gateways.len() - 1;
        assert_eq!(
            config.never_met().len(),
            own,
            "revoked ones are missed by nobody"
        );
    }
}
