//! The story of the demo, step by step. Each step is a command as a person would type it, run as if they had.

use std::ffi::OsString;

use super::environment::{CUSTOMERS, Workshop};
use crate::cli::failure::Failure;
use crate::cli::{dispatch, parse, view};

/// A step: what happens to the table first, what is told, and the command.
struct Step {
    edit: Option<&'static str>,
    told: &'static str,
    command: &'static [&'static str],
}

/// Changes the tier of one customer in a hundred.
const ONE_PERCENT: &str = "update customer_attribute_values set value = 'platinum' \
    where attribute_id = 1 and customer_id % 100 = 0";

/// One value that the store refuses, beside one that it takes, in the same call.
const ONE_BAD: &str = "update customer_attribute_values set value = 'gold !reject' \
    where attribute_id = 1 and customer_id = 12; \
    update customer_attribute_values set value = 'gold' where attribute_id = 1 and customer_id = 13";

const STEPS: &[Step] = &[
    Step { edit: None, told: "What would a sync do?", command: &["plan"] },
    Step { edit: None, told: "Do it: ten customers a call, three calls at a time.", command: &["sync"] },
    Step { edit: None, told: "Again: nothing has changed, so nothing is sent.", command: &["sync"] },
    Step {
        edit: Some(ONE_PERCENT),
        told: "One customer in a hundred is promoted to platinum. Only they are sent.",
        command: &["sync"],
    },
    Step {
        edit: Some(ONE_BAD),
        told: "Customer 12 gets a value that the store refuses, customer 13 a good one. The bad one is set aside, its neighbour lands.",
        command: &["sync"],
    },
    Step { edit: None, told: "Why does customer 12 not have the value?", command: &["explain", "12", "1"] },
    Step {
        edit: None,
        told: "The ledger is a database. What did each run do?",
        command: &[
            "sql",
            "select id as run, status, planned, confirmed, rejected, unchanged, requests from runs order by id",
        ],
    },
    Step {
        edit: None,
        told: "How many values are believed to be what?",
        command: &[
            "sql",
            "select attribute_id, belief, count(*) as n from entries group by 1, 2 order by 1, 2",
        ],
    },
    Step {
        edit: None,
        told: "Everything that ever happened to customer 100's tier?",
        command: &[
            "sql",
            "select run_id, action, previous_value, value, outcome from outcomes where customer_id = 100 and attribute_id = 1 order by run_id",
        ],
    },
];

/// Tells the story.
pub(super) async fn tell(workshop: &Workshop) -> Result<(), Failure> {
    view::out(&format!(
        "A store with {CUSTOMERS} customers (simulated) and a Postgres table with three values for each of them.\n\
         All of it is in {}.\n",
        workshop.folder().display()
    ))?;
    for (index, step) in STEPS.iter().enumerate() {
        if let Some(sql) = step.edit {
            workshop.edit(sql).await?;
        }
        view::out(&format!(
            "\n{}\n{}\n",
            view::paint().strong(&format!("{}. {}", index + 1, step.told)),
            typed(step.command)
        ))?;
        perform(workshop, step.command).await?;
    }
    let (folder, attrsync) = (workshop.folder().display(), program());
    view::out(&format!(
        "\nThat was it. {folder} has sync.toml and the ledger; its database and simulator are stopped now.\n\
         To go on, bring both up again\n  \
         {attrsync} demo --serve --dir {folder}\n\
         and in another terminal\n  \
         cd {folder} && {attrsync} check\n\
         For your own store: {attrsync} init\n"
    ))
}

/// What to do while the servers are up.
pub(super) fn invite(workshop: &Workshop) -> Result<(), Failure> {
    let (folder, attrsync) = (workshop.folder().display(), program());
    view::out(&format!(
        "The demo's database and simulator are up until Ctrl-C. In another terminal:\n  \
         cd {folder} && {attrsync} check\n\
         The database is [source] url in {folder}/sync.toml; psql takes it as it is.\n"
    ))
}

/// Runs a command as the program itself would.
async fn perform(workshop: &Workshop, command: &[&str]) -> Result<(), Failure> {
    let config = workshop.folder().join("sync.toml");
    let mut arguments: Vec<OsString> = vec!["attrsync".into(), "--config".into(), config.into()];
    arguments.extend(command.iter().map(OsString::from));
    let program = parse(arguments).map_err(Failure::usage)?;
    // A command may run the demo, which runs commands: the future needs a box.
    Box::pin(dispatch(&program.common, &program.command)).await?;
    Ok(())
}

/// How this program is called from any folder: it may have been built and not installed.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "attrsync".to_owned(), |path| path.display().to_string())
}

/// The command as a person would type it.
fn typed(command: &[&str]) -> String {
    let words: Vec<String> = command
        .iter()
        .map(|word| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() })
        .collect();
    format!("$ attrsync {}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_a_command() {
        for step in STEPS {
            let arguments = ["attrsync"].iter().chain(step.command).map(OsString::from);
            assert!(parse(arguments).is_ok(), "{}", typed(step.command));
        }
    }
}
