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
fn customers_are_named_by_id_or_by_email() {
    let columns_of = |lines: &str| parse(&columns(lines)).expect("a column").source.columns;
    let by_email = columns_of("email = \"Contact E-mail\"\nvalue = 'v'");
    assert_eq!(by_email.customer, CustomerColumn::Email("Contact E-mail".to_owned()));
    assert_eq!((by_email.names(), by_email.by_email()), (vec!["Contact E-mail", "attribute_id", "v"], true));
    assert!(!columns_of("customer_id = 'id'").by_email());
    let text = format!("{}[source.columns]\nemail = 'mail'\n", wide("tier = 3"));
    assert_eq!(parse(&text).expect("a wide table").source.columns.names(), ["mail", "tier"]);
}

fn wide(lines: &str) -> String {
    format!("{GOOD}[source.attributes]\n{lines}\n")
}

#[test]
fn a_wide_table_has_a_column_for_each_attribute() {
    let text = wide("tier = 3\n\"Größe \\\"x\\\"\" = \"${DATABASE_URL}\"\n' ' = 'it''s'");
    let text = text.replace("'it''s'", "\"it's 😀\"");
    let columns = parse(&text).expect("a wide table").source.columns;
    assert_eq!(columns.names(), ["customer_id", " ", "Größe \"x\"", "tier"]);
    let ValueColumns::Wide(columns) = columns.values else { panic!("{columns:?}") };
    let attributes: Vec<AttributeRef> = columns.into_iter().map(|wide| wide.attribute).collect();
    let name = |name: &str| AttributeRef::Name(name.to_owned());
    let url = "postgres://reader:hunter2@db.example/shop";
    assert_eq!(attributes, [name("it's 😀"), name(url), AttributeRef::Id(3)]);

    let tall = parse(&wide("")).expect("an empty section says nothing").source.columns;
    assert_eq!(tall, SourceColumns::default());
    let text = format!("{}[source.columns]\ncustomer_id = 'id'\n", wide("tier = 3"));
    assert_eq!(parse(&text).expect("with another id").source.columns.names(), ["id", "tier"]);
}

#[test]
fn promise_12_a_column_that_cannot_be_is_refused() {
    for (text, expect) in [
        (columns("customer_id = 3"), "source.columns.customer_id: is a whole number"),
        (columns("value = \"\""), "source.columns.value: is empty"),
        (
            columns("value = '\"Value\"'"),
            "source.columns.value: has quotes around the name, which attrsync adds itself; write it without",
        ),
        (columns("attribute = \"a\\u0000b\""), "source.columns.attribute: has the control character"),
        (
            columns(&format!("attribute = \"{}\"", "é".repeat(32))),
            "source.columns.attribute: is longer than 63 bytes",
        ),
        (columns("email = \"\""), "source.columns.email: is empty"),
        (
            columns("email = 'mail'\ncustomer_id = 'id'"),
            "source.columns.email: is set as well as source.columns.customer_id; keep one of the two",
        ),
        (columns("val = \"v\""), "source.columns.val: unknown key; did you mean value?"),
        (columns("[source.column]"), "[source.column]: unknown section; did you mean [source.columns]?"),
        (
            with("\n[store]", "\ncolumns = \"a\"\n[store]"),
            "source.columns: is a string; it must be a section: [source.columns]",
        ),
        (wide("tier = 0"), "source.attributes.tier: is 0; allowed: 1 to 2147483647"),
        (
            wide("tier = 1.5"),
            "source.attributes.tier: is a number with a fraction; write the attribute's id, or its name",
        ),
        (wide("tier = \" \""), "source.attributes.tier: is empty"),
        (wide("\"\" = 1"), "source.attributes.: is no name of a column"),
        (wide("'\"Tier\"' = 1"), "source.attributes.\\\"Tier\\\": has quotes around the name"),
        (
            wide(&format!("{} = 1", "x".repeat(64))),
            "source.attributes.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: is longer",
        ),
        (
            wide("tier = 1\nrank = 1"),
            "source.attributes.tier: is for the same attribute as source.attributes.rank; keep one",
        ),
        (
            wide("tier = 'T'\nrank = 'T'"),
            "source.attributes.tier: is for the same attribute as source.attributes.rank; keep one",
        ),
        (
            wide("tier = 1\n[source.columns]\nvalue = 'v'"),
            "source.columns.value: is set as well as [source.attributes]; remove",
        ),
        (wide("[source.attributes.tier]"), "source.attributes.tier: is a section"),
        (format!("\"source.columns\" = 3\n{GOOD}"), "source.columns: is outside of any section"),
    ] {
        let shown = problems(&text);
        assert!(shown.contains(&format!("\n  {expect}")), "{expect} not in {shown}");
        assert_eq!(shown.lines().count(), 2, "{shown}");
    }
}
