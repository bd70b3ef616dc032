//! Draws quiet changes of the table: they leave the number of its rows, and nothing else happens around them.
//!
//! A run ends by the digest if the source has that of a run before, which confirmed everything. A digest that ignores a
//! part of the rows shows only after such changes.

use super::draw::Drawing;
use super::story::Step;

impl Drawing {
    /// Draws syncs without faults, and a change of one or two rows after them.
    pub(super) fn quiet_round(&mut self) -> Vec<Step> {
        let mut steps = vec![Step::Sync(Box::default()); self.rng.usize(1..=2)];
        steps.extend(self.quiet_change());
        steps
    }

    fn quiet_change(&mut self) -> Vec<Step> {
        let rows: Vec<_> = self.table.iter().map(|(key, value)| (*key, value.clone())).collect();
        if rows.is_empty() {
            return Vec::new();
        }
        let ((customer, attribute), value) = rows[self.rng.usize(..rows.len())].clone();
        let changes = if self.rng.u8(0..3) == 0 {
            // Two keys exchange what they have. Mostly the other key has no value.
            let (other_customer, other_attribute) = (self.rng.i64(1..=30), self.rng.i64(1..=4));
            let other_value = self.table.get(&(other_customer, other_attribute)).cloned();
            vec![(customer, attribute, other_value), (other_customer, other_attribute, Some(value))]
        } else {
            vec![(customer, attribute, Some(self.other_than(&value)))]
        };
        changes.into_iter().map(|(customer, attribute, value)| self.row(customer, attribute, value)).collect()
    }

    fn other_than(&mut self, value: &str) -> String {
        let values: Vec<String> =
            (0..5).map(|digit| digit.to_string()).filter(|other| other != value).collect();
        values[self.rng.usize(..values.len())].clone()
    }
}
