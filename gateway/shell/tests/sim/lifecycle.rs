//! Daemons start with what their files say, die without a word, or stop because they have nothing
//! to do any more.

use std::sync::Arc;

use ringway_config::Digest;
use ringway_core::{BootId, Secret};
use ringway_shell::Start;

use crate::daemon::Daemon;
use crate::event::Event;
use crate::invariant;
use crate::world::World;

impl World {
    /// Starts every node's daemon.
    pub(crate) fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
    }

    /// Starts a node's daemon with what its files say.
    pub(crate) fn start(&mut self, node: usize) {
        let boot = BootId(u128::from(self.rng.next()).to_be_bytes());
        let seed = self.rng.next();
        let mut settings = self.settings.clone();
        let now = self.now;
        let wall_time = self.wall_time(node);

        let gateway = &mut self.nodes[node];
        gateway.life += 1;
        gateway.has_lied = false;
        let random = Secret(Digest::of(&boot.0).0);
        settings.secret = *gateway.disk.secret.get_or_insert(random);
        settings.sibling_secrets = gateway.disk.sibling_secrets.clone();
        settings.starts = gateway.life as u32;

        let current = gateway.prepare();
        let start = Start {
            membership: Arc::new((gateway.derive)(&current.config, &current.rulings)),
            current,
            derive: gateway.derive,
            settings,
            boot,
            seed,
            former_policies: Vec::new(),
            boot_time: now - self.start,
            wall_time,
        };
        gateway.daemon = Some(Daemon::new(start, gateway, now));
        gateway.stopped = None;
        gateway.note_members();
        self.log(node, "starts");
        self.carry_out(node);
    }

    /// Another daemon takes a node's place at once.
    pub(crate) fn restart(&mut self, node: usize) {
        self.kill(node);

        self.start(node);
    }

    /// The daemon dies without a word. Some peers learn of it by a reset, some by silence.
    pub(crate) fn kill(&mut self, node: usize) {
        self.log(node, "dies");
        self.nodes[node].die();

        for wire in 0..self.wires.len() {
            for end in 0..2 {
                let here = &self.wires[wire].ends[end];
                if here.node != node || !here.open {
                    continue;
                }
                self.wires[wire].ends[end].open = false;
                if self.rng.chance(500) {
                    let after = self.rng.millis(0, 10_000);
                    self.schedule(after, Event::Broken { wire, end: 1 - end });
                }
            }
        }
    }

    /// The daemon has nothing to do any more: nothing of it may be left.
    pub(crate) fn stop(&mut self, node: usize) {
        let daemon = self.nodes[node].running();
        let is_busy = daemon.guarding.is_some() || daemon.is_syncing || daemon.is_checking;
        let has_sessions = !daemon.tables.sessions.is_empty() || !daemon.tables.routes.is_empty();
        let has_routes = invariant::has_tunnel_routes(&self.nodes[node].kernel.routes);
        // A plan that the kernel refused at the very end is not tried again: the device takes its
        // routes along.
        let was_refused = daemon.is_sync_refused;

        if is_busy {
            self.accuse(node, "stops while a port writes to the kernel");
        }
        if has_sessions {
            self.accuse(node, "stops with sessions in the data plane's tables");
        }
        if has_routes && !was_refused {
            self.accuse(node, "leaves routes into tunnels behind");
        }
        let mut stopped = self.nodes[node].daemon.take();
        if let Some(effect) = stopped
            .as_mut()
            .and_then(|daemon| daemon.shell.poll_effect())
        {
            self.accuse(node, &format!("acts after it has stopped: {effect:?}"));
        }
        self.kill(node);
        self.nodes[node].stopped = stopped;
        self.nodes[node].kernel.is_restored = true;
    }
}
