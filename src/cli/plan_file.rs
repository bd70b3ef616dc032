//! The file of `attrsync plan --output`: every change of a plan, as CSV or as JSON lines.
//!
//! It is written beside its place and renamed at the end, so that a plan that fails leaves no half file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::failure::Failure;
use super::view::console::Console;
use crate::engine::PlanOutput;
use crate::file_kind::other_than_file;
use crate::record::{Action, Change};

/// How the changes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    JsonLines,
}

/// How many bytes are moved at a time.
const COPIED: usize = 64 * 1024;

const HEAD: &str = "customer_id,attribute_id,action,value,previous_value\r\n";

/// A plan that is being written.
#[derive(Debug)]
pub(super) struct PlanFile {
    /// Where it will be; `None` for stdout.
    path: Option<PathBuf>,
    form: Form,
    /// Where it is written. Removed unless it was renamed.
    part: PathBuf,
    file: Mutex<Written>,
}

/// What is written so far.
#[derive(Debug)]
struct Written {
    file: BufWriter<File>,
    length: u64,
    /// Where the deletes are. Neighbours are one range.
    deletes: Vec<Range<u64>>,
}

impl Written {
    fn add(&mut self, line: &str, is_delete: bool) -> io::Result<()> {
        self.file.write_all(line.as_bytes())?;
        let start = self.length;
        self.length += line.len() as u64;
        match self.deletes.last_mut() {
            Some(last) if is_delete && last.end == start => last.end = self.length,
            _ if is_delete => self.deletes.push(start..self.length),
            _ => {}
        }
        Ok(())
    }

    /// Shortens the file to what was kept of it.
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.get_mut().set_len(length)?;
        self.file.get_mut().seek(SeekFrom::Start(length))?;
        self.length = length;
        self.deletes.clear();
        Ok(())
    }

    /// Moves what follows a delete forward.
    fn remove_deletes(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_ref();
        let starts = self.deletes.iter().map(|delete| delete.end);
        let ends = self.deletes.iter().skip(1).map(|delete| delete.start).chain([self.length]);
        let mut length = self.deletes.first().map_or(self.length, |delete| delete.start);
        let mut buffer = vec![0; COPIED];
        for (mut from, end) in starts.zip(ends) {
            while from < end {
                let count = usize::try_from(end - from).map_or(COPIED, |rest| rest.min(COPIED));
                file.read_exact_at(&mut buffer[..count], from)?;
                file.write_all_at(&buffer[..count], length)?;
                from += count as u64;
                length += count as u64;
            }
        }
        self.cut(length)
    }
}

impl PlanFile {
    /// Makes the file in which a plan is written until it is complete. `-` is stdout.
    ///
    /// # Errors
    /// The path cannot be used.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let (path, form, part) = match path.to_str() {
            Some("-") => (None, Form::JsonLines, std::env::temp_dir().join("attrsync-plan")),
            _ => (Some(path.to_owned()), form_of(path)?, path.to_owned()),
        };
        let mut name = part.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", process::id()));
        let part = part.with_file_name(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        if path.is_none() {
            // It holds values of customers, in a folder of all users.
            options.mode(0o600).truncate(false).create_new(true);
        }
        let file = options.open(&part).map_err(|error| {
            Failure::new(format!("the plan cannot be written to {}: {error}", part.display()))
        })?;
        let written = Written { file: BufWriter::new(file), length: 0, deletes: Vec::new() };
        let file = Self { path, form, part, file: Mutex::new(written) };
        file.begin_anew()?;
        Ok(file)
    }

    /// Whether it goes to stdout, which has nothing else then.
    pub(super) const fn is_stdout(&self) -> bool {
        self.path.is_none()
    }

    /// Puts the complete plan in its place.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn complete(self, console: &Console) -> Result<(), Failure> {
        let placed = self.place(console);
        placed.map_err(|error| Failure::new(format!("the plan could not be written: {error}")))
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, console: &Console) -> io::Result<()> {
        let mut written = self.written();
        written.file.flush()?;
        if let Some(path) = &self.path {
            written.file.get_ref().sync_all()?;
            return fs::rename(&self.part, path);
        }
        let mut lines = BufReader::new(File::open(&self.part)?);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            if !console.stream(&line)? {
                break;
            }
            line.clear();
        }
        Ok(())
    }
}

impl Drop for PlanFile {
    fn drop(&mut self) {
        // After a rename it is not there.
        let _ = fs::remove_file(&self.part);
    }
}

impl PlanOutput for PlanFile {
    fn take(&self, changes: &[Change]) -> io::Result<()> {
        let mut written = self.written();
        for change in changes {
            written.add(&line(self.form, change), change.action == Action::Delete)?;
        }
        Ok(())
    }

    fn begin_anew(&self) -> io::Result<()> {
        let mut written = self.written();
        written.file.flush()?;
        written.cut(0)?;
        if self.form == Form::Csv { written.add(HEAD, false) } else { Ok(()) }
    }

    fn remove_deletes(&self) -> io::Result<()> {
        self.written().remove_deletes()
    }
}

/// The form that a path asks for by its extension.
fn form_of(path: &Path) -> Result<Form, Failure> {
    if let Some(kind) = fs::metadata(path).ok().and_then(|found| other_than_file(found.file_type())) {
        let problem = format!("--output {} is {kind}, not a file", path.display());
        return Err(Failure::usage(problem).hint("`--output -` writes to stdout"));
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok(Form::Csv),
        Some("jsonl" | "ndjson") => Ok(Form::JsonLines),
        _ => {
            let problem = format!("--output {} has no known extension", path.display());
            Err(Failure::usage(problem).hint("end it with .csv, or with .jsonl for JSON lines"))
        }
    }
}

fn line(form: Form, change: &Change) -> String {
    let Change { key, action, value, previous_value, .. } = change;
    match form {
        Form::Csv => {
            // Without quotes there is no value; in quotes it may be empty.
            let cell = |value: &Option<String>| {
                value.as_ref().map_or(String::new(), |value| format!("\"{}\"", value.replace('"', "\"\"")))
            };
            let (value, previous) = (cell(value), cell(previous_value));
            format!("{},{},{action},{value},{previous}\r\n", key.customer_id, key.attribute_id)
        }
        Form::JsonLines => {
            let object = json!({
                "customer_id": key.customer_id,
                "attribute_id": key.attribute_id,
                "action": action,
                "value": value,
                "previous_value": previous_value,
            });
            format!("{object}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Action, Key};

    fn change(customer: i64, action: Action, value: Option<&str>, previous: Option<&str>) -> Change {
        Change {
            key: Key::new(customer, 1),
            action,
            value: value.map(str::to_owned),
            previous_value: previous.map(str::to_owned),
            previous_in_doubt: false,
            source_value: None,
            value_id: None,
            in_doubt_until: None,
        }
    }

    #[test]
    fn an_empty_value_differs_from_none() {
        let update = change(1, Action::Update, Some("say \"x\",\n"), Some(""));
        assert_eq!(line(Form::Csv, &update), "1,1,update,\"say \"\"x\"\",\n\",\"\"\r\n");
        let delete = change(2, Action::Delete, None, Some("a"));
        assert_eq!(line(Form::Csv, &delete), "2,1,delete,,\"a\"\r\n");
        let json: serde_json::Value = serde_json::from_str(&line(Form::JsonLines, &delete)).expect("JSON");
        assert_eq!((&json["value"], &json["previous_value"]), (&json!(null), &json!("a")));
    }

    #[test]
    fn a_source_that_is_read_again_leaves_no_change_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.csv");
        let file = PlanFile::create(&path).expect("a file");
        let long = "x".repeat(255);
        let first: Vec<Change> = (1..=100).map(|id| change(id, Action::Create, Some(&long), None)).collect();
        file.take(&first).expect("takes");
        file.begin_anew().expect("begins anew");
        file.take(&[change(7, Action::Create, Some("a"), None)]).expect("takes");
        assert!(!path.exists(), "it is written beside its place");
        file.written().file.flush().expect("writes");
        let part = file.part.clone();
        assert_eq!(fs::read_to_string(&part).expect("a file"), format!("{HEAD}7,1,create,\"a\",\r\n"));
        drop(file);
        assert!(!part.exists() && !path.exists(), "a plan that fails leaves nothing");
    }

    #[test]
    fn deletes_that_are_taken_back_leave_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = "x".repeat(50_000);
        let create = |id| change(id, Action::Create, Some(&long), None);
        let delete = |id| change(id, Action::Delete, None, Some("a\r\n2,1,delete"));
        for deletes in [vec![], vec![1], vec![9], vec![1, 2, 5, 8, 9], (1..=9).collect()] {
            let is_delete = |id: &i64| deletes.contains(id);
            let path = folder.path().join("plan.csv");
            let file = PlanFile::create(&path).expect("a file");
            let changes: Vec<_> =
                (1..=9).map(|id| if is_delete(&id) { delete(id) } else { create(id) }).collect();
            file.take(&changes[..4]).expect("takes");
            file.take(&changes[4..]).expect("takes");
            file.remove_deletes().expect("removes");
            file.take(&[create(10)]).expect("takes");
            file.written().file.flush().expect("writes");
            let kept = (1..=10).filter(|id| !is_delete(id)).map(|id| line(Form::Csv, &create(id)));
            let expected: String = [HEAD.to_owned()].into_iter().chain(kept).collect();
            assert!(fs::read_to_string(&file.part).expect("a file") == expected, "{deletes:?}");
        }
    }

    #[test]
    fn the_extension_says_how_a_plan_is_written() {
        let form = |name: &str| form_of(Path::new(name)).map_err(|failure| failure.whole());
        assert_eq!(form("/none/plan.csv"), Ok(Form::Csv));
        assert_eq!(form("/none/plan.jsonl"), Ok(Form::JsonLines));
        for name in ["/none/plan", "/none/plan.json", "/none/plan.txt", "/tmp"] {
            assert!(form(name).is_err(), "{name}");
        }
    }
}
