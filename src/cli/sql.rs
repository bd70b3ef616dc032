//! `attrsync sql`: read-only SQL over the ledger.

use std::io;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::view::console::Console;
use super::view::table::Layout;
use super::{view, wiring};
use crate::ledger::audit::Value;

/// What `--help` adds.
const TABLES: &str = "\
Tables:
  stores              one row per store: address, hash, size of a request
  runs                one row per run, with its counts
  requests            every write call, with its outcome
  changes             the plan of every run, with the outcome of each change
  outcomes            a view: changes as their runs left them
  entries             what attrsync knows of each value in the store
  belief_edits        what changed beliefs without a request, as a requeue
  readings            how far readings of the store's values have come
  observed_values     what the pages of a whole reading have shown
  drift               drift that was reported and left as it is
  email_customers     the customers of e-mail addresses, by SHA-256
  attributes          the store's attributes when they were last listed
  pins                values that an undo has restored, which syncs keep
  rejected_customers  customers to check: a value of theirs was rejected
  missed_times        scheduled times without a run, and why
  waits               how long each run waited, by reason
  invalid_rows        rows of the source that cannot be sent

Examples:
  attrsync sql \"select id, status, confirmed from runs order by id desc limit 5\"
  attrsync sql --csv \"select * from entries where belief = 'rejected'\"";

/// Arguments of `sql`.
#[derive(Debug, clap::Args)]
#[command(after_help = TABLES)]
pub(super) struct Args {
    /// One statement that reads
    #[arg(allow_hyphen_values = true)]
    query: String,
    /// Print JSON: an array of objects
    #[arg(long, conflicts_with = "csv")]
    pub(super) json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let console = &context.console;
    let config = wiring::audit_config(&context.config)?;
    console.begin("opening the ledger");
    let audit = wiring::existing_audit(&config.ledger).await?;
    console.begin("running the query");
    let mut rows = audit.sql(&args.query).await?;
    if let Some(name) = repeated(rows.columns()).filter(|_| args.json) {
        let problem = format!("two columns of the result are named {name}, and a JSON object can have one");
        return Err(Failure::new(problem).hint(format!("rename one of them: select … as other_{name}")));
    }
    let mut printer = Printer::new(args, rows.columns());
    while let Some(page) = rows.next().await? {
        // A reader that has seen enough ends the query.
        if !print(console, args, &printer.page(&page))? {
            return Ok(Exit::Done);
        }
    }
    print(console, args, &printer.end())?;
    if printer.count == 0 && !args.json && !args.csv {
        console.note("no rows");
    }
    Ok(Exit::Done)
}

/// Returns a name that several columns have.
fn repeated(columns: &[String]) -> Option<&str> {
    let later = |at: usize, column| columns[at + 1..].contains(column);
    columns.iter().enumerate().find(|&(at, column)| later(at, column)).map(|(_, column)| column.as_str())
}

/// Prints a part of the result. Returns whether it is still read.
fn print(console: &Console, args: &Args, text: &str) -> io::Result<bool> {
    if args.json { console.stream_json(text) } else { console.stream(text) }
}

/// Writes rows as they come.
struct Printer {
    form: Form,
    columns: Vec<String>,
    /// How many rows were written.
    count: usize,
}

/// How rows are written.
enum Form {
    Json,
    Csv,
    /// The layout is that of the first page.
    Table(Option<Layout>),
}

impl Printer {
    fn new(args: &Args, columns: &[String]) -> Self {
        let form = match (args.json, args.csv) {
            (true, _) => Form::Json,
            (_, true) => Form::Csv,
            _ => Form::Table(None),
        };
        Self { form, columns: columns.to_vec(), count: 0 }
    }

    fn page(&mut self, rows: &[Vec<Value>]) -> String {
        let mut text = self.begin(rows);
        for row in rows {
            let texts = || view::table::texts(row);
            text += &match &self.form {
                Form::Json => {
                    let comma = if self.count == 0 { "" } else { "," };
                    format!("{comma}\n  {}", view::table::object(&self.columns, row))
                }
                Form::Csv => view::table::csv_row(row),
                Form::Table(layout) => layout.as_ref().map_or(String::new(), |layout| layout.line(&texts())),
            };
            self.count += 1;
        }
        text
    }

    /// What comes before the first row.
    fn begin(&mut self, first: &[Vec<Value>]) -> String {
        if self.count > 0 {
            return String::new();
        }
        match &mut self.form {
            Form::Json => "[".to_owned(),
            Form::Csv => view::table::csv_head(&self.columns),
            Form::Table(layout) => {
                let heads: Vec<&str> = self.columns.iter().map(String::as_str).collect();
                let rows: Vec<_> = first.iter().map(|row| view::table::texts(row)).collect();
                let made = Layout::of(&heads, &rows);
                let head = made.head(&heads);
                *layout = Some(made);
                head
            }
        }
    }

    /// What comes after the last row.
    fn end(&mut self) -> String {
        let begin = self.begin(&[]);
        match self.form {
            Form::Json => begin + if self.count == 0 { "]\n" } else { "\n]\n" },
            Form::Csv | Form::Table(_) => begin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(json: bool, csv: bool, pages: &[&[i64]]) -> String {
        let args = Args { query: String::new(), json, csv };
        let mut printer = Printer::new(&args, &["n".to_owned()]);
        let row = |number: &i64| vec![Value::Int(*number)];
        let mut text = String::new();
        for page in pages {
            text += &printer.page(&page.iter().map(row).collect::<Vec<_>>());
        }
        text + &printer.end()
    }

    #[test]
    fn pages_of_rows_are_one_result() {
        let json = printed(true, false, &[&[1, 2], &[3]]);
        assert_eq!(json, "[\n  {\"n\":1},\n  {\"n\":2},\n  {\"n\":3}\n]\n");
        assert_eq!(printed(false, true, &[&[1, 2], &[3]]), "n\n1\n2\n3\n");
        assert_eq!(printed(false, false, &[&[1, 20], &[300]]), " n\n--\n 1\n20\n300\n");
    }

    #[test]
    fn a_result_without_rows_is_complete_too() {
        assert_eq!(printed(true, false, &[]), "[]\n");
        assert_eq!(printed(false, true, &[]), "n\n");
        assert_eq!(printed(false, false, &[]), "n\n-\n");
    }
}
