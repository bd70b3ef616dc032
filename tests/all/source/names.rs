//! Attributes that the source names.

use attrsync::config::Relation;
use attrsync::record::{AttributeNames, Filter, KnownAttribute};
use attrsync::source::postgres::PostgresSource;
use attrsync::source::{Source as _, SourceError};

use super::{Shop, message, table};
use crate::support::postgres::Postgres;

/// A row, or why its name means no attribute.
pub(super) type Named = (Option<i64>, Option<i64>, Result<Option<String>, String>);

pub(super) async fn read(
    source: &PostgresSource,
    filter: &Filter,
    names: &AttributeNames,
) -> Result<Vec<Named>, SourceError> {
    let mut pages = source.read(filter, names).await?;
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        rows.extend((0..page.len()).map(|at| {
            let row = page.row(at);
            let value = row.problem.map_or(Ok(row.value.map(str::to_owned)), |why| Err(why.to_owned()));
            (row.customer_id, row.attribute_id, value)
        }));
    }
    if filter.is_empty() && !rows.iter().any(|(_, id, value)| id.is_some() && value.is_err()) {
        let by_server = source.digest(names).await?.map(|digested| digested.digest);
        assert!(by_server.is_some() && pages.digest() == by_server);
    }
    Ok(rows)
}

pub(super) fn names(named: &[(i64, &str)]) -> AttributeNames {
    let known = |(id, name): &(i64, &str)| KnownAttribute {
        id: *id,
        name: (*name).to_owned(),
        kind: "string".to_owned(),
        former_name: None,
        deleted: false,
    };
    AttributeNames::of(&named.iter().map(known).collect::<Vec<_>>())
}

pub(super) fn value(customer_id: i64, attribute_id: i64, value: &str) -> Named {
    (Some(customer_id), Some(attribute_id), Ok(Some(value.to_owned())))
}

const EMOJI: &str = "😀 it's \"ä\" \\ $$";

#[tokio::test]
async fn rows_are_in_the_order_of_the_ids_that_their_names_mean() {
    let long = "x".repeat(255);
    let names =
        names(&[(9, "Alpha"), (2, "Zulu"), (3, "7"), (4, EMOJI), (5, &long), (6, "twin"), (7, "twin")]);
    let mut shop = Shop::new("create table v (customer_id int, attribute_id text, value text)").await;
    for (customer, name, text) in [
        (1, "Alpha", "a"),
        (1, "Zulu", "z"),
        (1, "7", "seven"),
        (1, EMOJI, "e"),
        (1, &*long, "l"),
        (2, "alpha", "unknown"),
        (3, "twin", "ambiguous"),
        (4, "9", "a digit"),
    ] {
        shop.run(&format!("insert into v values ({customer}, '{}', '{text}')", name.replace('\'', "''")))
            .await;
    }
    shop.run("insert into v values (5, null, 'x'), (6, 'Alpha', null), (7, 'nothing', null)").await;
    let source = shop.source(table("v"));
    let rows = read(&source, &Filter::default(), &names).await.expect("rows");
    let known =
        [value(1, 2, "z"), value(1, 3, "seven"), value(1, 4, "e"), value(1, 5, "l"), value(1, 9, "a")];
    assert_eq!(rows[..5], known);
    for (at, customer, words) in [
        (5, 2, "no attribute named \"alpha\"; it has \"Alpha\", and case"),
        (6, 3, "several attributes named \"twin\": 6, 7"),
        (7, 4, "no attribute named \"9\"; it has"),
        (8, 5, "it has no attribute name"),
        (10, 7, "no attribute named \"nothing\""),
    ] {
        let (id, attribute, Err(why)) = &rows[at] else { panic!("{:?}", rows[at]) };
        assert!((*id, *attribute) == (Some(customer), None) && why.contains(words), "{words}: {why}");
    }
    assert_eq!(rows[9], (Some(6), Some(9), Ok(None)));

    let filter = Filter { customers: [1, 2].into(), attributes: [2, 4].into() };
    assert_eq!(read(&source, &filter, &names).await.expect("rows"), [value(1, 2, "z"), value(1, 4, "e")]);
    let sample = source.inspect(&names).await.expect("a shape").sample.expect("rows");
    assert_eq!((0..sample.len()).filter(|at| sample.row(*at).problem.is_some()).count(), 5);
    let nothing = read(&source, &Filter::default(), &AttributeNames::default()).await.expect("rows");
    assert!(nothing.iter().all(|(_, id, value)| id.is_none() && value.is_err()));
}

#[tokio::test]
async fn texts_of_any_type_are_names_and_whole_numbers_are_ids() {
    let mut shop = Shop::new(
        "create type field as enum ('tier', 'Points'); create domain field_name as varchar(20); \
         create collation any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    )
    .await;
    let names = names(&[(1, "tier"), (2, "Tier")]);
    for kind in ["text", "varchar(9)", "char(9)", "name", "field", "field_name", "text collate any_case"] {
        let rows = "insert into v values (1, 'tier', 'a')";
        shop.run(&format!("drop table if exists v; create table v (customer_id int, attribute_id {kind}, value text); {rows}"))
            .await;
        let source = shop.source(table("v"));
        assert_eq!(
            read(&source, &Filter::default(), &names).await.expect(kind),
            [value(1, 1, "a")],
            "{kind}"
        );
    }
    shop.run("drop table v; create table v (customer_id int, attribute_id numeric, value text)").await;
    let shown = message(read(&shop.source(table("v")), &Filter::default(), &names).await);
    assert!(shown.contains("attribute_id is of type numeric"), "{shown}");
    let ids =
        Relation::Query("select 1 as customer_id, '1'::text::int as attribute_id, 'x' as value".to_owned());
    assert_eq!(read(&shop.source(ids), &Filter::default(), &names).await.expect("ids"), [value(1, 1, "x")]);
}

#[tokio::test]
async fn a_name_that_the_encoding_cannot_write_spoils_no_other() {
    let names = names(&[(1, "größe"), (2, EMOJI), (3, "Tier")]);
    for (encoding, sent) in [("LATIN1", "größe"), ("SQL_ASCII", "größe")] {
        let shop = Shop::at(
            Postgres::start().database_in(encoding),
            &format!(
                "create table v (customer_id int, attribute_id text, value text); \
                 insert into v values (1, '{sent}', 'g'), (2, 'Tier', 't'), (3, 'none', 'n')"
            ),
        )
        .await;
        let source = shop.source(table("v"));
        let mut pages = source.read(&Filter::default(), &names).await.expect("starts");
        let page = pages.next().await.expect("rows").expect("a page");
        let ids: Vec<_> = (0..page.len()).map(|at| page.row(at).attribute_id).collect();
        assert_eq!(ids, [Some(1), Some(3), None], "{encoding}");
    }
}

#[tokio::test]
async fn promise_6_a_row_that_cannot_be_read_is_found_by_its_name() {
    let shop = Shop::new(
        "create table v (customer_id int, attribute_id text, value text); \
         insert into v select i, n, case when i = 17 and n = 'Zulu' then 'Ann' else '7' end \
         from generate_series(1, 40) as i, unnest(array['Alpha', 'Zulu', 'nothing']) as n",
    )
    .await;
    let query = Relation::Query("select customer_id, attribute_id, value::int as value from v".to_owned());
    let names = names(&[(9, "Alpha"), (2, "Zulu")]);
    let rows = read(&shop.source(query), &Filter::default(), &names).await.expect("rows");
    assert_eq!(rows.len(), 120);
    let unreadable: Vec<_> = rows.iter().filter(|(_, id, value)| id.is_some() && value.is_err()).collect();
    assert_eq!(unreadable.len(), 1, "{unreadable:?}");
    assert_eq!((unreadable[0].0, unreadable[0].1), (Some(17), Some(2)));
    assert_eq!(rows.iter().filter(|(_, id, value)| id.is_none() && value.is_err()).count(), 40);
}

/// Without an index on the names, Postgres sorts the few rows of each customer only.
#[tokio::test]
async fn an_index_on_the_customers_spares_the_sort_of_all_rows() {
    let mut shop = Shop::new(
        "create table v (customer_id int, attribute_id text, value text, primary key (customer_id, attribute_id)); \
         insert into v select 1 + i / 3, (array['Alpha', 'Zulu', 'Mike'])[1 + i % 3], repeat('x', 200) \
         from generate_series(0, 59999) as i; analyze v",
    )
    .await;
    shop.allow_no_files().await;
    let names = names(&[(9, "Alpha"), (2, "Zulu"), (5, "Mike")]);
    let rows = read(&shop.source(table("v")), &Filter::default(), &names).await.expect("rows");
    assert_eq!(rows.len(), 60_000);
    shop.run("alter table v drop constraint v_pkey").await;
    let sorted = shop.source(table("v")).read(&Filter::default(), &names).await.expect("starts").next().await;
    assert!(message(sorted).contains("temp_file_limit"), "a sort of all rows needs a file");
}
