//! [`Kubernetes`]: `[dns.kubernetes]` of `gateway.toml`, the Services whose names are ours.

use std::path::PathBuf;

/// Where a pod finds the CA, its token and its namespace.
pub const CREDENTIALS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Which Services give names to this site's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// Their namespaces; that of our pod if there are none.
    pub namespaces: Vec<String>,
    /// Labels that they must have, as the API server writes it.
    pub selector: Option<String>,
    /// Services of type NodePort have the nodes' addresses, for which nodes are watched.
    pub nodes: bool,
    /// The API server, such as `https://10.0.0.1:6443`; as a pod knows it unless the file says it.
    pub server: Option<String>,
    /// The directory with `ca.crt`, `token` and `namespace`.
    pub credentials: PathBuf,
}
