//! [`TunDrops`]: the kernel's counters of packets dropped at the TUN device.

use std::{fs, io};

use ringway_config::TunName;

/// The counters, since the device was created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TunDrops {
    /// Towards the data plane: the device's queue was full.
    pub queue: u64,
    /// From the data plane: the host's network stack did not accept it.
    pub input: u64,
}

impl TunDrops {
    /// The difference from the earlier counters `before`.
    pub fn since(&self, before: &TunDrops) -> TunDrops {
        TunDrops {
            queue: since(self.queue, before.queue),
            input: since(self.input, before.input),
        }
    }
}

/// A new device counts from zero again.
fn since(now: u64, before: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

/// The counters of device `name` in this thread's network namespace. Fails if it does not exist.
pub fn read(name: &TunName) -> io::Result<TunDrops> {
    // /sys/class/net shows the namespace in which /sys was mounted; this file shows the thread's.
    let interfaces = fs::read_to_string("/proc/thread-self/net/dev")?;

    parse(&interfaces, name.as_str()).ok_or(io::ErrorKind::NotFound.into())
}

/// After the name there are eight receive and eight transmit counters (proc_net(5)); the fourth of
/// each counts drops. What the host transmits is what the data plane reads.
fn parse(interfaces: &str, name: &str) -> Option<TunDrops> {
    let numbers = interfaces.lines().find_map(|line| {
        let (found, numbers) = line.split_once(':')?;
        (found.trim() == name).then_some(numbers)
    })?;

    let mut numbers = numbers.split_whitespace().map(|number| number.parse().ok());
    Some(TunDrops {
        input: numbers.nth(3)??,
        // Skips four receive and three transmit counters.
        queue: numbers.nth(7)??,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERFACES: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo:  100       2    0    3    0     0          0         0      100       2    0    4    0 0 0 0
ringway0: 9000     90    1    5    2     0          0         0    80000     800   3    7    1 0 0 0
";

    #[test]
    fn the_drops_of_both_directions_are_read() {
        let drops = TunDrops { queue: 7, input: 5 };
        assert_eq!(parse(INTERFACES, "ringway0"), Some(drops));
        assert_eq!(parse(INTERFACES, "ringway"), None);
        assert_eq!(parse("ringway0: 1 2 3", "ringway0"), None);
    }

    #[test]
    fn a_new_device_counts_from_zero() {
        let drops = |queue, input| TunDrops { queue, input };
        assert_eq!(drops(9, 5).since(&drops(4, 5)), drops(5, 0));
        assert_eq!(drops(2, 9).since(&drops(4, 5)), drops(2, 4));
    }
}
