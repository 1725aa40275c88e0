//! [`Round`]: connects once to every target.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Target;

/// Time limit of a connection. Targets are in the site, or one tunnel away.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum of simultaneous connections. With the limit on targets, a round ends before the next one
/// starts.
const AT_ONCE: usize = 256;

/// One probe of each target.
#[derive(Debug)]
pub struct Round(Vec<Target>);

/// The results of a round.
#[derive(Debug)]
pub struct Probed(pub(super) Vec<(Target, Result<(), String>)>);

impl Round {
    pub(super) fn new(targets: Vec<Target>) -> Round {
        Round(targets)
    }

    #[cfg(test)]
    pub(super) fn targets(&self) -> &[Target] {
        &self.0
    }

    /// Connects to the targets.
    pub async fn run(self) -> Probed {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut probes = JoinSet::new();
        for target in self.0 {
            let places = places.clone();
            probes.spawn(async move {
                // The semaphore is never closed.
                let _place = places.acquire_owned().await;
                let result = probe(&target).await;
                (target, result)
            });
        }

        Probed(probes.join_all().await)
    }
}

async fn probe(target: &Target) -> Result<(), String> {
    match timeout(TIMEOUT, TcpStream::connect(target.address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn target(address: std::net::SocketAddr) -> Target {
        Target {
            name: "peer0.acme.example".into(),
            address,
        }
    }

    #[tokio::test]
    async fn a_listener_is_good_and_a_closed_port_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = target(listener.local_addr().unwrap());
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = target(other.local_addr().unwrap());
        drop(other);

        let Probed(results) = Round::new(vec![open.clone(), closed.clone()]).run().await;
        assert_eq!(results.len(), 2);
        for (target, result) in results {
            assert_eq!(result.is_ok(), target == open, "{target:?}: {result:?}");
        }
    }
}
