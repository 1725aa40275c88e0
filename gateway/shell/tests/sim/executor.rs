//! The executor: feeds inputs to a node's shell and carries out its effects in order, as that of
//! the gateway (`gateway/src/drive.rs`) does. `ports` owns what an effect does.

use ringway_core::Membership;
use ringway_shell::{Effect, Input, PacketEffect};

use crate::event::Event;
use crate::invariant;
use crate::ports::Answer;
use crate::world::World;

impl World {
    /// Hands an input to a node's shell, if one runs, and carries out its effects.
    pub(crate) fn input(&mut self, node: usize, input: Input) {
        let now = self.now;

        if let Some(daemon) = &mut self.nodes[node].daemon {
            daemon.shell.handle(input, now);
            self.carry_out(node);
        }
    }

    /// Time since boot, as a node's daemon sees it.
    pub(crate) fn tick(&mut self, node: usize) {
        if let Some(daemon) = &self.nodes[node].daemon {
            let boot = self.now - self.start + daemon.slept;
            let wall = self.wall_time(node);
            self.input(node, Input::Tick { boot, wall });
        }
    }

    /// Carries out every effect of a node's shell, as the gateway's executor does, and checks what
    /// it published.
    pub(crate) fn carry_out(&mut self, node: usize) {
        let mut has_published = false;
        let mut before = None;
        let mut ended = Vec::new();

        while let Some(daemon) = &mut self.nodes[node].daemon {
            let Some(effect) = daemon.shell.poll_effect() else {
                break;
            };
            has_published |= matches!(effect, Effect::Packets(PacketEffect::Publish(_)));
            if let (Effect::Close { conn, .. }, Some(_)) = (&effect, &before) {
                ended.push(*conn);
            }
            self.log_effect(node, &effect);
            if let Some(answer) = self.perform(node, effect) {
                before = self.answer_at_once(node, answer).or(before);
            }
        }

        // A change of membership must cut no member.
        if let Some(before) = before.filter(|_| self.nodes[node].runs()) {
            invariant::only_removed_are_cut(self, node, &before, &ended);
        }

        if has_published && self.nodes[node].runs() {
            invariant::tables_are_sound(self, node);
        }
        self.set_alarm_clock(node);
    }

    /// An answer goes back in before the next effect. Gives the membership before an adoption.
    fn answer_at_once(&mut self, node: usize, answer: Input) -> Option<Membership> {
        let is_adoption = matches!(answer, Input::Adopted { .. });
        let now = self.now;
        let daemon = self.nodes[node].running_mut();
        let before = is_adoption.then(|| daemon.shell.membership().clone());

        daemon.shell.handle(answer, now);
        before
    }

    fn set_alarm_clock(&mut self, node: usize) {
        let now = self.now;
        let Some(at) = self.nodes[node]
            .daemon
            .as_ref()
            .and_then(|daemon| daemon.shell.poll_timeout())
        else {
            return;
        };

        if self.nodes[node].wake.is_none_or(|known| at < known) {
            self.nodes[node].wake = Some(at);
            self.schedule(at.saturating_duration_since(now), Event::Wake { node });
        }
    }

    /// A port's answer arrives: what it does to the host happens now.
    pub(crate) fn answered_by_port(&mut self, node: usize, life: u64, answer: Answer) {
        let gateway = &mut self.nodes[node];
        let runs = gateway
            .daemon
            .as_ref()
            .is_some_and(|daemon| daemon.life == life);

        if runs {
            let input = match answer {
                Answer::Input(input) => input,
                Answer::Routes { plan, outcome } => self.routes_synced(node, plan, outcome),
                Answer::Guard {
                    change,
                    spec,
                    result,
                } => self.guard_applied(node, change, *spec, result),
                Answer::Check { leave } => self.kernel_checked(node, &leave),
            };
            self.input(node, input);
        } else if let Answer::Input(input) = answer {
            self.answered_too_late(node, life, input);
        }
    }

    /// A daemon that has stopped must do nothing any more.
    fn answered_too_late(&mut self, node: usize, life: u64, input: Input) {
        let now = self.now;
        let Some(stopped) = &mut self.nodes[node].stopped else {
            return;
        };
        if stopped.life != life {
            return;
        }

        stopped.shell.handle(input, now);
        if let Some(effect) = stopped.shell.poll_effect() {
            self.accuse(node, &format!("acts after it has stopped: {effect:?}"));
        }
    }

    fn log_effect(&self, node: usize, effect: &Effect) {
        let is_frequent = matches!(
            effect,
            Effect::Packets(PacketEffect::Probe { .. })
                | Effect::Packets(PacketEffect::Publish(_))
                | Effect::ExpectPeers(_)
                | Effect::Send { .. }
                | Effect::SetReach { .. }
                | Effect::SyncRoutes(_)
                | Effect::CheckDevice
                | Effect::ReadActivity
                | Effect::Packets(PacketEffect::ExpireKeys)
                | Effect::Packets(PacketEffect::ShareFlows { .. })
                | Effect::ForgetZone { .. }
                | Effect::OfferZone { .. }
        );

        if self.verbose && !is_frequent {
            let text: String = format!("{effect:?}").chars().take(200).collect();
            self.log(node, &text);
        }
    }
}
