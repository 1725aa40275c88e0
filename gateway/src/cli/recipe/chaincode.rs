//! `ringway recipe chaincode`: NetworkPolicies for chaincode in Kubernetes. Chaincode is the
//! consortium's code in this organization's network: it may connect to its peer and to nothing
//! else.
//!
//! The policies allow no address range, so the cloud's metadata service, the members and the
//! Internet are unreachable.

use std::process::ExitCode;

use crate::cli::{Failure, answer};

/// How chaincode runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum How {
    /// fabric-builder-k8s: the peer starts it as a job, and it connects to the peer
    BuilderK8s,
    /// Chaincode as a service: it listens, and the peer connects to it
    Ccaas,
}

/// Arguments of `ringway recipe chaincode`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How it runs
    #[arg(value_name = "HOW")]
    pub how: How,
    /// The namespace in which it runs
    #[arg(long, default_value = "default", value_parser = name)]
    pub namespace: String,
    /// A label of the peer's pods; may be repeated
    #[arg(long = "peer", value_name = "KEY=VALUE", required = true, value_parser = label)]
    pub peers: Vec<Label>,
    /// The namespace of the peers, if it is another one
    #[arg(long, value_name = "NAMESPACE", value_parser = name)]
    pub peer_namespace: Option<String>,
    /// A label of the chaincode's pods, in place of the builder's own; may be repeated
    #[arg(long = "chaincode", value_name = "KEY=VALUE", value_parser = label)]
    pub chaincode: Vec<Label>,
    /// The peer's port for chaincode, else 7052; of ccaas the chaincode's, else 9999
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
}

/// A label of pods.
#[derive(Debug, Clone)]
pub struct Label {
    key: String,
    value: String,
}

/// The labels that fabric-builder-k8s sets on its jobs and pods.
const BUILDERS: [(&str, &str); 2] = [
    ("app.kubernetes.io/component", "chaincode"),
    ("app.kubernetes.io/managed-by", "fabric-builder-k8s"),
];

/// Runs `ringway recipe chaincode`.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.how == How::Ccaas && args.chaincode.is_empty() {
        return Err(Failure::Usage(
            "name the labels of the chaincode's pods with --chaincode".into(),
        ));
    }

    answer(policy(args))
}

fn policy(args: &Args) -> String {
    let selector = selector(args);
    let peer = peer(args);
    let rules = match args.how {
        How::BuilderK8s => client(&peer, args.port.unwrap_or(7052)),
        How::Ccaas => server(&peer, args.port.unwrap_or(9999)),
    };
    let what = match args.how {
        How::BuilderK8s => "it connects to its peer, and asks for the peer's name",
        How::Ccaas => "its peer connects to it, and it connects to nobody",
    };

    format!(
        "# Chaincode: {what}.\n\
         # Everything else is denied: members, the Internet, the cloud's metadata service. The\n\
         # network plug-in must enforce policies; few keep a pod from its own node.\n\
         apiVersion: networking.k8s.io/v1\n\
         kind: NetworkPolicy\n\
         metadata:\n\
         \x20 name: ringway-chaincode\n\
         \x20 namespace: {}\n\
         spec:\n\
         \x20 podSelector:\n\
         \x20   matchLabels:\n\
         {selector}\
         \x20 policyTypes: [Ingress, Egress]\n\
         {rules}",
        args.namespace
    )
}

/// The selector of the chaincode's pods.
fn selector(args: &Args) -> String {
    if args.chaincode.is_empty() {
        let own = BUILDERS.iter();
        return own
            .map(|(key, value)| format!("      {key}: \"{value}\"\n"))
            .collect();
    }

    lines(&args.chaincode, "      ")
}

fn lines(labels: &[Label], indent: &str) -> String {
    let lines = labels.iter();
    lines
        .map(|label| format!("{indent}{}: \"{}\"\n", label.key, label.value))
        .collect()
}

/// The peer's pods, as `from` or `to` of a rule.
fn peer(args: &Args) -> String {
    let labels = lines(&args.peers, "            ");
    let namespace = args
        .peer_namespace
        .as_ref()
        .map(|namespace| {
            format!(
                "          namespaceSelector:\n\
                 \x20           matchLabels:\n\
                 \x20             kubernetes.io/metadata.name: \"{namespace}\"\n"
            )
        })
        .unwrap_or_default();

    format!(
        "        - podSelector:\n\
         \x20           matchLabels:\n\
         {}\
         {namespace}",
        labels.replace("            ", "              ")
    )
}

fn client(peer: &str, port: u16) -> String {
    format!(
        "  ingress: []\n\
         \x20 egress:\n\
         \x20   - to:\n\
         {peer}\
         \x20     ports:\n\
         \x20       - {{port: {port}, protocol: TCP}}\n\
         \x20   # The cluster's DNS. Its pods may have another label here.\n\
         \x20   - to:\n\
         \x20       - namespaceSelector:\n\
         \x20           matchLabels:\n\
         \x20             kubernetes.io/metadata.name: \"kube-system\"\n\
         \x20         podSelector:\n\
         \x20           matchLabels:\n\
         \x20             k8s-app: \"kube-dns\"\n\
         \x20     ports:\n\
         \x20       - {{port: 53, protocol: UDP}}\n\
         \x20       - {{port: 53, protocol: TCP}}\n"
    )
}

fn server(peer: &str, port: u16) -> String {
    format!(
        "  ingress:\n\
         \x20   - from:\n\
         {peer}\
         \x20     ports:\n\
         \x20       - {{port: {port}, protocol: TCP}}\n\
         \x20 egress: []\n"
    )
}

/// Parses a namespace: one DNS label.
fn name(text: &str) -> Result<String, String> {
    let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=63).contains(&text.len())
        && text.bytes().all(is_label)
        && !text.starts_with('-')
        && !text.ends_with('-');

    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| "is no name of a namespace".to_owned())
}

fn label(text: &str) -> Result<Label, String> {
    let is_plain = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let label = text.split_once('=').filter(|(key, value)| {
        // A key may have a domain as its prefix.
        !key.is_empty() && is_plain(&key.replacen('/', "", 1)) && is_plain(value)
    });

    label
        .map(|(key, value)| Label {
            key: key.to_owned(),
            value: value.to_owned(),
        })
        .ok_or_else(|| "is no label; it is written KEY=VALUE".to_owned())
}
