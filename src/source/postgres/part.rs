//! Parts of the source in key order, and how a part is split to find a row that cannot be read. Pure.

/// A customer id and an attribute id, either of which may be NULL.
pub(super) type RawKey = (Option<i64>, Option<i64>);

/// A range of the ids of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ids {
    /// All ids from this one on, and NULL.
    From(i64),
    /// The ids between the two, which are included.
    Between(i64, i64),
    /// NULL.
    Null,
}

impl Ids {
    /// Splits the ids into ranges in order. `bounds` are the least and the greatest id of an open range. Returns nothing
    /// for a single id.
    fn split(self, bounds: Option<(i64, i64)>) -> Vec<Self> {
        match self {
            Self::From(_) => bounds
                .map(|(least, most)| Self::Between(least, most))
                .into_iter()
                .chain([Self::Null])
                .collect(),
            Self::Between(least, most) if least < most => {
                // The mean, rounded down, without an overflow.
                let middle = (least & most) + ((least ^ most) >> 1);
                vec![Self::Between(least, middle), Self::Between(middle + 1, most)]
            }
            Self::Between(..) | Self::Null => Vec::new(),
        }
    }

    fn is_single(self) -> bool {
        match self {
            Self::From(_) => false,
            Self::Between(least, most) => least == most,
            Self::Null => true,
        }
    }

    fn id(self) -> Option<i64> {
        match self {
            Self::From(id) | Self::Between(id, _) => Some(id),
            Self::Null => None,
        }
    }

    fn condition(self, column: &str) -> Option<String> {
        match self {
            Self::From(i64::MIN) => None,
            Self::From(id) => Some(format!("(s.{column} >= {id} or s.{column} is null)")),
            Self::Between(least, most) => Some(format!("s.{column} between {least} and {most}")),
            Self::Null => Some(format!("s.{column} is null")),
        }
    }
}

/// The rows of a range of customers. If it is one customer, a range of its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    customers: Ids,
    attributes: Ids,
    /// The number of rows at its beginning that were passed on before.
    pub(super) skip: u64,
}

impl Part {
    /// The whole source.
    pub(super) const ALL: Self =
        Self { customers: Ids::From(i64::MIN), attributes: Ids::From(i64::MIN), skip: 0 };

    /// The conditions that its rows fulfil.
    pub(super) fn conditions(&self) -> Vec<String> {
        let customers = self.customers.condition("customer_id");
        customers.into_iter().chain(self.attributes.condition("attribute_id")).collect()
    }

    /// The column with the open range that the next split needs the bounds of.
    pub(super) fn open_column(&self) -> Option<&'static str> {
        match (self.customers, self.attributes) {
            (Ids::From(_), _) => Some("customer_id"),
            (customers, Ids::From(_)) if customers.is_single() => Some("attribute_id"),
            _ => None,
        }
    }

    /// Splits it into smaller parts, in order. Returns nothing for a single key.
    pub(super) fn split(self, bounds: Option<(i64, i64)>) -> Vec<Self> {
        let mut parts: Vec<Self> = if self.customers.is_single() {
            let ranges = self.attributes.split(bounds).into_iter();
            ranges.map(|attributes| Self { attributes, skip: 0, ..self }).collect()
        } else {
            let ranges = self.customers.split(bounds).into_iter();
            ranges.map(|customers| Self { customers, skip: 0, ..self }).collect()
        };
        if let Some(first) = parts.first_mut() {
            first.skip = self.skip;
        }
        parts
    }

    /// The rest of it, in order, after `rows` rows of a key and all rows before that key were passed on.
    pub(super) fn after(self, (customer_id, attribute_id): RawKey, rows: u64) -> Vec<Self> {
        let attributes = match (attribute_id, self.attributes) {
            (None, _) => Ids::Null,
            (Some(id), Ids::Between(_, most)) => Ids::Between(id, most),
            (Some(id), _) => Ids::From(id),
        };
        let customers = customer_id.map_or(Ids::Null, |id| Ids::Between(id, id));
        let mut parts = vec![Self { customers, attributes, skip: rows }];
        let further = match (customer_id, self.customers) {
            (Some(id), Ids::From(_)) => Some(id.checked_add(1).map_or(Ids::Null, Ids::From)),
            (Some(id), Ids::Between(_, most)) if id < most => Some(Ids::Between(id + 1, most)),
            _ => None,
        };
        parts.extend(further.map(|customers| Self { customers, skip: 0, ..self }));
        parts
    }

    /// The key of a part that cannot be split.
    pub(super) fn key(&self) -> RawKey {
        (self.customers.id(), self.attributes.id())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn holds(ids: Ids, id: Option<i64>) -> bool {
        match ids {
            Ids::From(least) => id.is_none_or(|id| id >= least),
            Ids::Between(least, most) => id.is_some_and(|id| (least..=most).contains(&id)),
            Ids::Null => id.is_none(),
        }
    }

    /// Reads rows part by part, as the source does. `bad` says which rows cannot be read; `early` whether the rows before
    /// a bad one are passed on before the read fails. Returns the keys in the order in which they were passed on, each
    /// with whether it could be read, and the number of reads.
    fn read(rows: &[RawKey], bad: &[bool], early: bool) -> (Vec<(RawKey, bool)>, usize) {
        let (mut parts, mut passed, mut reads) = (vec![Part::ALL], Vec::new(), 0);
        while let Some(part) = parts.pop() {
            reads += 1;
            let of_part: Vec<usize> = (0..rows.len())
                .filter(|&at| holds(part.customers, rows[at].0) && holds(part.attributes, rows[at].1))
                .collect();
            let failed = of_part.iter().position(|&at| bad[at]);
            let end = failed.map_or(of_part.len(), |at| if early { at } else { 0 });
            let before = passed.len();
            passed.extend(of_part[..end].iter().skip(part.skip as usize).map(|&at| (rows[at], true)));
            if failed.is_none() {
                continue;
            }
            if passed.len() > before {
                let (key, _) = passed[passed.len() - 1];
                let same = passed.iter().rev().take_while(|(other, _)| *other == key).count() as u64;
                parts.extend(part.after(key, same).into_iter().rev());
                continue;
            }
            let column = |at: &usize| match part.open_column() {
                Some("customer_id") => rows[*at].0,
                _ => rows[*at].1,
            };
            let ids: Vec<i64> = of_part.iter().filter_map(column).collect();
            let split = part.split(ids.iter().min().copied().zip(ids.iter().max().copied()));
            if split.is_empty() {
                passed.extend(of_part.iter().skip(part.skip as usize).map(|&at| (rows[at], false)));
            }
            parts.extend(split.into_iter().rev());
        }
        (passed, reads)
    }

    prop_compose! {
        fn any_row()(c in prop::option::weighted(0.9, -2_i64..9), a in prop::option::weighted(0.9, 0_i64..4),
                     bad in prop::bool::weighted(0.2)) -> (RawKey, bool) {
            ((c, a), bad)
        }
    }

    proptest! {
        #[test]
        fn promise_6_every_row_is_passed_on_once_in_order_and_only_the_bad_key_is_condemned(
            mut rows in prop::collection::vec(any_row(), 0..40), early: bool,
        ) {
            rows.sort_by_key(|((c, a), _)| (c.is_none(), *c, a.is_none(), *a));
            let (keys, bad): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
            let (passed, _) = read(&keys, &bad, early);
            let passed_keys: Vec<_> = passed.iter().map(|(key, _)| *key).collect();
            prop_assert_eq!(passed_keys, keys.clone());
            let mut bad_keys: BTreeMap<RawKey, bool> = BTreeMap::new();
            for (key, bad) in keys.iter().zip(&bad) {
                *bad_keys.entry(*key).or_default() |= bad;
            }
            for (key, good) in passed {
                prop_assert!(good || bad_keys[&key], "{:?} is innocent", key);
            }
        }
    }

    #[test]
    fn a_bad_row_among_a_million_is_found_in_some_sixty_reads() {
        let rows: Vec<RawKey> = (1..=1_000_000).map(|id| (Some(id), Some(1))).collect();
        let bad: Vec<bool> = (1..=1_000_000).map(|id| id == 654_321).collect();
        for early in [true, false] {
            let (passed, reads) = read(&rows, &bad, early);
            assert_eq!(passed.iter().filter(|(_, good)| !good).count(), 1);
            assert!(reads < 60, "{reads}");
        }
    }

    #[test]
    fn the_extremes_of_the_ids_are_split_without_an_overflow() {
        let all = Ids::Between(i64::MIN, i64::MAX);
        assert_eq!(all.split(None), [Ids::Between(i64::MIN, -1), Ids::Between(0, i64::MAX)]);
        assert_eq!(Ids::Between(-3, -2).split(None), [Ids::Between(-3, -3), Ids::Between(-2, -2)]);
        let rest = Part::ALL.after((Some(i64::MAX), Some(i64::MAX)), 1);
        assert_eq!(rest[1].customers, Ids::Null);
    }
}
