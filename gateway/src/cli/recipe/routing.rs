//! Recipes for routing daemons on the gateway host: they tell the site's routers which members can
//! be reached through a tunnel now, and no longer once that is down. BFD tells the routers within
//! a fraction of a second that the host is dead.

use ringway_config::Config;

use super::Failure;

/// The highest table that FRR imports (zebra, `ip import-table`).
const HIGHEST_TABLE_OF_FRR: u32 = 252;

/// Milliseconds between two packets of BFD; a host is dead when three were missed.
const INTERVAL: u32 = 100;

/// BIRD 2, both families.
pub(super) fn bird(config: &Config) -> String {
    let table = config.routes.table;
    let protocol = config.routes.protocol;
    // Tables of its own: nothing else that BIRD has learnt is exported by accident.
    let family = |version: u8| {
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
    };
    let channel = |version: u8| {
        format!(
            "    ipv{version} {{\n\
             \x20       table ringway{version};\n\
             \x20       import none;\n\
             \x20       export where source = RTS_INHERIT;\n\
             \x20       next hop self;\n\
             \x20   }};\n"
        )
    };

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
        family(4),
        family(6),
        channel(4),
        channel(6),
    )
}

/// FRR, which imports routes of another table for IPv4 alone, and not of every table.
pub(super) fn frr(config: &Config) -> Result<String, Failure> {
    let table = config.routes.table;
    if table > HIGHEST_TABLE_OF_FRR {
        return Err(Failure::Usage(format!(
            "FRR imports tables 1 to {HIGHEST_TABLE_OF_FRR} only, and [routes] table is {table}: \
             set it to a free one, such as 146, and restart the gateway; or use BIRD"
        )));
    }

    Ok(format!(
        "! FRR: /etc/frr/frr.conf, on each gateway of this site, with bgpd=yes and bfdd=yes in\n\
         ! /etc/frr/daemons. What stands in angle brackets is the site's: its AS number, and its\n\
         ! routers. FRR imports no IPv6 routes of other tables: use BIRD where they are needed.\n\
         ip import-table {table}\n\
         !\n\
         ! A prefix without a tunnel has another metric.\n\
         route-map ringway-living permit 10\n\
         \x20match metric 100\n\
         exit\n\
         !\n\
         router bgp <as>\n\
         \x20no bgp ebgp-requires-policy\n\
         \x20no bgp network import-check\n\
         \x20neighbor <router> remote-as <as of the router>\n\
         \x20neighbor <router> bfd 3 {INTERVAL} {INTERVAL}\n\
         \x20address-family ipv4 unicast\n\
         \x20 redistribute table {table} route-map ringway-living\n\
         \x20 neighbor <router> activate\n\
         \x20 neighbor <router> next-hop-self\n\
         \x20 neighbor <router> route-map ringway-nothing in\n\
         \x20exit-address-family\n\
         exit\n\
         !\n\
         route-map ringway-nothing deny 10\n\
         exit\n"
    ))
}
