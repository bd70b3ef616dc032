//! The names of a ledger's tables.

use refinery_core::Migration;

/// Returns the names of all tables that these migrations make.
pub(super) fn names(migrations: &[Migration]) -> Vec<String> {
    let lines = migrations.iter().filter_map(Migration::sql).flat_map(str::lines);
    let names = lines.filter_map(|line| line.strip_prefix("create table ")?.split(' ').next());
    names.map(str::to_owned).collect()
}
