//! The migrations as they lie in their folders.

use std::fs;
use std::path::Path;

/// The migrations of a dialect with their numbers, in that order.
pub(crate) fn of(dialect: &str) -> Vec<(i64, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(dialect);
    let paths = fs::read_dir(folder).expect("migrations").map(|entry| entry.expect("an entry").path());
    let mut migrations: Vec<_> = paths
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            let number =
                name.strip_prefix('V').and_then(|rest| rest.split_once("__")).expect("V1__name.sql").0;
            (number.parse().expect("a number"), fs::read_to_string(&path).expect("readable"))
        })
        .collect();
    migrations.sort();
    migrations
}
