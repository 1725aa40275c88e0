//! Carries out the shell's effects on the data plane.

use std::time::Instant;

use ringway_shell::PacketEffect;

use super::Drive;

impl Drive {
    pub(super) fn perform_on_packets(&mut self, effect: PacketEffect) {
        match effect {
            PacketEffect::InstallOpening {
                conn,
                peer,
                site,
                lanes,
            } => self
                .packets
                .install_opening(self.links.key_source(conn), &peer, site, &lanes),
            PacketEffect::InstallSealing { conn, peer, lanes } => {
                self.packets
                    .install_sealing(self.links.key_source(conn), &peer, &lanes);
            }
            PacketEffect::Publish(tables) => {
                let fragment = self.in_force.fragment();
                if let Some(changed) = self.packets.publish(&tables, Some(fragment)) {
                    self.in_force.remember_rules(changed, &self.jobs);
                }
            }
            PacketEffect::Probe { conn, probe, size } => self.packets.probe(conn, probe, size),
            PacketEffect::Challenge { conn, token, to } => self.packets.challenge(conn, token, to),
            PacketEffect::MovePath {
                conn,
                remote,
                local,
            } => self.packets.move_path(conn, remote, local),
            PacketEffect::SetPathMtu { peer, size } => self.packets.peer(&peer).set_path_mtu(size),
            PacketEffect::RetainPeers(membership) => self.packets.retain(&membership),
            PacketEffect::ExpireKeys => self.packets.expire_keys(Instant::now()),
            PacketEffect::BeginGrace => self.packets.filter().begin_grace(Instant::now()),
            PacketEffect::ShareFlows { to } => {
                let sharing = self.packets.share_flows(&to);
                // Off the loop: it goes through the whole flow table and pauses between bursts.
                self.tasks.spawn_blocking(move || sharing.run());
            }
        }
    }
}
