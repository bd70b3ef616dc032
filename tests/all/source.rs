//! The source with a real Postgres: its rows, its errors, and how it ends.

mod abandoned;
mod columns;
mod digest;
mod emails;
mod listen;
mod liveness;
mod names;
mod reach;
mod row_security;
mod sessions;
mod targeted;
mod tls;
mod unreadable;
mod wide;

use attrsync::config::{Relation, Secret, SourceConfig};
use attrsync::record::{AttributeNames, Filter, SourcePage};
use attrsync::source::postgres::{PostgresSource, RowCount};
use attrsync::source::{Source, SourceError};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::postgres::Postgres;

type Row = (Option<i64>, Option<i64>, Option<String>);

/// A database of its own, with a connection that changes it.
struct Shop {
    url: String,
    admin: PgConnection,
}

impl Shop {
    async fn new(set_up: &str) -> Self {
        Self::at(Postgres::start().database(), set_up).await
    }

    async fn at(url: String, set_up: &str) -> Self {
        let admin = PgConnection::connect(&url).await.expect("a connection");
        let mut shop = Self { url, admin };
        shop.run(set_up).await;
        shop
    }

    async fn run(&mut self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut self.admin)
            .await
            .expect("statements");
    }

    async fn count(&mut self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.admin).await.expect("a count")
    }

    /// Makes every read of later sessions fail that sorts more than fits into memory.
    async fn allow_no_files(&mut self) {
        let name = self.url.rsplit('/').next().expect("a name").to_owned();
        self.run(&format!("alter database \"{name}\" set temp_file_limit = 0")).await;
    }

    fn source(&self, relation: Relation) -> PostgresSource {
        source_at(&self.url, relation)
    }

    async fn query(&self, query: &str) -> Result<Vec<Row>, SourceError> {
        read(&self.source(Relation::Query(query.to_owned())), &Filter::default()).await
    }

    async fn table(&self, table: &str) -> Result<Vec<Row>, SourceError> {
        read(&self.source(self::table(table)), &Filter::default()).await
    }
}

fn source_at(url: &str, relation: Relation) -> PostgresSource {
    PostgresSource::new(&SourceConfig::new(Secret::new(url), relation)).expect("a source")
}

fn table(name: &str) -> Relation {
    Relation::Table(name.to_owned())
}

async fn read(source: &PostgresSource, filter: &Filter) -> Result<Vec<Row>, SourceError> {
    let mut pages = source.read(filter, &AttributeNames::default()).await?;
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        assert!(!page.is_empty(), "a page is never empty");
        rows.extend((0..page.len()).map(|at| owned(&page, at)));
    }
    Ok(rows)
}

fn owned(page: &SourcePage, at: usize) -> Row {
    let row = page.row(at);
    (row.customer_id, row.attribute_id, row.value.map(str::to_owned))
}

fn row(customer_id: i64, attribute_id: i64, value: &str) -> Row {
    (Some(customer_id), Some(attribute_id), Some(value.to_owned()))
}

/// The problem and the hint of an error, neither with the password.
fn message<T>(result: Result<T, SourceError>) -> String {
    match result.err().expect("an error") {
        SourceError::Unusable { problem, hint } | SourceError::Unavailable { problem, hint } => {
            assert!(!problem.contains("hunter2") && !hint.contains("hunter2"), "{problem}; {hint}");
            format!("{problem}; {hint}")
        }
        other => panic!("not unusable: {other:?}"),
    }
}

/// More rows than the pages that are read ahead and the socket's buffers hold.
const MANY: &str = "insert into v select i, 1, repeat('x', 200) from generate_series(1, 200000) as i";

const VALUES: &str = "create table v (customer_id bigint not null, attribute_id bigint not null, value text, \
     primary key (customer_id, attribute_id));";

#[tokio::test]
async fn rows_are_in_key_order_and_unchanged() {
    let shop = Shop::new(
        "create table v (customer_id bigint, attribute_id bigint, value text); \
         insert into v values (2, 1, 'b'), (null, 7, 'x'), (2, null, 'y'), (-9223372036854775808, 1, 'least'), \
         (2, 1, 'b'), (1, 2, ''), (1, 1, null), (10, 1, 'z'), (9223372036854775807, 1, 'most'), (1, -3, '😀é')",
    )
    .await;
    let expect = [
        row(i64::MIN, 1, "least"),
        row(1, -3, "😀é"),
        (Some(1), Some(1), None),
        row(1, 2, ""),
        row(2, 1, "b"),
        row(2, 1, "b"),
        (Some(2), None, Some("y".to_owned())),
        row(10, 1, "z"),
        row(i64::MAX, 1, "most"),
        (None, Some(7), Some("x".to_owned())),
    ];
    assert_eq!(shop.table("v").await.expect("rows"), expect);
    assert_eq!(shop.table("PUBLIC.V").await.expect("rows").len(), expect.len());
}

#[tokio::test]
async fn an_empty_table_has_no_page() {
    let shop = Shop::new(VALUES).await;
    assert_eq!(shop.table("v").await.expect("rows"), []);
}

#[tokio::test]
async fn many_pages_make_the_table() {
    let mut shop = Shop::new(VALUES).await;
    shop.run("insert into v select i / 3, i % 3, 'value ' || i from generate_series(3, 20000) as i").await;
    let rows = shop.table("v").await.expect("rows");
    assert_eq!(rows.len(), 19_998);
    assert!(rows.is_sorted_by_key(|(customer_id, attribute_id, _)| (*customer_id, *attribute_id)));
    assert_eq!(rows[0], row(1, 0, "value 3"));
}

#[tokio::test]
async fn values_of_any_type_are_read_as_text() {
    let shop =
        Shop::new("create domain vip as varchar check (value <> ''); set timezone = 'Asia/Tokyo'").await;
    let cases = [
        ("1.50::numeric", "1.50"),
        ("date '2026-02-01'", "2026-02-01"),
        ("true", "true"),
        (r#"'{"a": 1}'::jsonb"#, r#"{"a": 1}"#),
        ("0.1::float8", "0.1"),
        ("42", "42"),
        ("'gold'::vip", "gold"),
        ("'ab'::char(5)", "ab"),
        ("timestamptz '2026-02-01 10:00:00+02'", "2026-02-01 08:00:00+00"),
    ];
    for (expression, expect) in cases {
        let query = format!("select 1 as customer_id, 1 as attribute_id, {expression} as value");
        assert_eq!(shop.query(&query).await.expect("a row"), [row(1, 1, expect)], "{expression}");
    }
}

#[tokio::test]
async fn promise_1_settings_of_the_role_or_the_database_change_no_text() {
    let mut shop = Shop::new(VALUES).await;
    let query = "select 1 as customer_id, n as attribute_id, value from (values \
         (1, (interval '1 day 2 hours')::text), (2, ('\\x0102'::bytea)::text), (3, (timestamptz '2026-02-01 12:00+00')::text), \
         (4, (date '2026-02-01')::text), (5, (0.1::float8 + 0.2::float8)::text), (6, xmlelement(name a, '\\x41'::bytea)::text), \
         (7, ('v'::regclass)::text), (8, '\\d')) as v(n, value)";
    let before = shop.query(query).await.expect("rows");
    let database = shop.url.rsplit('/').next().expect("a name").to_owned();
    for setting in [
        "intervalstyle = 'iso_8601'",
        "bytea_output = 'escape'",
        "timezone = 'Asia/Tokyo'",
        "datestyle = 'German'",
        "extra_float_digits = 0",
        "xmlbinary = 'hex'",
        "quote_all_identifiers = on",
        "standard_conforming_strings = off",
    ] {
        shop.run(&format!("alter database \"{database}\" set {setting}")).await;
    }
    assert_eq!(shop.query(query).await.expect("rows"), before);
}

#[tokio::test]
async fn ids_are_whole_numbers_of_any_width() {
    let shop = Shop::new(
        "create domain id as int4; create domain shop_id as id; \
         create table small (customer_id int2, attribute_id int4, value text); insert into small values (1, 2, 'x'); \
         create table tame (customer_id shop_id, attribute_id id, value text); insert into tame values (1, 2, 'x'); \
         create table wild (customer_id numeric, attribute_id int, value text); \
         create table worse (customer_id int, attribute_id numeric, value text)",
    )
    .await;
    assert_eq!(shop.table("small").await.expect("a row"), [row(1, 2, "x")]);
    assert_eq!(shop.table("tame").await.expect("a row"), [row(1, 2, "x")]);
    let wild = message(shop.table("wild").await);
    assert!(
        wild.contains("customer_id is of type numeric") && wild.contains("customer_id::bigint"),
        "{wild}"
    );
    let worse = message(shop.table("worse").await);
    assert!(worse.contains("attribute_id is of type numeric"), "{worse}");
}

#[tokio::test]
async fn names_that_need_quotes() {
    let shop = Shop::new(
        "create schema \"My Schema\"; create table \"My Schema\".\"T\"\"1\" (customer_id int, attribute_id int, value text); \
         insert into \"My Schema\".\"T\"\"1\" values (1, 2, 'x')",
    )
    .await;
    assert_eq!(shop.table(r#""My Schema"."T""1""#).await.expect("a row"), [row(1, 2, "x")]);
}

#[tokio::test]
async fn views_and_queries_are_read_like_tables() {
    let shop = Shop::new(&format!(
        "{VALUES} insert into v values (2, 1, 'b'), (1, 1, 'a'); create view w as select * from v union all select * from v"
    ))
    .await;
    let twice = [row(1, 1, "a"), row(1, 1, "a"), row(2, 1, "b"), row(2, 1, "b")];
    assert_eq!(shop.table("w").await.expect("rows"), twice);
    let query = "with all_of as (select * from v) select customer_id, attribute_id, upper(value) as value from all_of -- all";
    assert_eq!(shop.query(query).await.expect("rows"), [row(1, 1, "A"), row(2, 1, "B")]);
}

#[tokio::test]
async fn a_filter_selects_customers_and_attributes() {
    let shop = Shop::new(&format!(
        "{VALUES} insert into v select c, a, c || '/' || a from generate_series(1, 9) c, generate_series(1, 4) a"
    ))
    .await;
    let source = shop.source(table("v"));
    let filter = Filter { customers: [3, 5, i64::MAX].into(), attributes: [2].into() };
    assert_eq!(read(&source, &filter).await.expect("rows"), [row(3, 2, "3/2"), row(5, 2, "5/2")]);
    let filter = Filter { attributes: [4].into(), ..Filter::default() };
    assert_eq!(read(&source, &filter).await.expect("rows").len(), 9);
}

#[tokio::test]
async fn a_huge_value_is_cut_and_still_too_long() {
    let shop = Shop::new(&format!(
        "{VALUES} insert into v values (1, 1, repeat('é', 5000000)), (1, 2, repeat('😀', 255)), (1, 3, repeat('x', 1020))"
    ))
    .await;
    let rows = shop.table("v").await.expect("rows");
    let chars: Vec<usize> =
        rows.iter().map(|row| row.2.as_deref().unwrap_or_default().chars().count()).collect();
    assert_eq!(chars, [301, 255, 1020]);
    let rows =
        shop.query("select 1 as customer_id, 1 as attribute_id, to_jsonb(repeat('x', 99999)) as value").await;
    assert_eq!(rows.expect("a row")[0].2.as_deref().map(str::len), Some(301));

    // A table that inherits from an empty table may have a huge value.
    let shop = Shop::new(&format!(
        "{VALUES} create table w () inherits (v); insert into w values (1, 1, repeat('é', 5000000))"
    ))
    .await;
    let rows = shop.table("v").await.expect("rows");
    assert_eq!(rows[0].2.as_deref().map(|value| value.chars().count()), Some(301));
}

#[tokio::test]
async fn an_unusable_table_or_query_has_a_hint() {
    let shop = Shop::new("create table v (customer_id int, attribute_id int, val text)").await;
    let cases = [
        (shop.table("v").await, "no column \"value\"; it has customer_id, attribute_id, val;"),
        (shop.table("nowhere").await, "no such table"),
        (shop.table("nowhere.v").await, "no such table"),
        (shop.query("selec 1").await, "syntax error"),
        (shop.query("select 1 as customer_id, 2 as attribute_id").await, "no column \"value\""),
        (shop.query("select 1 as customer_id, 2 as attribute_id, x as value").await, "lacks a column"),
    ];
    for (result, expect) in cases {
        let shown = message(result);
        assert!(shown.contains(expect), "{expect} not in {shown}");
    }
}

#[tokio::test]
async fn promise_11_an_error_of_a_function_shows_no_value() {
    let shop = Shop::new(&format!(
        "{VALUES} insert into v values (1, 1, 'SECRET'); \
         create function raised(t text) returns text language plpgsql as \
         $$ begin raise sqlstate '42501' using message = t, detail = t, hint = t; end $$; \
         create function executed(t text) returns text language plpgsql as \
         $$ begin execute 'select ' || quote_ident(t); return t; end $$"
    ))
    .await;
    for function in ["raised", "executed"] {
        let query = format!("select customer_id, attribute_id, {function}(value) as value from v");
        let shown = message(shop.query(&query).await);
        assert!(
            shown.contains("function") && shown.contains("SQLSTATE 42") && !shown.contains("SECRET"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_query_cannot_write() {
    let mut shop = Shop::new(&format!("{VALUES} create sequence s")).await;
    let query = "select nextval('s') as customer_id, 1 as attribute_id, 'x' as value";
    assert!(shop.query(query).await.is_err());
    assert_eq!(shop.count("select count(*) from v").await, 0);
}

#[tokio::test]
async fn a_failed_connection_has_a_hint() {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let refused = source_at(&format!("postgres://reader:hunter2@127.0.0.1:{port}/shop"), table("v"));
    let shown = message(read(&refused, &Filter::default()).await);
    assert!(shown.contains(&format!("127.0.0.1:{port}")) && shown.contains("[source] url"), "{shown}");

    let server = Postgres::start().port();
    let nowhere = source_at(&format!("postgres://postgres:hunter2@127.0.0.1:{server}/nowhere"), table("v"));
    let shown = message(read(&nowhere, &Filter::default()).await);
    assert!(shown.contains("no such database"), "{shown}");
    let stranger = source_at(&format!("postgres://stranger:hunter2@127.0.0.1:{server}/postgres"), table("v"));
    let shown = message(read(&stranger, &Filter::default()).await);
    assert!(shown.contains("refused the log-in"), "{shown}");
}

#[tokio::test]
async fn a_role_that_may_only_select_is_enough() {
    let mut shop = Shop::new(&format!("{VALUES} insert into v values (1, 1, 'x')")).await;
    let role = format!("reader_{}", std::process::id());
    // The role's time-out must not end the read. It does apply while the snapshot is opened, so it must be long enough
    // for a busy machine.
    shop.run(&format!("create role {role} login; alter role {role} set statement_timeout = '1s'")).await;
    let source = source_at(&shop.url.replace("postgres@", &format!("{role}@")), table("v"));
    let shown = message(read(&source, &Filter::default()).await);
    assert!(shown.contains("may not be read") && shown.contains("grant select"), "{shown}");

    shop.run(&format!("grant select on v to {role}")).await;
    assert_eq!(read(&source, &Filter::default()).await.expect("a row"), [row(1, 1, "x")]);
    let slow = "select 1 as customer_id, 1 as attribute_id, pg_sleep(1.2)::text || 'x' as value";
    let slow =
        source_at(&shop.url.replace("postgres@", &format!("{role}@")), Relation::Query(slow.to_owned()));
    assert_eq!(read(&slow, &Filter::default()).await.expect("a row"), [row(1, 1, "x")]);
    shop.run(&format!("revoke all on v from {role}; drop role {role}")).await;
}

#[tokio::test]
async fn inspecting_the_source_counts_its_rows_and_reads_some() {
    let mut shop = Shop::new(VALUES).await;
    let inspect = async |shop: &Shop, relation| {
        shop.source(relation).inspect(&AttributeNames::default()).await.expect("a shape")
    };
    let shape = inspect(&shop, table("v")).await;
    assert_eq!((shape.rows, shape.standby, shape.row_security), (RowCount::Exactly(0), false, None));
    let expect = [("customer_id", "bigint"), ("attribute_id", "bigint"), ("value", "text")];
    assert_eq!(shape.columns, expect.map(|(name, kind)| (name.to_owned(), kind.to_owned())));

    shop.run("insert into v select i, 1, 'Ann' from generate_series(1, 12000) as i order by i desc").await;
    let shape = inspect(&shop, table("v")).await;
    let sample = shape.sample.expect("rows");
    assert_eq!((shape.rows, sample.len()), (RowCount::MoreThan(10_000), 1_000));
    assert!((1..1_000).all(|at| sample.row(at - 1).customer_id < sample.row(at).customer_id));

    let cast = "select customer_id, attribute_id, value::int as value from v where customer_id < 5";
    let shape = inspect(&shop, Relation::Query(cast.to_owned())).await;
    assert_eq!(shape.rows, RowCount::Exactly(4));
    let sample = format!("{:?}", shape.sample.expect("rows"));
    assert_eq!(sample.matches("invalid input syntax").count(), 4, "{sample}");
    assert!(!sample.contains("Ann"), "{sample}");
}
