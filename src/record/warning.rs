//! What a person should look at in a plan that is otherwise in order.

use std::fmt;

/// The most samples of a warning that are kept.
pub const WARNING_SAMPLES: usize = 3;

/// Something in a plan that is probably not meant. It changes neither the run nor its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The source has no row, or only rows without a value.
    NothingDesired {
        /// The number of rows, all of them NULL.
        rows: i64,
        /// The number of values in the ledger that the store may still hold.
        stored: i64,
        /// The number of values that the plan deletes for that reason.
        deletes: i64,
        /// Whether only some attributes were read.
        filtered: bool,
    },
    /// Row security applies to the role that reads the source.
    RowSecurity {
        /// The table, if the server named it.
        table: String,
    },
    /// Values without a row are not deleted, because the source could not be read whole.
    NotWhole {
        /// The number of values that would be deleted.
        kept: i64,
        /// The number of rows without a valid key. If there are none, row security applies.
        without_key: i64,
    },
    /// More rows cannot be sent than can.
    MostlyInvalid {
        /// The number of invalid rows.
        invalid: i64,
        /// The number of all rows.
        rows: i64,
    },
    /// Customers that were asked for by name are neither in the source nor in the ledger.
    UnknownCustomers(Vec<i64>),
    /// The store holds values already for keys that the ledger does not know.
    StoreHoldsValues {
        /// How many of the keys that were asked for.
        stored: usize,
        /// How many keys were asked for.
        asked: usize,
    },
    /// Planned values are no numbers or dates, although the attribute's type says so.
    WrongType {
        /// The attribute's id.
        attribute_id: i64,
        /// The attribute's name.
        name: String,
        /// The attribute's type.
        kind: String,
        /// The number of such values in the plan.
        count: u64,
        /// Customers with such values, with the values.
        sample: Vec<(i64, String)>,
    },
}

impl Warning {
    /// The kind, for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NothingDesired { .. } => "nothing_desired",
            Self::RowSecurity { .. } => "row_security",
            Self::NotWhole { .. } => "not_whole",
            Self::MostlyInvalid { .. } => "mostly_invalid",
            Self::UnknownCustomers(_) => "unknown_customers",
            Self::StoreHoldsValues { .. } => "store_holds_values",
            Self::WrongType { .. } => "wrong_type",
        }
    }
}

/// A sentence for a person, without any value.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingDesired { rows, stored, deletes, filtered } => {
                let of = if *filtered { " of these attributes" } else { "" };
                match rows {
                    0 => write!(f, "the source has no rows{of}")?,
                    rows => write!(f, "all {rows} rows of the source{of} are NULL")?,
                }
                const CHECK: &str = "Check what fills the table, and whether [source] names the right one";
                match stored {
                    _ if *deletes > 0 => {
                        let values =
                            if *deletes == 1 { "1 value".to_owned() } else { format!("{deletes} values") };
                        write!(f, ": the plan deletes {values} of the store. {CHECK}")
                    }
                    0 => f.write_str(": there is nothing to send"),
                    stored => write!(
                        f,
                        ", but the ledger has {stored} of its values: the store keeps them. {CHECK}"
                    ),
                }
            }
            Self::RowSecurity { table } => {
                let table = if table.is_empty() { String::new() } else { format!(" of {table}") };
                write!(
                    f,
                    "row security{table} applies to the user of [source] url: rows that its policies hide are not \
                     read. Let a policy show all rows to this user, or give it bypassrls"
                )
            }
            Self::NotWhole { kept, without_key } => {
                let why = match without_key {
                    0 => "row security may hide their rows".to_owned(),
                    1 => "a row without a valid key may be one of theirs".to_owned(),
                    rows => format!("{rows} rows without a valid key may be theirs"),
                };
                let (values, are) = if *kept == 1 { ("value", "is") } else { ("values", "are") };
                write!(f, "{kept} {values} without a row {are} not deleted: {why}. Correct the source first")
            }
            Self::MostlyInvalid { invalid, rows } => {
                write!(f, "{invalid} of {rows} rows of the source are invalid: check [source] and the table")
            }
            Self::UnknownCustomers(customers) => {
                let (noun, is) = if customers.len() == 1 { ("customer", "is") } else { ("customers", "are") };
                write!(f, "{noun} {} {is} neither in the source nor in the ledger", list(customers))
            }
            Self::StoreHoldsValues { stored, asked } => write!(
                f,
                "the ledger knows none of its values, and the store holds a value already for {stored} of the first \
                 {asked} keys: run `attrsync reconcile --adopt` first, so that only true differences are sent"
            ),
            Self::WrongType { attribute_id, name, kind, count, sample } => {
                let customers: Vec<i64> = sample.iter().map(|(customer, _)| *customer).collect();
                let noun = if customers.len() == 1 { "customer" } else { "customers" };
                let (values, are) = if *count == 1 { ("value", "is not") } else { ("values", "are not") };
                let written = match kind.as_str() {
                    "number" if sample.iter().any(|(_, value)| is_float(value)) => {
                        "as in 1234.5 (cast float8 to numeric)"
                    }
                    "number" => "as in 1234.5",
                    _ => "as a date such as 2026-12-31",
                };
                let more = if *count > sample.len() as u64 { ", …" } else { "" };
                write!(
                    f,
                    "{count} {values} for {name} ({attribute_id}), an attribute of type {kind}, {are} written {written}: \
                     {noun} {}{more}",
                    list(&customers)
                )
            }
        }
    }
}

/// Returns whether the value is a number that only float8 writes this way: with an exponent, or not finite.
fn is_float(value: &str) -> bool {
    value.parse::<f64>().is_ok() && value.contains(|c: char| c.is_ascii_alphabetic())
}

/// The first ids of a list.
fn list(ids: &[i64]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = ids.iter().take(SHOWN).map(i64::to_string).collect();
    let more = if ids.len() > SHOWN { ", …" } else { "" };
    shown.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_11_a_warning_repeats_no_value() {
        let warning = Warning::WrongType {
            attribute_id: 2,
            name: "points".to_owned(),
            kind: "number".to_owned(),
            count: 4,
            sample: vec![(12, "lots".to_owned()), (13, "NaN".to_owned()), (14, "1e+21".to_owned())],
        };
        assert_eq!(
            warning.to_string(),
            "4 values for points (2), an attribute of type number, are not written as in 1234.5 (cast float8 to \
             numeric): customers 12, 13, 14, …"
        );
    }

    #[test]
    fn a_cast_is_advised_only_where_float8_wrote_the_value() {
        let written = |value: &str| {
            let (name, kind, sample) =
                ("points".to_owned(), "number".to_owned(), vec![(12, value.to_owned())]);
            Warning::WrongType { attribute_id: 2, name, kind, count: 1, sample }.to_string()
        };
        for value in ["1e+21", "1.5e-07", "NaN", "-Infinity"] {
            assert!(written(value).contains("cast float8"), "{value}");
        }
        for value in ["lots", "1.234,50", "12 €", "0x1f", "e5"] {
            assert!(!written(value).contains("cast"), "{value}");
        }
    }

    #[test]
    fn an_emptied_source_and_an_empty_one_are_distinguished() {
        let nothing =
            |rows, stored| Warning::NothingDesired { rows, stored, deletes: 0, filtered: false }.to_string();
        let deletes = Warning::NothingDesired { rows: 0, stored: 0, deletes: 9, filtered: false };
        let shown = deletes.to_string();
        assert!(
            shown.starts_with("the source has no rows: the plan deletes 9 values of the store. Check"),
            "{shown}"
        );
        assert_eq!(nothing(0, 0), "the source has no rows: there is nothing to send");
        assert!(nothing(0, 300).starts_with("the source has no rows, but the ledger has 300"));
        assert!(nothing(7, 300).starts_with("all 7 rows of the source are NULL, but"));
    }
}
