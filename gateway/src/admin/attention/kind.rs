//! [`Kind`]: the kinds of what needs attention. The words are those of `status --json`.

use ringway_intent::{ADDRESS_MISSING, UNANNOUNCED};

/// Declares the kinds once: their words, and the list of all of them.
macro_rules! kinds {
    ($($kind:ident = $word:literal,)*) => {
        /// A kind of what needs attention; the table is at the head of [`super`].
        #[expect(missing_docs, reason = "the table at the head of the module says what they are")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// Every kind. What may hide or cause the rest comes first.
            pub const ALL: &[Kind] = &[$(Kind::$kind,)*];

            /// Its word.
            pub fn word(self) -> &'static str {
                match self {
                    $(Kind::$kind => $word,)*
                }
            }
        }
    };
}

kinds! {
    Clock = "clock",
    DuplicateIdentity = "duplicate-identity",
    ReloadRefused = "reload-refused",
    CertificateRefused = "certificate-refused",
    KernelState = "kernel-state",
    KernelDrift = "kernel-drift",
    State = "state",
    ForeignFirewall = "foreign-firewall",
    ForeignRoute = "foreign-route",
    PolicyTest = "policy-test",
    CertificateExpiry = "certificate-expiry",
    RevocationList = "revocation-list",
    ZoneRefused = "zone-refused",
    OurZoneRefused = "our-zone-refused",
    ZoneStale = "zone-stale",
    NamesLeftOut = "names-left-out",
    AddressFailed = "address-failed",
    TunnelDown = "tunnel-down",
    NeverMeet = "never-meet",
    RecordsDiffer = "records-differ",
    SiteRefused = "site-refused",
    NotAnnounced = "not-announced",
    PrefixConflict = "prefix-conflict",
    PrefixRefused = "prefix-refused",
    OurPrefixRefused = "our-prefix-refused",
    Takeover = "takeover",
    SiteNetwork = "site-network",
    AddressMissing = "address-missing",
    Http = "http",
    Grace = "grace",
    Other = "other",
}

impl Kind {
    /// The kind of what a part of the daemon has raised under `name`.
    pub fn of(name: &str) -> Kind {
        let kinds = [
            ("identity", Kind::DuplicateIdentity),
            ("reload", Kind::ReloadRefused),
            ("policy-test", Kind::PolicyTest),
            ("certificate", Kind::CertificateRefused),
            ("revocation-list", Kind::RevocationList),
            ("names refused-by", Kind::OurZoneRefused),
            ("names refused", Kind::ZoneRefused),
            ("failed addresses", Kind::AddressFailed),
            ("foreign filter", Kind::ForeignFirewall),
            ("forward-drop", Kind::ForeignFirewall),
            ("route", Kind::ForeignRoute),
            ("missing", Kind::KernelState),
            ("guard", Kind::KernelState),
            ("forwarding off", Kind::KernelState),
            ("fight", Kind::KernelDrift),
            ("state", Kind::State),
            ("records", Kind::RecordsDiffer),
            ("inquiry", Kind::ForeignRoute),
            ("clock", Kind::Clock),
            ("ha", Kind::Takeover),
            ("site network", Kind::SiteNetwork),
            ("http", Kind::Http),
            (UNANNOUNCED, Kind::NotAnnounced),
            (ADDRESS_MISSING, Kind::AddressMissing),
        ];
        let known = kinds.iter().find(|(prefix, _)| {
            // A finding is called by its kind's words, and after a blank by what it is about.
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });

        known.map_or(Kind::Other, |(_, kind)| *kind)
    }

    /// The kind with this word; [`Kind::Other`] for one that only another version knows.
    pub fn named(word: &str) -> Kind {
        let known = Kind::ALL.iter().find(|kind| kind.word() == word);

        known.copied().unwrap_or(Kind::Other)
    }

    /// Its place in the list. What follows from the nine first ones keeps its order.
    pub(super) fn rank(self) -> usize {
        const CAUSES: usize = 9;

        (self as usize).min(CAUSES)
    }
}
