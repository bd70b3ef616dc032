//! The columns of the source.

use super::*;

fn columns(lines: &str) -> String {
    format!("{GOOD}[source.columns]\n{lines}\n")
}

#[test]
fn the_columns_have_the_names_of_the_ddl_unless_others_are_given() {
    let source = parse(GOOD).expect("the smallest configuration").source;
    assert_eq!(source.columns.names(), ["customer_id", "attribute_id", "value"]);
    let text = columns("customer_id = \"Customer \\\"No\\\"\"\nvalue = ' größe '");
    let source = parse(&text).expect("names of any kind").source;
    assert_eq!(source.columns.names(), ["Customer \"No\"", "attribute_id", "größe"]);
}

#[test]
fn promise_12_a_column_that_cannot_be_is_refused() {
    for (text, expect) in [
        (columns("customer_id = 3"), "source.columns.customer_id: is a whole number"),
        (columns("value = \"\""), "source.columns.value: is empty"),
        (
            columns("value = '\"Value\"'"),
            "source.columns.value: has quotes around the name, which attrsync adds itself; write Value,",
        ),
        (columns("attribute = \"a\\u0000b\""), "source.columns.attribute: has the control character"),
        (
            columns(&format!("attribute = \"{}\"", "é".repeat(32))),
            "source.columns.attribute: is longer than 63 bytes",
        ),
        (columns("val = \"v\""), "source.columns.val: unknown key; did you mean value?"),
        (columns("[source.column]"), "[source.column]: unknown section; did you mean [source.columns]?"),
        (
            with("\n[store]", "\ncolumns = \"a\"\n[store]"),
            "source.columns: is a string; it must be a section: [source.columns]",
        ),
        (format!("\"source.columns\" = 3\n{GOOD}"), "source.columns: is outside of any section"),
    ] {
        let shown = problems(&text);
        assert!(shown.contains(&format!("\n  {expect}")), "{expect} not in {shown}");
        assert_eq!(shown.lines().count(), 2, "{shown}");
    }
}
