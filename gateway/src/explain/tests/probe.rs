//! The connection that is tried.

use super::*;

#[test]
fn a_probe_says_who_answered_or_why_it_was_not_tried() {
    let to = "10.2.0.21:7050".parse().unwrap();
    let moment = std::time::Duration::from_millis(2);
    let failed = std::io::ErrorKind::HostUnreachable.into();
    let [meant, here] = ["10.1.0.11", "10.1.0.1"].map(|address| address.parse().unwrap());
    let not_let_in = NotTried::NotLetIn { meant, here };
    let stopped = NotTried::StoppedHere("a chain drops them".into());

    for (probe, verdict, text) in [
        (
            Probe::Connected(moment),
            Verdict::Connected,
            "10.2.0.21:7050 accepts connections, 2.0 ms",
        ),
        (
            Probe::Refused,
            Verdict::Refused,
            "10.2.0.21 answers, but refuses port 7050",
        ),
        (
            Probe::Silent,
            Verdict::Silent,
            "10.2.0.21:7050 does not answer within 5 s",
        ),
        (
            Probe::Failed(failed),
            Verdict::Failed,
            "10.2.0.21:7050: host unreachable",
        ),
        (
            Probe::NotTried(NotTried::NotWanted),
            Verdict::NotWanted,
            "not tried: --no-probe",
        ),
        (
            Probe::NotTried(NotTried::NotTcp),
            Verdict::NotTcp,
            "not tried: only TCP can be tried from here",
        ),
        (
            Probe::NotTried(NotTried::NoAddressInSite),
            Verdict::NoAddressInSite,
            "not tried: this host has no address in the site",
        ),
        (
            Probe::NotTried(not_let_in),
            Verdict::NotLetIn,
            "not tried: the far end lets 10.1.0.11 in, but not this host (10.1.0.1)",
        ),
        (
            Probe::NotTried(stopped),
            Verdict::StoppedHere,
            "not tried: a chain drops them",
        ),
    ] {
        let step = probe.step(to, None);
        assert_eq!((step.verdict, step.text.as_str()), (verdict, text));
    }

    // A gateway on the way may refuse it for an attached node: nobody has answered for certain.
    let there = "at gw.beta: ringway explain 10.1.0.11 10.2.0.21";
    let step = Probe::Refused.step(to, Some(there));
    assert_eq!(step.text, "10.2.0.21:7050 is refused");
    assert!(step.remedy.ends_with(&format!("it may be down: {there}")));
}

#[test]
fn a_connection_is_tried_from_an_address_that_means_something() {
    let [meant, here] = ["10.1.0.11", "10.1.0.1"].map(|address| address.parse().unwrap());
    let not_let_in = Err(NotTried::NotLetIn { meant, here });

    for (is_ours, in_site, theirs, expected) in [
        (true, Some(here), PeerVerdict::Denied, Ok(meant)),
        (
            false,
            None,
            PeerVerdict::Allowed,
            Err(NotTried::NoAddressInSite),
        ),
        (false, Some(here), PeerVerdict::Denied, not_let_in),
        (false, Some(here), PeerVerdict::Allowed, Ok(here)),
        (false, Some(here), PeerVerdict::NoAnswer, Ok(here)),
    ] {
        let found = NotTried::or_from(meant, is_ours, in_site, |asked| {
            assert_eq!(asked, here);
            Ok::<_, ()>(theirs)
        });
        assert_eq!(found, Ok(expected), "{is_ours} {in_site:?} {theirs:?}");
    }
}
