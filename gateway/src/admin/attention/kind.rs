//! [`Kind`]: the kinds of findings. Their words appear in `status --json`.

use ringway_intent::{ADDRESS_MISSING, UNANNOUNCED};

use crate::admin::socket::FINDING;
use crate::ipv6;

/// Declares the kinds once, with their words.
macro_rules! kinds {
    ($($kind:ident = $word:literal,)*) => {
        /// A kind of finding; the table is at the head of [`super`].
        #[expect(missing_docs, reason = "the table at the head of the module says what they are")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// Every kind. Kinds that may cause or hide others come first.
            pub const ALL: &[Kind] = &[$(Kind::$kind,)*];

            /// The word for this kind in `status --json`.
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
    RecordWithheld = "record-withheld",
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
    Drained = "drained",
    AddressMissing = "address-missing",
    Kubernetes = "kubernetes",
    Http = "http",
    AdminSocket = "admin-socket",
    Resolver = "resolver",
    NoEffect = "no-effect",
    Grace = "grace",
    Other = "other",
}

impl Kind {
    /// The kind of a finding that was raised under `name`.
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
            (ipv6::NAME, Kind::KernelState),
            ("fight", Kind::KernelDrift),
            ("state", Kind::State),
            ("records", Kind::RecordsDiffer),
            ("withheld records", Kind::RecordWithheld),
            ("no effect", Kind::NoEffect),
            ("inquiry", Kind::ForeignRoute),
            ("clock", Kind::Clock),
            ("ha", Kind::Takeover),
            ("site network", Kind::SiteNetwork),
            ("drained", Kind::Drained),
            ("kubernetes", Kind::Kubernetes),
            ("http", Kind::Http),
            (FINDING, Kind::AdminSocket),
            ("resolver", Kind::Resolver),
            (UNANNOUNCED, Kind::NotAnnounced),
            (ADDRESS_MISSING, Kind::AddressMissing),
        ];
        let known = kinds.iter().find(|(prefix, _)| {
            // The name of a finding is its kind's prefix, then a blank and its subject.
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });

        known.map_or(Kind::Other, |(_, kind)| *kind)
    }

    /// The kind with this word; [`Kind::Other`] if only a newer version knows it.
    pub fn named(word: &str) -> Kind {
        let known = Kind::ALL.iter().find(|kind| kind.word() == word);

        known.copied().unwrap_or(Kind::Other)
    }

    /// Position in the list. The first nine are causes, in that order; all others are equal.
    pub(super) fn rank(self) -> usize {
        const CAUSES: usize = 9;

        (self as usize).min(CAUSES)
    }
}
