//! The steps of the demo. Each step shows a command as a person would type it, and runs it.

use std::ffi::OsString;

use futures_util::future::LocalBoxFuture;

use super::environment::{CUSTOMERS, Environment};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::view::console::Console;

/// Runs a command line of this program.
pub(super) type Perform<'a> = dyn Fn(Vec<OsString>) -> LocalBoxFuture<'a, Result<Exit, Failure>> + 'a;

/// A step: an edit of the table, an explanation, and a command.
pub(super) struct Step {
    edit: Option<&'static str>,
    text: &'static str,
    pub(super) command: &'static [&'static str],
}

/// Changes the tier of one customer in a hundred.
const ONE_PERCENT: &str = "update customer_attribute_values set value = 'platinum' \
    where attribute_id = 1 and customer_id % 100 = 0";

/// A value that the store rejects, and one that it accepts, in the same call.
const ONE_BAD: &str = "update customer_attribute_values set value = 'gold !reject' \
    where attribute_id = 1 and customer_id = 12; \
    update customer_attribute_values set value = 'gold' where attribute_id = 1 and customer_id = 13";

/// A job that goes wrong empties the tier of every customer.
const ALL_EMPTY: &str = "create table tiers as select * from customer_attribute_values where attribute_id = 1; \
    update customer_attribute_values set value = '' where attribute_id = 1";

const CORRECTED: &str = "update customer_attribute_values v set value = t.value from tiers t \
    where v.customer_id = t.customer_id and v.attribute_id = 1; drop table tiers";

pub(super) const STEPS: &[Step] = &[
    Step { edit: None, text: "What would a sync do?", command: &["plan"] },
    Step { edit: None, text: "Do it: ten customers a call, three calls at a time.", command: &["sync"] },
    Step { edit: None, text: "Again: nothing has changed, so nothing is sent.", command: &["sync"] },
    Step {
        edit: Some(ONE_PERCENT),
        text: "One customer in a hundred is promoted to platinum. Only they are sent.",
        command: &["sync"],
    },
    Step {
        edit: Some(ONE_BAD),
        text: "Customer 12 gets a value that the store rejects, customer 13 a good one. Only the bad one is rejected.",
        command: &["sync"],
    },
    Step { edit: None, text: "Why does customer 12 not have the value?", command: &["explain", "12", "1"] },
    Step {
        edit: Some(ALL_EMPTY),
        text: "A bad night: a job empties every tier. A guard stops the run before it sends anything.",
        command: &["sync"],
    },
    Step {
        edit: Some(CORRECTED),
        text: "The table is corrected. There is nothing to repair in the store.",
        command: &["sync"],
    },
    Step {
        edit: None,
        text: "Platinum was promised too early. Take run 3 back: the store gets the values from before it.",
        command: &["undo", "3", "--apply"],
    },
    Step {
        edit: None,
        text: "The table still says platinum. Syncs ignore that until it changes.",
        command: &["sync"],
    },
    Step {
        edit: None,
        text: "The ledger is a database. What did each run do?",
        command: &[
            "sql",
            "select id as run, status, planned, confirmed, rejected, unchanged, requests from runs order by id",
        ],
    },
    Step {
        edit: None,
        text: "How many values does the ledger believe to be confirmed?",
        command: &[
            "sql",
            "select attribute_id, belief, count(*) as n from entries group by 1, 2 order by 1, 2",
        ],
    },
    Step {
        edit: None,
        text: "What happened to customer 100's tier?",
        command: &[
            "sql",
            "select run_id, action, previous_value, value, outcome from outcomes where customer_id = 100 and \
             attribute_id = 1 order by run_id",
        ],
    },
];

/// Runs all steps.
pub(super) async fn run(
    console: &Console,
    environment: &Environment,
    perform: &Perform<'_>,
) -> Result<(), Failure> {
    console.out(&format!(
        "A store with {CUSTOMERS} customers (simulated) and a Postgres table with three values for each of them.\n\
         All of it is in {}.\n",
        environment.folder().display()
    ))?;
    let config = environment.folder().join("sync.toml");
    for (index, step) in STEPS.iter().enumerate() {
        if let Some(sql) = step.edit {
            environment.edit(sql).await?;
        }
        console.out(&format!(
            "\n{}\n{}\n",
            console.paint().strong(&format!("{}. {}", index + 1, step.text)),
            typed(step.command)
        ))?;
        let mut arguments: Vec<OsString> = vec!["attrsync".into(), "--config".into(), config.clone().into()];
        arguments.extend(step.command.iter().map(OsString::from));
        perform(arguments).await?;
    }
    let (folder, attrsync) = (environment.folder().display(), program());
    console.out(&format!(
        "\nThat was all. {folder} has sync.toml and the ledger; its database and simulator are stopped now.\n\
         To start both again\n  \
         {attrsync} demo --serve --dir {folder}\n\
         and in another terminal\n  \
         cd {folder} && {attrsync} check\n\
         For your own store: {attrsync} init\n"
    ))?;
    Ok(())
}

/// Tells how to use the servers while they are up.
pub(super) fn show_access(console: &Console, environment: &Environment) -> Result<(), Failure> {
    let (folder, attrsync) = (environment.folder().display(), program());
    console.out(&format!(
        "The demo's database and simulator are up until Ctrl-C. In another terminal:\n  \
         cd {folder} && {attrsync} check\n\
         The database is [source] url in {folder}/sync.toml; psql takes it as it is.\n"
    ))?;
    Ok(())
}

/// Returns the path of this program. Its bare name may not be in the search path.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "attrsync".to_owned(), |path| path.display().to_string())
}

/// Returns the command as a person would type it.
fn typed(command: &[&str]) -> String {
    let words: Vec<String> = command
        .iter()
        .map(|word| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() })
        .collect();
    format!("$ attrsync {}", words.join(" "))
}
