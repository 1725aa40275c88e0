//! [`State`]: how far a flow has got, how long it may be idle, and how gladly it is given up.

use std::time::Duration;

use crate::clock::{Tick, ticks};
use crate::packet::{Tcp, tcp_flags};
use crate::record::FlowProtocol;

/// Flags about both ends, and the highest acknowledgement of our host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) flags: u8,
    pub(crate) ack: u32,
}

/// The other end has sent a packet since the flow began: the far end for ours, our host for theirs.
pub(crate) const ANSWERED: u8 = 0x01;
pub(crate) const OWN_FIN: u8 = 0x02;
pub(crate) const FAR_FIN: u8 = 0x04;
pub(crate) const OWN_RST: u8 = 0x08;
pub(crate) const FAR_RST: u8 = 0x10;
/// `ack` has a value.
pub(crate) const HAS_ACK: u8 = 0x20;
/// The data plane has sent our host a reset.
pub(crate) const RESET_SENT: u8 = 0x40;
/// Known from another gateway; none of our host's packets went through this one.
pub(crate) const IMPORTED: u8 = 0x80;

/// How gladly a flow is given up, the first one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worth {
    Expired,
    Closed,
    Unanswered,
    NoTcp,
    Tcp,
}

/// RFC 5382, REQ-5.
const TCP: Tick = ticks(crate::TCP_IDLE);
const TCP_HALF_CLOSED: Tick = ticks(Duration::from_secs(600));
const TCP_RESET_SENT: Tick = ticks(Duration::from_secs(600));
const TCP_CLOSED: Tick = ticks(Duration::from_secs(60));
/// RFC 4787, REQ-5 asks for two minutes at least.
const UDP: Tick = ticks(Duration::from_secs(180));
/// RFC 5508, REQ-1.
const ECHO: Tick = ticks(Duration::from_secs(60));

impl State {
    #[inline]
    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    fn with(self, set: u8, clear: u8) -> State {
        State {
            flags: self.flags & !clear | set,
            ..self
        }
    }

    pub(crate) fn ack(self) -> Option<u32> {
        self.has(HAS_ACK).then_some(self.ack)
    }

    #[inline]
    pub(crate) fn is_closed(self) -> bool {
        const FINS: u8 = OWN_FIN | FAR_FIN;
        self.flags & FINS == FINS || self.has(OWN_RST | FAR_RST)
    }

    /// True unless it is closed, or our host has been sent a reset.
    pub(crate) fn is_open(self) -> bool {
        !self.is_closed() && !self.has(RESET_SENT)
    }

    /// A flow that another gateway has told of.
    pub(crate) fn imported() -> State {
        State::default().with(IMPORTED, 0)
    }

    /// After a record of another gateway.
    pub(crate) fn told(self, ack: Option<u32>) -> State {
        match ack {
            // Our host acknowledges only what the far end has sent.
            Some(ack) => self.acknowledging(ack).with(ANSWERED, 0),
            None => self,
        }
    }

    /// After a packet of the other end, without TCP.
    #[inline]
    pub(crate) fn answered(self) -> State {
        self.with(ANSWERED, 0)
    }

    /// After a packet of our host through this gateway, without TCP.
    pub(crate) fn used_here(self) -> State {
        self.with(0, IMPORTED)
    }

    /// The data plane has sent our host a reset. One of our host's own, if it had ended the flow
    /// already, has not reached the far end.
    pub(crate) fn reset_here(self) -> State {
        self.with(RESET_SENT, OWN_RST)
    }

    /// After the SYN-ACK of our host, whose state is `begun`; it may have come twice.
    pub(crate) fn begun_again(self, begun: State) -> State {
        if self.has(HAS_ACK) && self.ack == begun.ack {
            self
        } else {
            begun
        }
    }

    /// How long the flow is remembered after the last packet of our host.
    #[inline]
    pub(crate) fn idle(self, protocol: FlowProtocol) -> Tick {
        match protocol {
            FlowProtocol::Udp => UDP,
            FlowProtocol::Echo => ECHO,
            // Our host's own reset has ended it.
            FlowProtocol::Tcp if self.has(RESET_SENT) && !self.has(OWN_RST) => TCP_RESET_SENT,
            FlowProtocol::Tcp if self.is_closed() => TCP_CLOSED,
            FlowProtocol::Tcp if self.has(OWN_FIN | FAR_FIN) => TCP_HALF_CLOSED,
            FlowProtocol::Tcp => TCP,
        }
    }

    #[inline]
    pub(crate) fn is_expired(self, protocol: FlowProtocol, last: Tick, now: Tick) -> bool {
        now.saturating_sub(last) > self.idle(protocol)
    }

    pub(crate) fn worth(self, protocol: FlowProtocol, last: Tick, now: Tick) -> Worth {
        if self.is_expired(protocol, last, now) {
            Worth::Expired
        } else if self.is_closed() {
            Worth::Closed
        } else if !self.has(ANSWERED) {
            Worth::Unanswered
        } else if protocol == FlowProtocol::Tcp {
            Worth::Tcp
        } else {
            Worth::NoTcp
        }
    }

    /// After a segment of the far end.
    #[inline]
    pub(crate) fn after_far(self, tcp: &Tcp, answered: u8) -> State {
        let mut set = answered;
        if tcp.has(tcp_flags::FIN) {
            set |= FAR_FIN;
        }
        if tcp.has(tcp_flags::RST) {
            set |= FAR_RST;
        }

        self.with(set, 0)
    }

    /// After a segment of our host that opens nothing.
    #[inline]
    pub(crate) fn after_own(self, tcp: &Tcp, answered: u8) -> State {
        if tcp.has(tcp_flags::RST) {
            return self.with(OWN_RST | answered, IMPORTED);
        }

        // A host that goes on sending has not believed the reset, the far end's or ours.
        let mut next = self.with(answered, IMPORTED | OWN_RST | FAR_RST | RESET_SENT);
        if tcp.has(tcp_flags::FIN) {
            next.flags |= OWN_FIN;
        }
        if tcp.has(tcp_flags::ACK) {
            next = next.acknowledging(tcp.ack);
        }
        next
    }

    /// With the higher of two acknowledgements, in serial arithmetic (RFC 1982, as RFC 9293,
    /// section 3.4, compares sequence numbers).
    #[inline]
    pub(crate) fn acknowledging(self, ack: u32) -> State {
        let is_higher = ack.wrapping_sub(self.ack) as i32 > 0;
        if self.has(HAS_ACK) && !is_higher {
            return self;
        }

        State {
            flags: self.flags | HAS_ACK,
            ack,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tcp_flags::{ACK, FIN, RST};
    use super::*;

    fn tcp(flags: u8, ack: u32) -> Tcp {
        Tcp {
            source_port: 1,
            destination_port: 2,
            ack,
            flags,
        }
    }

    #[test]
    fn the_highest_acknowledgement_wraps() {
        let mut state = State::default();
        for (ack, highest) in [
            (0xffff_fff0, 0xffff_fff0),
            (0xffff_ffe0, 0xffff_fff0),
            (5, 5),
            (0xffff_ffff, 5),
            (0x7000_0000, 0x7000_0000),
        ] {
            state = state.after_own(&tcp(ACK, ack), 0);
            assert_eq!(state.ack(), Some(highest));
        }
        // Without ACK the field means nothing.
        assert_eq!(State::default().after_own(&tcp(FIN, 9), 0).ack(), None);
    }

    #[test]
    fn both_ends_close_a_flow_and_a_host_that_goes_on_reopens_it() {
        let open = State::default();
        assert_eq!(open.idle(FlowProtocol::Tcp), TCP);
        let half = open.after_far(&tcp(FIN | ACK, 0), ANSWERED);
        assert_eq!(half.idle(FlowProtocol::Tcp), TCP_HALF_CLOSED);
        let closed = half.after_own(&tcp(FIN | ACK, 0), 0);
        assert_eq!(closed.idle(FlowProtocol::Tcp), TCP_CLOSED);
        assert!(closed.after_own(&tcp(ACK, 1), 0).is_closed());

        let reset = open.after_far(&tcp(RST, 0), ANSWERED);
        assert_eq!(reset.idle(FlowProtocol::Tcp), TCP_CLOSED);
        assert!(!reset.after_own(&tcp(ACK, 1), 0).is_closed());
        assert!(open.after_own(&tcp(RST, 0), 0).is_closed());
    }

    #[test]
    fn a_flow_that_was_reset_here_stays_known_until_the_host_says_so_itself() {
        let own = State::default().after_own(&tcp(RST, 0), 0);
        let reset = own.reset_here();
        assert_eq!(reset.idle(FlowProtocol::Tcp), TCP_RESET_SENT);
        let far = reset.after_far(&tcp(RST, 0), 0);
        assert_eq!(far.idle(FlowProtocol::Tcp), TCP_RESET_SENT);
        let own = reset.after_own(&tcp(RST, 0), 0);
        assert_eq!(own.idle(FlowProtocol::Tcp), TCP_CLOSED);
    }

    #[test]
    fn worth_is_in_the_order_of_giving_up() {
        let worth = |flags, protocol, age| State { flags, ack: 0 }.worth(protocol, 0, age);
        assert_eq!(worth(ANSWERED, FlowProtocol::Udp, UDP + 1), Worth::Expired);
        assert_eq!(worth(ANSWERED, FlowProtocol::Udp, UDP), Worth::NoTcp);
        assert_eq!(
            worth(ANSWERED, FlowProtocol::Echo, ECHO + 1),
            Worth::Expired
        );
        assert_eq!(
            worth(ANSWERED | OWN_RST, FlowProtocol::Tcp, 0),
            Worth::Closed
        );
        assert_eq!(worth(0, FlowProtocol::Tcp, 0), Worth::Unanswered);
        assert_eq!(worth(ANSWERED, FlowProtocol::Tcp, TCP), Worth::Tcp);
        assert_eq!(worth(ANSWERED, FlowProtocol::Tcp, TCP + 1), Worth::Expired);
        assert!(Worth::Expired < Worth::Closed && Worth::Closed < Worth::Unanswered);
        assert!(Worth::Unanswered < Worth::NoTcp && Worth::NoTcp < Worth::Tcp);
    }
}
