//! Recipes for resolvers that run in the site.

use super::Names;

pub(super) fn unbound(names: &Names) -> String {
    let insecure = names.lines(|zone| format!("    domain-insecure: \"{zone}\"\n"));
    let reverse = names.reverse.iter();
    let transparent: String = reverse
        .map(|zone| format!("    local-zone: \"{zone}\" transparent\n"))
        .collect();
    let servers: String = names
        .servers
        .iter()
        .map(|server| format!("    stub-addr: {server}\n"))
        .collect();
    let stubs = names.lines(|zone| format!("stub-zone:\n    name: \"{zone}\"\n{servers}"));

    format!(
        "# unbound: /etc/unbound/unbound.conf.d/ringway.conf\n\
         server:\n\
         \x20   # Private names have no chain of trust from the root, and private addresses.\n\
         {insecure}\
         \x20   private-domain: \"{}\"\n\
         \x20   # Not unbound's own empty zones.\n\
         {transparent}\
         \x20   # Ask a gateway that was away again at once.\n\
         \x20   infra-keep-probing: yes\n\
         \x20   infra-host-ttl: 5\n\
         {stubs}",
        names.domain
    )
}

pub(super) fn bind(names: &Names) -> String {
    let servers: String = names
        .servers
        .iter()
        .map(|server| format!("{server}; "))
        .collect();
    // Without the empty list, global forwarders would receive the private names.
    let zones = names.lines(|zone| {
        format!(
            "zone \"{zone}\" {{ type static-stub; server-addresses {{ {servers}}}; forwarders {{ \
             }}; }};\n"
        )
    });
    let except = names.lines(|zone| format!("//     \"{zone}\";\n"));

    format!(
        "// BIND: include this in named.conf or, if it has views, in each view.\n\
         // An empty list of forwarders keeps these names from the global ones.\n\
         {zones}\
         // In the options, or in those of each view:\n\
         // validate-except {{\n{except}// }};\n\
         // If deny-answer-addresses is used, add except-from {{ \"{}\"; }} to it.\n",
        names.domain
    )
}

pub(super) fn dnsmasq(names: &Names) -> String {
    let mut lines = String::new();
    for server in &names.servers {
        lines.push_str(&format!("server=/{}/{server}\n", names.domain));
        for prefix in &names.prefixes {
            lines.push_str(&format!("rev-server={prefix},{server}\n"));
        }
    }

    format!(
        "# dnsmasq: /etc/dnsmasq.d/ringway.conf\n\
         {lines}\
         # The names have private addresses.\n\
         rebind-domain-ok=/{}/\n\
         # A new name is found at once.\n\
         no-negcache\n",
        names.domain
    )
}

pub(super) fn coredns(names: &Names) -> String {
    let zones: Vec<String> = names.zones().map(|zone| format!("{zone}:53")).collect();
    format!(
        "# CoreDNS: a server block beside that of the cluster.\n\
         {} {{\n\
         \x20   errors\n\
         \x20   cache {{\n\
         \x20       success 9984 5\n\
         \x20       denial 9984 5\n\
         \x20       servfail 0\n\
         \x20   }}\n\
         \x20   forward . {} {{\n\
         \x20       policy sequential\n\
         \x20   }}\n\
         }}\n",
        zones.join(" "),
        names.servers(" ")
    )
}

pub(super) fn resolved(names: &Names) -> String {
    let negative = names.lines(|zone| format!("# {zone}\n"));
    let zones: Vec<String> = names.zones().map(|zone| format!("~{zone}")).collect();
    format!(
        "# systemd-resolved: /etc/systemd/resolved.conf.d/ringway.conf\n\
         # A host that validates (DNSSEC=yes) also needs, without the #, in\n\
         # /etc/dnssec-trust-anchors.d/ringway.negative:\n\
         {negative}\
         [Resolve]\n\
         DNS={}\n\
         Domains={}\n",
        names.servers(" "),
        zones.join(" ")
    )
}
