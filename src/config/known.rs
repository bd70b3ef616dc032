//! The known sections and keys, and the problems of unknown ones.

use toml::{Table, Value};

use super::problem::{Problem, shown};
use super::section::kind;

/// All sections with their keys, in the order of the shipped file. The keys above all sections have the section "".
pub(super) const KNOWN: &[(&str, &[&str])] = &[
    ("", &["name"]),
    ("source", &["url", "table", "query", "give_up_after"]),
    ("source.columns", &["customer_id", "email", "attribute", "value"]),
    ("source.attributes", &[]),
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
            "give_up_after",
            "quota_reserve",
            "max_duration",
        ],
    ),
    ("missing", &["action"]),
    ("missing.attributes", &[]),
    ("notify", &["webhook", "format", "ping"]),
    (
        "guard",
        &[
            "enabled",
            "min_values",
            "max_updates",
            "max_deletes",
            "max_emptied",
            "max_mangled",
            "max_invalid",
            "max_shrink",
            "max_growth",
            "canary",
        ],
    ),
    ("drift", &["policy", "sweep"]),
    ("drift.attributes", &[]),
    ("schedule", &["cron", "every", "timezone", "jitter", "on_missed", "listen", "debounce"]),
    ("serve", &["address", "token", "max_concurrent_runs"]),
];

/// The sections whose keys a person chooses.
const OPEN: &[&str] = &["source.attributes", "missing.attributes", "drift.attributes"];

/// Returns a problem for every unknown section and key.
pub(super) fn unknown_keys(file: &Table) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (section, value) in file.iter().filter(|(key, _)| !is_above_sections(key)) {
        // A dot in the name itself would make it look like a section within another.
        match (is_section(section) && !section.contains('.'), value) {
            (true, value) => problems.extend(unknown_in(section, value)),
            (false, Value::Table(_)) => problems.push(unknown_section(section)),
            (false, _) => problems.push(outside_section(section)),
        }
    }
    problems
}

fn is_section(name: &str) -> bool {
    KNOWN.iter().any(|(section, _)| *section == name)
}

/// Returns a problem for every unknown key of a section, and of the sections within it.
fn unknown_in(section: &str, value: &Value) -> Vec<Problem> {
    let Value::Table(table) = value else {
        let problem = format!("is {}", kind(value));
        return vec![Problem::new(section, problem).hint(format!("it must be a section: [{section}]"))];
    };
    if OPEN.contains(&section) {
        return Vec::new();
    }
    let known = KNOWN.iter().find(|(name, _)| *name == section).map_or(&[][..], |(_, keys)| *keys);
    let problems = table.iter().flat_map(|(key, value)| {
        let within = format!("{section}.{key}");
        match value {
            _ if is_section(&within) => unknown_in(&within, value),
            _ if known.contains(&key.as_str()) => Vec::new(),
            Value::Table(_) => vec![unknown_section(&within)],
            _ => vec![unknown_key(section, key, known)],
        }
    });
    problems.collect()
}

/// Whether it is a key that stands above all sections.
fn is_above_sections(key: &str) -> bool {
    KNOWN.iter().any(|(section, keys)| section.is_empty() && keys.contains(&key))
}

fn unknown_key(section: &str, key: &str, known: &[&str]) -> Problem {
    let hint = nearest(key, known.iter().copied()).map_or_else(
        || format!("[{section}] has {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    Problem::new(format!("{section}.{}", shown(key)), "unknown key").hint(hint)
}

fn unknown_section(section: &str) -> Problem {
    let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
    let hint = nearest(section, names.iter().copied()).map_or_else(
        || {
            let names: Vec<String> = names.iter().map(|name| format!("[{name}]")).collect();
            format!("the sections are {}", names.join(", "))
        },
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

/// Returns the known name that the text is most likely a misspelling of.
pub(super) fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text: String = text.chars().take(64).collect::<String>().to_lowercase();
    known
        .map(|name| (strsim::levenshtein(&text, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_misspelling_is_recognised() {
        let keys = KNOWN.iter().find(|(name, _)| *name == "push").expect("a section").1;
        let near = |text| nearest(text, keys.iter().copied());
        assert_eq!(near("worker"), Some("workers"));
        assert_eq!(near("Workers"), Some("workers"));
        assert_eq!(near("max_atempts"), Some("max_attempts"));
        assert_eq!(near("backof_max"), Some("backoff_max"));
        assert_eq!(near("proxy"), None);
        assert_eq!(near(&"workers".repeat(1_000_000)), None);
    }
}
