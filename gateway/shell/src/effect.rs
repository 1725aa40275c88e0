//! [`Effect`]: everything that a gateway wants done. The executor carries the effects out in their
//! order, each by one call of one port, and decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ringway_config::{Accepted, Config, Endpoint, Faults, GatewayId, Prefix};
use ringway_core::{
    ByeCode, ConnId, DialId, Membership, Message, Offer, PolicyEnvelope, Secret, Standing,
    ZoneMessage,
};
use ringway_intent::{Finding, GuardSpec, Inspection, RoutePlan, Thing};

use crate::changes::ChangeId;
use crate::notice::Notice;
use crate::packet_effect::PacketEffect;

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Effect {
    // Links.
    /// Resolve the endpoints' names and race their addresses, accepting only `peer`. Answered by
    /// [`Input::Connected`](crate::Input::Connected) or
    /// [`Input::DialFailed`](crate::Input::DialFailed).
    Dial {
        /// Names the attempt in the answer.
        dial: DialId,
        /// The only identity to accept.
        peer: GatewayId,
        /// Where to dial, the preferred one first.
        endpoints: Vec<Endpoint>,
    },
    /// Give a dial up, if it has not ended yet.
    AbandonDial {
        /// The attempt.
        dial: DialId,
    },
    /// Start the control stream of a connection.
    StartLink {
        /// The connection.
        conn: ConnId,
        /// For the log.
        peer: GatewayId,
    },
    /// Close a connection that was not started.
    RefuseLink {
        /// The connection.
        conn: ConnId,
    },
    /// Queue a message on a control stream.
    Send {
        /// The connection.
        conn: ConnId,
        /// The message.
        message: Message,
    },
    /// Close a connection after what is queued. Its keys are gone from the published tables.
    Close {
        /// The connection.
        conn: ConnId,
        /// For the peer.
        code: ByeCode,
    },
    /// Forget a connection that has ended by itself.
    ForgetLink {
        /// The connection.
        conn: ConnId,
    },
    /// Tell what came in on each connection. Answered by
    /// [`Input::Activity`](crate::Input::Activity).
    ReadActivity,
    /// The addresses that peers may dial from: a flood of strangers must not slow their handshakes.
    ExpectPeers(BTreeSet<IpAddr>),

    /// Something to do in the data plane.
    Packets(PacketEffect),

    // Host.
    /// This gateway is the active one of its site from now on, or is not: the site's hosts are to
    /// follow. Once at the start; a gateway without siblings is active. The last one stands until
    /// the daemon ends.
    Role(Standing),
    /// Make the kernel's routes those of the plan. One at a time; answered by
    /// [`Input::RoutesSynced`](crate::Input::RoutesSynced).
    SyncRoutes(RoutePlan),
    /// Replace the guard in one transaction, and have forwarding follow. One at a time; answered by
    /// [`Input::Guarded`](crate::Input::Guarded).
    ApplyGuard {
        /// Names the answer.
        change: ChangeId,
        /// The guard.
        spec: Box<GuardSpec>,
    },
    /// Compare everything else that the daemon has set in the kernel, and restore what another
    /// program has changed. One at a time; answered by
    /// [`Input::KernelChecked`](crate::Input::KernelChecked).
    CheckKernel {
        /// Differences that are reported, but not restored.
        leave: BTreeSet<Thing>,
    },
    /// Look for rules and routes of other programs that stop packets between the site and the
    /// members. Answered by [`Input::Inspected`](crate::Input::Inspected).
    Inspect(Box<Inspection>),
    /// Switch off the forwarding that this daemon has switched on, or switch it on again.
    SwitchForwarding {
        /// On again.
        on: bool,
    },
    /// Remember the prefixes that must not be reachable by the default route although their member
    /// was removed.
    Hold(BTreeSet<Prefix>),
    /// Look after the TUN device and bring it back if it is down or gone. Answered by
    /// [`Input::DeviceRecreated`](crate::Input::DeviceRecreated) if it was.
    CheckDevice,

    // Jobs.
    /// Read and check every file. Answered by [`Input::ConfigRead`](crate::Input::ConfigRead).
    ReadConfig {
        /// Names the answer.
        change: ChangeId,
    },
    /// Read the member records in the files, which may be newer than those in force. Answered by
    /// [`Input::RecordsRead`](crate::Input::RecordsRead).
    ReadRecords,
    /// Read each file by itself, and find what both the files and what is in force allow. Answered
    /// by [`Input::Narrowed`](crate::Input::Narrowed).
    Narrow {
        /// Names the answer.
        change: ChangeId,
    },
    /// Finish our zone as it was read: its serial, and what is derived from it. Answered by
    /// [`Input::ZoneBuilt`](crate::Input::ZoneBuilt).
    BuildZone {
        /// Names the answer.
        change: ChangeId,
    },
    /// Read and check our certificate and key. Answered by
    /// [`Input::IdentityRead`](crate::Input::IdentityRead).
    ReadIdentity {
        /// Names the answer.
        change: ChangeId,
    },
    /// Remember the accepted records, for the verdicts after a restart.
    SaveAccepted(Accepted),
    /// Remember what siblings prove to be alive by, in place of what was before: a proof may be
    /// all that comes of them after a restart.
    StoreSecrets(BTreeMap<GatewayId, Secret>),
    /// Give freed memory back to the system.
    TrimHeap,

    // What is in force.
    /// Put what was read and built for this change in force: trust, identity, zone and whom to
    /// answer. What was not read stays. Answered at once by
    /// [`Input::Adopted`](crate::Input::Adopted).
    Adopt {
        /// The change.
        change: ChangeId,
        /// Its configuration.
        config: Arc<Config>,
        /// What follows from it.
        membership: Arc<Membership>,
    },
    /// Use the certificate and key that were read for this change.
    AdoptIdentity {
        /// The change.
        change: ChangeId,
    },
    /// Drop whatever was read and built for this change.
    Discard {
        /// The change.
        change: ChangeId,
    },

    // Names.
    /// Answer names that have several addresses with those that can be reached.
    SetReach {
        /// Our site's prefixes, always reachable.
        own: Vec<Prefix>,
        /// Prefixes of members that are not reachable now.
        unreachable: BTreeSet<Prefix>,
    },
    /// A zone message came.
    ZoneMessage {
        /// The peer.
        peer: GatewayId,
        /// The connection, for the answer.
        conn: ConnId,
        /// What it says.
        message: ZoneMessage,
    },
    /// A gateway says what it has for us, an attached node. It is to be remembered, and the files
    /// are to be read again.
    Offered {
        /// The gateway.
        peer: GatewayId,
        /// What it has.
        offer: Offer,
    },
    /// A question about our policy came, or an answer about the peer's.
    Policy(PolicyEnvelope),
    /// Offer our zone on a connection.
    OfferZone {
        /// The connection.
        conn: ConnId,
    },
    /// A session has ended: forget what it was sending as its zone.
    ForgetZone {
        /// The connection.
        conn: ConnId,
    },

    /// A reload has ended: all that follows from it is on its way.
    ReloadEnded {
        /// The change that it was.
        change: ChangeId,
        /// Why it was refused; what it takes away is in force then.
        result: Result<(), Faults>,
    },
    /// Tell operators.
    Notify(Notice),
    /// Put this on the list of what needs attention, in place of what has its name.
    Raise(Finding),
    /// Take what has this name off the list.
    Clear(String),
    /// The last effect: every session is closed, and the kernel has the routes of a gateway without
    /// tunnels. Nothing follows.
    Stop,
}
