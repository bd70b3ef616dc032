//! Wide tables: a row for each customer, and a column for each attribute.

use attrsync::config::{
    AttributeRef, CustomerColumn, Relation, Secret, SourceColumns, SourceConfig, ValueColumns, WideColumn,
};
use attrsync::record::{AttributeNames, Filter, SourceDigest};
use attrsync::source::Source as _;
use attrsync::source::postgres::{PostgresSource, RowCount};

use super::names::{Named, names, read, value};
use super::{Shop, message, table};

/// A source whose columns are for attributes by id or by name.
fn wide(shop: &Shop, relation: Relation, columns: &[(&str, Result<i64, &str>)]) -> PostgresSource {
    let column = |(column, attribute): &(&str, Result<i64, &str>)| WideColumn {
        column: (*column).to_owned(),
        attribute: attribute.map_or_else(|name| AttributeRef::Name(name.to_owned()), AttributeRef::Id),
    };
    let values = ValueColumns::Wide(columns.iter().map(column).collect());
    let columns = SourceColumns { customer: CustomerColumn::Id("id".to_owned()), values };
    let config = SourceConfig { columns, ..SourceConfig::new(Secret::new(&*shop.url), relation) };
    PostgresSource::new(&config).expect("a source")
}

fn none(customer_id: i64, attribute_id: i64) -> Named {
    (Some(customer_id), Some(attribute_id), Ok(None))
}

async fn all(source: &PostgresSource, names: &AttributeNames) -> Vec<Named> {
    read(source, &Filter::default(), names).await.expect("rows")
}

async fn digest(source: &PostgresSource, names: &AttributeNames) -> Option<SourceDigest> {
    source.digest(names).await.expect("computes").map(|digested| digested.digest)
}

const HOSTILE: &str = "create table w (id int, \"Tier \"\"A\"\"\" text, \"points, 1) --\" numeric(9,2), born date, other text); \
     insert into w values (2, 'gold', 1.5, '2026-02-01', 'x'), (1, null, 2, null, 'y'), (3, '', null, null, null), \
        (null, 'unknown', null, null, null)";

const COLUMNS: [(&str, Result<i64, &str>); 3] =
    [("Tier \"A\"", Err("😀 it's")), ("points, 1) --", Ok(7)), ("born", Ok(2))];

#[tokio::test]
async fn each_column_becomes_a_row_in_the_order_of_the_attributes() {
    let mut shop = Shop::new(HOSTILE).await;
    let names = names(&[(9, "😀 it's"), (7, "points"), (2, "born")]);
    for relation in [table("w"), Relation::Query("select * from w -- all".to_owned())] {
        let source = wide(&shop, relation, &COLUMNS);
        let text = |text: &str| Ok(Some(text.to_owned()));
        let expect = [
            none(1, 2),
            value(1, 7, "2.00"),
            none(1, 9),
            value(2, 2, "2026-02-01"),
            value(2, 7, "1.50"),
            value(2, 9, "gold"),
            none(3, 2),
            none(3, 7),
            value(3, 9, ""),
            (None, Some(2), Ok(None)),
            (None, Some(7), Ok(None)),
            (None, Some(9), text("unknown")),
        ];
        assert_eq!(all(&source, &names).await, expect);
        let filter = Filter { customers: [2, 3].into(), attributes: [9].into() };
        assert_eq!(
            read(&source, &filter, &names).await.expect("rows"),
            [value(2, 9, "gold"), value(3, 9, "")]
        );
        let shape = source.inspect(&names).await.expect("a shape");
        assert_eq!((shape.rows, shape.unnamed.len(), shape.columns.len()), (RowCount::Exactly(12), 0, 4));
        let before = digest(&source, &names).await;
        shop.run("update w set other = 'z'").await;
        assert_eq!(digest(&source, &names).await, before, "a column that is not read changes nothing");
    }
}

#[tokio::test]
async fn a_customer_with_two_rows_has_each_key_twice() {
    let mut shop = Shop::new("create table w (id int, a text, b text)").await;
    for index in ["", "create index on w (id); set enable_seqscan = off"] {
        shop.run(&format!("truncate w; {index}")).await;
        shop.run("insert into w values (1, 'x', 'y'), (2, 'p', 'q'), (1, 'z', null)").await;
        let rows = all(&wide(&shop, table("w"), &[("b", Ok(2)), ("a", Ok(1))]), &names(&[])).await;
        let keys: Vec<_> = rows.iter().map(|row| (row.0, row.1)).collect();
        let key = |customer, attribute| (Some(customer), Some(attribute));
        assert_eq!(keys, [key(1, 1), key(1, 1), key(1, 2), key(1, 2), key(2, 1), key(2, 2)]);
    }
}

#[tokio::test]
async fn a_name_without_an_attribute_costs_its_column_only() {
    let mut shop = Shop::new("create table w (id int, a text, b text, c int)").await;
    shop.run("insert into w values (1, 'x', 'y', 1), (2, 'p', null, null)").await;
    let names = names(&[(1, "A"), (3, "twin"), (4, "twin")]);
    let source = wide(&shop, table("w"), &[("a", Err("A")), ("b", Err("a")), ("c", Err("twin"))]);
    let rows = all(&source, &names).await;
    let said: Vec<_> = rows.iter().filter_map(|row| row.2.as_ref().err()).collect();
    assert_eq!((rows.len(), said.len()), (4, 2), "{rows:?}");
    assert!(
        said.iter()
            .any(|why| why.contains("column \"b\": the store has no attribute named \"a\"; it has \"A\""))
    );
    assert!(
        said.iter()
            .any(|why| why.contains("column \"c\": the store has several attributes named \"twin\": 3, 4"))
    );
    assert!(rows.contains(&value(1, 1, "x")) && rows.contains(&value(2, 1, "p")), "{rows:?}");
    let shape = source.inspect(&names).await.expect("a shape");
    assert_eq!((shape.unnamed.len(), shape.rows), (2, RowCount::Exactly(4)));
    let filter = Filter { attributes: [1].into(), ..Filter::default() };
    assert_eq!(read(&source, &filter, &names).await.expect("rows").len(), 2);
}

#[tokio::test]
async fn promise_12_two_columns_for_one_attribute_and_columns_that_are_not_there_are_refused() {
    let shop = Shop::new("create table w (id int, a text, b text)").await;
    let names = names(&[(7, "Tier")]);
    for (columns, expect) in [
        (
            &[("a", Ok(7)), ("b", Err("Tier"))][..],
            "columns \"a\" and \"b\" of [source.attributes] are both for attribute 7",
        ),
        (&[("A", Ok(7)), ("d", Ok(8))], "no columns \"A\" and \"d\"; it has id, a, b; write the name"),
        (
            &[("d", Ok(8))],
            "no column \"d\"; it has id, a, b; correct the names in [source.columns] and [source.attributes]",
        ),
    ] {
        let shown = message(read(&wide(&shop, table("w"), columns), &Filter::default(), &names).await);
        assert!(shown.contains(expect), "{expect} not in {shown}");
    }
}

#[tokio::test]
async fn promise_6_a_value_that_cannot_be_read_spoils_no_other_column() {
    let shop = Shop::new(
        "create table w (id int, a text, b text); \
         insert into w select i, case when i in (7, 30) then 'Ann' else '1' end, case when i = 7 then 'Bob' else '2' end \
         from generate_series(1, 40) as i",
    )
    .await;
    let query = Relation::Query("select id, a::int as a, b::int as b, id as c from w".to_owned());
    let source = wide(&shop, query, &[("a", Ok(5)), ("b", Ok(6)), ("c", Ok(4))]);
    let rows = all(&source, &names(&[])).await;
    let bad: Vec<_> = rows.iter().filter(|row| row.2.is_err()).map(|row| (row.0, row.1)).collect();
    assert_eq!(rows.len(), 120);
    assert_eq!(bad, [(Some(7), Some(5)), (Some(7), Some(6)), (Some(30), Some(5))]);
    assert!(rows.contains(&value(7, 4, "7")) && rows.contains(&value(30, 6, "2")), "{rows:?}");
}

#[tokio::test]
async fn the_right_to_read_the_listed_columns_is_enough() {
    let mut shop =
        Shop::new("create table w (id int, a text, secret text); insert into w values (1, 'x', 'hidden')")
            .await;
    let role = format!("columns_{}", std::process::id());
    shop.run(&format!("create role {role} login; grant select (id, a) on w to {role}")).await;
    let url = shop.url.replace("postgres@", &format!("{role}@"));
    let admin = std::mem::replace(&mut shop.url, url);
    let source = wide(&shop, table("w"), &[("a", Ok(1))]);
    assert_eq!(all(&source, &names(&[])).await, [value(1, 1, "x")]);
    let shown =
        message(read(&wide(&shop, table("w"), &[("secret", Ok(1))]), &Filter::default(), &names(&[])).await);
    assert!(shown.contains("may not be read"), "{shown}");
    shop.url = admin;
    shop.run(&format!("revoke all on w from {role}; drop role {role}")).await;
}

#[tokio::test]
async fn a_huge_value_of_any_column_is_cut() {
    let shop = Shop::new(
        "create table w (id int, a text, b jsonb); \
         insert into w values (1, repeat('é', 500000), to_jsonb(repeat('x', 50000))), (2, 'a', '1')",
    )
    .await;
    let rows = all(&wide(&shop, table("w"), &[("a", Ok(1)), ("b", Ok(2))]), &names(&[])).await;
    let chars: Vec<_> = rows
        .iter()
        .map(|row| row.2.as_ref().expect("read").as_deref().unwrap_or("").chars().count())
        .collect();
    assert_eq!(chars, [301, 301, 1, 1]);
}

/// Without the order of an index, Postgres sorts all rows, which needs files.
#[tokio::test]
async fn an_index_on_the_customers_spares_the_sort() {
    let mut shop = Shop::new(
        "create table w (id int primary key, a text, b text, c text); \
         insert into w select i, repeat('a', 90), repeat('b', 90), repeat('c', 90) from generate_series(1, 60000) as i; \
         analyze w",
    )
    .await;
    shop.allow_no_files().await;
    let source = wide(&shop, table("w"), &[("a", Ok(3)), ("b", Ok(1)), ("c", Ok(2))]);
    assert_eq!(all(&source, &names(&[])).await.len(), 180_000);
    let filter = Filter { customers: [7, 40_000].into(), ..Filter::default() };
    assert_eq!(read(&source, &filter, &names(&[])).await.expect("rows").len(), 6);
    shop.run("alter table w drop constraint w_pkey").await;
    let sorted =
        source.read(&Filter::default(), &AttributeNames::default()).await.expect("starts").next().await;
    assert!(message(sorted).contains("temp_file_limit"), "a sort of all rows needs a file");
}
