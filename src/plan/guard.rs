//! The limits on what a run may change. A plan that exceeds one of them is not sent before a person agrees.
//!
//! A share counts only if more than `min_values` values are concerned, and if there is something to compare with. A run
//! for some customers sees all changes and few of the values, so its changes are compared with the values of the whole
//! store.

use std::fmt;

use super::extent::{Concerned, Extent, Extents};
use crate::config::{GuardConfig, Share};
use crate::record::{Change, Counts, Filter};

/// If a plan exceeds a limit for more attributes than this, only the figures of all of them are told.
const ATTRIBUTES_NAMED: usize = 3;

/// A limit of `[guard]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Values that become another value.
    Updates,
    /// Values that are deleted.
    Deletes,
    /// Values that become empty.
    Emptied,
    /// Values that look damaged.
    Mangled,
    /// Rows that cannot be sent.
    Invalid,
    /// Rows with a value that are no longer there.
    FewerRows,
    /// Values in the store whose row is no longer there, although the number of rows may be the same.
    LostRows,
    /// Values that are added.
    Growth,
}

impl Limit {
    /// The limits on the changes of a plan, which apply to each attribute. Emptied and damaged values are updates too, so
    /// the limit that says most comes first.
    const OF_CHANGES: [Self; 4] = [Self::Emptied, Self::Mangled, Self::Deletes, Self::Updates];

    /// The key in `[guard]`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Updates => "max_updates",
            Self::Deletes => "max_deletes",
            Self::Emptied => "max_emptied",
            Self::Mangled => "max_mangled",
            Self::Invalid => "max_invalid",
            Self::FewerRows | Self::LostRows => "max_shrink",
            Self::Growth => "max_growth",
        }
    }

    const fn allowed(self, config: &GuardConfig) -> Share {
        match self {
            Self::Updates => config.max_updates,
            Self::Deletes => config.max_deletes,
            Self::Emptied => config.max_emptied,
            Self::Mangled => config.max_mangled,
            Self::Invalid => config.max_invalid,
            Self::FewerRows | Self::LostRows => config.max_shrink,
            Self::Growth => config.max_growth,
        }
    }

    /// The changes of a plan that the limit is about.
    const fn concerned(self, extent: &Extent) -> &Concerned {
        match self {
            Self::Deletes => &extent.deletes,
            Self::Emptied => &extent.emptied,
            Self::Mangled => &extent.mangled,
            Self::Growth => &extent.creates,
            Self::Updates | Self::Invalid | Self::FewerRows | Self::LostRows => &extent.updates,
        }
    }
}

/// A limit that a plan exceeds, with its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Exceeded {
    /// The limit.
    pub limit: Limit,
    /// The id and the name of the attribute; `None` if it is about the whole plan.
    pub attribute: Option<(i64, String)>,
    /// How many values or rows are concerned.
    pub found: i64,
    /// Of how many.
    pub of: i64,
    /// The share that the configuration allows.
    pub allowed: Share,
    /// A round share that lets the figures of all attributes through.
    pub needed: Share,
    /// The first changes that are concerned; none for a limit on rows.
    pub sample: Vec<Change>,
}

impl Exceeded {
    /// Returns the share of the values or rows that is concerned, in percent.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // Counts of rows are far below 2^52.
    pub fn percent(&self) -> f64 {
        self.found as f64 * 100.0 / self.of as f64
    }
}

/// A sentence for a person, without any value.
impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, attribute, found, of, allowed, .. } = self;
        let values = match attribute {
            Some((id, name)) => format!("values of {name} ({id})"),
            None => "values in the store".to_owned(),
        };
        match limit {
            Limit::Updates => write!(f, "{found} of {of} {values} would change"),
            Limit::Deletes => write!(f, "{found} of {of} {values} would be deleted"),
            Limit::Emptied => write!(f, "{found} of {of} {values} would become empty"),
            Limit::Mangled => write!(
                f,
                "{found} of {of} {values} would be cut, or keep their letters and digits among other signs"
            ),
            Limit::Invalid => write!(f, "{found} of {of} rows of the source are invalid"),
            Limit::FewerRows => {
                write!(
                    f,
                    "{found} of {of} rows with a value have left the source since the last finished sync"
                )
            }
            Limit::LostRows => {
                write!(
                    f,
                    "{found} of {of} values in the store have lost their row since the last finished sync"
                )
            }
            Limit::Growth => write!(f, "{found} values would be added to {of}"),
        }?;
        write!(f, " ({:.1}%; {} allows {allowed})", self.percent(), limit.key())
    }
}

/// Returns the lines for `[guard]` that together let all of these figures through, each key once.
#[must_use]
pub fn settings(exceeded: &[Exceeded]) -> Vec<String> {
    let mut needed: Vec<(&str, Share)> = Vec::new();
    for found in exceeded {
        match needed.iter_mut().find(|(key, _)| *key == found.limit.key()) {
            Some((_, share)) => *share = share.max(found.needed),
            None => needed.push((found.limit.key(), found.needed)),
        }
    }
    needed.iter().map(|(key, share)| format!("{key} = \"{share}\"")).collect()
}

/// What a plan is compared by.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The keys that the run is about.
    pub filter: &'a Filter,
    /// The counts of planning.
    pub counts: &'a Counts,
    /// What the plan would change.
    pub extents: &'a Extents,
    /// The counts of the last finished run of all rows, if there was one.
    pub last: Option<&'a Counts>,
    /// Returns the name of an attribute.
    pub name_of: &'a dyn Fn(i64) -> String,
}

/// Returns the limits that a plan exceeds.
#[must_use]
pub fn exceeded(config: &GuardConfig, facts: Facts<'_>) -> Vec<Exceeded> {
    if !config.enabled {
        return Vec::new();
    }
    let Facts { filter, counts, extents, last, name_of } = facts;
    let check = |limit: Limit, attribute: Option<i64>, found: i64, of: i64, sample: &[Change]| {
        let allowed = limit.allowed(config);
        (found > config.min_values && allowed.is_exceeded_by(found, of)).then(|| Exceeded {
            limit,
            attribute: attribute.map(|id| (id, name_of(id))),
            found,
            of,
            allowed,
            needed: Share::round_above(found, of),
            sample: sample.to_vec(),
        })
    };
    let total = extents.total();
    let mut found = Vec::new();
    for limit in Limit::OF_CHANGES {
        let of_attribute = |(id, extent): (i64, &Extent)| {
            let Concerned { count, sample } = limit.concerned(extent);
            check(limit, Some(id), *count, extent.stored, sample)
        };
        // Deletes that were planned may have been taken back.
        let is_planned = limit != Limit::Deletes || counts.deletes > 0;
        let of_attributes: Vec<Exceeded> = match filter.customers.is_empty() && is_planned {
            true => extents.iter().filter_map(of_attribute).collect(),
            false => Vec::new(),
        };
        let of_store = last.filter(|_| !filter.customers.is_empty()).map_or(0, Counts::stored);
        let Concerned { count, sample } = limit.concerned(&total);
        let count = if limit == Limit::Deletes { counts.deletes } else { *count };
        let of_all = check(limit, None, count, total.stored.max(of_store), sample);
        match of_all {
            Some(of_all) if of_attributes.is_empty() || of_attributes.len() > ATTRIBUTES_NAMED => {
                let needed = of_attributes.iter().map(|found| found.needed).fold(of_all.needed, Share::max);
                found.push(Exceeded { needed, ..of_all });
            }
            _ => found.extend(of_attributes),
        }
    }
    if filter.customers.is_empty() {
        found.extend(check(Limit::Invalid, None, counts.invalid, counts.source_rows, &[]));
    }
    if let Some(last) = last.filter(|_| filter.is_empty()) {
        let fewer = last.rows_with_value() - counts.rows_with_value();
        let lost = counts.stored_without_row + counts.deletes - last.stored_without_row;
        let fewer = check(Limit::FewerRows, None, fewer, last.rows_with_value(), &[]);
        found.extend(fewer.or_else(|| check(Limit::LostRows, None, lost, last.stored(), &[])));
        if last.stored() > config.min_values {
            let Concerned { count, sample } = &total.creates;
            found.extend(check(Limit::Growth, None, *count, last.stored(), sample));
        }
    }
    found
}

#[cfg(test)]
mod tests;
