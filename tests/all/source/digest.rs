//! The digest: Postgres computes from all rows what the reader computes from the rows that it decodes.

use attrsync::config::Relation;
use attrsync::record::{AttributeNames, Filter, SourceDigest};
use attrsync::source::Source;
use attrsync::source::postgres::PostgresSource;

use super::{Shop, VALUES, table};

/// The digest of the rows that a read returned.
async fn of_read(source: &PostgresSource, filter: &Filter) -> Option<SourceDigest> {
    let mut pages = source.read(filter, &AttributeNames::default()).await.expect("starts");
    while pages.next().await.expect("rows").is_some() {}
    pages.digest()
}

async fn by_server(source: &PostgresSource) -> Option<SourceDigest> {
    source.digest(&AttributeNames::default()).await.expect("computes").map(|digested| digested.digest)
}

async fn both(source: &PostgresSource) -> SourceDigest {
    let by_server = by_server(source).await.expect("a digest");
    assert_eq!(of_read(source, &Filter::default()).await, Some(by_server.clone()));
    by_server
}

const ODD_ROWS: &str = "create table v (customer_id bigint, attribute_id bigint, value text); \
    insert into v values (1, 1, null), (1, 2, ''), (2, 1, 'NULL'), (null, 1, 'x'), (null, null, null), (7, null, ''), \
    (-1, 0, 'least'), (9223372036854775807, 1, 'most'), (-9223372036854775808, 2147483648, 'x'), \
    (2147483647, 2147483647, 'x'), (3, 1, 'b'), (3, 1, 'b'), (5, 5, '😀é'); \
    insert into v select 100 + n, 1, left('abcdefghijklmnopqrstuvwxyz0123456789é😀', n) \
        from generate_series(0, 38) as n; \
    insert into v values (200, 1, repeat('long', 100)), (201, 1, repeat('longer', 500))";

#[tokio::test]
async fn the_server_computes_the_digest_that_the_reader_computes() {
    let mut shop = Shop::new(ODD_ROWS).await;
    let source = shop.source(table("v"));
    let first = both(&source).await;
    shop.run("update v set value = 'c' where customer_id = 101").await;
    assert_ne!(both(&source).await, first);
    shop.run("update v set value = 'a' where customer_id = 101").await;
    assert_eq!(both(&source).await, first, "equal rows in another place of the table");
    shop.run("create index on v (customer_id, attribute_id); analyze v").await;
    assert_eq!(both(&source).await, first);
}

#[tokio::test]
async fn every_difference_between_two_tables_shows() {
    let tables = [
        "(1, 1, 'a'), (1, 2, 'b')",
        "(1, 1, 'b'), (1, 2, 'a')",
        "(1, 1, 'a'), (2, 1, 'b')",
        "(1, 1, 'A'), (1, 2, 'b')",
        "(1, 1, 'a'), (1, 2, 'b'), (1, 2, 'b')",
        "(1, 1, 'a'), (1, 2, 'b'), (1, 2, null)",
        "(1, 1, 'a'), (1, 2, 'b'), (1, 2, '')",
        "(1, 1, 'a'), (1, 2, 'b'), (1, 2, 'NULL')",
        "(1, 1, 'a'), (1, 2, 'b'), (1, null, '')",
        "(1, 1, 'a'), (1, 2, 'b'), (null, 2, '')",
        "(4, 1, 'x'), (4, 1, 'x')",
        "(5, 1, 'x'), (5, 1, 'x')",
        "(1, 1, 'a')",
        "(4294967297, 1, 'a')",
        "(0, 1, 'a')",
        "(-1, 1, 'a')",
        "(1, 4294967297, 'a')",
    ];
    let mut shop = Shop::new("create table v (customer_id bigint, attribute_id bigint, value text)").await;
    let mut seen: Vec<(&str, SourceDigest)> = Vec::new();
    for rows in tables {
        shop.run(&format!("truncate v; insert into v values {rows}")).await;
        let digest = both(&shop.source(table("v"))).await;
        if let Some((same, _)) = seen.iter().find(|(_, earlier)| *earlier == digest) {
            panic!("{rows} has the digest of {same}");
        }
        seen.push((rows, digest));
    }
}

/// Two values that differ in case are equal in such a collation, and have the same hash in it.
#[tokio::test]
async fn a_collation_that_ignores_case_hides_no_change() {
    let mut shop = Shop::new(
        "create collation same (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
         create table v (customer_id int, attribute_id smallint, value text collate same); \
         insert into v values (1, 1, 'gold')",
    )
    .await;
    let source = shop.source(table("v"));
    let before = both(&source).await;
    shop.run("update v set value = 'Gold'").await;
    assert_ne!(both(&source).await, before);
}

#[tokio::test]
async fn promise_1_settings_of_the_role_change_no_digest() {
    let mut shop = Shop::new(VALUES).await;
    let values = [
        "1.50::numeric",
        "date '2026-02-01'",
        "true",
        r#"'{"a": 1}'::jsonb"#,
        "0.1::float8 + 0.2::float8",
        "timestamptz '2026-02-01 12:00+00'",
        "interval '1 day 2 hours'",
        "repeat('9', 400)::numeric",
        "'ab'::char(5)",
    ];
    let query = |value: &str| {
        let columns = format!("1::int2 as customer_id, 1::int4 as attribute_id, {value} as value");
        Relation::Query(format!("select {columns} -- one row"))
    };
    let mut before = Vec::new();
    for value in values {
        before.push(both(&shop.source(query(value))).await);
    }
    let database = shop.url.rsplit('/').next().expect("a name").to_owned();
    for setting in [
        "timezone = 'Asia/Tokyo'",
        "datestyle = 'German'",
        "intervalstyle = 'iso_8601'",
        "extra_float_digits = 0",
    ] {
        shop.run(&format!("alter database \"{database}\" set {setting}")).await;
    }
    for (value, before) in values.iter().zip(before) {
        assert_eq!(both(&shop.source(query(value))).await, before, "{value}");
    }
}

/// The reader's digest is of the rows that it read, not of another execution of the query.
#[tokio::test]
async fn a_query_that_differs_each_time_is_never_the_same() {
    let shop = Shop::new(VALUES).await;
    let query = "select 1 as customer_id, 1 as attribute_id, random()::text as value";
    let source = shop.source(Relation::Query(query.to_owned()));
    assert_ne!(of_read(&source, &Filter::default()).await, by_server(&source).await);
    assert_ne!(by_server(&source).await, by_server(&source).await);
}

#[tokio::test]
async fn another_table_or_type_is_another_source() {
    let shop = Shop::new(
        "create table v (customer_id int, attribute_id int, value text); insert into v values (1, 1, '7'); \
         create table same as select * from v; \
         create table wide as select customer_id::bigint, attribute_id, value from v; \
         create table number as select customer_id, attribute_id, value::int from v",
    )
    .await;
    let first = both(&shop.source(table("v"))).await;
    for other in ["same", "wide", "number"] {
        assert_ne!(both(&shop.source(table(other))).await, first, "{other}");
    }
}

#[tokio::test]
async fn some_rows_or_rows_that_cannot_be_read_have_no_digest() {
    let mut shop = Shop::new(VALUES).await;
    shop.run("insert into v values (1, 1, '1'), (2, 1, 'x'), (3, 1, '3')").await;
    let filter = Filter { customers: [1].into(), ..Filter::default() };
    assert_eq!(of_read(&shop.source(table("v")), &filter).await, None);
    let query = "select customer_id, attribute_id, value::int as value from v";
    let source = shop.source(Relation::Query(query.to_owned()));
    assert_eq!(of_read(&source, &Filter::default()).await, None);
    assert!(source.digest(&AttributeNames::default()).await.is_err());
}

#[tokio::test]
async fn a_database_in_another_encoding_computes_no_digest() {
    let mut shop = Shop::new("select 1").await;
    let database = shop.url.rsplit('/').next().expect("a name").to_owned();
    shop.run(&format!(
        "create database \"{database}_latin\" encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'"
    ))
    .await;
    let mut latin = Shop::at(format!("{}_latin", shop.url), VALUES).await;
    latin.run("insert into v values (1, 1, 'é')").await;
    let source = latin.source(table("v"));
    assert_eq!(by_server(&source).await, None);
    assert!(of_read(&source, &Filter::default()).await.is_some());
}
