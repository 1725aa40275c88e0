use super::super::packet::{Interface, State};
use super::value::padded;
use super::*;

fn interface(name: &str) -> Option<Interface> {
    Some(Interface {
        name: name.into(),
        index: Some(7),
    })
}

/// From the site into the tunnel.
fn outbound(state: State) -> Sample {
    Sample {
        is_local: false,
        enters: interface("lan0"),
        leaves: interface("ringway0"),
        is_v4: true,
        source: Some("10.1.0.2".parse().unwrap()),
        destination: Some("10.2.0.1".parse().unwrap()),
        protocol: 6,
        port: None,
        state,
    }
}

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

fn judge(ruleset: &Ruleset) -> Judgement {
    ruleset.judge("FORWARD", true, &outbound(State::New))
}

/// Docker's chains, and what an operator puts first.
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
fn dockers_policy_drops_and_an_operators_rule_opens_it() {
    let unopened = docker(vec![then(Vec::new(), Verdict::Return)]);
    assert_eq!(judge(&unopened), Judgement::Dropped);

    let opened = docker(vec![
        then(named(META_OIFNAME, EQUAL, "ringway0"), Verdict::Accept),
        then(Vec::new(), Verdict::Return),
    ]);
    assert_eq!(judge(&opened), Judgement::Accepted);
}

#[test]
fn a_rule_that_is_not_understood_makes_the_answer_uncertain_and_one_that_cannot_apply_does_not() {
    let mut unknown = vec![Expression::Unknown];
    let accept =
        |steps: Vec<Expression>| ruleset(&[("FORWARD", vec![then(steps, Verdict::Accept)])]);
    assert_eq!(judge(&accept(unknown.clone())), Judgement::Uncertain);

    unknown.extend(named(META_IIFNAME, EQUAL, "wan0"));
    assert_eq!(judge(&accept(unknown)), Judgement::Dropped);
    assert_eq!(judge(&ruleset(&[])), Judgement::Uncertain, "no such chain");
}

#[test]
fn a_wildcard_and_a_negation_are_compared_as_the_kernel_does() {
    let accept = |steps| judge(&ruleset(&[("FORWARD", vec![then(steps, Verdict::Accept)])]));
    let wildcard = |text: &[u8]| {
        vec![
            Expression::Meta {
                key: META_OIFNAME,
                to: 1,
            },
            compare(EQUAL, text),
        ]
    };
    assert_eq!(accept(wildcard(b"ring")), Judgement::Accepted);
    assert_eq!(accept(wildcard(b"wg")), Judgement::Dropped);
    let others = named(META_OIFNAME, NOT_EQUAL, "docker0");
    assert_eq!(accept(others), Judgement::Accepted);
}

#[test]
fn a_map_of_states_decides_by_the_state() {
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

    assert_eq!(judge(&ruleset), Judgement::Dropped);
    let answer = ruleset.judge("FORWARD", true, &outbound(State::Established));
    assert_eq!(answer, Judgement::Accepted);
}

#[test]
fn a_prefix_is_compared_under_its_mask() {
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
        judge(&ruleset(&[("FORWARD", vec![then(steps, Verdict::Accept)])]))
    };
    assert_eq!(accept([10, 2, 0, 0]), Judgement::Accepted);
    assert_eq!(accept([10, 3, 0, 0]), Judgement::Dropped);
}

#[test]
fn chains_that_call_each_other_without_end_are_given_up() {
    let jump = |to: &str| vec![then(Vec::new(), Verdict::Jump(to.into()))];
    let ruleset = ruleset(&[("FORWARD", jump("other")), ("other", jump("FORWARD"))]);
    assert_eq!(judge(&ruleset), Judgement::Uncertain);
}

#[test]
fn rules_about_the_loopback_interface_never_apply_to_what_comes_by_another() {
    let sample = Sample {
        is_local: true,
        enters: None,
        leaves: None,
        ..outbound(State::New)
    };
    let judge = |steps| {
        let ruleset = ruleset(&[("INPUT", vec![then(steps, Verdict::Accept)])]);
        ruleset.judge("INPUT", true, &sample)
    };

    assert_eq!(judge(named(META_IIFNAME, EQUAL, "lo")), Judgement::Dropped);
    assert_eq!(
        judge(named(META_IIFNAME, NOT_EQUAL, "lo")),
        Judgement::Accepted
    );
    assert_eq!(
        judge(named(META_IIFNAME, EQUAL, "lan0")),
        Judgement::Uncertain
    );
    // `-m addrtype --dst-type LOCAL`: at the input hook always so.
    assert_eq!(
        judge(vec![Expression::DestinationType(4)]),
        Judgement::Accepted
    );
    assert_eq!(
        judge(vec![Expression::DestinationType(8)]),
        Judgement::Dropped
    );
}

/// As iptables writes `--sport 67 --dport 68`: four bytes at once.
#[test]
fn two_ports_that_are_compared_at_once_differ_if_the_known_one_does() {
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

    let other = ruleset.judge("FORWARD", true, &sample(4600));
    assert_eq!(other, Judgement::Dropped);
    let same = ruleset.judge("FORWARD", true, &sample(68));
    assert_eq!(same, Judgement::Uncertain, "the source port is not known");
}
