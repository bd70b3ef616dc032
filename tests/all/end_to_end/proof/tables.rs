//! `check` and `check --ledger` find what was done to the tables of a ledger, and say what ends it.

use super::{edit, flaws};
use crate::end_to_end::world::{LedgerKind, World};

/// Runs `check` and `check --ledger`, which must fail and say these words.
#[track_caller]
fn fails(world: &World, words: &[&str]) {
    for arguments in [&["check"][..], &["check", "--ledger"]] {
        world.run(arguments).exits(1).tells(words);
    }
}

#[test]
fn what_was_done_to_the_tables_of_a_postgres_ledger_is_found() {
    let world = World::with_customers(LedgerKind::Postgres, 3);
    world.sync().exits(0);
    world.run(&["check"]).exits(0);
    let trigger = "create function f() returns trigger language plpgsql as 'begin return null; end';
        create trigger t before insert on requests for each row execute function f()";
    for (sql, words, undo) in [
        (trigger, "trigger t of requests was not made by attrsync", "drop trigger t on attrsync.requests"),
        (
            "alter table runs add column mine text not null default 'x'",
            "column runs.mine was not made by attrsync",
            "alter table attrsync.runs drop column mine",
        ),
        (
            "alter table runs rename column orphans to lost",
            "the column runs.orphans is missing",
            "alter table attrsync.runs rename column lost to orphans",
        ),
        (
            "alter table runs alter column planned drop default",
            "runs.planned is bigint not null, expected bigint not null default 0",
            "alter table attrsync.runs alter column planned set default 0",
        ),
        (
            "alter table entries add constraint mine check (customer_id < 99)",
            "constraint mine of entries",
            "alter table attrsync.entries drop constraint mine",
        ),
        (
            "create unique index mine on requests (run_id)",
            "unique index mine of requests",
            "drop index attrsync.mine",
        ),
        (
            "update refinery_schema_history set checksum = checksum || '1'",
            "the record of the migrations was altered",
            "update attrsync.refinery_schema_history set checksum = left(checksum, -1)",
        ),
    ] {
        edit(&world, LedgerKind::Postgres, sql);
        fails(&world, &[words]);
        edit(&world, LedgerKind::Postgres, undo);
        world.run(&["check"]).exits(0);
        assert_eq!(flaws(&world), [""; 0], "{undo}");
    }
    // A crash would empty it, but a sync works.
    edit(&world, LedgerKind::Postgres, "alter table waits set unlogged");
    world.run(&["check"]).exits(0).tells(&["unlogged", "alter table attrsync.waits set logged"]);
    world.run(&["check", "--ledger"]).exits(1).tells(&["unlogged", "alter table attrsync.waits set logged"]);
}

#[test]
fn row_security_that_applies_to_the_user_is_found() {
    let world = World::with_customers(LedgerKind::Postgres, 3);
    world.sync().exits(0);
    let name = format!("clerk_{}", world.ledger_url.rsplit('/').next().expect("a database"));
    edit(
        &world,
        LedgerKind::Postgres,
        &format!(
            "create role {name} login; grant usage on schema attrsync to {name};
            grant select, insert, update, delete on all tables in schema attrsync to {name};
            alter table runs enable row level security"
        ),
    );
    // A superuser is above it.
    world.run(&["check"]).exits(0);
    let url = world.ledger_url.replace("postgres@", &format!("{name}@"));
    world.write_config(&world.config("").replace(&world.ledger_url, &url));
    fails(&world, &["row security of runs", "alter table attrsync.runs disable row level security"]);
    edit(&world, LedgerKind::Postgres, "alter table runs disable row level security");
    world.run(&["check"]).exits(0);
}

#[test]
fn what_was_done_to_the_tables_of_a_file_is_found() {
    let world = World::with_customers(LedgerKind::File, 3);
    world.sync().exits(0);
    world.run(&["check"]).exits(0);
    for (sql, words, undo) in [
        (
            "create trigger t before insert on requests begin select raise(abort, 'no'); end",
            "trigger t of requests was not made by attrsync: run `drop trigger t`",
            "drop trigger t",
        ),
        (
            "create unique index mine on requests (run_id)",
            "index mine of requests was not made by attrsync",
            "drop index mine",
        ),
        (
            "alter table runs rename column orphans to lost",
            "the column runs.orphans is missing",
            "alter table runs rename column lost to orphans",
        ),
        (
            "update refinery_schema_history set checksum = checksum || '1'",
            "the record of the migrations was altered",
            "update refinery_schema_history set checksum = substr(checksum, 1, length(checksum) - 1)",
        ),
    ] {
        edit(&world, LedgerKind::File, sql);
        fails(&world, &[words]);
        edit(&world, LedgerKind::File, undo);
        assert_eq!(flaws(&world), [""; 0], "{undo}");
    }
    edit(&world, LedgerKind::File, "alter table runs add column mine text");
    fails(&world, &["column runs.mine was not made by attrsync: run `alter table runs drop column mine`"]);
}
