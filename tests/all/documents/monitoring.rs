//! The metrics, and the files that name them: the reference, the alert rules and the dashboard.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use attrsync::attention::{Attention, Standing};
use attrsync::metrics::{DESCRIBED, Described, Metrics, Observed};
use serde_json::Value;

use super::pages::{page, root};
use crate::support::machine::needed;

const RULES: &str = "deploy/prometheus/alerts.yml";
const RULE_TESTS: &str = "deploy/prometheus/alerts.test.yml";
const DASHBOARD: &str = "deploy/grafana/attrsync.json";

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_page_of_metrics_has_every_metric_with_its_meaning_and_no_other() {
    let page = page("docs/reference/metrics.md").text;
    let shown: Vec<&str> = page.lines().filter(|line| line.starts_with("| `attrsync_")).collect();
    let row = |described: &Described| {
        let labels: Vec<String> = described
            .labels
            .iter()
            .filter(|label| **label != "sync")
            .map(|label| format!(" `{label}`"))
            .collect();
        let Described { name, kind, help, .. } = described;
        format!("| `{name}` | {kind} |{} | {help} |", labels.join(","))
    };
    assert_eq!(shown, DESCRIBED.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn every_metric_that_a_file_names_is_there() {
    let known: BTreeSet<&str> = DESCRIBED.iter().map(|described| described.name).collect();
    for name in [RULES, RULE_TESTS, DASHBOARD, "docs/guides/monitoring.md"] {
        let text = text(name);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let unknown: BTreeSet<&str> = words
            .filter(|word| word.starts_with("attrsync_"))
            .filter(|word| !known.contains(word.trim_end_matches("_bucket")))
            .collect();
        assert!(unknown.is_empty(), "{name}: no metric is named {unknown:?}");
    }
}

#[test]
fn every_alert_says_how_urgent_it_is_and_what_to_do() {
    let rules = text(RULES);
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 9, "the rules were not understood");
    let page = page("docs/guides/monitoring.md").text;
    for alert in alerts {
        let name = alert.lines().next().expect("a name");
        for part in ["expr:", "for:", "severity:", "summary:", "runbook:"] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/guides/monitoring.md");
    }
    // Every kind of attention has an alert, or one that stands for it.
    for kind in Attention::KINDS.iter().filter(|kind| !["unknown", "unconfirmed"].contains(kind)) {
        assert!(rules.contains(kind), "no alert on {kind}");
    }
}

#[test]
fn the_dashboard_can_be_imported_and_every_panel_asks_for_something() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    for panel in panels {
        let targets = panel["targets"].as_array().expect("targets");
        let asks = |target: &Value| target["expr"].as_str().is_some_and(|expr| expr.contains("attrsync_"));
        assert!(!targets.is_empty() && targets.iter().all(asks), "{}", panel["title"]);
    }
    let ids: BTreeSet<i64> = panels.iter().filter_map(|panel| panel["id"].as_i64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}

#[test]
fn promtool_accepts_the_metrics_and_lets_the_alerts_fire_and_recover() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs: Vec<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join("promtool")).collect();
    let program = programs.into_iter().find(|program| program.is_file());
    let advice = "it is in Debian's package prometheus, and scripts/test fetches it";
    let Some(promtool) = needed("promtool", program, advice) else { return };

    let metrics = Metrics::new();
    metrics.add("main");
    let standing = Standing { needs: vec![Attention::Rejected(3)], ..Standing::default() };
    let text = metrics.render(&[Observed { sync: "main", standing: Some(&standing) }]);
    let run = |arguments: &[&str], input: &str| {
        let mut command = Command::new(&promtool);
        command.args(arguments).current_dir(root());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("promtool starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(input.as_bytes()).expect("promtool reads");
        drop(stdin);
        let output = child.wait_with_output().expect("promtool ends");
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        assert!(output.status.success(), "promtool {arguments:?}: {printed}\n{input}");
        printed
    };
    assert_eq!(run(&["check", "metrics"], &text), "", "{text}");
    run(&["check", "rules", RULES], "");
    run(&["test", "rules", RULE_TESTS], "");
}
