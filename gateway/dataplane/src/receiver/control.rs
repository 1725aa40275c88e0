//! Packets of a session that are not IP packets: records of flows, and probes; and the address from
//! which packets come.

use std::time::Instant;

use super::{Arrival, Receiver};
use crate::counters::DropReason;
use crate::flow_records;
use crate::probe::{self, Probe};
use crate::session::{Incoming, Path};
use crate::sink::{ControlSink, Event};
use crate::snapshot::Snapshot;
use crate::tun::Tun;
use crate::udp::{self, Udp};

impl<T: Tun, U: Udp, S: ControlSink> Receiver<'_, T, U, S> {
    /// Tells the control plane, within a budget, where the newest packet of a session came from.
    pub(super) fn report_off_path(&mut self, session: &Incoming, arrival: &Arrival) {
        if session.may_report(arrival.at) {
            let event = Event::OffPath {
                index: session.index(),
                from: arrival.from,
                to: arrival.to,
            };
            self.report(session, event);
        }
    }

    /// Believes what another gateway of this site says of flows. Errors:
    /// [`DropReason::FlowRecords`], [`DropReason::Malformed`].
    pub(super) fn accept_flows(
        &self,
        snapshot: &Snapshot,
        session: &Incoming,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), DropReason> {
        // A flow lets packets in: no other site may say what our hosts have opened.
        if session.site() != snapshot.site() || !session.peer().may_tell_flows(now) {
            return Err(DropReason::FlowRecords);
        }
        let rules = snapshot.rules().ok_or(DropReason::FlowRecords)?;

        let mut is_refused = false;
        flow_records::decode(payload, |record| {
            is_refused |= !self.lane.filter.import(rules, record, now);
        })?;
        if is_refused {
            Err(DropReason::FlowRecords)
        } else {
            Ok(())
        }
    }

    /// Echoes a probe to where it came from, and reports an echo.
    pub(super) fn accept_probe(
        &mut self,
        session: &Incoming,
        payload: &[u8],
        arrival: &Arrival,
    ) -> Result<(), DropReason> {
        let Arrival { from, to, at, .. } = *arrival;

        match Probe::decode(payload)? {
            Probe::Echo(_) if !session.peer().may_report_echo(at) => Err(DropReason::EchoLimit),
            Probe::Echo(probe) => {
                let event = Event::Echo {
                    index: session.index(),
                    probe,
                    from,
                    to,
                };
                self.report(session, event);
                Ok(())
            }
            Probe::Request(token) => {
                let outgoing = session
                    .outgoing()
                    .filter(|_| session.peer().may_echo(at))
                    .ok_or(DropReason::EchoLimit)?;

                // Not along the session's path: the echo tells the peer that this very address
                // works.
                let path = Path::new(from, to);
                let sent = probe::send(&*self.lane.udp, &outgoing, Probe::Echo(token), &path);

                match sent.as_ref().map_err(udp::drop_reason) {
                    Err(Some(reason)) => Err(reason),
                    Ok(()) | Err(None) => Ok(()),
                }
            }
        }
    }

    fn report(&mut self, session: &Incoming, event: Event) {
        if !self.sink.event(event) {
            session.counters().drop_packet(DropReason::EventQueueFull);
        }
    }
}
