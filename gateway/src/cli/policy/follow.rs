//! Adapts the rules of `gateway.toml` to a change of the site's address ranges.

use ringway_config::Prefix;
use toml_edit::{Array, DocumentMut, Item, TableLike, Value};

/// The rules whose key names hosts of this site.
const RULES: [(&str, &str); 2] = [("allow", "to"), ("allow-egress", "from")];

/// Removes the ranges `removed` from the rules. A rule with such a range gets the ranges in `added`
/// instead; a rule without ranges left is removed. Rules about a part of a removed range are not
/// widened.
pub(in crate::cli) fn follow_prefixes(
    document: &mut DocumentMut,
    removed: &[Prefix],
    added: &[Prefix],
) {
    let Some(policy) = document.get_mut("policy").and_then(Item::as_table_like_mut) else {
        return;
    };

    for (list, key) in RULES {
        match policy.get_mut(list) {
            Some(Item::ArrayOfTables(rules)) => {
                for rule in rules.iter_mut() {
                    follow(rule, key, removed, added);
                }
                rules.retain(|rule| !is_empty(rule, key));
            }
            Some(Item::Value(Value::Array(rules))) => {
                for rule in rules.iter_mut().filter_map(Value::as_inline_table_mut) {
                    follow(rule, key, removed, added);
                }
                rules.retain(|rule| {
                    let rule = rule.as_inline_table();
                    !rule.is_some_and(|rule| is_empty(rule, key))
                });
            }
            _ => {}
        }
    }
}

/// True if the rule has no hosts left.
fn is_empty(rule: &dyn TableLike, key: &str) -> bool {
    let list = rule.get(key).and_then(Item::as_array);
    list.is_some_and(Array::is_empty)
}

fn follow(rule: &mut dyn TableLike, key: &str, removed: &[Prefix], added: &[Prefix]) {
    let Some(Item::Value(value)) = rule.get_mut(key) else {
        return;
    };
    let items: Vec<String> = match &*value {
        Value::Array(list) => list.iter().filter_map(text).collect(),
        other => text(other).into_iter().collect(),
    };

    let mut kept: Vec<String> = Vec::new();
    for item in &items {
        for item in following(item, removed, added) {
            if !kept.contains(&item) {
                kept.push(item);
            }
        }
    }
    if kept != items {
        // Keep blanks and comments around the list.
        let decor = value.decor().clone();
        *value = Array::from_iter(&kept).into();
        *value.decor_mut() = decor;
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn following(item: &str, removed: &[Prefix], added: &[Prefix]) -> Vec<String> {
    let prefix = match item.parse() {
        Ok(address) => Some(Prefix::host(address)),
        Err(_) => item.parse::<Prefix>().ok(),
    };
    // A name, or a range that stays.
    let Some(prefix) = prefix.filter(|prefix| removed.iter().any(|gone| gone.covers(prefix)))
    else {
        return vec![item.to_owned()];
    };
    if added.iter().any(|range| range.covers(&prefix)) {
        return vec![item.to_owned()];
    }

    let is_all_of_it = removed.contains(&prefix);
    added
        .iter()
        .filter(|range| is_all_of_it && range.is_ipv4() == prefix.is_ipv4())
        .map(ToString::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::edit::parse;

    fn followed(text: &str, removed: &[&str], added: &[&str]) -> String {
        let read = |texts: &[&str]| -> Vec<Prefix> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let mut document = parse(text).unwrap();
        follow_prefixes(&mut document, &read(removed), &read(added));
        document.to_string()
    }

    #[test]
    fn a_rule_for_the_whole_range_names_the_new_one() {
        let text =
            "[[policy.allow]]\nfrom = \"all\"\nto = [\"10.1.0.0/16\", \"fd00:1::/48\"] # all\n";
        assert_eq!(
            followed(text, &["10.1.0.0/16"], &["10.7.0.0/16", "10.8.0.0/16"]),
            "[[policy.allow]]\nfrom = \"all\"\n\
             to = [\"fd00:1::/48\"] # all\n"
                .replace("[\"fd", "[\"10.7.0.0/16\", \"10.8.0.0/16\", \"fd")
        );
    }

    #[test]
    fn a_rule_for_a_part_is_not_widened_and_goes_if_nothing_is_left() {
        let text = "[policy]\ndenied = \"drop\"\n[[policy.allow]]\nto = \"10.1.0.5\"\n\
                    [[policy.allow]]\nto = [\"10.1.3.0/24\", \"peer0\"]\n";
        assert_eq!(
            followed(text, &["10.1.0.0/16"], &["10.7.0.0/16"]),
            "[policy]\ndenied = \"drop\"\n[[policy.allow]]\nto = [\"peer0\"]\n"
        );
        assert_eq!(followed(text, &["10.1.0.0/16"], &["10.1.0.0/17"]), text);
    }
}
