//! `attrsync init`: an annotated sync.toml, and the DDL of the source table; or the triggers that notify of its changes.

mod ddl;
mod trigger;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::wiring;
use crate::config::{ANNOTATED, AuditConfig, OnChange, SourceConfig};

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
An existing configuration is kept. The DDL is printed in any case: that of its
table and columns, if it can be read.

Examples:
  attrsync init > table.sql              write sync.toml, and the DDL to a file
  attrsync init | psql \"$DATABASE_URL\"  write sync.toml and make the table
  attrsync init --trigger | psql \"$DATABASE_URL\"
                                         let the table notify attrsync";

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Overwrite an existing configuration
    #[arg(long)]
    force: bool,
    /// Write no configuration, and print the triggers that notify attrsync of changes of the configured table
    #[arg(long, conflicts_with = "force")]
    trigger: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    if args.trigger { triggers(context) } else { configuration(context, args.force) }
}

/// Prints the triggers of the configured table.
fn triggers(context: &Context) -> Result<Exit, Failure> {
    let AuditConfig { source, on_change, .. } = wiring::audit_config(&context.config)?;
    let source = source.map_err(Failure::usage)?;
    let channel = on_change.as_ref().map_or(OnChange::CHANNEL, |on_change| &on_change.channel);
    context.console.out(&trigger::sql(&source, channel)?)?;
    Ok(Exit::Done)
}

/// Prints the DDL and writes the configuration.
fn configuration(context: &Context, force: bool) -> Result<Exit, Failure> {
    let path = &context.config;
    let name = path.display();
    // The DDL comes first: a file or psql at the other end of a pipe gets it, also if the configuration cannot be written.
    let kept = kept_source(path).filter(|_| !force);
    context.console.out(kept.as_ref().and_then(ddl::sql).as_deref().unwrap_or(DDL))?;
    let done = match write(path, force) {
        Ok(()) => format!("wrote {name}"),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_file() => {
            format!("kept {name}, which exists already (--force overwrites it)")
        }
        Err(error) => {
            let failure = Failure::new(format!("could not write {name}: {error}"));
            return Err(match error.kind() {
                ErrorKind::NotFound => failure.hint("make its folder first"),
                ErrorKind::AlreadyExists => {
                    failure.hint("a folder has that name, or a link to a file that is not there: name another with --config")
                }
                _ => failure,
            });
        }
    };
    context.console.note(&format!("\n{done}. {NEXT_STEPS}"));
    Ok(Exit::Done)
}

/// The source of a configuration that is there already and can be read.
fn kept_source(path: &Path) -> Option<SourceConfig> {
    AuditConfig::load(path).ok()?.source.ok()
}

/// What a person does after `init`.
const NEXT_STEPS: &str = "Next steps:
  1. set DATABASE_URL, BIGCOMMERCE_STORE_HASH and BIGCOMMERCE_ACCESS_TOKEN in the environment
  2. make the printed table in your database, or name a table or query of yours in [source]
  3. attrsync check   verifies all of it, and lists the ids of the store's attributes
  4. insert rows with the store's ids: insert into customer_attribute_values values (12, 1, 'gold')
  5. attrsync plan    shows what a sync would do
  6. attrsync sync    does it";

/// Writes the configuration. All users may read the file, because it has the names of secrets and no secret. A failure
/// leaves nothing behind, and leaves the file that was to be overwritten as it was.
fn write(path: &Path, force: bool) -> std::io::Result<()> {
    let mut target = path.as_os_str().to_owned();
    if force {
        target.push(".new");
    }
    let mut options = OpenOptions::new();
    options.write(true).mode(0o644);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options.open(&target)?;
    let written = file
        .write_all(ANNOTATED.as_bytes())
        .and_then(|()| file.set_permissions(std::fs::Permissions::from_mode(0o644)))
        .and_then(|()| if force { std::fs::rename(&target, path) } else { Ok(()) });
    if written.is_err() {
        let _ = std::fs::remove_file(&target);
    }
    written
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
