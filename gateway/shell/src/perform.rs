//! Converts the actions of the mesh to effects, in an order that keeps the invariants on keys and
//! tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use ringway_config::{Endpoint, GatewayId, Prefix};
use ringway_core::{
    Action, Alarm, ByeCode, ConnId, DialId, Fib, FiledRecords, Lane, RecordDrift, SiteRole,
    Standing,
};
use ringway_intent::{Tunnelled, plan_routes};

use crate::drift;
use crate::effect::Effect;
use crate::notice::Notice;
use crate::packet_effect::PacketEffect;
use crate::phase::Phase;
use crate::shell::Shell;
use crate::tables::{Companions, SiteNumber, Tables};

impl Shell {
    /// Carries out what the mesh wants, in its order.
    pub(crate) fn drain_mesh(&mut self, now: Instant) {
        while let Some(action) = self.mesh.poll_action() {
            self.perform(action, now);
        }

        self.publish(now);
    }

    fn perform(&mut self, action: Action, now: Instant) {
        match action {
            Action::Dial {
                dial,
                peer,
                endpoints,
            } => self.dial(dial, peer, endpoints),
            Action::AbandonDial { dial } => self.effects.push_back(Effect::AbandonDial { dial }),
            Action::InstallOpening { conn, lanes } => self.install_opening(conn, lanes),
            Action::InstallSealing { conn, lanes } => self.install_sealing(conn, lanes),
            Action::Send { conn, message } => {
                // The keys that open are in the tables before the `Hello` that names them goes out.
                self.publish(now);
                self.effects.push_back(Effect::Send { conn, message });
            }
            Action::Close { conn, reason } => {
                if let Some(session) = self.sessions.get(conn) {
                    tracing::info!(
                        peer = %session.peer, session = conn.0, %reason, "Session closed"
                    );
                }
                self.close(conn, reason.code(), now);
            }
            Action::Retire { conn } => self.close(conn, ByeCode::Replaced, now),
            Action::Probe {
                conn, probe, size, ..
            } => self.ask_data_plane(PacketEffect::Probe { conn, probe, size }),
            Action::PathMtu { peer, size } => self.path_mtu_changed(peer, size, now),
            Action::Publish(fib) => self.forward_by(fib, now),
            Action::ZoneMessage {
                peer,
                conn,
                message,
            } => self.effects.push_back(Effect::ZoneMessage {
                peer,
                conn,
                message,
            }),
            Action::Policy(letter) => self.effects.push_back(Effect::Policy(letter)),
            Action::Offered { peer, offer } => {
                self.effects.push_back(Effect::Offered { peer, offer })
            }
            Action::TunnelUp { peer, conn } => {
                self.outages.up(&peer, now);
                self.is_stale = true;
                self.offer_zone(&peer, conn);
                self.notify(Notice::TunnelUp { peer, conn });
            }
            Action::TunnelMoved { peer, conn } => {
                // An offer or an answer may have been lost with the earlier connection.
                self.offer_zone(&peer, conn);
                self.notify(Notice::TunnelMoved { peer, conn });
            }
            Action::TunnelDown {
                peer,
                reason,
                proved,
            } => {
                self.outages.down(&peer, &reason, proved, now);
                self.is_stale = true;
                self.notify(Notice::TunnelDown { peer, reason });
            }
            Action::FirstAttemptFailed { peer } => {
                // Until now, SYNs were held for this attempt.
                self.outages.attempted(&peer);
                self.is_stale = true;
            }
            Action::RecordsDiffer { peer, drift } => self.records_differ(peer, drift, now),
            Action::Role(standing) => self.role_changed(standing),
            Action::StoreSecrets(secrets) => self.effects.push_back(Effect::StoreSecrets(secrets)),
            Action::Alarm(alarm) => self.alarm(alarm, now),
            Action::Drained => self.phase = Phase::Drained,
        }
    }

    fn dial(&mut self, dial: DialId, peer: GatewayId, endpoints: Vec<Endpoint>) {
        tracing::debug!(%peer, "Dialling");

        self.effects.push_back(Effect::Dial {
            dial,
            peer,
            endpoints,
        });
    }

    /// An attached node has no names of its own, and asks for those of others.
    fn offer_zone(&mut self, peer: &GatewayId, conn: ConnId) {
        if !peer.is_node() && !self.membership.me.is_node() {
            self.effects.push_back(Effect::OfferZone { conn });
        }
    }

    fn forward_by(&mut self, fib: Fib, now: Instant) {
        self.fib = fib;
        self.is_stale = true;
        self.plan_routes(now);
    }

    fn role_changed(&mut self, standing: Standing) {
        self.notify(Notice::Role(standing.clone()));
        self.is_active = standing.role == SiteRole::Active;

        let is_takeover = self.is_active && standing.reason.sibling().is_some();
        // Connections that went through the sibling until now are not known here.
        if is_takeover {
            self.ask_data_plane(PacketEffect::BeginGrace);
        }
        self.effects.push_back(Effect::Role(standing));
    }

    /// What an operator should know of it depends on our files: see [`Shell::records_read`].
    fn records_differ(&mut self, peer: GatewayId, drift: Vec<RecordDrift>, now: Instant) {
        if drift.is_empty() {
            self.effects.push_back(Effect::Clear(drift::name(&peer)));
        }
        self.drifts.set(peer, drift, now);
    }

    /// The records in our files were read.
    pub(crate) fn records_read(&mut self, files: Option<FiledRecords>, now: Instant) {
        self.drifts.read(files, now);

        let findings = self.drifts.findings(&self.membership.me);
        self.effects.extend(findings.into_iter().map(Effect::Raise));
    }

    fn alarm(&mut self, alarm: Alarm, now: Instant) {
        // The log says it once; the list says it for as long as it comes again.
        let finding = self.alarms.note(&alarm, now);
        self.effects.extend(finding.map(Effect::Raise));

        self.notify(Notice::Alarm(alarm));
    }

    fn path_mtu_changed(&mut self, peer: GatewayId, size: u16, now: Instant) {
        tracing::debug!(%peer, size, "Path MTU changed");

        // By peer, not by session: the next session takes the same path.
        self.path_mtus.insert(peer.clone(), size);
        self.ask_data_plane(PacketEffect::SetPathMtu { peer, size });
        self.plan_routes(now);
    }

    pub(crate) fn ask_data_plane(&mut self, effect: PacketEffect) {
        self.effects.push_back(Effect::Packets(effect));
    }

    fn notify(&mut self, notice: Notice) {
        self.effects.push_back(Effect::Notify(notice));
    }

    fn install_opening(&mut self, conn: ConnId, lanes: Vec<Lane>) {
        // An earlier action may have closed the session that this one names.
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        let Some(info) = self.membership.gateways.get(&session.peer) else {
            return;
        };

        session.open(&lanes);
        let effect = PacketEffect::InstallOpening {
            conn,
            peer: session.peer.clone(),
            site: self.sites.of(&session.peer.org, &info.site),
            lanes,
        };
        self.ask_data_plane(effect);
        self.is_stale = true;
    }

    fn install_sealing(&mut self, conn: ConnId, lanes: Vec<Lane>) {
        // Keys that open come first: the peer answers as soon as our packets arrive.
        let Some(session) = self
            .sessions
            .get_mut(conn)
            .filter(|session| session.opens())
        else {
            return;
        };

        session.seals = true;
        let effect = PacketEffect::InstallSealing {
            conn,
            peer: session.peer.clone(),
            lanes,
        };
        self.ask_data_plane(effect);
        self.is_stale = true;
    }

    /// Brings the published tables up to date, and only then closes connections whose keys they
    /// named.
    fn publish(&mut self, now: Instant) {
        if std::mem::take(&mut self.is_stale) {
            let tables = self.tables(now);
            self.sharing.set_sessions(&tables.companions.sessions);
            self.ask_data_plane(PacketEffect::Publish(Box::new(tables)));
            // Half of the places for handshakes is kept for these addresses.
            self.effects
                .push_back(Effect::ExpectPeers(self.peer_addresses()));
        }

        let closing = std::mem::take(&mut self.closing);
        self.effects.extend(
            closing
                .into_iter()
                .map(|(conn, code)| Effect::Close { conn, code }),
        );
    }

    fn tables(&mut self, now: Instant) -> Tables {
        let site = self
            .sites
            .of(&self.membership.me.org, &self.membership.site);
        let authorized = self
            .fib
            .authorized
            .iter()
            .map(|(prefix, org, site)| (*prefix, self.sites.of(org, site)))
            .collect();

        // A session without keys seals nothing: its prefixes have no route yet.
        let sealing = self.fib.routes.iter().filter(|(_, (_, conn))| {
            let session = self.sessions.get(*conn);
            session.is_some_and(|session| session.seals)
        });
        let mut routes = BTreeMap::new();
        let mut served = BTreeMap::new();
        for (prefix, (peer, conn)) in sealing {
            routes.insert(*prefix, *conn);
            served.insert(*prefix, peer.clone());
        }
        let outages = self.outages.update(&served, now);

        let sessions = self
            .sessions
            .iter()
            .filter(|(_, session)| session.opens())
            .map(|(conn, _)| conn)
            .collect();

        Tables {
            site,
            local: self.fib.local.clone(),
            connected: self
                .current
                .connected
                .iter()
                .map(|network| network.prefix)
                .collect(),
            authorized,
            routes,
            outages,
            tunnel: self.current.config.tunnel,
            sessions,
            attached: self.attached(),
            nodes_reach_each_other: self.current.config.nodes.reach_each_other,
            rules: self.rules(site),
            companions: self.companions(),
        }
    }

    fn attached(&mut self) -> BTreeSet<SiteNumber> {
        let org = self.membership.me.org.clone();
        let nodes = self.current.config.nodes.list.iter();

        nodes
            .map(|node| self.sites.of(&org, &node.site()))
            .collect()
    }

    fn companions(&self) -> Companions {
        let mut companions = Companions::default();
        let shared = self.membership.gateways.iter().filter(|(gateway, info)| {
            gateway.org == self.membership.me.org && info.site == self.membership.site
        });

        for (gateway, _) in shared {
            let sessions = self
                .sessions
                .iter()
                .filter(|(_, session)| session.peer == *gateway && session.seals)
                .map(|(conn, _)| conn);
            let before = companions.sessions.len();
            companions.sessions.extend(sessions);
            // A sibling without a session tells nothing of its flows, so that grace must not end.
            companions.is_one_missing |= companions.sessions.len() == before;
        }
        companions
    }

    /// The addresses that peers may dial from: those of their sessions, and those in their records.
    fn peer_addresses(&self) -> BTreeSet<IpAddr> {
        let recorded = self
            .membership
            .gateways
            .values()
            .flat_map(|info| &info.endpoints)
            // A name has no address here: such a peer is known once it has a session.
            .filter_map(|endpoint| endpoint.host.address());

        self.sessions
            .addresses()
            .into_iter()
            .chain(recorded)
            .collect()
    }

    /// Takes a session's keys away. Its connection is closed when the tables do not name them any
    /// more.
    fn close(&mut self, conn: ConnId, code: ByeCode, now: Instant) {
        if self.drop_session(conn, now) {
            self.closing.push((conn, code));
        }
    }

    /// Forgets a session and its keys. False if there is none.
    pub(crate) fn drop_session(&mut self, conn: ConnId, now: Instant) -> bool {
        let existed = self.sessions.remove(conn).is_some();

        self.effects.push_back(Effect::ForgetZone { conn });
        self.is_stale = true;
        self.heap.note_freed(now);
        existed
    }

    /// The kernel's routes follow the forwarding table, and so does what names are answered with.
    pub(crate) fn plan_routes(&mut self, now: Instant) {
        self.reach(now);

        let tunnelled = self.tunnelled();
        let situation = self.current.situation();
        self.routes.set_plan(plan_routes(&situation, &tunnelled));
    }

    fn tunnelled(&self) -> Tunnelled {
        self.fib
            .routes
            .iter()
            .map(|(prefix, (peer, conn))| {
                // Until it is known, the route has the device's MTU: the data plane carries longer
                // packets in fragments for a moment, while a host that a route once told a small
                // MTU would keep to it for ten minutes.
                let path_mtu = self.path_mtus.get(peer).copied();
                let mtu = self
                    .sessions
                    .get(*conn)
                    .filter(|session| session.seals)
                    .zip(path_mtu)
                    .map(|(session, path_mtu)| session.mtu(path_mtu));
                (*prefix, mtu)
            })
            .collect()
    }

    /// Names with several addresses are answered with those that can be reached: behind a route
    /// that stays, or in our site.
    pub(crate) fn reach(&mut self, now: Instant) {
        // Our site's addresses need no tunnel.
        let own = self.membership.local_prefixes();
        let remote: BTreeSet<Prefix> = self
            .membership
            .authorized
            .values()
            .flatten()
            .copied()
            .filter(|prefix| !own.contains(prefix))
            .collect();

        // Names do not wait for the kernel's routes, which follow the forwarding table.
        let routed = remote
            .iter()
            .copied()
            .filter(|prefix| self.fib.routes.contains_key(prefix))
            .collect();

        // Should a member that left come back, its prefixes are new.
        self.hold_down.retain(|prefix| remote.contains(prefix));
        let unreachable = &remote - &self.hold_down.update(routed, now);

        self.effects.push_back(Effect::SetReach {
            own: own.to_vec(),
            unreachable,
        });
    }
}
