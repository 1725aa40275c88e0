use super::super::sample::{State, outbound};
use super::value::padded;
use super::*;

fn compare(operator: u32, data: &[u8]) -> Expression {
    Expression::Compare {
        register: 1,
        operator,
        data: data.to_vec(),
    }
}

/// `iifname NAME`, `oifname NAME`.
fn named(key: u32, operator: u32, name: &str) -> Vec<Expression> {
    vec![
        Expression::Meta { key, to: 1 },
        compare(operator, &padded(name)),
    ]
}

fn then(steps: Vec<Expression>, verdict: Verdict) -> Vec<Expression> {
    let mut rule = steps;
    rule.push(Expression::Nothing);
    rule.push(Expression::Verdict(verdict));
    rule
}

fn ruleset(chains: &[(&str, Vec<Vec<Expression>>)]) -> Ruleset {
    Ruleset {
        chains: chains
            .iter()
            .map(|(name, rules)| ((*name).to_owned(), rules.clone()))
            .collect(),
        sets: BTreeMap::new(),
    }
}

fn evaluate(ruleset: &Ruleset) -> Outcome {
    ruleset.evaluate("FORWARD", true, &outbound(State::New))
}

/// Docker's chains, with the operator's rules in DOCKER-USER.
fn docker(user: Vec<Vec<Expression>>) -> Ruleset {
    let established = Expression::StateMask(State::Established.bit().unwrap() | 1 << 2);
    let mut answers = named(META_OIFNAME, EQUAL, "docker0");
    answers.push(established);

    ruleset(&[
        (
            "FORWARD",
            vec![
                then(Vec::new(), Verdict::Jump("DOCKER-USER".into())),
                then(answers, Verdict::Accept),
                then(named(META_IIFNAME, EQUAL, "docker0"), Verdict::Accept),
            ],
        ),
        ("DOCKER-USER", user),
    ])
}

#[test]
fn dockers_policy_drops_until_an_operators_rule_accepts() {
    let closed = docker(vec![then(Vec::new(), Verdict::Return)]);
    assert_eq!(evaluate(&closed), Outcome::Dropped);

    let opened = docker(vec![
        then(named(META_OIFNAME, EQUAL, "ringway0"), Verdict::Accept),
        then(Vec::new(), Verdict::Return),
    ]);
    assert_eq!(evaluate(&opened), Outcome::Accepted);
}

#[test]
fn a_rule_that_is_not_understood_makes_the_outcome_uncertain_only_if_it_may_apply() {
    let mut unknown = vec![Expression::Unknown];
    let accept =
        |steps: Vec<Expression>| ruleset(&[("FORWARD", vec![then(steps, Verdict::Accept)])]);
    assert_eq!(evaluate(&accept(unknown.clone())), Outcome::MaybeDropped);

    unknown.extend(named(META_IIFNAME, EQUAL, "wan0"));
    assert_eq!(evaluate(&accept(unknown)), Outcome::Dropped);
    assert_eq!(
        evaluate(&ruleset(&[])),
        Outcome::MaybeDropped,
        "no such chain"
    );
}

#[test]
fn what_may_return_before_a_rule_that_drops_nothing_is_not_a_drop() {
    let after = |verdict| {
        let may_return = vec![Expression::Unknown, Expression::Verdict(Verdict::Return)];
        let ruleset = ruleset(&[("FORWARD", vec![may_return, then(Vec::new(), verdict)])]);
        ruleset.evaluate("FORWARD", false, &outbound(State::New))
    };

    assert_eq!(after(Verdict::Accept), Outcome::Uncertain);
    assert_eq!(after(Verdict::Drop), Outcome::MaybeDropped);
    assert_eq!(after(Verdict::Translate), Outcome::Uncertain);
}

#[test]
fn a_wildcard_and_a_negation_are_compared_as_the_kernel_does() {
    let accept = |steps| evaluate(&ruleset(&[("FORWARD", vec![then(steps, Verdict::Accept)])]));
    let wildcard = |text: &[u8]| {
        vec![
            Expression::Meta {
                key: META_OIFNAME,
                to: 1,
            },
            compare(EQUAL, text),
        ]
    };
    assert_eq!(accept(wildcard(b"ring")), Outcome::Accepted);
    assert_eq!(accept(wildcard(b"wg")), Outcome::Dropped);
    let others = named(META_OIFNAME, NOT_EQUAL, "docker0");
    assert_eq!(accept(others), Outcome::Accepted);
}

#[test]
fn a_verdict_map_of_states_decides_by_the_state() {
    let state = |state: State| state.bit().unwrap().to_ne_bytes().to_vec();
    let rule = vec![
        Expression::State { to: 1 },
        Expression::VerdictMap {
            set: "__map0".into(),
            register: 1,
        },
    ];
    let mut ruleset = ruleset(&[("FORWARD", vec![rule])]);
    let map = BTreeMap::from([(state(State::Established), Some(Verdict::Accept))]);
    ruleset.sets.insert("__map0".into(), Set::Values(map));

    assert_eq!(evaluate(&ruleset), Outcome::Dropped);
    let answer = ruleset.evaluate("FORWARD", true, &outbound(State::Established));
    assert_eq!(answer, Outcome::Accepted);
}

#[test]
fn a_prefix_is_compared_with_its_mask() {
    let accept = |network: [u8; 4]| {
        let steps = vec![
            Expression::Payload {
                base: NETWORK_HEADER,
                offset: 16,
                length: 4,
                to: 1,
            },
            Expression::Bitwise {
                from: 1,
                to: 1,
                mask: vec![255, 255, 0, 0],
                xor: vec![0; 4],
            },
            compare(EQUAL, &network),
        ];
        evaluate(&ruleset(&[("FORWARD", vec![then(steps, Verdict::Accept)])]))
    };
    assert_eq!(accept([10, 2, 0, 0]), Outcome::Accepted);
    assert_eq!(accept([10, 3, 0, 0]), Outcome::Dropped);
}

#[test]
fn the_outcome_is_uncertain_when_chains_jump_to_each_other_forever() {
    let jump = |to: &str| vec![then(Vec::new(), Verdict::Jump(to.into()))];
    let ruleset = ruleset(&[("FORWARD", jump("other")), ("other", jump("FORWARD"))]);
    assert_eq!(evaluate(&ruleset), Outcome::MaybeDropped);
}

#[test]
fn rules_for_the_loopback_interface_do_not_apply_to_packets_of_other_interfaces() {
    let sample = Sample {
        is_local: true,
        input: None,
        output: None,
        ..outbound(State::New)
    };
    let evaluate = |steps| {
        let ruleset = ruleset(&[("INPUT", vec![then(steps, Verdict::Accept)])]);
        ruleset.evaluate("INPUT", true, &sample)
    };

    assert_eq!(evaluate(named(META_IIFNAME, EQUAL, "lo")), Outcome::Dropped);
    assert_eq!(
        evaluate(named(META_IIFNAME, NOT_EQUAL, "lo")),
        Outcome::Accepted
    );
    assert_eq!(
        evaluate(named(META_IIFNAME, EQUAL, "lan0")),
        Outcome::MaybeDropped
    );
    // `-m addrtype --dst-type LOCAL`: at the input hook always so.
    assert_eq!(
        evaluate(vec![Expression::DestinationType(4)]),
        Outcome::Accepted
    );
    assert_eq!(
        evaluate(vec![Expression::DestinationType(8)]),
        Outcome::Dropped
    );
}

/// As iptables writes `--sport 67 --dport 68`: four bytes at once.
#[test]
fn two_ports_compared_together_differ_if_the_known_one_differs() {
    let sample = |port| Sample {
        port: Some(port),
        ..outbound(State::New)
    };
    let load = Expression::Payload {
        base: TRANSPORT_HEADER,
        offset: 0,
        length: 4,
        to: 1,
    };
    let steps = vec![load, compare(EQUAL, &[0, 67, 0, 68])];
    let ruleset = ruleset(&[("FORWARD", vec![then(steps, Verdict::Accept)])]);

    let other = ruleset.evaluate("FORWARD", true, &sample(4600));
    assert_eq!(other, Outcome::Dropped);
    let same = ruleset.evaluate("FORWARD", true, &sample(68));
    assert_eq!(same, Outcome::MaybeDropped, "the source port is not known");
}
