//! A tunnel between two honest gateways that must not notice what happens around it.

use std::sync::Arc;
use std::time::Duration;

use quinn::Connection;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wire::Gateway;

/// Far above a round trip on loopback.
const PATIENCE: Duration = Duration::from_secs(10);

/// Datagrams go to and fro, one at a time; a lost one ends it.
pub(crate) struct Tunnel {
    returned: watch::Receiver<u64>,
    connection: Connection,
    tasks: [JoinHandle<()>; 2],
}

impl Tunnel {
    pub(crate) async fn between(near: &Gateway, far: &Arc<Gateway>) -> Tunnel {
        let (dialled, accepted) = tokio::join!(near.dial(far.address(), "gw.beta"), far.accept());
        let (near, far) = (dialled.connection.unwrap(), accepted.connection.unwrap());
        let (count, returned) = watch::channel(0);
        let echo = tokio::spawn(async move {
            while let Ok(datagram) = far.read_datagram().await {
                _ = far.send_datagram(datagram);
            }
        });
        let connection = near.clone();
        let ping = tokio::spawn(async move {
            for number in 1_u64.. {
                near.send_datagram(number.to_be_bytes().to_vec().into())
                    .unwrap();
                let Ok(answer) = timeout(PATIENCE, near.read_datagram())
                    .await
                    .expect("a datagram was lost")
                else {
                    return;
                };
                assert_eq!(answer.as_ref(), number.to_be_bytes());
                count.send_replace(number);
            }
        });
        Tunnel {
            returned,
            connection,
            tasks: [echo, ping],
        }
    }

    /// Waits until a datagram that is sent after now has come back.
    pub(crate) async fn works(&mut self) {
        let now = *self.returned.borrow_and_update();
        timeout(
            PATIENCE,
            self.returned.wait_for(|returned| *returned > now + 1),
        )
        .await
        .unwrap()
        .unwrap();
    }

    /// Ends it; how many datagrams went to and fro.
    pub(crate) async fn end(self) -> u64 {
        assert_eq!(self.connection.close_reason(), None);
        self.connection.close(0_u8.into(), b"");
        for task in self.tasks {
            task.await.expect("no datagram was lost or changed");
        }
        *self.returned.borrow()
    }
}
