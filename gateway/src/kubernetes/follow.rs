//! Follows an API server by `ringway-services`, and hands over what that says.

use std::env;

use ringway_config::Config;
use ringway_services::{Access, Terms, watch as follow};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::Event;
use crate::tasks::Tasks;
use crate::watch;

pub(super) use ringway_services::{Settings, fingerprint};

pub(super) const IS_BUILT_IN: bool = true;

/// Events that wait for the loop. The task waits when it is full.
const QUEUE: usize = 4;

/// What `config` wants to be followed.
pub(super) fn settings(config: &Config) -> Option<Settings> {
    let kubernetes = config.dns.kubernetes.clone()?;

    Some(Settings {
        access: Access {
            server: kubernetes.server.unwrap_or_else(server),
            credentials: kubernetes.credentials,
        },
        namespaces: kubernetes.namespaces,
        selector: kubernetes.selector,
        nodes: kubernetes.nodes,
        terms: Terms::of(config),
    })
}

/// The API server as each pod finds it; its name in the cluster's DNS without that.
fn server() -> String {
    let host = env::var("KUBERNETES_SERVICE_HOST");
    let host = host.unwrap_or_else(|_| "kubernetes.default.svc".to_owned());
    let port = env::var("KUBERNETES_SERVICE_PORT").unwrap_or_else(|_| "443".to_owned());

    // RFC 3986, section 3.2.2: an address of IPv6 stands in brackets.
    if host.contains(':') {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    }
}

pub(super) fn start(
    settings: Settings,
    events: mpsc::Sender<watch::Event>,
    tasks: &Tasks,
) -> AbortHandle {
    tasks.spawn(async move {
        let (sender, mut said) = mpsc::channel(QUEUE);
        let hand_over = async {
            while let Some(event) = said.recv().await {
                let event = watch::Event::Kubernetes(converted(event));
                // The receiver is gone only when the daemon ends.
                let _ = events.send(event).await;
            }
        };

        tokio::join!(follow(settings, sender), hand_over);
    })
}

fn converted(event: ringway_services::Event) -> Event {
    match event {
        ringway_services::Event::Names { names, is_cut } => {
            let mut findings: Vec<String> =
                names.findings.iter().map(ToString::to_string).collect();
            if is_cut {
                let what = "the namespaces have more objects than are kept, and names may be \
                            missing; name fewer of them, or a selector, in [dns.kubernetes]";
                findings.insert(0, what.to_owned());
            }
            if names.more_findings > 0 {
                findings.push(format!("{} more findings", names.more_findings));
            }
            Event::Names {
                names: names.hosts,
                findings,
            }
        }
        ringway_services::Event::Away { reason } => Event::Away { reason },
        ringway_services::Event::Back => Event::Back,
    }
}
