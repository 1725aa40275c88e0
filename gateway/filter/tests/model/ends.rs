//! [`Ends`]: the two ends of one connection, and the packets between them.

use std::net::IpAddr;

use crate::course::Course;
use crate::model::Decision;
use crate::packet::{
    ACK, FIN, Packet, Quoted, QuotedPorts, SYN, echo, echo_reply, error, segment, tcp, udp,
};
use crate::world::{EAST, GAMMA, GW, HIGH, JOB0, JOB1, PEER0, PEER1, WEST, address};

/// A host of ours and one of another site, with ports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) v6: bool,
    pub(crate) site: u32,
    pub(crate) ours: IpAddr,
    pub(crate) our_port: u16,
    pub(crate) theirs: IpAddr,
    pub(crate) their_port: u16,
}

impl Ends {
    /// Any ends whose ports no rule of the tests names. Our port is not one of grace.
    pub(crate) fn any(course: &mut Course) -> Ends {
        let host = course.rng.pick(&[PEER0, PEER1, JOB0, JOB1]);
        Ends::of(course, host)
    }

    /// The same with this host of ours.
    pub(crate) fn of(course: &mut Course, host: u8) -> Ends {
        let v6 = course.rng.one_in(2);
        let site = course.rng.pick(&[EAST, WEST, GAMMA]);
        let far = 2 + course.rng.below(250) as u8;
        Ends {
            v6,
            site,
            ours: address(1, host, v6),
            our_port: 10_000 + course.rng.below(20_000) as u16,
            theirs: address(site, far, v6),
            their_port: 10_000 + course.rng.below(50_000) as u16,
        }
    }

    /// The gateway itself.
    pub(crate) fn gateway(course: &mut Course) -> Ends {
        Ends::of(course, GW)
    }

    pub(crate) fn with_our_port(self, our_port: u16) -> Ends {
        Ends { our_port, ..self }
    }

    /// With a port of ours to which grace applies.
    pub(crate) fn high(self, course: &mut Course) -> Ends {
        self.with_our_port(HIGH + course.rng.below(u64::from(u16::MAX - HIGH) + 1) as u16)
    }

    pub(crate) fn with_their_port(self, their_port: u16) -> Ends {
        Ends { their_port, ..self }
    }

    /// The far end at another site.
    pub(crate) fn at(self, site: u32) -> Ends {
        Ends {
            site,
            theirs: address(site, 9, self.v6),
            ..self
        }
    }

    pub(crate) fn tcp_out(&self, flags: u8) -> Packet {
        let segment = segment(self.our_port, self.their_port, flags);
        tcp(self.ours, self.theirs, segment)
    }

    pub(crate) fn tcp_in(&self, flags: u8) -> Packet {
        let segment = segment(self.their_port, self.our_port, flags);
        tcp(self.theirs, self.ours, segment)
    }

    pub(crate) fn udp_out(&self) -> Packet {
        udp(self.ours, self.theirs, self.our_port, self.their_port)
    }

    pub(crate) fn udp_in(&self) -> Packet {
        udp(self.theirs, self.ours, self.their_port, self.our_port)
    }

    /// Our port serves as the id.
    pub(crate) fn echo_out(&self) -> Packet {
        echo(self.ours, self.theirs, self.our_port)
    }

    pub(crate) fn echo_in(&self) -> Packet {
        echo(self.theirs, self.ours, self.our_port)
    }

    pub(crate) fn reply_out(&self) -> Packet {
        echo_reply(self.ours, self.theirs, self.our_port)
    }

    pub(crate) fn reply_in(&self) -> Packet {
        echo_reply(self.theirs, self.ours, self.our_port)
    }

    /// An error of a router at the far site about what our host sent.
    pub(crate) fn error_in(&self, ports: QuotedPorts) -> Packet {
        error(
            address(self.site, 1, self.v6),
            self.ours,
            Quoted {
                source: self.ours,
                destination: self.theirs,
                ports,
            },
        )
    }

    pub(crate) fn error_about_tcp(&self) -> Packet {
        self.error_in(QuotedPorts::Tcp(self.our_port, self.their_port))
    }

    pub(crate) fn error_about_udp(&self) -> Packet {
        self.error_in(QuotedPorts::Udp(self.our_port, self.their_port))
    }

    /// An error of our host about what the far end sent.
    pub(crate) fn error_out(&self) -> Packet {
        error(
            self.ours,
            self.theirs,
            Quoted {
                source: self.theirs,
                destination: self.ours,
                ports: QuotedPorts::Udp(self.their_port, self.our_port),
            },
        )
    }

    /// Our host opens a TCP connection, and the far end accepts it.
    pub(crate) fn open(&self, course: &mut Course) -> Decision {
        course.leaves(&self.tcp_out(SYN));
        course.arrives(self.site, &self.tcp_in(SYN | ACK));
        course.leaves(&self.tcp_out(ACK))
    }

    /// The far end opens a TCP connection, and our host accepts it.
    pub(crate) fn serve(&self, course: &mut Course) -> Decision {
        course.arrives(self.site, &self.tcp_in(SYN));
        course.leaves(&self.tcp_out(SYN | ACK));
        course.arrives(self.site, &self.tcp_in(ACK))
    }

    /// A segment of data each way.
    pub(crate) fn talk(&self, course: &mut Course) {
        course.leaves(&self.tcp_out(ACK));
        course.arrives(self.site, &self.tcp_in(ACK));
    }

    /// Both ends close.
    pub(crate) fn close(&self, course: &mut Course) {
        course.leaves(&self.tcp_out(FIN | ACK));
        course.arrives(self.site, &self.tcp_in(FIN | ACK));
        course.leaves(&self.tcp_out(ACK));
    }
}
