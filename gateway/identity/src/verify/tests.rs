//! Positive controls: with the check of its row taken away, an attempt of the identity table would
//! get in. That no row gets in over a real handshake is `tests/handshake`'s to prove, with the same
//! table.

use rustls_pki_types::UnixTime;

use super::{Role, Trust, Verified};
use crate::{Code, Refusal};

#[expect(dead_code, reason = "its revocation lists are for tests/handshake")]
#[path = "../../tests/handshake/openssl.rs"]
mod openssl;
#[path = "../../tests/handshake/rows.rs"]
mod rows;
#[expect(
    dead_code,
    reason = "private keys are for the handshakes in tests/handshake"
)]
#[path = "../../tests/handshake/world.rs"]
mod world;

use rows::{As, Row, accepted, reads, rows};
use world::{Presented, World};

/// What the gateway of alpha makes of an attempt while it overlooks `spared`.
fn judge(
    world: &World,
    row: &Row,
    role: As,
    presented: &Presented,
    spared: Vec<Code>,
) -> Result<Verified, Refusal> {
    let mut trust = Trust::build(&world.config_of("alpha")).unwrap();
    trust.spared = spared;
    let dialled = row.dialled.parse().unwrap();
    match role {
        As::Client => trust.verify(&presented.chain, Role::Client, None, UnixTime::now()),
        As::Server => trust.verify(
            &presented.chain,
            Role::Server,
            Some(&dialled),
            UnixTime::now(),
        ),
    }
}

fn code(name: &str) -> Code {
    let named = |code: &Code| format!("{code:?}") == name;
    Code::ALL
        .into_iter()
        .find(named)
        .unwrap_or_else(|| panic!("no code {name}"))
}

#[test]
fn without_its_check_each_attempt_would_get_in() {
    let world = World::new();
    for row in rows() {
        let presented = (row.forge)(&world);
        for &role in row.roles {
            let at = format!("{}, as {role:?}", row.name);
            let refusal = judge(&world, &row, role, &presented, Vec::new()).expect_err(&at);
            assert!(reads(&refusal.to_string(), row.refusal), "{at}: {refusal}");
            let Some(check) = row.check.map(code) else {
                continue;
            };
            assert_eq!(refusal.code(), check, "{at}");
            judge(&world, &row, role, &presented, vec![check]).expect(&at);
        }
    }
}

#[test]
fn each_check_refuses_its_attempts_alone() {
    let world = World::new();
    for row in rows() {
        let presented = (row.forge)(&world);
        let others = Code::ALL
            .into_iter()
            .filter(|code| row.check != Some(format!("{code:?}").as_str()));
        let others: Vec<_> = others.collect();
        for &role in row.roles {
            let refusal = judge(&world, &row, role, &presented, others.clone());
            assert!(refusal.is_err(), "{}, as {role:?}", row.name);
        }
    }
}

#[test]
fn every_refusal_has_an_attempt_in_the_table() {
    let world = World::new();
    let met: Vec<_> = rows()
        .iter()
        .flat_map(|row| {
            let presented = (row.forge)(&world);
            let judge = |&role| {
                judge(&world, row, role, &presented, Vec::new())
                    .unwrap_err()
                    .code()
            };
            row.roles.iter().map(judge).collect::<Vec<_>>()
        })
        .collect();
    for code in Code::ALL {
        assert!(met.contains(&code), "{code:?}");
    }
}

#[test]
fn nothing_is_overlooked_for_what_is_accepted() {
    let world = World::new();
    for row in accepted() {
        for &role in row.roles {
            judge(&world, &row, role, &(row.forge)(&world), Vec::new()).expect(row.name);
        }
    }
}
