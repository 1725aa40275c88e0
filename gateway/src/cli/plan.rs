//! `ringway plan`: address ranges that are free for a new site.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use ringway_config::{Config, Prefix, claims, defaults};
use serde::Serialize;

use super::{ConfigFile, Failure, answer, answer_json, block_on};
use crate::prepare::links;

/// Maximum number of proposed ranges.
const MOST: usize = 100;

/// Arguments of `ringway plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A range in which the consortium's sites lie, in place of the file's; may be repeated
    #[arg(long = "pool", value_name = "PREFIX")]
    pub pools: Vec<Prefix>,
    /// The length of the new site's prefix
    #[arg(long, default_value_t = 16, value_name = "BITS")]
    pub size: u8,
    /// How many ranges to propose
    #[arg(long, default_value_t = 5, value_name = "NUMBER")]
    pub count: usize,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The output of `plan --json`.
#[derive(Debug, Serialize)]
struct Report {
    pools: Vec<String>,
    size: u8,
    free: Vec<String>,
}

/// Runs `ringway plan`.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = Config::load(&args.config.path)?;
    let pools = pools(&args, &config)?;

    // This host's networks are in use, whatever the records say.
    let connected = block_on(links(&config))??.connected();
    let used: BTreeSet<Prefix> = claims(&config, &connected)
        .into_iter()
        .map(|claim| claim.prefix)
        .collect();
    let mut free = Vec::new();
    for pool in &pools {
        let wanted = args.count.min(MOST) - free.len();
        free.extend(free_in(pool, args.size, &used, wanted));
    }

    let pools: Vec<String> = pools.iter().map(ToString::to_string).collect();
    if args.json {
        answer_json(&Report {
            pools: pools.clone(),
            size: args.size,
            free: free.iter().map(ToString::to_string).collect(),
        })?;
    }
    let pools = pools.join(", ");
    let Some(first) = free.first() else {
        return Err(Failure::Usage(format!(
            "no /{} is free in {pools}; name another --pool, or a longer --size",
            args.size
        )));
    };
    if args.json {
        return Ok(ExitCode::SUCCESS);
    }
    let ranges: String = free.iter().map(|range| format!("  {range}\n")).collect();
    answer(format!(
        "Free in {pools}, by the records, reserved ranges and networks that are known here:\n\
         {ranges}To use one:\n  ringway gateway add <name> --site <site>={first} --endpoint \
         <host:port>\n"
    ))
}

/// The pools to search: those of the command line, else those of the file.
fn pools(args: &Args, config: &Config) -> Result<Vec<Prefix>, Failure> {
    let given = [&args.pools, &config.pools];
    let pools = match given.iter().find(|pools| !pools.is_empty()) {
        Some(pools) => pools.to_vec(),
        None => vec![defaults::pool()],
    };

    // The file may have pools of both families: use those that are large enough.
    let fits = |pool: &Prefix| (pool.len()..=longest(pool)).contains(&args.size);
    let fitting: Vec<Prefix> = pools.iter().copied().filter(fits).collect();
    match pools.first() {
        Some(pool) if fitting.is_empty() || !args.pools.iter().all(fits) => {
            let pool = args.pools.iter().find(|pool| !fits(pool)).unwrap_or(pool);
            Err(Failure::Usage(format!(
                "--size {} does not fit into {pool}; say {} to {}",
                args.size,
                pool.len(),
                longest(pool)
            )))
        }
        _ => Ok(fitting),
    }
}

/// The length of a prefix that is one address.
fn longest(pool: &Prefix) -> u8 {
    if pool.is_ipv4() { 32 } else { 128 }
}

/// The first `count` prefixes of `len` bits in `pool` that do not overlap used ones.
fn free_in(pool: &Prefix, len: u8, used: &BTreeSet<Prefix>, count: usize) -> Vec<Prefix> {
    let bits = longest(pool);
    let last = number(pool.last());
    // The distance of two neighbours; 0 for all of IPv6, which has none.
    let step = 1u128.checked_shl(u32::from(bits - len)).unwrap_or(0);
    // Sorted, so by their first addresses.
    let mut used = used
        .iter()
        .filter(|used| used.overlaps(pool))
        .map(|used| (number(used.address()), number(used.last())))
        .peekable();

    let mut free = Vec::new();
    let mut next = Some(number(pool.address()));
    while let Some(first) = next.filter(|first| *first <= last && free.len() < count) {
        let end = if step == 0 { last } else { first + (step - 1) };
        match used.peek().copied() {
            Some((_, to)) if to < first => _ = used.next(),
            Some((from, to)) if from <= end => {
                // Go on after it, at the next boundary.
                let beyond = (to / step.max(1)).checked_add(1);
                next = beyond
                    .and_then(|n| n.checked_mul(step))
                    .filter(|_| step > 0);
            }
            _ => {
                free.extend(Prefix::holding(address(first, pool.is_ipv4()), len));
                next = first.checked_add(step).filter(|_| step > 0);
            }
        }
    }
    free
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

fn address(number: u128, is_ipv4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(v4) if is_ipv4 => Ipv4Addr::from(v4).into(),
        _ => Ipv6Addr::from(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(pool: &str, len: u8, used: &[&str], count: usize) -> Vec<String> {
        let used = used.iter().map(|used| used.parse().unwrap()).collect();
        let found = free_in(&pool.parse().unwrap(), len, &used, count);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_used_in_part_is_left_out() {
        let used = ["10.0.0.0/16", "10.1.7.0/24", "10.2.0.0/15"];
        assert_eq!(
            free("10.0.0.0/8", 16, &used, 2),
            ["10.4.0.0/16", "10.5.0.0/16"]
        );
        assert_eq!(
            free("10.0.0.0/14", 15, &["10.1.0.0/24"], 9),
            ["10.2.0.0/15"]
        );
        assert_eq!(
            free("10.0.0.0/8", 16, &["0.0.0.0/0"], 9),
            Vec::<String>::new()
        );
        assert_eq!(free("255.255.0.0/16", 17, &[], 9).len(), 2);
    }

    #[test]
    fn ipv6_and_the_ends_of_both_families() {
        let used = ["fd00:1::/48", "fd00::/48"];
        assert_eq!(free("fd00::/16", 48, &used, 1), ["fd00:0:1::/48"]);
        assert_eq!(free("::/0", 0, &[], 3), ["::/0"]);
        assert_eq!(free("::/0", 0, &["fd00::/8"], 3), Vec::<String>::new());
        assert_eq!(free("ffff::/16", 17, &[], 9).len(), 2);
        assert_eq!(free("0.0.0.0/0", 1, &["128.0.0.0/1"], 9), ["0.0.0.0/1"]);
    }
}
