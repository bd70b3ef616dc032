//! Customers by their e-mail addresses: rows with numbers in place of customers, and the distinct addresses.

use std::collections::BTreeSet;
use std::time::Duration;

use attrsync::config::{
    AttributeRef, CustomerColumn, Relation, Secret, SourceColumns, SourceConfig, ValueColumns, WideColumn,
};
use attrsync::record::{AttributeNames, EmailHash, Filter};
use attrsync::source::postgres::PostgresSource;
use attrsync::source::{Addresses as _, Source as _, SourceError};

use super::names::{Named, names, read};
use super::{Shop, message, table};
use crate::support::postgres::Postgres;

fn source(shop: &Shop, relation: Relation, column: &str) -> PostgresSource {
    with(shop, relation, column, SourceColumns::default().values)
}

fn with(shop: &Shop, relation: Relation, column: &str, values: ValueColumns) -> PostgresSource {
    let columns = SourceColumns { customer: CustomerColumn::Email(column.to_owned()), values };
    let config = SourceConfig { columns, ..SourceConfig::new(Secret::new(&*shop.url), relation) };
    PostgresSource::new(&config).expect("a source")
}

fn number(address: &str) -> i64 {
    EmailHash::of_normalised(address).number()
}

/// The addresses with their numbers.
async fn addresses(
    source: &PostgresSource,
    numbers: &[i64],
    after: i64,
) -> Result<Vec<(i64, Option<String>)>, SourceError> {
    let numbers: BTreeSet<i64> = numbers.iter().copied().collect();
    let mut pages = source.read_addresses(&numbers, after, Duration::from_secs(1)).await?;
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        rows.extend((0..page.len()).map(|at| {
            let row = page.row(at);
            (row.customer_id.expect("a number"), row.value.map(str::to_owned))
        }));
    }
    Ok(rows)
}

/// The rows in the order of numbers: address, attribute, value.
fn sorted(rows: &[(&str, i64, &str)]) -> Vec<Named> {
    let row = |(address, attribute, value): &(&str, i64, &str)| {
        (Some(number(address)), Some(*attribute), Ok(Some((*value).to_owned())))
    };
    let mut rows: Vec<Named> = rows.iter().map(row).collect();
    rows.sort();
    rows
}

const TABLE: &str = "create table v (email text, attribute_id int, value text); insert into v values \
    (' Ann@Example.com ', 2, 'a2'), ('ann@example.com', 1, 'a1'), ('bob+x@example.com', 1, 'b1'), \
    ('größe@example.com', 1, 'g'), ('o''neil\\\\@example.com', 1, 'o')";

const ROWS: &[(&str, i64, &str)] = &[
    ("ann@example.com", 1, "a1"),
    ("ann@example.com", 2, "a2"),
    ("bob+x@example.com", 1, "b1"),
    ("größe@example.com", 1, "g"),
    ("o'neil\\\\@example.com", 1, "o"),
];

#[tokio::test]
async fn rows_have_the_keys_of_their_addresses_and_are_in_their_order() {
    let mut shop = Shop::new(TABLE).await;
    for relation in [table("v"), Relation::Query("select * from v".to_owned())] {
        let source = source(&shop, relation, "email");
        assert_eq!(read(&source, &Filter::default(), &names(&[])).await.expect("rows"), sorted(ROWS));
        let filter = Filter { customers: [number("ann@example.com")].into(), attributes: [2].into() };
        let ann = sorted(&ROWS[1..2]);
        assert_eq!(read(&source, &filter, &names(&[])).await.expect("rows"), ann);
    }
    let source = source(&shop, table("v"), "email");
    let mut expect: Vec<(i64, Option<String>)> =
        ROWS[1..].iter().map(|(address, ..)| (number(address), Some((*address).to_owned()))).collect();
    expect.sort();
    assert_eq!(addresses(&source, &[], -1).await.expect("addresses"), expect, "each once");
    assert_eq!(addresses(&source, &[], expect[1].0).await.expect("addresses"), expect[2..]);
    assert_eq!(addresses(&source, &[expect[3].0, 7], -1).await.expect("addresses"), expect[3..]);

    // NULL has no number; a huge one is cut, so that its number is that of another text.
    shop.run("insert into v values (null, 1, 'n'), (repeat('x', 100000), 1, 'long')").await;
    let rows = read(&source, &Filter::default(), &names(&[])).await.expect("rows");
    assert_eq!(rows.last().expect("a row"), &(None, Some(1), Ok(Some("n".to_owned()))));
    let found = addresses(&source, &[], -1).await.expect("addresses");
    let long =
        found.iter().find(|(_, address)| address.as_ref().is_some_and(|a| a.len() > 300)).expect("cut");
    assert_eq!((found.len(), long.1.as_ref().expect("a text").len()), (5, 301));
    assert_ne!(long.0, number(long.1.as_deref().expect("a text")));
}

#[tokio::test]
async fn a_person_finds_a_row_by_the_documented_query() {
    let mut shop = Shop::new(TABLE).await;
    let digits = &EmailHash::of("bob+X@example.com").to_string()[..15];
    assert_eq!(digits, "1e7f6d35a0248c5");
    let query = "select count(*) from v where \
                 encode(sha256(convert_to(lower(trim(email)), 'UTF8')), 'hex') like '1e7f6d35a0248c5%'";
    assert_eq!(shop.count(query).await, 1);
}

#[tokio::test]
async fn wide_tables_and_attribute_names_have_addresses_too() {
    let mut shop = Shop::new("create table w (mail varchar(99), tier text, rank int)").await;
    shop.run("insert into w values ('a@example.com', 'gold', 1), ('B@example.com', null, 2)").await;
    shop.run("create table n (\"E-mail\" text, attribute_id text, value text)").await;
    shop.run("insert into n values ('a@example.com', 'Tier', 'gold')").await;
    let column = |column: &str, id| WideColumn { column: column.to_owned(), attribute: AttributeRef::Id(id) };
    let wide = ValueColumns::Wide(vec![column("rank", 2), column("tier", 1)]);
    let wide = with(&shop, table("w"), "mail", wide);
    let mut expect =
        sorted(&[("a@example.com", 1, "gold"), ("a@example.com", 2, "1"), ("b@example.com", 2, "2")]);
    expect.push((Some(number("b@example.com")), Some(1), Ok(None)));
    expect.sort();
    assert_eq!(read(&wide, &Filter::default(), &names(&[])).await.expect("rows"), expect);
    assert_eq!(addresses(&wide, &[], -1).await.expect("addresses").len(), 2);
    let named = source(&shop, table("n"), "E-mail");
    let expect = sorted(&[("a@example.com", 4, "gold")]);
    assert_eq!(read(&named, &Filter::default(), &names(&[(4, "Tier")])).await.expect("rows"), expect);
}

#[tokio::test]
async fn promise_12_a_column_without_texts_is_refused() {
    let shop = Shop::new("create table v (email int, attribute_id int, value text)").await;
    let refused =
        source(&shop, table("v"), "email").read(&Filter::default(), &AttributeNames::default()).await;
    let error = match refused {
        Ok(mut pages) => pages.next().await.map(drop),
        Err(error) => Err(error),
    };
    let said = message(error);
    assert!(said.contains("column email is of type integer, not a text"), "{said}");
    let said = message(addresses(&source(&shop, table("v"), "mail"), &[], -1).await);
    assert!(said.contains("the source has no column \"mail\""), "{said}");
}

#[tokio::test]
async fn promise_6_a_bad_row_harms_no_other_address() {
    let mut shop = Shop::new("create table v (email text, n int)").await;
    shop.run("insert into v values ('a@example.com', 1), ('b@example.com', 0), ('c@example.com', 1)").await;
    let query = "select email, 1 as attribute_id, (1 / n)::text as value from v";
    let source = source(&shop, Relation::Query(query.to_owned()), "email");
    let rows = read(&source, &Filter::default(), &names(&[])).await.expect("rows");
    let bad: Vec<_> = rows.iter().filter(|(_, _, value)| value.is_err()).map(|(id, ..)| *id).collect();
    assert_eq!((rows.len(), bad), (3, vec![Some(number("b@example.com"))]));
    assert_eq!(addresses(&source, &[], -1).await.expect("addresses").len(), 3, "no value is read");
}

#[tokio::test]
async fn an_address_in_another_encoding_has_the_same_key() {
    let server = Postgres::start();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let url = server.database_in(encoding);
        let mut shop = Shop::at(url, "create table v (email text, attribute_id int, value text)").await;
        shop.run("insert into v values ('größe@example.com', 1, 'x'), ('a@example.com', 1, 'x')").await;
        let source = source(&shop, table("v"), "email");
        let rows = addresses(&source, &[], -1).await.expect("addresses");
        let expect: BTreeSet<i64> = [number("größe@example.com"), number("a@example.com")].into();
        assert_eq!(rows.iter().map(|(number, _)| *number).collect::<BTreeSet<_>>(), expect, "{encoding}");
    }
}
