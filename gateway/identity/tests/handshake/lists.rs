//! Revocation lists that openssl has written: what is read, what is wrong with a file, and what a
//! list does to a certificate that was accepted before.

use std::fs;
use std::path::PathBuf;

use ringway_config::{Config, Root};
use ringway_identity::{Code, Refusal, Role, Trust};
use rustls_pki_types::UnixTime;

use super::openssl::{der, list};
use super::world::{Ca, World, ca_params, good};

const SERIAL: u64 = 0xabcd;

/// alpha's view, and the file of beta's lists.
fn files(world: &World) -> (Config, PathBuf) {
    let config = world.config_of("alpha");
    let path = config.members_dir.join("beta.crl");
    (config, path)
}

fn faults(config: &Config) -> String {
    Trust::build(config)
        .map(|_| "no fault".to_owned())
        .unwrap_or_else(|faults| faults.to_string())
}

/// What becomes of a certificate of beta with this serial number.
fn judge(world: &World, trust: &Trust, serial: u64) -> Option<Code> {
    let mut params = good("beta", "gw");
    params.serial_number = Some(serial.into());
    let chain = world.beta.issue(&params).chain;

    let verdict = trust.verify(&chain, Role::Client, None, UnixTime::now());
    verdict.err().as_ref().map(Refusal::code)
}

#[test]
fn a_list_of_openssl_is_read_as_pem_and_as_der() {
    let world = World::new();
    let (config, path) = files(&world);
    let pem = list(&world, &world.beta, 0x12ab, &[SERIAL, 3]);
    let der = der(&world, &pem);

    for bytes in [pem, der] {
        fs::write(&path, bytes).unwrap();
        let trust = Trust::build(&config).unwrap();
        let (_, read) = trust
            .lists()
            .find(|(org, _)| org.as_str() == "beta")
            .unwrap();
        assert_eq!(read.number.to_string(), "12AB");
        assert_eq!(read.revoked, ["03", "ABCD"]);
        assert!(!read.is_stale(UnixTime::now()));
        assert_eq!(judge(&world, &trust, SERIAL), Some(Code::RevokedByList));
        assert_eq!(judge(&world, &trust, SERIAL + 1), None);
    }
}

#[test]
fn faults_of_a_revocation_list_name_its_file() {
    let world = World::new();
    let (config, path) = files(&world);
    let pem = list(&world, &world.beta, 9, &[SERIAL]);
    let der = der(&world, &pem);
    let mut flipped = der.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let same_name = Ca::with(ca_params(
        "beta",
        -time::Duration::hours(1),
        time::Duration::days(30),
    ));

    for (bytes, wrong) in [
        (vec![], "is empty"),
        (b"nonsense".to_vec(), "holds no certificate revocation list"),
        (pem[..pem.len() / 2].to_vec(), "is cut short"),
        (
            der[..der.len() - 1].to_vec(),
            "holds a part of a list: it is cut short",
        ),
        ([&der[..], b"more"].concat(), "certificate revocation list"),
        (flipped, "is not signed by"),
        (
            list(&world, &world.gamma, 9, &[]),
            "which is no CA of beta's record",
        ),
        (list(&world, &same_name, 9, &[]), "is not signed by"),
        ([&pem[..], &pem].concat(), "holds two lists of"),
        (vec![b'x'; (1 << 20) + 1], "is larger than 1048576 bytes"),
        (pem.repeat(17), "holds more than 16 lists"),
    ] {
        fs::write(&path, bytes).unwrap();
        let said = faults(&config);
        assert!(
            said.contains(&format!("{}: ", path.display())),
            "{wrong}: {said}"
        );
        assert!(said.contains(wrong), "{wrong}: {said}");
    }

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(faults(&config).contains("cannot be read (Is a directory"));
}

#[test]
fn each_ca_of_the_record_needs_a_list_once_one_has_one() {
    let world = World::new();
    let (mut config, path) = files(&world);
    let beta = config.members.iter_mut();
    let beta = beta.filter(|member| member.org.as_str() == "beta").last();
    let beta = beta.unwrap();
    let place = beta.roots[0].place.clone();
    let pem = world.omega.certificate.pem();
    beta.roots.push(Root { pem, place });

    assert!(faults(&config).contains("has no list of the CA"));
    let both = [
        list(&world, &world.beta, 9, &[]),
        list(&world, &world.omega, 1, &[]),
    ];
    fs::write(&path, both.concat()).unwrap();
    assert_eq!(faults(&config), "no fault");
}

#[test]
fn a_list_under_another_name_is_reported() {
    let world = World::new();
    let (config, path) = files(&world);
    fs::rename(&path, path.with_file_name("beta.crl.pem")).unwrap();
    let trust = Trust::build(&config).unwrap();
    let lapsed = trust.lapsed(UnixTime::now());
    let said: Vec<String> = lapsed.iter().map(ToString::to_string).collect();
    assert!(
        said.iter()
            .any(|fault| fault.contains("beta.crl.pem: belongs to no member's record")),
        "{said:?}"
    );
}

#[test]
fn an_overdue_list_counts_if_the_operator_wants_it() {
    let world = World::new();
    let mut config = world.config_of("alpha");
    let chain = world.epsilon.issue(&good("epsilon", "gw")).chain;
    let verdict = |config: &Config| {
        let trust = Trust::build(config).unwrap();
        trust.verify(&chain, Role::Client, None, UnixTime::now())
    };

    assert_eq!(verdict(&config).unwrap_err().code(), Code::StaleList);
    config.crl.accepts_stale = true;
    assert!(verdict(&config).is_ok());
}

#[test]
fn a_refused_reload_takes_newer_lists_and_keeps_those_in_force() {
    let world = World::new();
    let (config, path) = files(&world);
    fs::write(&path, list(&world, &world.beta, 8, &[SERIAL])).unwrap();
    let before = Trust::build(&config).unwrap();

    // Broken, gone, or older: what is in force stays.
    let older = list(&world, &world.beta, 7, &[]);
    for bytes in [Some(b"nonsense".to_vec()), None, Some(older)] {
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let trust = Trust::narrowed(&config, &before).unwrap();
        assert_eq!(judge(&world, &trust, SERIAL), Some(Code::RevokedByList));
        assert_eq!(judge(&world, &trust, 1), None);
    }

    // A newer one, with another that cannot be used: both lists of the CA count.
    let newer = list(&world, &world.beta, 9, &[1]);
    let foreign = list(&world, &world.gamma, 9, &[]);
    fs::write(&path, [newer, foreign].concat()).unwrap();
    assert!(Trust::build(&config).is_err());
    let trust = Trust::narrowed(&config, &before).unwrap();
    for revoked in [SERIAL, 1] {
        assert_eq!(judge(&world, &trust, revoked), Some(Code::RevokedByList));
    }
    assert_eq!(judge(&world, &trust, 2), None);
}
