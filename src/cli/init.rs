//! `attrsync init`: an annotated sync.toml, and the DDL of the source table.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use crate::config::ANNOTATED;

/// The table that the shipped configuration reads.
pub(super) const DDL: &str = "\
create table customer_attribute_values (
    customer_id  bigint not null,
    attribute_id bigint not null,
    value        text,
    primary key (customer_id, attribute_id)
);
";

/// What `--help` adds.
const EXAMPLES: &str = "\
Example:
  attrsync init | psql \"$DATABASE_URL\"   write sync.toml and make the table";

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Overwrite an existing configuration
    #[arg(long)]
    force: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let path = &context.config;
    write(path, args.force).map_err(|error| {
        let failure = Failure::new(format!("could not write {}: {error}", path.display()));
        match error.kind() {
            ErrorKind::AlreadyExists => Failure::new(format!("{} exists already", path.display()))
                .hint("keep it, or overwrite it with --force"),
            ErrorKind::NotFound => failure.hint("make its folder first"),
            _ => failure,
        }
    })?;
    context.console.out(DDL)?;
    context.console.note(&format!(
        "\nwrote {}. Next steps:\n  \
         1. make the table above in your database, or name one of yours in [source]\n  \
         2. set DATABASE_URL, BIGCOMMERCE_STORE_HASH and BIGCOMMERCE_ACCESS_TOKEN in the environment\n  \
         3. attrsync check   verifies all of it\n  \
         4. attrsync plan    shows what a sync would do\n  \
         5. attrsync sync    does it",
        path.display()
    ));
    Ok(Exit::Done)
}

/// Writes the configuration. All users may read the file, because it has the names of secrets and no secret.
fn write(path: &Path, force: bool) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o644);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(path)?;
    file.write_all(ANNOTATED.as_bytes())?;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_not_overwritten_unasked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sync.toml");
        write(&path, false).expect("the first is written");
        let error = write(&path, false).expect_err("the second is refused");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        write(&path, true).expect("asked for");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), ANNOTATED);
    }
}
