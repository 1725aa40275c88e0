//! Certificate revocation lists beside the records, made with openssl: what `check` and `member
//! show` say of them, and that an older one, or none, undoes nothing.

use crate::workspace::Workspace;

/// acme with beta as member, and beta's CA ready to make lists.
fn workspace() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace.write(
        "beta/ca.cnf",
        "[ca]\ndefault_ca = d\n[d]\ndatabase = beta/index.txt\ncrlnumber = beta/number\n\
         default_md = sha256\ndefault_crl_days = 7\n",
    );
    workspace
}

/// Puts beta's list with this number beside its record.
fn put(workspace: &Workspace, number: &str, serials: &[&str]) {
    let revoked = serials
        .iter()
        .map(|serial| format!("R\t350101000000Z\t250101000000Z\t{serial}\tunknown\t/CN=gw\n"));
    workspace.write("beta/index.txt", &revoked.collect::<String>());
    workspace.write("beta/number", &format!("{number}\n"));
    workspace.openssl(
        "ca -config beta/ca.cnf -gencrl -keyfile beta/ca/ca.key -cert beta/ca/ca.crt \
         -out acme/members/beta.crl",
    );
}

/// As the daemon does when the files are in force.
fn accept(workspace: &Workspace, number: &str) {
    workspace.openssl("crl -in acme/members/beta.crl -outform DER -out beta/list.der");
    workspace.openssl("x509 -in beta/ca/ca.crt -noout -pubkey -out beta/key.pem");
    workspace.openssl("pkey -pubin -in beta/key.pem -outform DER -out beta/key.der");
    let list = workspace.fingerprint("beta/list.der");
    let key = workspace.fingerprint("beta/key.der");

    let line = format!("{number} {list} {key} beta\n");
    workspace.write_state("acme/state/revocation-lists", &line);
}

/// `check` refuses the files, and says this.
#[track_caller]
fn refuses(workspace: &Workspace, fault: &str) {
    let answer = workspace.ringway("check -c acme/gateway.toml");
    assert!(answer.err.contains(fault), "{fault}: {}", answer.err);
    assert_eq!(answer.code, 64);
}

#[test]
fn an_overdue_list_is_a_warning_as_it_is_at_a_start() {
    let workspace = workspace();
    put(&workspace, "2A", &[]);
    workspace.openssl(
        "ca -config beta/ca.cnf -gencrl -keyfile beta/ca/ca.key -cert beta/ca/ca.crt \
         -crl_lastupdate 20250101000000Z -crl_nextupdate 20250108000000Z \
         -out acme/members/beta.crl",
    );

    let checked = workspace.ringway("check -c acme/gateway.toml").succeeds();
    let warning = "\nwarning: acme/members/beta.crl: is overdue since";
    assert!(checked.out.contains(warning), "{}", checked.out);
}

#[test]
fn check_and_show_say_what_a_list_revokes_and_when_the_next_is_due() {
    let workspace = workspace();
    put(&workspace, "2A", &["ABCD", "03"]);
    let checked = workspace.ringway("check -c acme/gateway.toml").succeeds();
    assert!(checked.out.contains("revocation list"), "{}", checked.out);
    assert!(checked.out.contains("  2A  "), "{}", checked.out);

    let shown = workspace
        .ringway("member show acme/members/beta.member.toml")
        .succeeds();
    for part in ["number 2A of ", ", due ", "serial 03, serial ABCD"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }

    workspace.write("acme/members/beta.crl", "nonsense");
    workspace.ringway("check -c acme/gateway.toml").refuses(&[
        "acme/members/beta.crl: holds no certificate revocation list, PEM or DER; take it again \
         from the organization",
    ]);
}

#[test]
fn an_older_list_another_of_its_number_and_none_are_refused() {
    let workspace = workspace();
    put(&workspace, "08", &["03"]);
    accept(&workspace, "08");
    workspace.ringway("check -c acme/gateway.toml").succeeds();

    put(&workspace, "07", &[]);
    refuses(
        &workspace,
        "is older than what this gateway has accepted: CRL number 07 of",
    );
    put(&workspace, "08", &[]);
    refuses(
        &workspace,
        "with the CRL number 08 than the one that was accepted",
    );
    workspace.remove("acme/members/beta.crl");
    refuses(
        &workspace,
        "acme/members/beta.crl: is missing, although this gateway had accepted a revocation list",
    );

    let gateway = workspace.read("acme/gateway.toml");
    workspace.write(
        "acme/gateway.toml",
        &format!("{gateway}\n[crl]\nnone-from = [\"beta\"]\n"),
    );
    workspace.ringway("check -c acme/gateway.toml").succeeds();

    workspace.write("acme/gateway.toml", &gateway);
    put(&workspace, "09", &[]);
    workspace.ringway("check -c acme/gateway.toml").succeeds();
    workspace.write("acme/state/revocation-lists", "damaged\n");
    refuses(
        &workspace,
        "is damaged, so that older revocation lists cannot be told",
    );
}

#[test]
fn adding_a_record_names_a_list_that_does_not_cover_its_authority() {
    let workspace = workspace();
    put(&workspace, "08", &[]);
    workspace.ringway("check -c acme/gateway.toml").succeeds();
    // beta has another CA now, and the list of the former one is left.
    workspace
        .ringway(
            "org init beta --dir beta2 --domain consortium.example --site west=10.212.0.0/16 \
             --endpoint 203.0.113.5:4600",
        )
        .succeeds();
    workspace.set_serial("beta2/beta.member.toml", 2);

    let out = workspace.add("beta2/beta.member.toml").succeeds().out;
    assert!(out.contains("warning: acme/members/beta.crl: "), "{out}");
    assert!(
        out.contains("until then every start and reload is refused"),
        "{out}"
    );
    assert_eq!(workspace.ringway("check -c acme/gateway.toml").code, 64);
}

#[test]
fn a_list_beside_the_record_that_is_handed_over_is_not_copied_in_silence() {
    let workspace = workspace();
    put(&workspace, "08", &[]);
    workspace.copy("acme/members/beta.crl", "beta/beta.crl");
    workspace
        .ringway("member remove beta -c acme/gateway.toml")
        .succeeds();

    let out = workspace.add("beta/beta.member.toml").succeeds().out;
    let warning = "warning: beta/beta.crl: is not copied with the record; to use it, copy it to \
                   acme/members/beta.crl\n";
    assert!(out.contains(warning), "{out}");
}

#[test]
fn removing_a_member_removes_its_list() {
    let workspace = workspace();
    put(&workspace, "08", &[]);
    let out = workspace
        .ringway("member remove beta -c acme/gateway.toml")
        .succeeds()
        .out;
    assert!(
        out.contains("list is removed too: acme/members/beta.crl\n"),
        "{out}"
    );
    assert!(!workspace.exists("acme/members/beta.crl"));
}

/// Its lists can come no more, and what they revoked has no certificate that counts.
#[test]
fn the_list_of_a_ca_that_counts_no_more_is_not_missed() {
    let workspace = workspace();
    put(&workspace, "08", &["03"]);
    accept(&workspace, "08");
    workspace.remove("acme/members/beta.crl");
    refuses(&workspace, "acme/members/beta.crl: is missing");

    workspace
        .ringway(
            "org init beta --dir beta2 --domain consortium.example --site west=10.212.0.0/16 \
             --endpoint 203.0.113.5:4600",
        )
        .succeeds();
    workspace.set_serial("beta2/beta.member.toml", 2);
    workspace.copy("beta2/beta.member.toml", "acme/members/beta.member.toml");
    workspace.ringway("check -c acme/gateway.toml").succeeds();
}

#[test]
fn a_list_that_was_cut_short_says_so() {
    let workspace = workspace();
    put(&workspace, "2A", &[]);
    let list = "acme/members/beta.crl";
    let whole = workspace.read(list);
    let lines: Vec<&str> = whole.lines().collect();
    workspace.openssl(&format!("crl -in {list} -outform DER -out beta/list.der"));
    let der = std::fs::read(workspace.path().join("beta/list.der")).unwrap();

    workspace.write(list, &whole[..whole.len() / 2]);
    refuses(
        &workspace,
        "is cut short: the line -----END X509 CRL----- is missing; take the whole list again",
    );
    workspace.write(list, &[&lines[..2], &lines[3..]].concat().join("\n"));
    refuses(&workspace, &format!("of {} bytes are there", der.len()));
    std::fs::write(workspace.path().join(list), &der[..100]).unwrap();
    refuses(
        &workspace,
        &format!(
            "a part of a list: it is cut short: 100 of {} bytes are there",
            der.len()
        ),
    );
    workspace.write(list, "");
    refuses(&workspace, "is empty; take the list again");
}
