//! `attrsync completions` and `attrsync man`: files for shells and packagers.

use clap_complete::Shell;

use super::context::Context;
use super::exit::{self, Exit};
use super::failure::Failure;

/// What `--help` of `completions` adds.
const COMPLETIONS: &str = "\
Examples:
  cd ~/.local/share/bash-completion/completions
  attrsync completions bash > attrsync

  mkdir -p ~/.zfunc
  attrsync completions zsh > ~/.zfunc/_attrsync
                     with fpath+=~/.zfunc before compinit in ~/.zshrc

  mkdir -p ~/.config/fish/completions
  attrsync completions fish > ~/.config/fish/completions/attrsync.fish";

/// What `--help` of `man` adds.
pub(super) const MAN: &str = "\
Examples:
  attrsync man | man -l -

  mkdir -p ~/.local/share/man/man1
  attrsync man > ~/.local/share/man/man1/attrsync.1";

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(
    context: &Context,
    args: &CompletionsArgs,
    mut program: clap::Command,
) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "attrsync", &mut script);
    context.console.out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

pub(super) fn man(context: &Context, program: &clap::Command) -> Result<Exit, Failure> {
    context.console.out(&page(program)?)?;
    Ok(Exit::Done)
}

/// The variables of the environment, for the manual page.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("DATABASE_URL", "the address of the source's database, as the sync.toml of `attrsync init` reads it"),
    ("BIGCOMMERCE_STORE_HASH", "the store's hash, likewise"),
    ("BIGCOMMERCE_ACCESS_TOKEN", "the API account's token, likewise"),
    ("ATTRSYNC_CONFIG", "the configuration file, if --config does not name one"),
    ("NO_COLOR", "if set, nothing is coloured"),
    ("HTTPS_PROXY, NO_PROXY", "the proxy to the store, and the hosts that are reached without it"),
    ("SSL_CERT_FILE", "the certificates that are trusted, instead of the system's"),
    ("ATTRSYNC_PG_BIN", "the folder of the programs of Postgres, for `attrsync demo`"),
];

/// The files, for the manual page.
const FILES: &[(&str, &str)] = &[
    ("sync.toml", "the configuration; every key is explained in the file that `attrsync init` writes"),
    ("ledger.db", "the ledger, beside the configuration unless [ledger] url names another place"),
    ("ledger.db-wal, ledger.db-shm, ledger.db.lock", "belong to the ledger: leave them where they are"),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("attrsync init | psql \"$DATABASE_URL\"", "write sync.toml and make the table"),
    ("attrsync check", "verify all that a sync needs, and list the attributes"),
    ("attrsync plan", "show what a sync would do"),
    ("attrsync sync -q --wait", "sync from cron: silent if all is well"),
    ("attrsync runs last", "show the newest run with all that did not land"),
    ("attrsync explain 5000", "show why customer 5000 has its values"),
    ("attrsync rejected --retry 5000", "requeue the rejected values of customer 5000"),
];

/// Returns one page for the program and all its commands, because separate pages would have to be installed.
pub(super) fn page(program: &clap::Command) -> std::io::Result<String> {
    let man = clap_mangen::Man::new(program.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in program.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let heading = command.get_name().to_uppercase();
        page.extend(format!(".SH {heading}\n{}\n", roff(&about)).bytes());
        let mut options = Vec::new();
        clap_mangen::Man::new(command.clone().disable_help_flag(true))
            .render_options_section(&mut options)?;
        // Without their headings, the options belong to the section of the command.
        let options = String::from_utf8_lossy(&options);
        let lines = options.lines().filter(|line| !line.starts_with(".SH "));
        page.extend(lines.flat_map(|line| [line, "\n"]).flat_map(str::bytes));
        if let Some(help) = command.get_after_help() {
            page.extend(format!(".PP\n.nf\n{}\n.fi\n", roff(&help.to_string())).bytes());
        }
    }
    let codes = exit::TABLE.lines().skip(1).filter_map(|line| line.trim().split_once("  "));
    page.extend(list("EXIT STATUS", codes).bytes());
    for (heading, items) in [("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES), ("EXAMPLES", EXAMPLES)] {
        page.extend(list(heading, items.iter().copied()).bytes());
    }
    man.render_version_section(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// A section of terms with their meanings.
fn list<'a>(heading: &str, items: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let item = |(term, meaning): (&str, &str)| format!(".TP\n\\fB{}\\fR\n{}\n", roff(term), roff(meaning));
    format!(".SH \"{heading}\"\n{}", items.map(item).collect::<String>())
}

/// Escapes a text for roff: a backslash, a hyphen that must stay one, and what would begin a request.
fn roff(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
