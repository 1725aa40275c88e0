//! The finding that another program uses the DNS server's port.

use std::net::SocketAddr;

use ringway_intent::{ADDRESS_MISSING, Finding, Remedy};
use tokio::sync::watch::Receiver;

use crate::attention::Attention;

/// The finding that DNS is not served at `listen`.
pub fn taken(listen: SocketAddr) -> Finding {
    Finding {
        name: format!("{ADDRESS_MISSING} port {listen}"),
        what: format!(
            "[dns] listen {listen}: another program has the port, and DNS is not served there \
             until it is free"
        ),
        remedy: Remedy::command(format!(
            "ss -lntup 'sport = {}'   # the program to stop; or change [dns] listen",
            listen.port()
        )),
    }
}

/// Raises and clears the findings according to `missing`, until the server ends.
pub async fn report(mut missing: Receiver<Vec<SocketAddr>>, attention: Attention) {
    let mut told = Vec::new();

    loop {
        let now = missing.borrow_and_update().clone();
        for finding in now.iter().map(|listen| taken(*listen)) {
            attention.raise(&finding.name, &finding.what, finding.remedy);
        }
        for over in told.iter().filter(|listen| !now.contains(listen)) {
            attention.clear(&taken(*over).name);
        }
        told = now;

        if missing.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch::channel;

    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_reported_until_it_is_free() {
        let listen: SocketAddr = "10.1.0.2:53".parse().unwrap();
        let attention = Attention::default();
        let (sender, missing) = channel(vec![listen]);

        let both = async {
            tokio::task::yield_now().await;
            let list = attention.list();
            assert!(list.contains_key(&taken(listen).name), "{list:?}");
            sender.send_replace(Vec::new());
            drop(sender);
        };
        tokio::join!(report(missing, attention.clone()), both);
        assert!(attention.list().is_empty());
    }
}
