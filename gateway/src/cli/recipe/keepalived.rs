//! The recipe for keepalived, if it manages the virtual addresses instead of `[ha]`.

use ringway_config::{Config, Escaped};

use super::Program;

/// What the active role adds to the VRRP priority (RFC 9568, section 5.2.4): more than the
/// preference can add, and together with it below 255.
const ACTIVE: u8 = 120;

/// The virtual router id. It must be unique in the network.
const ROUTER: u8 = 46;

pub(super) fn keepalived(config: &Config, program: &Program) -> String {
    let ha = &config.ha;
    let interface = match ha.interface.as_str() {
        "" => "<interface>",
        interface => interface,
    };
    let [v4, v6] = [true, false].map(|is_v4| {
        let family = ha
            .addresses
            .iter()
            .filter(|one| one.address.is_ipv4() == is_v4);
        family
            .map(|one| format!("        {one}\n"))
            .collect::<String>()
    });
    // One VRRP instance announces one family. The addresses of the other follow it.
    let (first, second) = match (v4.as_str(), v6.as_str()) {
        ("", "") => ("        <address>/<length>\n".to_owned(), String::new()),
        ("", _) => (v6, String::new()),
        _ => (v4, v6),
    };
    let second = match second.as_str() {
        "" => second,
        addresses => format!("    virtual_ipaddress_excluded {{\n{addresses}    }}\n"),
    };

    format!(
        "# keepalived: /etc/keepalived/keepalived.conf, on each gateway of this site.\n\
         # It has the virtual addresses then: take them out of [ha] in gateway.toml.\n\
         # The gateway is asked for its role once a second, so that hosts follow within two; by\n\
         # [ha] they follow at once.\n\
         global_defs {{\n\
         \x20   script_user root\n\
         \x20   enable_script_security\n\
         \x20   vrrp_version 3\n\
         }}\n\
         vrrp_script ringway {{\n\
         \x20   script \"{} role --quiet -c {}\"\n\
         \x20   interval 1\n\
         \x20   timeout 1\n\
         \x20   fall 1\n\
         \x20   rise 1\n\
         \x20   # The active gateway has the higher priority, whatever the one below.\n\
         \x20   weight {ACTIVE}\n\
         \x20   init_fail\n\
         }}\n\
         vrrp_instance ringway {{\n\
         \x20   state BACKUP\n\
         \x20   interface {interface}\n\
         \x20   virtual_router_id {ROUTER}\n\
         \x20   priority {}\n\
         \x20   advert_int 0.1\n\
         \x20   virtual_ipaddress {{\n\
         {first}\
         \x20   }}\n\
         {second}\
         \x20   track_script {{\n\
         \x20       ringway\n\
         \x20   }}\n\
         }}\n",
        Escaped(&program.path),
        Escaped(&program.config),
        (ha.preference / 3).max(1),
    )
}
