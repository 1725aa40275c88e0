//! Questions for others: put to the [`Forwarder`](crate::Forwarder), answered when it has heard.

use std::net::IpAddr;

use super::Shared;
use crate::acl::Class;
use crate::answer::{Transport, answer_others, ask_of};
use crate::forward::Waiter;

impl Shared {
    /// Has `message` of `asker` answered by others, and gives the response to `send`, once, now or later.
    pub(super) fn ask_others(
        &self,
        message: &[u8],
        (address, class, transport): (IpAddr, Class, Transport),
        send: impl FnOnce(Vec<u8>) + Send + 'static,
    ) {
        let ask = ask_of(&self.zones.load(), message);
        let (shared, message, came) = (self.clone(), message.to_vec(), self.clock.elapsed());
        let waiter = Waiter::new(
            address,
            Box::new(move |found| {
                let mut response = Vec::new();
                let asker = shared.asker(address, class, transport, shared.clock.elapsed());
                let outcome =
                    answer_others(&shared.zones.load(), &message, &asker, found, &mut response);
                shared.counters.count_late(&asker, outcome);
                shared.counters.forwarded.add(shared.clock.elapsed() - came);
                if outcome.is_sent() {
                    send(response);
                }
            }),
        );
        match ask {
            Some(ask) => self.options.forwarder.put(ask, waiter),
            // The zones have changed since the question was looked at: the consortium can answer it now.
            None => waiter.hear(None),
        }
    }
}
