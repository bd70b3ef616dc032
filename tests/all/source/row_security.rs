//! Row security that applies to the reader is reported, because it can hide rows.

use attrsync::config::Relation;
use attrsync::record::{AttributeNames, Filter};
use attrsync::source::Source;

use super::{Shop, VALUES, source_at, table};

/// The rows that are read as this role, and the table whose row security applies.
async fn read(shop: &Shop, role: &str, relation: Relation) -> (usize, Option<String>) {
    let source = source_at(&shop.url.replace("postgres@", &format!("{role}@")), relation);
    let mut pages = source.read(&Filter::default(), &AttributeNames::default()).await.expect("a read");
    let mut rows = 0;
    while let Some(page) = pages.next().await.expect("a page") {
        rows += page.len();
    }
    (rows, pages.row_security())
}

#[tokio::test]
async fn row_security_that_hides_rows_is_reported() {
    let (reader, author) =
        (format!("rls_reader_{}", std::process::id()), format!("rls_author_{}", std::process::id()));
    let mut shop = Shop::new(&format!(
        "{VALUES} insert into v values (1, 1, 'a'), (2, 1, 'b'), (3, 1, 'c'); \
         create role {reader} login; create role {author}; \
         grant select on v to {reader}, {author}; grant create on schema public to {author}; \
         set role {author}; create view w as select * from v; grant select on w to {reader}; reset role; \
         create view mine as select * from v; grant select on mine to {reader}"
    ))
    .await;
    let query = Relation::Query("with all_of as (select * from v) select * from all_of".to_owned());
    for relation in [table("v"), table("w"), table("mine"), query.clone()] {
        assert_eq!(read(&shop, &reader, relation).await, (3, None));
    }
    shop.run("alter table v enable row level security").await;
    let hidden = (0, Some("v".to_owned()));
    assert_eq!(read(&shop, &reader, table("v")).await, hidden);
    assert_eq!(read(&shop, &reader, query).await, hidden);
    assert_eq!(read(&shop, &reader, table("w")).await, hidden, "a view reads as its owner does");
    assert_eq!(read(&shop, &reader, table("mine")).await, (3, None), "this view's owner sees all rows");
    assert_eq!(read(&shop, "postgres", table("v")).await, (3, None), "a superuser sees all rows");
    shop.run(&format!("create policy first_two on v to {reader} using (customer_id < 3)")).await;
    assert_eq!(read(&shop, &reader, table("v")).await, (2, Some("v".to_owned())));
    shop.run(&format!("drop view w; drop owned by {reader}, {author}; drop role {reader}, {author}")).await;
}
