//! The built program as a person uses it: exit codes, stdout, stderr.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::migrations;

/// A folder to run the program in.
struct Place(TempDir);

/// The exit code and output of a command.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file");
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attrsync"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        for name in [
            "DATABASE_URL",
            "BIGCOMMERCE_STORE_HASH",
            "BIGCOMMERCE_ACCESS_TOKEN",
            "ATTRSYNC_CONFIG",
            "NO_COLOR",
        ] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let Output { status, stdout, stderr } = self.program(arguments).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Said { code: status.code(), out: text(stdout), err: text(stderr) }
    }
}

/// Nothing listens on port 1.
const CONFIG: &str = r#"
[source]
url = "postgres://reader:pg-secret@127.0.0.1:1/shop"
table = "customer_attribute_values"
[store]
hash = "abc123"
access_token = "store-secret"
api_url = "http://127.0.0.1:1"
[ledger]
url = "sqlite:ledger.db"
"#;

fn configured() -> Place {
    let place = Place::new();
    place.write("sync.toml", CONFIG);
    place
}

#[test]
fn help_goes_to_stdout_and_names_every_exit_code() {
    let said = Place::new().run(&["--help"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    for word in
        ["init", "check", "plan", "sync", "runs", "explain", "rejected", "sql", "sandbox", "demo", "64"]
    {
        assert!(said.out.contains(word), "{word} in {}", said.out);
    }
    assert_eq!(Place::new().run(&["--version"]).code, Some(0));
}

#[test]
fn wrong_usage_is_64() {
    for arguments in [&["frobnicate"][..], &["sync", "--customer", "x"], &["sql"], &[]] {
        let said = Place::new().run(arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(64), ""), "{arguments:?}");
        assert!(!said.err.is_empty());
    }
}

#[test]
fn a_guess_is_met_with_the_right_command() {
    let said = Place::new().run(&["sync", "--dry-run"]);
    assert_eq!(said.code, Some(64));
    assert!(said.err.contains("hint: `attrsync plan` is the dry run"), "{}", said.err);
}

#[test]
fn a_missing_configuration_is_64_with_a_hint() {
    let said = Place::new().run(&["sync"]);
    assert_eq!(said.code, Some(64));
    assert!(said.err.contains("sync.toml") && said.err.contains("attrsync init"), "{}", said.err);
}

#[test]
fn the_configuration_can_be_named_in_the_environment() {
    let place = configured();
    fs::rename(place.path().join("sync.toml"), place.path().join("other.toml")).expect("renames");
    let output = place.program(&["runs"]).env("ATTRSYNC_CONFIG", "other.toml").output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "there is no ledger yet");
    let other = configured();
    let empty = other.program(&["runs"]).env("ATTRSYNC_CONFIG", "").output().expect("it starts");
    assert_eq!(empty.status.code(), Some(1), "an empty variable is as good as none");
    let home = place.program(&["runs"]).env("ATTRSYNC_CONFIG", "~/other.toml").output().expect("it starts");
    assert_eq!(home.status.code(), Some(64));
    // The option counts more.
    let mut command = place.program(&["runs", "--config", "sync.toml"]);
    let output = command.env("ATTRSYNC_CONFIG", "other.toml").output().expect("it starts");
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn too_few_open_files_are_told_before_anything_fails() {
    let place = configured();
    for (limits, code, told) in [
        ("ulimit -n 7", Some(1), "may open only 7 files at once"),
        ("ulimit -n 20", Some(1), "`ulimit -n 256`"),
        // A soft limit is raised.
        ("ulimit -Sn 7", Some(1), "there is no ledger yet"),
    ] {
        let line = format!("{limits}; exec {} runs", env!("CARGO_BIN_EXE_attrsync"));
        let output =
            Command::new("sh").args(["-c", &line]).current_dir(place.path()).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), code, "{said}");
        assert!(said.contains(told), "{limits}: {said}");
    }
}

#[test]
fn all_problems_of_a_configuration_are_shown_at_once() {
    let place = Place::new();
    place.write("sync.toml", &CONFIG.replace("hash = ", "hsah = ").replace("table = ", "tabel = "));
    for command in ["plan", "sync", "runs"] {
        let said = place.run(&[command]);
        assert_eq!((said.code, said.out.as_str()), (Some(64), ""));
        assert!(said.err.contains("hsah") && said.err.contains("tabel"), "{}", said.err);
    }
    let said = place.run(&["check"]);
    assert_eq!(said.code, Some(64));
    assert!(said.out.contains("FAILED") && said.out.contains("hsah"), "{}", said.out);
}

#[test]
fn the_help_of_sql_names_every_table_and_view() {
    let help = Place::new().run(&["sql", "--help"]).out;
    let named: Vec<&str> =
        help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let mut found = 0;
    for (_, sql) in migrations::of("sqlite") {
        for definition in ["create table ", "create view "] {
            for rest in sql.split(definition).skip(1) {
                let name = rest.split([' ', '(', '\n']).next().expect("a name");
                assert!(named.contains(&name), "{name} in {help}");
                found += 1;
            }
        }
    }
    assert!(found >= 10, "the migrations were not understood");
}

#[test]
fn init_prints_the_ddl_in_any_case_and_does_not_overwrite_unasked() {
    let place = Place::new();
    let said = place.run(&["init"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let ddl = said.out;
    assert!(ddl.starts_with("create table customer_attribute_values"), "{ddl}");
    for words in ["wrote sync.toml", "insert rows", "lists the ids of the store's attributes"] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    let path = place.path().join("sync.toml");
    let mode = fs::metadata(&path).expect("sync.toml").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    // As in a clone of the repository, which has a sync.toml: `init > table.sql` must not make an empty file.
    place.write("sync.toml", "mine");
    let said = place.run(&["init"]);
    assert_eq!((said.code, &said.out), (Some(0), &ddl));
    assert!(said.err.contains("kept sync.toml") && said.err.contains("--force"), "{}", said.err);
    assert_eq!(fs::read_to_string(&path).expect("sync.toml"), "mine");

    assert_eq!(place.run(&["init", "--force"]).code, Some(0));
    assert_ne!(fs::read_to_string(&path).expect("sync.toml"), "mine");

    let said = place.run(&["init", "--config", "nowhere/sync.toml"]);
    assert_eq!((said.code, &said.out), (Some(1), &ddl));
    assert!(said.err.contains("make its folder first"), "{}", said.err);
    let files = fs::read_dir(place.path()).expect("the folder").count();
    assert_eq!(files, 1, "only sync.toml");

    fs::create_dir(place.path().join("folder")).expect("a folder");
    std::os::unix::fs::symlink("nowhere", place.path().join("link")).expect("a link");
    for name in ["folder", "link"] {
        let said = place.run(&["init", "--config", name]);
        assert_eq!((said.code, &said.out), (Some(1), &ddl), "{name} is no configuration that could be kept");
    }
}

#[test]
fn without_a_ledger_the_audit_says_so_and_makes_none() {
    let place = configured();
    for arguments in [&["runs"][..], &["rejected"], &["explain", "12"], &["sql", "select 1"]] {
        let said = place.run(arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(said.err.contains("no ledger yet") && said.err.contains("hint:"), "{}", said.err);
    }
    assert!(!place.path().join("ledger.db").exists());
}

#[test]
fn commands_that_read_the_ledger_need_no_secrets_of_the_environment() {
    let place = Place::new();
    assert_eq!(place.run(&["init"]).code, Some(0));
    for arguments in [&["runs"][..], &["rejected"], &["explain", "12"], &["sql", "select 1"]] {
        let said = place.run(arguments);
        assert_eq!(said.code, Some(1), "{arguments:?}: {}", said.err);
        assert!(said.err.contains("no ledger yet"), "{}", said.err);
    }
    assert_eq!(place.run(&["check", "--ledger"]).code, Some(0));
    for command in ["plan", "sync", "check"] {
        assert_eq!(place.run(&[command]).code, Some(64), "{command}");
    }
}

#[test]
fn a_check_goes_on_after_a_failure_and_shows_no_secret() {
    let place = configured();
    let said = place.run(&["-vvv", "check"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    for (name, mark) in [("configuration", "ok"), ("source", "FAILED"), ("ledger", "ok"), ("store", "FAILED")]
    {
        assert!(
            said.out.lines().any(|line| line.starts_with(mark) && line.contains(name)),
            "{name}: {}",
            said.out
        );
    }
    for secret in ["pg-secret", "store-secret"] {
        assert!(!said.out.contains(secret) && !said.err.contains(secret), "{}{}", said.out, said.err);
    }
    let json: serde_json::Value = serde_json::from_str(&place.run(&["check", "--json"]).out).expect("JSON");
    assert_eq!(json["ok"], false);
    assert!(!place.path().join("ledger.db").exists());
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Place::new()
        .program(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn shells_and_packagers_get_their_files() {
    let place = Place::new();
    assert!(place.run(&["completions", "zsh"]).out.contains("#compdef attrsync"));
    assert!(place.run(&["man"]).out.contains(".TH attrsync"));
}

#[test]
fn a_second_demo_says_how_to_go_on() {
    let place = Place::new();
    fs::create_dir(place.path().join("attrsync-demo")).expect("a folder");
    let said = place.run(&["demo"]);
    assert_eq!(said.code, Some(1));
    for words in [
        "there already",
        "`attrsync demo --serve --dir attrsync-demo`",
        "`attrsync demo --dir attrsync-demo-2`",
    ] {
        assert!(said.err.contains(words), "{words} in {}", said.err);
    }
    assert!(!said.err.contains("os error"), "{}", said.err);
}

/// Runs the quick start in a folder of its own, with only these programs on the PATH.
fn quickstart(place: &Place, programs: &[&str]) -> Said {
    use std::os::unix::fs::symlink;
    for folder in ["scripts", "bin"] {
        fs::create_dir_all(place.path().join(folder)).expect("a folder");
    }
    let script = place.path().join("scripts/quickstart");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/quickstart"), &script).expect("the script");
    for program in programs {
        let link = place.path().join("bin").join(program);
        let found = [format!("/usr/bin/{program}"), format!("/bin/{program}")]
            .into_iter()
            .find(|path| Path::new(path).exists());
        // A missing program is replaced: it is only looked for, never run.
        symlink(found.unwrap_or_else(|| "/bin/true".to_owned()), link).expect("a link");
    }
    let mut command = Command::new("bash");
    let output = command.arg(script).env("PATH", place.path().join("bin")).output();
    let Output { status, stdout, stderr } = output.expect("bash can be run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

#[test]
fn the_quick_start_says_what_is_missing_and_how_to_go_on() {
    let place = Place::new();
    let said = quickstart(&place, &["bash", "dirname"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("cargo is missing") && said.err.contains("https://rustup.rs"), "{}", said.err);

    let place = Place::new();
    fs::create_dir(place.path().join("attrsync-demo")).expect("a folder");
    let said = quickstart(&place, &["bash", "dirname", "cargo"]);
    assert_eq!(said.code, Some(1));
    for words in
        ["there already", "`scripts/quickstart --serve`", "`scripts/quickstart --dir attrsync-demo-2`"]
    {
        assert!(said.err.contains(words), "{words} in {}", said.err);
    }
}
