//! [`CookieJar`]: DNS cookies (RFC 7873), which prove that a client has its source address.
//!
//! The server cookie has the interoperable form of RFC 9018, section 4:
//! ```text
//!  0     1                4          8              16
//!  ├─────┼────────────────┼──────────┼───────────────┤
//!  │ 1   │ reserved = 0   │ time (s) │ hash          │    hash = SipHash-2-4(
//!  └─────┴────────────────┴──────────┴───────────────┘      client cookie | octets 0..8 | address)
//! ```
//! Cookies are never demanded. A valid one exempts its client from the response rate limit. The
//! secret is random for each process; the previous one still verifies, until the next
//! [`CookieJar::rotate_secret`].

use std::net::IpAddr;

use arc_swap::ArcSwap;
use siphasher::sip::SipHasher24;

use crate::server::Count;

/// Octets of the client cookie (RFC 7873, section 4).
pub(crate) const CLIENT: usize = 8;
/// Octets of the server cookie (RFC 9018, section 4).
pub(crate) const COOKIE: usize = 16;

/// Octets of the server cookie before its hash.
const PREFIX: usize = 8;
/// Octets of the longest input of the hash: with an IPv6 address.
const MAX_INPUT: usize = CLIENT + PREFIX + 16;

/// Seconds that a cookie is valid, and how far its time may be ahead of our clock (RFC 9018,
/// section 4.3).
const MAX_AGE: u32 = 3600;
const MAX_AHEAD: u32 = 300;

type Secret = [u8; 16];

/// Makes and verifies server cookies.
#[derive(Debug)]
pub struct CookieJar {
    /// The current secret and the previous one.
    secrets: ArcSwap<[Secret; 2]>,
    /// Queries with a client cookie alone.
    fresh: Count,
    /// Queries with a valid server cookie.
    good: Count,
    /// Queries with a server cookie that is not valid.
    bad: Count,
}

impl CookieJar {
    /// With a random secret. Fails only if the system has no randomness to give.
    pub fn new() -> Result<CookieJar, getrandom::Error> {
        let secret = random()?;
        Ok(CookieJar {
            secrets: ArcSwap::from_pointee([secret, secret]),
            fresh: Count::default(),
            good: Count::default(),
            bad: Count::default(),
        })
    }

    /// Replaces the secret. Cookies made with the last one stay valid until the next call.
    pub fn rotate_secret(&self) -> Result<(), getrandom::Error> {
        let secret = random()?;
        // RFC 7873, section 7.1: clients keep their cookies across a rollover.
        self.secrets.rcu(|old| [secret, old[0]]);
        Ok(())
    }

    /// Queries with cookies so far: without a server cookie (`fresh`), with a valid one (`good`),
    /// with one that is not valid (`bad`).
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        [
            ("fresh", self.fresh.get()),
            ("good", self.good.get()),
            ("bad", self.bad.get()),
        ]
    }

    /// Verifies a query's cookie as [`CookieJar::accepts`] does, and counts the result.
    pub(crate) fn check(&self, cookie: &[u8], client: IpAddr, now: u32) -> bool {
        let accepted = self.accepts(cookie, client, now);
        if accepted {
            self.good.add();
        } else if cookie.len() == CLIENT {
            // RFC 7873, section 5.2.3: a client cookie alone begins the exchange.
            self.fresh.add();
        } else {
            self.bad.add();
        }

        accepted
    }

    /// The server cookie for a client. Its own cookie is at the start of `cookie`; `now` is in
    /// seconds.
    pub(crate) fn server_cookie(&self, cookie: &[u8], client: IpAddr, now: u32) -> [u8; COOKIE] {
        // `Query::parse` refuses shorter cookies, so the default is never used.
        let client_cookie = cookie.first_chunk().copied().unwrap_or_default();
        seal(&self.secrets.load()[0], client_cookie, client, now)
    }

    /// True if `cookie` has a server cookie that was made for `client` and is not too old.
    pub(crate) fn accepts(&self, cookie: &[u8], client: IpAddr, now: u32) -> bool {
        let Some((client_cookie, server_cookie)) = cookie.split_first_chunk::<CLIENT>() else {
            return false;
        };
        let Ok(server_cookie) = <&[u8; COOKIE]>::try_from(server_cookie) else {
            return false;
        };

        // RFC 9018, section 4.3: times are compared by serial number arithmetic.
        let [_, _, _, _, a, b, c, d, ..] = *server_cookie;
        let made = u32::from_be_bytes([a, b, c, d]);
        if now.wrapping_sub(made) > MAX_AGE && made.wrapping_sub(now) > MAX_AHEAD {
            return false;
        }

        let secrets = self.secrets.load();
        secrets
            .iter()
            .any(|secret| seal(secret, *client_cookie, client, made) == *server_cookie)
    }
}

fn random() -> Result<Secret, getrandom::Error> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    Ok(secret)
}

/// RFC 9018, section 4: the server cookie made at `time`.
fn seal(secret: &Secret, client_cookie: [u8; CLIENT], client: IpAddr, time: u32) -> [u8; COOKIE] {
    let mut cookie = [0; COOKIE];
    cookie[0] = 1;
    cookie[4..8].copy_from_slice(&time.to_be_bytes());

    let mut input = [0; MAX_INPUT];
    input[..CLIENT].copy_from_slice(&client_cookie);
    input[CLIENT..CLIENT + PREFIX].copy_from_slice(&cookie[..PREFIX]);
    // RFC 9018, section 4.4: 4 or 16 octets of address, so the input's length varies.
    let address = &mut input[CLIENT + PREFIX..];
    let address_len = match client.to_canonical() {
        IpAddr::V4(v4) => {
            address[..4].copy_from_slice(&v4.octets());
            4
        }
        IpAddr::V6(v6) => {
            address.copy_from_slice(&v6.octets());
            16
        }
    };

    let input = &input[..CLIENT + PREFIX + address_len];
    let hash = SipHasher24::new_with_key(secret).hash(input);
    // The test vectors of RFC 9018 have the hash in little-endian order.
    cookie[PREFIX..].copy_from_slice(&hash.to_le_bytes());
    cookie
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn server_cookies_are_those_of_rfc_9018_appendix_a() {
        assert_eq!(
            seal(
                &bytes("e5e973e5a6b2a43f48e7dc849e37bfcf"),
                bytes("2464c4abcf10c957"),
                "198.51.100.100".parse().unwrap(),
                1_559_731_985
            ),
            bytes("010000005cf79f111f8130c3eee29480")
        );
        assert_eq!(
            seal(
                &bytes("445536bcd2513298075a5d379663c962"),
                bytes("22681ab97d52c298"),
                "2001:db8:220:1:59de:d0f4:8769:82b8".parse().unwrap(),
                1_559_741_961
            ),
            bytes("010000005cf7c609a6bb79d16625507a")
        );
    }

    const CLIENT_COOKIE: [u8; CLIENT] = [7; CLIENT];
    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const NOW: u32 = 1_000_000;

    /// The client cookie and its server cookie, made at [`NOW`].
    fn cookie(jar: &CookieJar) -> Vec<u8> {
        let server_cookie = jar.server_cookie(&CLIENT_COOKIE, ADDRESS, NOW);
        [&CLIENT_COOKIE[..], &server_cookie].concat()
    }

    #[test]
    fn a_cookie_is_valid_for_its_client_for_an_hour() {
        let jar = CookieJar::new().unwrap();
        let cookie = cookie(&jar);
        assert!(jar.accepts(&cookie, ADDRESS, NOW));
        assert!(jar.accepts(&cookie, ADDRESS, NOW + MAX_AGE));
        assert!(!jar.accepts(&cookie, ADDRESS, NOW + MAX_AGE + 1));
        assert!(jar.accepts(&cookie, ADDRESS, NOW - MAX_AHEAD));
        assert!(!jar.accepts(&cookie, ADDRESS, NOW - MAX_AHEAD - 1));

        assert!(!jar.accepts(&cookie, [10, 0, 0, 2].into(), NOW));
        assert!(
            !jar.accepts(&CLIENT_COOKIE, ADDRESS, NOW),
            "no server cookie"
        );
        for at in 0..cookie.len() {
            let mut changed = cookie.clone();
            changed[at] ^= 1;
            assert!(!jar.accepts(&changed, ADDRESS, NOW), "octet {at}");
        }
    }

    #[test]
    fn a_secret_verifies_until_the_second_rotation() {
        let jar = CookieJar::new().unwrap();
        let cookie = cookie(&jar);
        jar.rotate_secret().unwrap();
        assert!(jar.accepts(&cookie, ADDRESS, NOW));
        jar.rotate_secret().unwrap();
        assert!(!jar.accepts(&cookie, ADDRESS, NOW));
    }
}
