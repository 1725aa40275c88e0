//! What the files of a site's gateways must have alike. Each gateway tells its siblings what it
//! has, and differences are reported; nothing else depends on them.

use std::time::Instant;

use super::Tunnel;
use super::standing::supports_siblings;
use crate::action::Action;
use crate::context::Context;
use crate::id::ConnId;
use crate::message::{Message, SiteSettings};

impl Tunnel {
    /// Sends our settings to a sibling, on every session where the last ones differ.
    pub(crate) fn send_site_settings(&mut self, context: &mut Context) {
        for conn in self.live_conns() {
            self.send_site_settings_on(context, conn);
        }
    }

    pub(super) fn send_site_settings_on(&mut self, context: &mut Context, conn: ConnId) {
        if !self.is_sibling(context) {
            return;
        }
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        let ours = context.site_settings.as_ref().map(|(settings, _)| settings);
        if !supports_siblings(context, live) || live.sent_settings.as_ref() == ours {
            return;
        }

        // No addresses at all are worth a message too, once that is known.
        let ours = ours.cloned();
        live.sent_settings.clone_from(&ours);
        if let Some(settings) = ours {
            let message = Message::SiteSettings(settings);
            context.act(Action::Send { conn, message });
        }
    }

    /// Handles the settings of a sibling.
    pub(super) fn handle_site_settings(
        &mut self,
        context: &Context,
        conn: ConnId,
        settings: SiteSettings,
        now: Instant,
    ) {
        let is_sibling = self.is_sibling(context);
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        if !is_sibling || !supports_siblings(context, live) {
            return;
        }

        // Each session begins with them.
        let known = self.site_settings.as_ref();
        if known.is_none_or(|(known, _)| *known != settings) {
            self.site_settings = Some((settings, now));
        }
    }

    /// What a sibling reported last, and when it changed; `None` if it has reported nothing, or is
    /// no sibling.
    pub(crate) fn site_settings(&self, context: &Context) -> Option<&(SiteSettings, Instant)> {
        let settings = self.site_settings.as_ref();

        settings.filter(|_| self.is_sibling(context))
    }
}
