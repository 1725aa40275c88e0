//! [`Wanted`]: a service on the command line.

use std::fmt;

use ringway_config::{Policy, PortRange, Service, ServiceName};

use crate::cli::Failure;

/// What is opened: one of these.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = true)]
pub struct Wanted {
    /// A port or a range, of TCP unless it says otherwise: 7051, 7050-7054/tcp, 53/udp
    #[arg(long, value_name = "PORT[/PROTO]", conflicts_with = "service")]
    pub port: Option<String>,
    /// A protocol: tcp, udp, icmp (echo) or a number
    #[arg(long, value_name = "PROTO", conflicts_with = "service")]
    pub proto: Option<String>,
    /// A service by its name, such as fabric-peer
    #[arg(long, value_name = "NAME")]
    pub service: Option<ServiceName>,
}

/// The service in the notation of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Words {
    Service(ServiceName),
    Ports(&'static str, PortRange),
    Proto(&'static str),
    Number(u8),
}

impl Wanted {
    /// The service in the notation of a rule.
    pub(in crate::cli) fn words(&self) -> Result<Words, Failure> {
        if let Some(name) = &self.service {
            return Ok(Words::Service(name.clone()));
        }
        let proto = self.proto.as_deref();
        if let Some(port) = &self.port {
            return read_port(port, proto);
        }

        match proto {
            Some("tcp") => Ok(Words::Proto("tcp")),
            Some("udp") => Ok(Words::Proto("udp")),
            Some("icmp") => Ok(Words::Proto("icmp")),
            other => {
                let text = other.unwrap_or_default();
                let number = text.parse().map_err(|_| {
                    usage(format!(
                        "{text:?} is no protocol; write tcp, udp, icmp or a number"
                    ))
                })?;
                Ok(Words::Number(number))
            }
        }
    }
}

/// The notation of the command line.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.service {
            return write!(f, "--service {name}");
        }
        match (&self.port, &self.proto) {
            (Some(port), Some(proto)) => write!(f, "--port {port} --proto {proto}"),
            (Some(port), None) => write!(f, "--port {port}"),
            (None, proto) => write!(f, "--proto {}", proto.as_deref().unwrap_or("tcp")),
        }
    }
}

fn read_port(text: &str, proto: Option<&str>) -> Result<Words, Failure> {
    let (port, of) = match text.split_once('/') {
        Some((port, of)) => (port, Some(of)),
        None => (text, None),
    };
    if let (Some(of), Some(proto)) = (of, proto)
        && of != proto
    {
        return Err(usage(format!("--port {text} is not of --proto {proto}")));
    }

    let range: PortRange = port.parse().map_err(|error| usage(format!("{error}")))?;
    match of.or(proto).unwrap_or("tcp") {
        "tcp" => Ok(Words::Ports("tcp", range)),
        "udp" => Ok(Words::Ports("udp", range)),
        other => Err(usage(format!(
            "{other:?} has no ports; write tcp or udp, or --proto alone"
        ))),
    }
}

fn usage(message: String) -> Failure {
    Failure::Usage(message)
}

impl Words {
    /// The services that these words mean, by the names in `policy`.
    pub(in crate::cli) fn services(&self, policy: &Policy) -> Result<Vec<Service>, Failure> {
        match self {
            Words::Service(name) => policy.services.get(name).cloned().ok_or_else(|| {
                let known: Vec<&str> = policy.services.keys().map(ServiceName::as_str).collect();
                usage(format!(
                    "there is no service {name}; known ones: {}",
                    known.join(", ")
                ))
            }),
            Words::Ports("udp", range) => Ok(vec![Service::Udp(vec![*range])]),
            Words::Ports(_, range) => Ok(vec![Service::Tcp(vec![*range])]),
            Words::Proto("tcp") => Ok(vec![Service::Tcp(Vec::new())]),
            Words::Proto("udp") => Ok(vec![Service::Udp(Vec::new())]),
            Words::Proto(_) => Ok(vec![Service::Icmp]),
            Words::Number(number) => Ok(vec![Service::Protocol(*number)]),
        }
    }
}
