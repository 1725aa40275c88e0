//! The recipe for a routing daemon on the gateway host: it tells the site's routers by BGP which
//! members can be reached here. BFD tells them within a second that the host is dead.

use ringway_config::Config;

/// Milliseconds between two packets of BFD; a host is dead when three were missed. Virtual machines
/// miss more than one of shorter intervals without being dead.
const INTERVAL: u32 = 300;

/// BIRD 2, both families.
pub(super) fn bird(config: &Config) -> String {
    format!(
        "# BIRD 2: include this in bird.conf, on each gateway of this site.\n\
         # What stands in angle brackets is the site's: its AS number, and its routers.\n\
         {}{}\
         protocol bfd ringway_bfd {{\n\
         \x20   interface \"*\" {{ interval {INTERVAL} ms; multiplier 3; }};\n\
         }}\n\
         template bgp ringway {{\n\
         \x20   local as <as>;\n\
         \x20   bfd on;\n\
         {}{}\
         }}\n\
         # One block for each router:\n\
         protocol bgp ringway_router from ringway {{\n\
         \x20   neighbor <router> as <as of the router>;\n\
         }}\n",
        bird_routes(config, 4),
        bird_routes(config, 6),
        bird_channel(4),
        bird_channel(6),
    )
}

/// What BIRD learns from the kernel. In tables of its own: nothing else is exported by accident.
fn bird_routes(config: &Config, version: u8) -> String {
    let table = config.routes.table;
    let protocol = config.routes.protocol;

    format!(
        "ipv{version} table ringway{version};\n\
         protocol kernel ringway_routes{version} {{\n\
         \x20   kernel table {table};\n\
         \x20   learn;\n\
         \x20   scan time 1;\n\
         \x20   ipv{version} {{\n\
         \x20       table ringway{version};\n\
         \x20       # A prefix without a tunnel has another protocol number; those that keep\n\
         \x20       # its packets from leaving in clear are unreachable.\n\
         \x20       import where krt_source = {protocol} && dest != RTD_UNREACHABLE;\n\
         \x20       export none;\n\
         \x20   }};\n\
         }}\n"
    )
}

/// What it tells a router.
fn bird_channel(version: u8) -> String {
    format!(
        "    ipv{version} {{\n\
         \x20       table ringway{version};\n\
         \x20       import none;\n\
         \x20       export where source = RTS_INHERIT;\n\
         \x20       next hop self;\n\
         \x20   }};\n"
    )
}
