//! Forwarded queries: handed to the [`Forwarder`](crate::Forwarder), answered when it calls back.

use super::Shared;
use crate::answer::{Client, ForwardedQuery};
use crate::forward::Waiter;

impl Shared {
    /// Has the configured resolvers queried for `query`, and passes the response to `send`: once,
    /// now or later, from this thread or a task of the forwarder.
    pub(super) fn forward(
        &self,
        query: Box<ForwardedQuery>,
        client: Client,
        send: impl FnOnce(Vec<u8>) + Send + 'static,
    ) {
        let question = *query.question();
        let shared = self.clone();
        let received = self.clock.elapsed();

        let waiter = Waiter::new(
            client.address,
            Box::new(move |resolved| {
                // The clock is read again: a cookie has the time at which it is sent.
                let context = shared.context(client, shared.clock.elapsed());
                let mut response = Vec::new();
                let outcome = query.answer(&shared.zones.load(), &context, resolved, &mut response);

                let counters = &shared.counters;
                counters.count_forwarded(client, &outcome);
                counters.forwarded.add(shared.clock.elapsed() - received);
                if outcome.is_sent() {
                    send(response);
                }
            }),
        );
        self.options.forwarder.forward(question, waiter);
    }
}
