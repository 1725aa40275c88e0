//! strongSwan 5.9: the files that a host needs for the tunnels, at either end. Every file begins
//! with a line `# file: PATH, mode MODE`.
//!
//! Traffic uses tunnel interfaces and routes. charon runs the script, which sets a route when a
//! tunnel comes up and removes it when the tunnel goes down. So the host's routes, and with
//! `[[announce]]` the gateway's claim, are those of live tunnels.

use ringway_config::Prefix;

use super::Link;
use super::tunnel::{DPD, MTU, Tunnel};

/// AES-256-CBC, SHA-256 and group 14, which every device supports.
pub(super) const PROPOSAL: &str = "aes256-sha256-modp2048";

/// One end of the tunnels.
struct End<'a> {
    /// The base name of the files.
    label: String,
    /// `start` if this end initiates, `none` if it responds.
    start: &'a str,
    /// Local and remote address of each tunnel.
    addresses: Vec<(String, String)>,
    /// Traffic selectors.
    local: String,
    remote: String,
    /// Prefixes that are routed into the tunnels.
    routes: Vec<Prefix>,
}

/// The files for the gateway's host.
pub(super) fn here(link: &Link<'_>) -> String {
    let end = End {
        label: link.label.clone(),
        start: "start",
        addresses: link
            .tunnels
            .iter()
            .map(|tunnel| (link.local.clone(), tunnel.peer.clone()))
            .collect(),
        local: link.our_selectors(),
        remote: link.their_selectors(),
        routes: link.theirs.clone(),
    };

    format!(
        "# IPsec to the data centre {site} by strongSwan 5.9 on this gateway's host.\n\
         # What stands in angle brackets is the site's. The other end's network team gets:\n\
         # ringway recipe ipsec --form huawei | h3c | cisco | fortinet | strongswan\n\
         #\n\
         # apt install charon-systemd strongswan-swanctl libstrongswan-standard-plugins\n\
         # In gateway.toml of every gateway of the site, so that living tunnels are announced:\n\
         # [[announce]]\n\
         # site = \"{site}\"\n\
         # watch = \"kernel\"\n\
         {files}\
         # Then: systemctl restart strongswan; swanctl --load-all; swanctl --list-sas; ip route\n",
        site = link.site,
        files = files(link, &end),
    )
}

/// The files for a strongSwan host at the other end.
pub(super) fn there(link: &Link<'_>) -> String {
    let end = End {
        label: "ringway".to_owned(),
        start: "none",
        addresses: link
            .tunnels
            .iter()
            .map(|tunnel| (tunnel.peer.clone(), link.local.clone()))
            .collect(),
        local: link.their_selectors(),
        remote: link.our_selectors(),
        routes: link.ours.iter().map(|network| network.prefix).collect(),
    };

    files(link, &end)
}

fn files(link: &Link<'_>, end: &End<'_>) -> String {
    format!(
        "\n{}\n{}\n{}\n{}\n",
        connections(link, end),
        secrets(link, end),
        DAEMON,
        script(link, end)
    )
}

/// Settings of charon.
const DAEMON: &str = "# file: /etc/strongswan.d/ringway.conf, mode 0644
charon-systemd {
    # The routes are those of the script below.
    install_routes = no
    # A peer that does not answer is given up after 8 seconds, not after 165.
    retransmit_tries = 3
    retransmit_timeout = 1.0
    retransmit_base = 1.5
}
";

fn connections(link: &Link<'_>, end: &End<'_>) -> String {
    let mut text = format!(
        "# file: /etc/swanctl/conf.d/{}.conf, mode 0644\nconnections {{\n",
        end.label
    );
    for (tunnel, addresses) in link.tunnels.iter().zip(&end.addresses) {
        text.push_str(&connection(link, end, tunnel, addresses));
    }
    text.push_str("}\n");
    text
}

fn connection(
    link: &Link<'_>,
    end: &End<'_>,
    tunnel: &Tunnel,
    (local, remote): &(String, String),
) -> String {
    let name = name(end, tunnel);
    // Only an end with several addresses has to name one.
    let local_address = match end.start {
        "start" => String::new(),
        _ => format!("        local_addrs = {local}\n"),
    };
    let [ours, theirs] = authentication(link, end, local, remote);

    format!(
        "    {name} {{
        version = 2
{local_address}        remote_addrs = {remote}
        proposals = {PROPOSAL}
        rekey_time = 20h
        dpd_delay = {DPD}s
        # It is tried for as long as it takes.
        keyingtries = 0
        unique = replace
        mobike = no
        if_id_in = {id}
        if_id_out = {id}
{ours}{theirs}        children {{
            {name} {{
                local_ts = {local_ts}
                remote_ts = {remote_ts}
                esp_proposals = {PROPOSAL}
                rekey_time = 50m
                start_action = {start}
                dpd_action = {dpd}
                close_action = {start}
                updown = /usr/local/sbin/{label}-ipsec
            }}
        }}
    }}
",
        id = tunnel.id,
        local_ts = end.local,
        remote_ts = end.remote,
        start = end.start,
        dpd = if end.start == "start" {
            "restart"
        } else {
            "clear"
        },
        label = end.label,
    )
}

/// The sections `local` and `remote`.
fn authentication(link: &Link<'_>, end: &End<'_>, local: &str, remote: &str) -> [String; 2] {
    let label = &end.label;
    let [ours, theirs] = if link.certificate {
        [
            format!("auth = pubkey\n            certs = {label}.crt"),
            format!("auth = pubkey\n            cacerts = {label}-peer-ca.crt"),
        ]
    } else {
        ["auth = psk"; 2].map(str::to_owned)
    };

    [("local", ours, local), ("remote", theirs, remote)].map(|(section, how, id)| {
        format!(
            "        {section} {{
            {how}
            id = {id}
        }}
"
        )
    })
}

fn name(end: &End<'_>, tunnel: &Tunnel) -> String {
    format!("{}-{}", end.label, tunnel.number)
}

/// Where the secrets belong. They are never printed.
fn secrets(link: &Link<'_>, end: &End<'_>) -> String {
    let label = &end.label;
    if link.certificate {
        return format!(
            "# The certificate goes to /etc/swanctl/x509/{label}.crt, its key (mode 0600) to\n\
             # /etc/swanctl/private/{label}.key, the other end's CA to\n\
             # /etc/swanctl/x509ca/{label}-peer-ca.crt. Each has its address as subjectAltName.\n"
        );
    }

    let mut text = format!(
        "# The keys stand in a file of their own, and nowhere else:\n\
         # /etc/swanctl/conf.d/{label}-secrets.conf, mode 0600. openssl rand -base64 33 makes\n\
         # one.\n\
         # secrets {{\n"
    );
    for (tunnel, (local, remote)) in link.tunnels.iter().zip(&end.addresses) {
        let place = tunnel.number;
        text.push_str(&format!(
            "#     ike-{label}-{place} {{\n#         id-1 = {local}\n#         id-2 = {remote}\n\
             #         secret = \"<key {place}>\"\n#     }}\n"
        ));
    }
    text.push_str("# }\n");
    text
}

/// The script that charon runs when a tunnel comes up or goes down.
fn script(link: &Link<'_>, end: &End<'_>) -> String {
    let cases: String = link
        .tunnels
        .iter()
        .map(|tunnel| {
            let (interface, id, metric) = (&tunnel.interface, tunnel.id, tunnel.metric);
            format!(
                "{}) interface={interface} id={id} metric={metric} ;;\n",
                name(end, tunnel)
            )
        })
        .collect();
    let routes: String = end
        .routes
        .iter()
        .map(|prefix| format!(" {prefix}"))
        .collect();

    format!(
        "# file: /usr/local/sbin/{label}-ipsec, mode 0755
#!/bin/sh
# charon runs this when a tunnel comes up or goes down. Of two, the route with the lower metric
# carries.
case $PLUTO_CONNECTION in
{cases}*) exit 0 ;;
esac
for prefix in{routes}; do
    case $PLUTO_VERB in
    up-*)
        [ -e /sys/class/net/$interface ] || ip link add $interface type xfrm if_id $id
        ip link set $interface mtu {MTU} up
        ip route replace $prefix dev $interface metric $metric
        ;;
    down-*) ip route del $prefix dev $interface metric $metric ;;
    esac
done
",
        label = end.label,
    )
}
