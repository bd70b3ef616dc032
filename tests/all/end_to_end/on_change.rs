//! The triggers of `attrsync init --trigger`, and what is heard of them.

use std::time::Duration;

use attrsync::config::{Relation, Secret, SourceConfig};
use attrsync::record::Notified;
use attrsync::source::Heard;
use attrsync::source::postgres::PostgresSource;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::world::{LedgerKind, World};

/// Listens on the channel of the triggers.
struct Ear {
    runtime: Runtime,
    heard: mpsc::Receiver<Heard>,
}

impl Ear {
    fn on(world: &World) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let config = SourceConfig {
            give_up_after: Duration::ZERO,
            ..SourceConfig::new(
                Secret::new(&*world.source_url),
                Relation::Table("customer_attribute_values".to_owned()),
            )
        };
        let source = PostgresSource::new(&config).expect("a source");
        let heard = runtime.block_on(async { source.listen("attrsync") });
        let mut ear = Self { runtime, heard };
        assert!(matches!(ear.next(), Heard::Connected { missed_some: false }));
        ear
    }

    fn next(&mut self) -> Heard {
        let Self { runtime, heard } = self;
        let next = async { tokio::time::timeout(Duration::from_secs(60), heard.recv()).await };
        runtime.block_on(next).expect("in time").expect("it listens")
    }

    /// What the statements notify, one after the other. Notifications arrive in the order of the commits.
    fn notified_by(&mut self, world: &World, statements: &str) -> Vec<Notified> {
        world.execute(statements);
        world.execute("notify attrsync, '999999'");
        let mut notified = Vec::new();
        loop {
            match self.next() {
                Heard::Notified(last) if last == customers(&[999_999]) => return notified,
                Heard::Notified(more) => notified.push(more),
                other => panic!("{other:?} after {notified:?}"),
            }
        }
    }
}

fn customers(ids: &[i64]) -> Notified {
    ids.iter().copied().collect()
}

/// Runs the printed SQL, twice, because it may be run again.
fn install(world: &World) {
    let said = world.run(&["init", "--trigger"]).exits(0);
    assert_eq!(said.err, "", "{said:#?}");
    world.execute(&said.out);
    world.execute(&said.out);
}

#[test]
fn each_statement_that_changes_values_notifies_once_of_its_customers() {
    let world = World::with_customers(LedgerKind::File, 0);
    install(&world);
    let mut ear = Ear::on(&world);
    let table = "customer_attribute_values";
    let everything = [Notified::Everything];
    for (statements, expect) in [
        (
            format!("insert into {table} values (1, 1, 'a'), (1, 2, 'b'), (2, 1, null)"),
            &[customers(&[1, 2])][..],
        ),
        (format!("update {table} set value = 'a' where customer_id = 1 and attribute_id = 1"), &[]),
        (format!("update {table} set value = upper(value)"), &[customers(&[1])]),
        (format!("update {table} set customer_id = 3 where customer_id = 2"), &[customers(&[2, 3])]),
        (format!("delete from {table} where customer_id = 3"), &[customers(&[3])]),
        (format!("delete from {table} where customer_id = 3"), &[]),
        (format!("begin; delete from {table}; rollback"), &[]),
        // Postgres joins equal notifications of a transaction.
        (
            format!(
                "begin; insert into {table} values (7, 1, 'x'); insert into {table} values (7, 2, 'x'); commit"
            ),
            &[customers(&[7])],
        ),
        // Other customers than these are invalid, and do no harm.
        (format!("insert into {table} values (null, 1, 'x')"), &[]),
        (
            format!(
                "insert into {table} select 9223372036854770000 + n, 1, 'x' from generate_series(1, 900) n"
            ),
            &everything,
        ),
        (format!("truncate {table}"), &everything),
        (format!("insert into {table} select n, 1, 'x' from generate_series(1, 100000) n"), &everything),
        (format!("update {table} set value = 'y'"), &everything),
        (format!("delete from {table}"), &everything),
    ] {
        assert_eq!(ear.notified_by(&world, &statements), expect, "{statements}");
    }
}

/// A trigger that fails would fail the statements of the shop.
#[test]
fn the_triggers_compare_the_configured_columns_and_are_not_installed_without_them() {
    let world = World::new(LedgerKind::File);
    world.execute("create table crm (\"$attrsync$\" int, \"a\"\"b\" int, v json)");
    let config = world.config("").replace("customer_attribute_values", "crm");
    let columns = "customer_id = '$attrsync$'\nattribute = 'a\"b'\nvalue = 'v'";
    world.write_config(&format!("{config}[source.columns]\n{columns}\n"));
    install(&world);
    let mut ear = Ear::on(&world);
    for (statement, expect) in [
        ("insert into crm values (1, 1, '{}'), (2, 1, '{}')", &[customers(&[1, 2])][..]),
        ("update crm set v = '{}'", &[]),
        ("update crm set v = '{ }' where \"$attrsync$\" = 2", &[customers(&[2])]),
        ("update crm set \"a\"\"b\" = 3 where \"$attrsync$\" = 1", &[customers(&[1])]),
    ] {
        assert_eq!(ear.notified_by(&world, statement), expect, "{statement}");
    }

    world.write_config(&format!("{config}[source.columns]\nvalue = 'nothing'\n"));
    let sql = world.run(&["init", "--trigger"]).exits(0).out;
    world.execute(&format!(
        "do $do$ begin execute $sql${}$sql$; raise 'installed'; exception when undefined_column then null; end $do$",
        sql.replace("begin;\n", "").replace("commit;\n", "")
    ));
}

#[test]
fn an_upsert_notifies_of_what_it_changes_only() {
    let world = World::new(LedgerKind::File);
    world.execute("alter table customer_attribute_values add primary key (customer_id, attribute_id)");
    world.execute("insert into customer_attribute_values select n, 1, 'x' from generate_series(1, 500) n");
    install(&world);
    let mut ear = Ear::on(&world);
    let upsert = "insert into customer_attribute_values \
         select n, 1, case when n % 100 = 0 then 'y' else 'x' end from generate_series(1, 501) n \
         on conflict (customer_id, attribute_id) do update set value = excluded.value";
    let mut all = Notified::NOTHING;
    ear.notified_by(&world, upsert).into_iter().for_each(|notified| all.add(notified));
    assert_eq!(all, customers(&[100, 200, 300, 400, 500, 501]));
}

#[test]
fn the_triggers_are_removed_as_their_comment_says() {
    let world = World::new(LedgerKind::File);
    install(&world);
    let sql = world.run(&["init", "--trigger"]).exits(0).out;
    let removal: String = sql.lines().filter_map(|line| line.strip_prefix("--   ")).collect();
    world.execute(&removal);
    let left = "do $$ begin if exists (select from pg_trigger where tgname like 'attrsync%') \
         or exists (select from pg_proc where proname like 'attrsync%') then raise 'something is left'; end if; end $$";
    world.execute(left);
}

/// The triggers that the guide shows for the tables beneath a query.
#[test]
fn the_triggers_of_the_guide_notify() {
    let world = World::new(LedgerKind::File);
    world.execute("create table orders (id int, shop_customer int)");
    let mut ear = Ear::on(&world);
    let guide = include_str!("../../../docs/guides/on-change.md");
    let blocks: Vec<&str> =
        guide.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [of_everything, of_customers] = blocks[..] else { panic!("{blocks:?}") };
    world.execute(of_everything);
    let insert = "insert into orders values (1, 7), (2, 8), (3, 7)";
    assert_eq!(ear.notified_by(&world, insert), [Notified::Everything]);
    world.execute("drop trigger attrsync_changed on orders");
    world.execute(of_customers);
    assert_eq!(ear.notified_by(&world, insert), [customers(&[7, 8])]);
    assert_eq!(ear.notified_by(&world, "insert into orders select 1, 1 where false"), []);
}

#[test]
fn the_configured_channel_is_proved_and_used() {
    let world = World::new(LedgerKind::File);
    world.run(&["check"]).exits(0).tells(&["ok      source"]);
    world.write_config(&format!("{}[schedule]\nlisten = \"shop's\"\n", world.config("")));
    world.run(&["check"]).exits(0).tells(&["ok      listen", "notifications arrive; the channel is shop's"]);
    assert!(world.run(&["init", "--trigger"]).exits(0).out.contains("attrsync_notify('shop''s')"));
}

#[test]
fn promise_12_a_query_has_no_trigger() {
    let world = World::new(LedgerKind::File);
    let config = world.config("").replace("table = \"customer_attribute_values\"", "query = \"select 1\"");
    world.write_config(&config);
    world.run(&["init", "--trigger"]).exits(64).tells(&["belongs to a table", "docs/guides/on-change.md"]);
}
