//! The sections and keys that exist, and what to say about others.

use toml::{Table, Value};

use super::problem::Problem;
use super::section::kind;

/// Every section with its keys, in the order of the shipped file.
pub(super) const KNOWN: [(&str, &[&str]); 5] = [
    ("source", &["url", "table", "query"]),
    ("store", &["hash", "access_token", "api_url"]),
    ("ledger", &["url"]),
    (
        "push",
        &[
            "customers_per_request",
            "workers",
            "values_per_request",
            "max_attempts",
            "backoff",
            "backoff_max",
            "request_timeout",
            "quota_reserve",
            "max_duration",
        ],
    ),
    ("guard", &["enabled"]),
];

/// A problem for every section and key that does not exist.
pub(super) fn unknown_keys(file: &Table) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (section, value) in file {
        let known = KNOWN.iter().find(|(name, _)| name == section);
        match (known, value) {
            (Some((_, keys)), Value::Table(table)) => {
                let strangers = table.keys().filter(|key| !keys.contains(&key.as_str()));
                problems.extend(strangers.map(|key| unknown_key(section, key, keys)));
            }
            (Some(_), other) => {
                let problem = format!("is {}", kind(other));
                problems
                    .push(Problem::new(section, problem).hint(format!("it must be a section: [{section}]")));
            }
            (None, Value::Table(_)) => problems.push(unknown_section(section)),
            (None, _) => problems.push(outside_section(section)),
        }
    }
    problems
}

fn unknown_key(section: &str, key: &str, known: &[&str]) -> Problem {
    let hint = nearest(key, known.iter().copied()).map_or_else(
        || format!("[{section}] has {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    Problem::new(format!("{section}.{}", shown(key)), "unknown key").hint(hint)
}

fn unknown_section(section: &str) -> Problem {
    let names = KNOWN.map(|(name, _)| name);
    let hint = nearest(section, names.into_iter()).map_or_else(
        || format!("the sections are {}", names.map(|name| format!("[{name}]")).join(", ")),
        |near| format!("did you mean [{near}]?"),
    );
    Problem::new(format!("[{}]", shown(section)), "unknown section").hint(hint)
}

fn outside_section(key: &str) -> Problem {
    let home = KNOWN.iter().find(|(_, keys)| keys.contains(&key));
    let hint = home.map_or_else(
        || "every key belongs to a section".to_owned(),
        |(section, _)| format!("move it below [{section}]"),
    );
    Problem::new(shown(key), "is outside of any section").hint(hint)
}

/// A stranger's name, cut short: it may be anything, even a secret in the wrong place.
fn shown(name: &str) -> String {
    name.chars().take(40).flat_map(char::escape_debug).collect()
}

/// The known name that the text is most likely a slip of.
fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (distance(&text.to_lowercase(), name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many characters have to be put in, taken out or replaced to make one text the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut costs: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().take(64).enumerate() {
        let mut diagonal = costs[0];
        costs[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = costs[j + 1];
            costs[j + 1] = replaced.min(costs[j] + 1).min(diagonal + 1);
        }
    }
    costs[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let keys = KNOWN[3].1;
        let near = |text| nearest(text, keys.iter().copied());
        assert_eq!(near("worker"), Some("workers"));
        assert_eq!(near("Workers"), Some("workers"));
        assert_eq!(near("max_atempts"), Some("max_attempts"));
        assert_eq!(near("backof_max"), Some("backoff_max"));
        assert_eq!(near("proxy"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
