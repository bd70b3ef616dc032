//! Rows that Postgres cannot deliver: each is passed on with its key and the reason, and the others as they are.

use attrsync::config::Relation;
use attrsync::record::{AttributeNames, Filter};
use attrsync::source::{Source, SourceError};

use super::{Shop, VALUES, message, row, table};
use crate::support::postgres::Postgres;

type Read = (Option<i64>, Option<i64>, Result<Option<String>, String>);

async fn read(shop: &Shop, relation: Relation) -> Result<Vec<Read>, SourceError> {
    let mut pages = shop.source(relation).read(&Filter::default(), &AttributeNames::default()).await?;
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        rows.extend((0..page.len()).map(|at| {
            let row = page.row(at);
            let value = row.problem.map_or(Ok(row.value.map(str::to_owned)), |why| Err(why.to_owned()));
            (row.customer_id, row.attribute_id, value)
        }));
    }
    Ok(rows)
}

fn query(text: &str) -> Relation {
    Relation::Query(text.to_owned())
}

/// The keys that could not be read, with the reasons.
fn problems(rows: &[Read]) -> Vec<(Option<i64>, Option<i64>, &str)> {
    let problem = |row: &'_ Read| row.2.is_err();
    rows.iter()
        .filter(|row| problem(row))
        .map(|(c, a, value)| (*c, *a, value.as_ref().unwrap_err().as_str()))
        .collect()
}

#[tokio::test]
async fn promise_6_a_row_whose_expression_fails_spoils_no_other() {
    let shop = Shop::new(&format!(
        "{VALUES} insert into v select i, 1, i::text from generate_series(1, 30) as i; \
         create table j (customer_id int, attribute_id int, value json); \
         insert into j select i, 1, '{{\"a\": 1}}' from generate_series(1, 30) as i; \
         update j set value = '{{\"a\": \"x\\u0000y\"}}' where customer_id = 17; \
         create function checked(id bigint, value text) returns text language plpgsql as \
         $$ begin if id = 17 then raise exception 'no tier for %', id; end if; return value; end $$; \
         create function odd(id bigint, value text) returns text language plpgsql as \
         $$ begin if id = 17 then raise exception 'odd' using errcode = 'MY001'; end if; return value; end $$; \
         create domain tier as text check (value <> '17')"
    ))
    .await;
    for (from, value, reason) in [
        ("j", "value->>'a'", "\\u0000 cannot be converted to text"),
        ("v", "1 / (customer_id - 17)", "division by zero"),
        ("v", "replace(value, '17', 'Ann')::int", "invalid input syntax"),
        ("v", "make_date(2026, 1, case customer_id when 17 then 32 else 1 end)", "out of range"),
        ("v", "checked(customer_id, value)", "no tier for 17 (SQLSTATE P0001)"),
        ("v", "odd(customer_id, value)", "odd (SQLSTATE MY001)"),
        ("v", "value::tier", "violates check constraint"),
        (
            "v",
            "(select w.value from v as w where v.customer_id = 17 or w.customer_id = 1)",
            "more than one row",
        ),
    ] {
        let text = format!("select customer_id, attribute_id, {value} as value from {from}");
        let rows = read(&shop, query(&text)).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(rows.len(), 30, "{text}");
        let found = problems(&rows);
        assert_eq!((found.len(), found[0].0), (1, Some(17)), "{text}: {found:?}");
        assert!(found[0].2.contains(reason), "{text}: {found:?}");
    }
}

#[tokio::test]
async fn promise_6_bad_rows_anywhere_are_found_with_and_without_an_index() {
    let bad = "customer_id in (1, 2, 6000, 9999) and coalesce(attribute_id, 0) <> 2";
    let fill = format!(
        "insert into v select i, a, case when {} then 'Ann' else '7' end \
         from generate_series(1, 9999) as i, generate_series(1, 2) as a",
        bad.replace("customer_id", "i").replace("attribute_id", "a")
    );
    let text = query("select customer_id, attribute_id, value::int as value from v");
    let shop = Shop::new(&format!("{VALUES} {fill}; analyze v")).await;
    let indexed = read(&shop, text.clone()).await.expect("rows");
    let unindexed = Shop::new(&format!(
        "create table v (customer_id bigint, attribute_id int, value text); {fill}; \
         insert into v values (null, 3, 'Bob'), (null, null, 'Bob'), (null, 4, '8'), (5, null, 'Bob'), (5, null, '9'), \
         (7, 1, 'Bob'), (7, 1, '7')"
    ))
    .await;
    let unindexed = read(&unindexed, text).await.expect("rows");

    let keys = |rows: &[Read]| -> Vec<_> { problems(rows).iter().map(|(c, a, _)| (*c, *a)).collect() };
    let expect = [1, 2, 6000, 9999].map(|customer| (Some(customer), Some(1)));
    assert_eq!(keys(&indexed), expect);
    assert_eq!(indexed.len(), 19_998);
    assert_eq!(indexed.iter().filter(|row| row.2.as_ref() == Ok(&Some("7".to_owned()))).count(), 19_994);
    assert!(!problems(&indexed)[0].2.contains("Ann"), "{:?}", problems(&indexed)[0]);

    assert_eq!(unindexed.len(), 20_005);
    let key = |row: &Read| (row.0.is_none(), row.0, row.1.is_none(), row.1);
    assert!(unindexed.is_sorted_by_key(key));
    let mut found = keys(&unindexed);
    found.dedup();
    // Of rows with one key, the innocent ones may be condemned too: such rows are not sent anyhow.
    assert_eq!(
        found,
        [
            (Some(1), Some(1)),
            (Some(2), Some(1)),
            (Some(5), None),
            (Some(7), Some(1)),
            (Some(6000), Some(1)),
            (Some(9999), Some(1)),
            (None, Some(3)),
            (None, None)
        ]
    );
    assert!(unindexed.contains(&(None, Some(4), Ok(Some("8".to_owned())))));
}

#[tokio::test]
async fn promise_6_bytes_that_are_not_utf_8_spoil_their_row_only() {
    for (encoding, byte, reason) in [
        ("SQL_ASCII", "e9", "its value is not UTF-8 text"),
        ("WIN1252", "81", "has no equivalent in encoding"),
    ] {
        // The client's encoding is that of the database, so the bytes are stored unchanged.
        let insert = format!(
            "{VALUES} insert into v values (1, 1, 'x'), (3, 1, 'z'), \
             (2, 1, convert_from('\\x41{byte}42'::bytea, '{encoding}'))"
        );
        let shop = Shop::at(Postgres::start().database_in(encoding), &insert).await;
        let rows = read(&shop, table("v")).await.expect("rows");
        let found = problems(&rows);
        assert_eq!((found.len(), rows.len(), found[0].0), (1, 3, Some(2)), "{rows:?}");
        assert!(found[0].2.contains(reason), "{found:?}");
        let cast = "select customer_id, attribute_id, encode(convert_to(value, 'SQL_ASCII'), 'escape') as value from v";
        assert_eq!(shop.query(cast).await.expect("the bytes can be shown")[0], row(1, 1, "x"));
    }
}

#[tokio::test]
async fn promise_6_a_query_that_computes_all_rows_at_once_condemns_no_innocent_row() {
    let mut shop = Shop::new(VALUES).await;
    shop.run(
        "insert into v select i, 1, case i when 17 then 'Ann' else '7' end from generate_series(1, 30) as i",
    )
    .await;
    let cast = "select customer_id, attribute_id, value::int as value from v";
    for text in [
        format!("{cast} order by customer_id limit 1000"),
        format!("with w as materialized ({cast}) select * from w"),
    ] {
        let shown = message(shop.query(&text).await);
        for words in ["cannot be read", "invalid input syntax", "all of its rows at once"] {
            assert!(shown.contains(words), "{text}: {shown}");
        }
        assert!(!shown.contains("Ann"), "{shown}");
    }
    let key = "select (case customer_id when 17 then 'x' else '1' end)::int as customer_id, attribute_id, value from v";
    let shown = message(shop.query(key).await);
    assert!(shown.contains("comes from an id") && shown.contains("find the row"), "{shown}");
    // The filter reaches these, although their ids cannot be listed without their values.
    for text in [cast.replacen("select", "select distinct", 1), format!("{cast} union {cast}")] {
        let rows = read(&shop, query(&text)).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((rows.len(), problems(&rows)[0].0), (30, Some(17)), "{text}");
        assert_eq!(problems(&rows).len(), 1, "{text}");
    }
}

#[tokio::test]
async fn a_query_that_fails_for_most_rows_is_reported_as_wrong() {
    let shop =
        Shop::new(&format!("{VALUES} insert into v select i, 1, 'Ann' from generate_series(1, 1100) as i"))
            .await;
    let shown = message(shop.query("select customer_id, attribute_id, value::int as value from v").await);
    assert!(shown.contains("more than 1000 rows") && shown.contains("customer 1001"), "{shown}");
}

#[tokio::test]
async fn a_look_at_the_source_fails_where_a_sync_would_and_names_the_rows_otherwise() {
    let shop =
        Shop::new(&format!("{VALUES} insert into v select i, 1, 'Ann' from generate_series(1, 1100) as i"))
            .await;
    let inspect = async |text: &str| shop.source(query(text)).inspect(&AttributeNames::default()).await;
    let shown = message(inspect("select customer_id, attribute_id, value::int as value from v").await);
    assert!(shown.contains("more than 1000 rows"), "{shown}");
    // It is not among the rows whose values are looked at.
    let id = "(case customer_id when 1099 then 'x' else '1' end)::int as customer_id";
    let shown = message(inspect(&format!("select {id}, attribute_id, value from v")).await);
    assert!(shown.contains("comes from an id"), "{shown}");
    let value = "case customer_id when 17 then value::int else 1 end as value";
    let shape = inspect(&format!("select customer_id, attribute_id, {value} from v")).await.expect("a shape");
    let sample = shape.sample.expect("rows");
    let problems: Vec<_> =
        (0..sample.len()).map(|at| sample.row(at)).filter(|row| row.problem.is_some()).collect();
    assert_eq!((sample.len(), problems.len(), problems[0].customer_id), (1_000, 1, Some(17)));
}
