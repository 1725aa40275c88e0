//! [`TunDrops`]: packets that the kernel has dropped at the TUN device, by its own count.

use std::{fs, io};

use ringway_config::TunName;

/// The device's numbers, since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TunDrops {
    /// On their way to the data plane: the device's queue was full.
    pub queue: u64,
    /// Written by the data plane, and not taken by the host's stack.
    pub input: u64,
}

impl TunDrops {
    /// What was dropped since the numbers were `before`.
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

/// The numbers of device `name` in this thread's network namespace. Error: there is none.
pub fn read(name: &TunName) -> io::Result<TunDrops> {
    // /sys/class/net shows the namespace in which /sys was mounted, this file that of the thread.
    let interfaces = fs::read_to_string("/proc/thread-self/net/dev")?;

    parse(&interfaces, name.as_str()).ok_or(io::ErrorKind::NotFound.into())
}

/// After the name come eight numbers of receiving and eight of sending (proc_net(5)); the fourth of
/// each are drops. What the host sends is what the data plane reads.
fn parse(interfaces: &str, name: &str) -> Option<TunDrops> {
    let numbers = interfaces.lines().find_map(|line| {
        let (found, numbers) = line.split_once(':')?;
        (found.trim() == name).then_some(numbers)
    })?;

    let mut numbers = numbers.split_whitespace().map(|number| number.parse().ok());
    Some(TunDrops {
        input: numbers.nth(3)??,
        // Four numbers of receiving and three of sending lie in between.
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
