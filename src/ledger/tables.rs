//! What a ledger's migrations make.

use refinery_core::Migration;

/// Returns the names of all tables that these migrations make.
pub(super) fn names(migrations: &[Migration]) -> Vec<String> {
    let lines = migrations.iter().filter_map(Migration::sql).flat_map(str::lines);
    let names = lines.filter_map(|line| line.strip_prefix("create table ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

/// Returns what the record of the migrations has of each: version, name and checksum.
pub(super) fn recorded(migrations: &[Migration]) -> Vec<(i64, String, String)> {
    let record = |migration: &Migration| {
        (i64::from(migration.version()), migration.name().to_owned(), migration.checksum().to_string())
    };
    migrations.iter().map(record).collect()
}
