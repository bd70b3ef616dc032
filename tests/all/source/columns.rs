//! Columns with other names than those of the DDL.

use attrsync::config::{CustomerColumn, Relation, Secret, SourceColumns, SourceConfig, ValueColumns};
use attrsync::record::{AttributeNames, Filter};
use attrsync::source::Source as _;
use attrsync::source::postgres::PostgresSource;

use super::{Shop, message, read, row, table};

fn columns(customer_id: &str, attribute: &str, value: &str) -> SourceColumns {
    let (customer, attribute, value) = (customer_id.to_owned(), attribute.to_owned(), value.to_owned());
    SourceColumns { customer: CustomerColumn::Id(customer), values: ValueColumns::Tall { attribute, value } }
}

fn source(shop: &Shop, relation: Relation, columns: SourceColumns) -> PostgresSource {
    let config = SourceConfig { columns, ..SourceConfig::new(Secret::new(&*shop.url), relation) };
    PostgresSource::new(&config).expect("a source")
}

const HOSTILE: &str = "create table v (\"Customer \"\"No\"\"\" int, \"s.value, 1) --\" int, \"größe 😀\" text, value text); \
     insert into v values (2, 1, 'b', 'wrong'), (1, 2, 'a', 'wrong'), (3, 1, repeat('é', 500000), null)";

fn hostile() -> SourceColumns {
    columns("Customer \"No\"", "s.value, 1) --", "größe 😀")
}

#[tokio::test]
async fn columns_of_any_name_are_read_counted_and_digested() {
    let mut shop = Shop::new(HOSTILE).await;
    for relation in [table("v"), Relation::Query("select * from v -- all".to_owned())] {
        let source = source(&shop, relation, hostile());
        let rows = read(&source, &Filter::default()).await.expect("rows");
        assert_eq!(rows[..2], [row(1, 2, "a"), row(2, 1, "b")]);
        assert_eq!(rows[2].2.as_deref().map(|value| value.chars().count()), Some(301), "a long value is cut");
        let filter = Filter { customers: [2].into(), attributes: [1].into() };
        assert_eq!(read(&source, &filter).await.expect("rows"), [row(2, 1, "b")]);
        let shape = source.inspect(&AttributeNames::default()).await.expect("a shape");
        assert_eq!(shape.columns[0], ("Customer \"No\"".to_owned(), "integer".to_owned()));
        assert_eq!(shape.sample.expect("rows").len(), 3);

        let mut pages = source.read(&Filter::default(), &AttributeNames::default()).await.expect("starts");
        while pages.next().await.expect("rows").is_some() {}
        let by_server = source
            .digest(&AttributeNames::default())
            .await
            .expect("computes")
            .map(|digested| digested.digest);
        assert!(by_server.is_some() && pages.digest() == by_server);
        shop.run("update v set value = 'other'").await;
        let again = source
            .digest(&AttributeNames::default())
            .await
            .expect("computes")
            .map(|digested| digested.digest);
        assert_eq!(again, by_server, "a column that is not read changes nothing");
    }
}

#[tokio::test]
async fn promise_6_a_row_that_cannot_be_read_is_found_by_the_configured_columns() {
    let shop = Shop::new(
        "create table v (cust int, attr int, val text); \
         insert into v select i, 1, case when i = 17 then 'Ann' else i::text end from generate_series(1, 30) as i",
    )
    .await;
    let query = Relation::Query("select cust as \"C\", attr, val::int as v from v".to_owned());
    let source = source(&shop, query, columns("C", "attr", "v"));
    let mut pages = source.read(&Filter::default(), &AttributeNames::default()).await.expect("starts");
    let mut problems = Vec::new();
    while let Some(page) = pages.next().await.expect("rows") {
        let rows = (0..page.len()).map(|at| page.row(at)).filter(|row| row.problem.is_some());
        problems.extend(rows.map(|row| row.customer_id));
    }
    assert_eq!(problems, [Some(17)]);
}

#[tokio::test]
async fn promise_12_a_column_that_is_not_there_is_named_with_those_that_are() {
    let shop = Shop::new("create table v (customer_id int, \"Attribute\" int, \"a,b\"\"c\" text)").await;
    for (columns, expect) in [
        (
            columns("customer_id", "attribute", "a,b\"c"),
            "no column \"attribute\"; it has customer_id, Attribute, a,b\"c; write",
        ),
        (columns("id", "Attribute", "tier"), "no columns \"id\" and \"tier\"; it has"),
        (columns("customer_id", "Attribute", "a,b\"c"), ""),
        (columns("customer_id", "customer_id", "a,b\"c"), ""),
        (columns("customer_id", "Attribute", "Attribute"), ""),
        (columns("a,b\"c", "Attribute", "Attribute"), "column a,b\"c is of type text, not a whole number"),
    ] {
        let result = read(&source(&shop, table("v"), columns), &Filter::default()).await;
        match expect {
            "" => assert_eq!(result.expect("no rows"), []),
            expect => {
                let shown = message(result);
                assert!(shown.contains(expect), "{expect} not in {shown}");
            }
        }
    }
    // The error of the query itself is not that of the configuration.
    let query = Relation::Query("select customer_id, \"Attribute\", nothing as value from v".to_owned());
    let shown = message(
        read(&source(&shop, query, columns("customer_id", "Attribute", "value")), &Filter::default()).await,
    );
    assert!(shown.contains("column \"nothing\" does not exist"), "{shown}");
}

#[tokio::test]
async fn another_column_of_attributes_is_another_digest() {
    let shop = Shop::new(
        "create table v (customer_id int, a int, b int, value text); insert into v values (1, 1, 2, 'x')",
    )
    .await;
    let digest = async |attribute: &str| {
        let source = source(&shop, table("v"), columns("customer_id", attribute, "value"));
        source.digest(&AttributeNames::default()).await.expect("computes").map(|digested| digested.digest)
    };
    assert_ne!(digest("a").await, digest("b").await);
}

#[tokio::test]
async fn the_index_of_the_configured_columns_is_used() {
    let mut shop = Shop::new(
        "create table v (cust bigint, attr bigint, val text, primary key (cust, attr)); \
         insert into v select 1 + i / 3, i % 3, 'value' from generate_series(0, 299999) i; analyze v",
    )
    .await;
    let source = source(&shop, table("v"), columns("cust", "attr", "val"));
    let filter = Filter { customers: [7, 77_777].into(), ..Filter::default() };
    assert_eq!(read(&source, &filter).await.expect("rows").len(), 6);
    shop.run("set enable_seqscan = on").await;
    let read_by_scan = "select pg_stat_get_tuples_returned('v'::regclass)";
    assert!(shop.count(read_by_scan).await < 300_000);
}
