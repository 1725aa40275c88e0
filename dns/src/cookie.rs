//! [`CookieJar`]: DNS cookies (RFC 7873), which prove that an asker has the address it claims.
//!
//! ```text
//!  0 version = 1 | 1..4 reserved = 0 | 4..8 time (s) | 8..16 SipHash-2-4(client's half | 0..8 | address)
//! ```
//! The server's half, interoperable (RFC 9018, section 4). Cookies are never demanded: a valid one
//! exempts from the response rate limit. The secret is random for each process; the one before the last
//! [`CookieJar::rotate_secret`] still counts.

use std::net::IpAddr;

use arc_swap::ArcSwap;
use siphasher::sip::SipHasher24;

use crate::server::Count;

/// Octets of the client's half, and of the server's.
pub(crate) const CLIENT: usize = 8;
pub(crate) const COOKIE: usize = 16;

/// How old a cookie may be, and how far ahead of our clock (RFC 9018, section 4.3).
const MAX_AGE: u32 = 3600;
const MAX_AHEAD: u32 = 300;

type Secret = [u8; 16];

/// Makes and checks the server's half of cookies.
#[derive(Debug)]
pub struct CookieJar {
    /// The current secret, and the one before.
    secrets: ArcSwap<[Secret; 2]>,
    /// Cookies that came without a server's half, with a good one, and with a bad one.
    fresh: Count,
    good: Count,
    bad: Count,
}

impl CookieJar {
    /// With a random secret. Fails only if the system has no randomness to give.
    pub fn new() -> Result<CookieJar, getrandom::Error> {
        let secret = random()?;
        let secrets = ArcSwap::from_pointee([secret, secret]);
        Ok(CookieJar {
            secrets,
            fresh: Count::default(),
            good: Count::default(),
            bad: Count::default(),
        })
    }

    /// Makes cookies by a new secret; those of the last one stay valid until the next call.
    pub fn rotate_secret(&self) -> Result<(), getrandom::Error> {
        let secret = random()?;
        self.secrets.rcu(|old| [secret, old[0]]);
        Ok(())
    }

    /// Cookies that came so far: without a server's half, with a good one, with a bad one.
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        [
            ("fresh", self.fresh.get()),
            ("good", self.good.get()),
            ("bad", self.bad.get()),
        ]
    }

    /// Like [`CookieJar::accepts`], counted.
    pub(crate) fn check(&self, cookie: &[u8], asker: IpAddr, now: u32) -> bool {
        let good = self.accepts(cookie, asker, now);
        match (good, cookie.len()) {
            (true, _) => self.good.add(),
            (false, CLIENT) => self.fresh.add(),
            (false, _) => self.bad.add(),
        }
        good
    }

    /// The server's half for `asker`, whose own half stands at the start of `cookie`. `now` in seconds.
    pub(crate) fn server_cookie(&self, cookie: &[u8], asker: IpAddr, now: u32) -> [u8; COOKIE] {
        let client = cookie.first_chunk().copied().unwrap_or_default();
        seal(&self.secrets.load()[0], client, asker, now)
    }

    /// True if `cookie` is whole, not too old, and was given to `asker`.
    pub(crate) fn accepts(&self, cookie: &[u8], asker: IpAddr, now: u32) -> bool {
        let Some((client, server)) = cookie.split_first_chunk::<CLIENT>() else {
            return false;
        };
        let Ok(server) = <&[u8; COOKIE]>::try_from(server) else {
            return false;
        };
        let [.., a, b, c, d, _, _, _, _, _, _, _, _] = *server;
        let baked = u32::from_be_bytes([a, b, c, d]);
        // RFC 9018, section 4.3: by serial number arithmetic.
        let in_time = now.wrapping_sub(baked) <= MAX_AGE || baked.wrapping_sub(now) <= MAX_AHEAD;
        in_time
            && self
                .secrets
                .load()
                .iter()
                .any(|secret| seal(secret, *client, asker, baked) == *server)
    }
}

fn random() -> Result<Secret, getrandom::Error> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    Ok(secret)
}

fn seal(secret: &Secret, client: [u8; CLIENT], asker: IpAddr, now: u32) -> [u8; COOKIE] {
    let mut cookie = [0; COOKIE];
    cookie[0] = 1;
    cookie[4..8].copy_from_slice(&now.to_be_bytes());
    let mut hashed = [0; CLIENT + 8 + 16];
    hashed[..8].copy_from_slice(&client);
    hashed[8..16].copy_from_slice(&cookie[..8]);
    let len = match asker.to_canonical() {
        IpAddr::V4(address) => {
            hashed[16..20].copy_from_slice(&address.octets());
            20
        }
        IpAddr::V6(address) => {
            hashed[16..32].copy_from_slice(&address.octets());
            32
        }
    };
    let hash = SipHasher24::new_with_key(secret).hash(&hashed[..len]);
    cookie[8..].copy_from_slice(&hash.to_le_bytes());
    cookie
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn cookies_are_those_of_rfc_9018_appendix_a() {
        let baked = |secret: &str, client: &str, asker: &str, now| {
            let (secret, client) = (
                bytes(secret).try_into().unwrap(),
                bytes(client).try_into().unwrap(),
            );
            seal(&secret, client, asker.parse().unwrap(), now).to_vec()
        };
        let secret = "e5e973e5a6b2a43f48e7dc849e37bfcf";
        assert_eq!(
            baked(secret, "2464c4abcf10c957", "198.51.100.100", 1_559_731_985),
            bytes("010000005cf79f111f8130c3eee29480")
        );
        assert_eq!(
            baked(
                "445536bcd2513298075a5d379663c962",
                "22681ab97d52c298",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                1_559_741_961
            ),
            bytes("010000005cf7c609a6bb79d16625507a")
        );
    }

    const ASKER: [u8; 4] = [10, 0, 0, 1];
    const NOW: u32 = 1_000_000;

    #[test]
    fn a_cookie_is_good_for_its_asker_and_its_hour() {
        let jar = CookieJar::new().unwrap();
        let client = [7; CLIENT];
        let cookie = [&client[..], &jar.server_cookie(&client, ASKER.into(), NOW)].concat();
        assert!(jar.accepts(&cookie, ASKER.into(), NOW));
        assert!(jar.accepts(&cookie, ASKER.into(), NOW + MAX_AGE));
        assert!(!jar.accepts(&cookie, ASKER.into(), NOW + MAX_AGE + 1));
        assert!(jar.accepts(&cookie, ASKER.into(), NOW - MAX_AHEAD));
        assert!(!jar.accepts(&cookie, ASKER.into(), NOW - MAX_AHEAD - 1));
        assert!(!jar.accepts(&cookie, [10, 0, 0, 2].into(), NOW));
        assert!(
            !jar.accepts(&client, ASKER.into(), NOW),
            "the client's half alone"
        );
        for at in 0..cookie.len() {
            let mut other = cookie.clone();
            other[at] ^= 1;
            assert!(!jar.accepts(&other, ASKER.into(), NOW), "octet {at}");
        }
    }

    #[test]
    fn a_rolled_secret_counts_once_more_and_then_no_longer() {
        let jar = CookieJar::new().unwrap();
        let client = [7; CLIENT];
        let cookie = [&client[..], &jar.server_cookie(&client, ASKER.into(), NOW)].concat();
        jar.rotate_secret().unwrap();
        assert!(jar.accepts(&cookie, ASKER.into(), NOW));
        jar.rotate_secret().unwrap();
        assert!(!jar.accepts(&cookie, ASKER.into(), NOW));
    }
}
