//! [`TunName`]: the name of the TUN device.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Bytes of an interface name (`IFNAMSIZ`, netdevice(7)), without its final zero.
const MOST_BYTES: usize = 15;

/// A name that the kernel accepts for a network interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunName(Arc<str>);

/// Why a text is not an interface name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not 1 to {MOST_BYTES} bytes without blanks, '/', ':' and '%'")]
pub struct TunNameError(String);

impl TunName {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TunName {
    type Err = TunNameError;

    fn from_str(text: &str) -> Result<TunName, TunNameError> {
        let is_short = (1..=MOST_BYTES).contains(&text.len());

        // The kernel's own rule is `dev_valid_name` in net/core/dev.c. It also accepts '%', but a
        // request for "rw%d" creates rw0, rw1 …, so that the device would not have this name.
        if is_short && text != "." && text != ".." && !text.contains(is_forbidden) {
            Ok(TunName(text.into()))
        } else {
            Err(TunNameError(text.into()))
        }
    }
}

fn is_forbidden(character: char) -> bool {
    matches!(character, '/' | ':' | '%') || character.is_whitespace() || character.is_control()
}

impl fmt::Display for TunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_names_that_the_kernel_gives_to_a_device_unchanged() {
        for good in ["ringway0", "r", "123456789012345", "a.b-c_d"] {
            assert_eq!(good.parse::<TunName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "1234567890123456",
            ".",
            "..",
            "a/b",
            "a:b",
            "rw%d",
            "a b",
            "a\tb",
            "a\0",
        ] {
            assert!(bad.parse::<TunName>().is_err(), "{bad:?}");
        }
    }
}
