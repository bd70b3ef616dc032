//! What notifications of the source say has changed.

use std::collections::BTreeSet;

use super::key::Filter;

/// The most customers that are told one by one. A change of more is a change of everything.
pub const NOTIFIED_MAX: usize = 1_000;

/// The customers whose rows may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notified {
    /// These, at most [`NOTIFIED_MAX`].
    Customers(BTreeSet<i64>),
    /// Any.
    Everything,
}

impl Notified {
    /// No row has changed.
    pub const NOTHING: Self = Self::Customers(BTreeSet::new());

    /// Whether no row has changed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Customers(customers) if customers.is_empty())
    }

    /// Adds what another notification says.
    pub fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Everything, _) => {}
            (_, Self::Everything) => *self = Self::Everything,
            (Self::Customers(known), Self::Customers(more)) => {
                known.extend(more);
                if known.len() > NOTIFIED_MAX {
                    *self = Self::Everything;
                }
            }
        }
    }

    /// The filter of a run that makes up for it.
    #[must_use]
    pub fn filter(&self) -> Filter {
        match self {
            Self::Customers(customers) => Filter { customers: customers.clone(), ..Filter::default() },
            Self::Everything => Filter::default(),
        }
    }
}

/// The customers of one notification.
impl FromIterator<i64> for Notified {
    fn from_iter<I: IntoIterator<Item = i64>>(customers: I) -> Self {
        let mut notified = Self::NOTHING;
        for customer in customers {
            notified.add(Self::Customers(BTreeSet::from([customer])));
        }
        notified
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_customers_are_everything() {
        let most = i64::try_from(NOTIFIED_MAX).expect("a small number");
        let mut notified: Notified = (1..=most).chain(1..=most).collect();
        assert_eq!(notified.filter().customers.len(), NOTIFIED_MAX);
        notified.add(Notified::NOTHING);
        assert_ne!(notified, Notified::Everything);
        notified.add([most + 1].into_iter().collect());
        assert_eq!(notified, Notified::Everything);
        notified.add([1].into_iter().collect());
        assert_eq!(notified.filter(), Filter::default(), "a run over everything");
    }
}
