//! Whether there is something to compare: not if the source has the digest of the run before, and the ledger is as that
//! run left it. `docs/design/digest.md` has the argument.

use chrono::{DateTime, TimeDelta, Utc};

use super::planning::{Planned, Seen};
use super::ports::{EngineError, Options, Ports};
use crate::destination::Attribute;
use crate::plan::diff::MissingPolicy;
use crate::plan::extent::Extents;
use crate::plan::summary::Summary;
use crate::record::{AttributeNames, Counts, Filter, KnownDigest, PlanParts};
use crate::source::Digested;

/// How long a comparison of all rows stands for the runs after it. An hour below a day, so that a nightly run compares
/// all rows each time, and never reads the source twice.
const STANDS_FOR: TimeDelta = TimeDelta::hours(23);

/// Returns what a plan depends on besides the rows of the source and the entries of the ledger.
pub(super) fn planned_by(attributes: &[Attribute], missing: &MissingPolicy) -> String {
    let mut listed: Vec<&Attribute> = attributes.iter().collect();
    listed.sort_by_key(|attribute| attribute.id);
    let described = |attribute: &&Attribute| (attribute.id, attribute.name.clone(), attribute.kind.clone());
    let listed: Vec<_> = listed.iter().map(described).collect();
    format!("{} {listed:?} {missing:?}", env!("CARGO_PKG_VERSION"))
}

/// Returns whether a run may end by the digest: it is for all keys, and repeats nothing.
pub(super) fn is_allowed(options: &Options, filter: &Filter) -> bool {
    filter.is_empty() && !options.full && !options.retry_rejected && !options.ignore_pins
}

/// Returns the plan of a run whose source is that of the run before, and that run. The store changes must be recorded.
pub(super) async fn unchanged(
    ports: Ports<'_>,
    run_id: i64,
    planned_by: &str,
    names: &AttributeNames,
    summary: &Summary,
) -> Result<Option<(Planned, i64)>, EngineError> {
    let Some(known) = ports.ledger.known_digest(run_id).await? else { return Ok(None) };
    if !stands(&known, ports.clock.now()) {
        return Ok(None);
    }
    let found = match ports.source.digest(names).await {
        Ok(found) => found,
        Err(error) => {
            // The read that follows meets the same cause, and tries again.
            tracing::debug!(%error, "the digest of the source could not be computed");
            None
        }
    };
    let Some(Digested { digest, row_security }) = found else { return Ok(None) };
    if digest.kept(planned_by) != known.digest {
        return Ok(None);
    }
    let seen = Seen { row_security, ..Seen::default() };
    let (counts, summary) = (known.counts, summary.cleared());
    let planned = Planned {
        counts,
        desired: (0, 0),
        parts: PlanParts::default(),
        waits_until: None,
        summary,
        extents: Extents::default(),
        ended_pins: Vec::new(),
        sends_pinned: false,
        seen,
    };
    Ok(Some((planned, known.run_id)))
}

/// Returns whether the digest may stand for a comparison now. Without any desired value the plan has a warning that
/// counts entries, and is cheap.
fn stands(known: &KnownDigest, now: DateTime<Utc>) -> bool {
    let Counts { source_rows, no_value, .. } = known.counts;
    let age = now - known.compared_at;
    source_rows > no_value && (TimeDelta::zero()..STANDS_FOR).contains(&age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::OnMissing;

    fn known(counts: Counts) -> KnownDigest {
        let compared_at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        KnownDigest { run_id: 1, digest: String::new(), counts, compared_at }
    }

    #[test]
    fn a_comparison_stands_for_less_than_a_day_and_not_for_the_time_before_it() {
        let known = known(Counts { source_rows: 2, no_value: 1, ..Counts::default() });
        for (hours, expect) in [(-1, false), (0, true), (22, true), (23, false), (24, false)] {
            assert_eq!(stands(&known, known.compared_at + TimeDelta::hours(hours)), expect, "{hours}");
        }
    }

    #[test]
    fn a_source_without_any_desired_value_is_compared() {
        for (source_rows, no_value) in [(0, 0), (3, 3)] {
            let known = known(Counts { source_rows, no_value, ..Counts::default() });
            assert!(!stands(&known, known.compared_at));
        }
    }

    #[test]
    fn a_plan_depends_on_the_attributes_in_any_order() {
        let of = |listed: &[(i64, &str)]| {
            let attribute = |(id, name): &(i64, &str)| Attribute {
                id: *id,
                name: (*name).to_owned(),
                kind: "string".to_owned(),
            };
            planned_by(&listed.iter().map(attribute).collect::<Vec<_>>(), &MissingPolicy::default())
        };
        assert_eq!(of(&[(1, "a"), (2, "b")]), of(&[(2, "b"), (1, "a")]));
        assert_ne!(of(&[(1, "a"), (2, "b")]), of(&[(1, "a")]));
        assert_ne!(of(&[(1, "a")]), of(&[(1, "b")]));
        let deletes = MissingPolicy { action: OnMissing::Delete, ..MissingPolicy::default() };
        assert_ne!(planned_by(&[], &MissingPolicy::default()), planned_by(&[], &deletes));
    }
}
