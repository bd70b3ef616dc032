//! A command of the program: its output once it has ended, and its process while it runs.

use std::process::{Child, ChildStdout, Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for a condition.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Exit code and output of a command.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    pub(super) fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The result of a command with `--json`.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// A count of the run's report.
    #[track_caller]
    pub(super) fn count(&self, name: &str) -> i64 {
        self.json()["counts"][name].as_i64().unwrap_or_else(|| panic!("no count {name}: {self:#?}"))
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(super) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that the counts balance.
    #[track_caller]
    pub(super) fn balances(self) -> Self {
        let outcomes: i64 =
            ["confirmed", "rejected", "unknown", "deferred"].iter().map(|name| self.count(name)).sum();
        assert_eq!(self.count("planned"), outcomes, "{self:#?}");
        self
    }

    /// Asserts that the output has all of these words.
    #[track_caller]
    pub(super) fn tells(self, words: &[&str]) -> Self {
        let all = format!("{}{}", self.out, self.err);
        for word in words {
            assert!(all.contains(word), "{word:?} is not in {self:#?}");
        }
        self
    }
}

/// The running program. Dropping it kills the program.
pub(super) struct Running(Option<Child>);

impl Running {
    /// Starts a program in the background.
    pub(super) fn start(command: &mut Command) -> Self {
        Self(Some(command.spawn().expect("the program starts")))
    }

    /// Sends a signal by its name: `TERM`, `INT`, `KILL`.
    pub(super) fn signal(&self, name: &str) {
        let id = self.0.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill can be run");
        assert!(status.success(), "kill -{name} {id}");
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.0.as_mut().expect("it was started").try_wait().expect("it can be asked").is_some()
    }

    /// Its stdout, which is then no part of what it said.
    pub(super) fn take_stdout(&mut self) -> ChildStdout {
        self.0.as_mut().expect("it runs").stdout.take().expect("a pipe")
    }

    /// Waits for its end.
    pub(super) fn end(mut self) -> Said {
        Said::from(self.0.take().expect("it runs").wait_with_output().expect("it ends"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until the condition is true, and fails if it takes too long.
#[track_caller]
pub(super) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < WAIT_MAX, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
