//! [`Families`]: one flag per address family.

use ringway_config::Prefix;

/// Something that holds, or is wanted, per address family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    /// The families that `prefixes` belong to.
    pub fn of<'a>(prefixes: impl IntoIterator<Item = &'a Prefix>) -> Families {
        let mut families = Families::default();

        for prefix in prefixes {
            if prefix.is_ipv4() {
                families.v4 = true;
            } else {
                families.v6 = true;
            }
        }

        families
    }
}
