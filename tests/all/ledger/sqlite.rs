//! Rules that apply to a ledger in a file only.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use attrsync::config::LedgerConfig;
use attrsync::ledger::audit::AuditLog;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::ledger::{LedgerError, LedgerReader as _};
use rusqlite::Connection;

use super::audit::NEWER;
use super::contract::fixture::*;
use super::contract::sqlite::SqliteBackend;

/// Returns the error of opening the ledger at `path`.
async fn refusal(path: &Path) -> LedgerError {
    SqliteLedger::open(path, &store()).await.expect_err("opens")
}

#[tokio::test]
async fn a_new_file_is_announced_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let backend = SqliteBackend::fresh();
    let ledger = SqliteLedger::open(&backend.path(), &store()).await.expect("opens");
    assert!(ledger.created());
    for suffix in ["", ".lock", "-wal", "-shm"] {
        let path = format!("{}{suffix}", backend.path().display());
        let mode = std::fs::metadata(&path).expect(suffix).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
    drop(ledger);
    let ledger = SqliteLedger::open(&backend.path(), &store()).await.expect("opens");
    assert!(!ledger.created());
}

#[tokio::test]
async fn a_newer_ledger_is_refused() {
    let backend = SqliteBackend::fresh();
    drop(SqliteLedger::open(&backend.path(), &store()).await.expect("opens"));
    let connection = Connection::open(backend.path()).expect("opens");
    let sql = "insert into refinery_schema_history select 99, name, applied_on, checksum from refinery_schema_history limit 1";
    connection.execute(sql, []).expect("inserts");
    drop(connection);
    let reading = AuditLog::open(&LedgerConfig::Sqlite(backend.path())).await.expect_err("is refused");
    for error in [refusal(&backend.path()).await, reading] {
        assert_eq!(error.to_string(), NEWER, "every command says the same");
    }
}

#[tokio::test]
async fn a_file_of_something_else_is_refused() {
    let backend = SqliteBackend::fresh();
    std::fs::write(backend.path(), "customer;value\n".repeat(100)).expect("writes");
    let error = refusal(&backend.path()).await;
    assert!(
        matches!(&error, LedgerError::Unusable(text) if text.contains("not a SQLite database")),
        "{error}"
    );

    let backend = SqliteBackend::fresh();
    let connection = Connection::open(backend.path()).expect("opens");
    connection.execute_batch("create table stores (name text)").expect("creates");
    drop(connection);
    let error = refusal(&backend.path()).await;
    assert!(matches!(&error, LedgerError::Unusable(text) if text.contains("another program")), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let backend = SqliteBackend::fresh();
    let missing = backend.path().with_file_name("missing");
    let error = refusal(&missing.join("ledger.db")).await;
    let told = format!("create {}", missing.display());
    assert!(matches!(&error, LedgerError::Unusable(text) if text.contains(&told)), "{error}");

    std::fs::write(&missing, "a file").expect("writes");
    let error = refusal(&missing.join("ledger.db")).await;
    assert!(matches!(&error, LedgerError::Unusable(text) if text.contains("is not a folder")), "{error}");

    std::fs::create_dir(backend.path()).expect("creates");
    let error = refusal(&backend.path()).await;
    assert!(matches!(&error, LedgerError::Unusable(text) if text.contains("[ledger]")), "{error}");
}

#[tokio::test]
async fn a_scan_sees_pages_while_the_run_writes() {
    let backend = SqliteBackend::fresh();
    let scene = Scene::new(&backend).await;
    scene.send(0, change(1, 1, "a"), confirmed()).await;
    let mut pages = scene.ledger.entries(&Default::default()).await.expect("scans");
    scene.send(3, change(2, 1, "b"), confirmed()).await;
    let page = pages.next().await.expect("reads").expect("a page");
    assert!(!page.is_empty());
    drop(pages);
    scene.send(6, change(3, 1, "c"), confirmed()).await;
    assert_eq!(scene.scan(&Default::default()).await.0.len(), 3);
}

#[tokio::test]
async fn another_name_of_the_file_is_the_same_lock() {
    let backend = SqliteBackend::fresh();
    let folder = backend.path().with_file_name("folder");
    symlink(backend.path().parent().expect("a folder"), &folder).expect("links");
    let through_folder = folder.join(backend.path().file_name().expect("a name"));
    // The first of them creates the file through the linked folder.
    let ledger = SqliteLedger::open(&through_folder, &store()).await.expect("opens");
    let file = backend.path().with_file_name("link.db");
    symlink(backend.path(), &file).expect("links");
    for path in [&backend.path(), &file] {
        let error = refusal(path).await;
        assert!(matches!(error, LedgerError::Locked { .. }), "{}: {error}", path.display());
    }
    drop(ledger);
    SqliteLedger::open(&file, &store()).await.expect("opens when it is free");
}

#[tokio::test]
async fn no_intent_is_recorded_in_a_file_that_was_moved_or_replaced() {
    let backend = SqliteBackend::fresh();
    let scene = Scene::new(&backend).await;
    scene.send(0, change(1, 1, "a"), confirmed()).await;
    let second = [change(2, 1, "b")];
    let run = scene.planned_run(3, second.to_vec()).await;
    let moved = backend.path().with_file_name("moved.db");
    std::fs::rename(backend.path(), &moved).expect("moves");
    for replaced in [false, true] {
        if replaced {
            std::fs::write(backend.path(), "").expect("writes");
        }
        let error = scene.try_intent(run, None, 3, &second).await.expect_err("records");
        assert!(
            matches!(&error, LedgerError::Unusable(text) if text.contains("moved, deleted or replaced under the run")),
            "{error}"
        );
    }
    std::fs::rename(&moved, backend.path()).expect("moves back");
    scene.try_intent(run, None, 3, &second).await.expect("records again");
}

#[tokio::test]
async fn no_intent_is_recorded_when_a_file_was_removed_or_overwritten() {
    type Tamper = fn(&Path);
    let beside = |path: &Path, suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let remove: [(&str, Tamper); 5] = [
        ("-wal", |path| std::fs::remove_file(path).expect("removes")),
        ("-shm", |path| std::fs::remove_file(path).expect("removes")),
        (".lock", |path| std::fs::remove_file(path).expect("removes")),
        ("-wal", |path| std::fs::write(path, "").expect("cuts off")),
        // A copy that is put in its place keeps the file's identity.
        ("", |path| {
            let content = std::fs::read(path).expect("reads");
            std::fs::write(path, content).expect("overwrites");
        }),
    ];
    for (suffix, tamper) in remove {
        let backend = SqliteBackend::fresh();
        let scene = Scene::new(&backend).await;
        scene.send(0, change(1, 1, "a"), confirmed()).await;
        let second = [change(2, 1, "b")];
        let run = scene.planned_run(3, second.to_vec()).await;
        tamper(&beside(&backend.path(), suffix));
        for _ in 0..2 {
            let error = scene.try_intent(run, None, 3, &second).await.expect_err("records");
            assert!(
                matches!(&error, LedgerError::Unusable(text) if text.contains("under the run")),
                "{suffix}: {error}"
            );
        }
    }
}

/// Returns what `check` and a sync say of the ledger at `path`.
async fn checked_and_opened(path: &Path) -> [String; 2] {
    let config = LedgerConfig::Sqlite(path.to_owned());
    let checked = AuditLog::check_writable(&config).await.expect_err("passes");
    [checked.to_string(), refusal(path).await.to_string()]
}

#[tokio::test]
async fn check_and_sync_refuse_the_same_places_with_the_same_words() {
    type Prepare = fn(&Path);
    let fifo: Prepare = |path| {
        let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo");
        assert!(made.success());
    };
    let cases: [(&str, Prepare, &str); 9] = [
        ("", fifo, "is a pipe, not a file"),
        ("", |path| drop(UnixListener::bind(path).expect("binds")), "is a socket, not a file"),
        ("", |path| symlink("/dev/null", path).expect("links"), "is a device, not a file"),
        ("", |path| std::fs::create_dir(path).expect("creates"), "is a folder: name a file in it"),
        ("", |path| symlink("nowhere/x.db", path).expect("links"), "is a link to nowhere/x.db"),
        ("", |path| symlink(path, path).expect("links"), "cannot be written (Too many levels"),
        (".lock", fifo, "ledger.db.lock is not a file"),
        (".lock", |path| symlink("nowhere", path).expect("links"), "ledger.db.lock is a link to nowhere"),
        (".lock", |path| std::fs::create_dir(path).expect("creates"), "ledger.db.lock is not a file"),
    ];
    for (suffix, prepare, expect) in cases {
        let backend = SqliteBackend::fresh();
        prepare(Path::new(&format!("{}{suffix}", backend.path().display())));
        for told in checked_and_opened(&backend.path()).await {
            assert!(told.contains(expect), "{told}");
        }
    }
}

#[tokio::test]
async fn a_file_with_two_names_is_refused_until_one_is_removed() {
    let backend = SqliteBackend::fresh();
    drop(SqliteLedger::open(&backend.path(), &store()).await.expect("opens"));
    let other = backend.path().with_file_name("other.db");
    std::fs::hard_link(backend.path(), &other).expect("links");
    for path in [&backend.path(), &other] {
        for told in checked_and_opened(path).await {
            assert!(told.contains("has 2 names (hard links)"), "{told}");
        }
    }
    std::fs::remove_file(&other).expect("removes");
    SqliteLedger::open(&backend.path(), &store()).await.expect("opens");
}

#[tokio::test]
async fn a_link_to_a_file_that_is_not_there_yet_is_followed() {
    let backend = SqliteBackend::fresh();
    let link = backend.path().with_file_name("link.db");
    symlink("link2.db", &link).expect("links");
    symlink(backend.path(), backend.path().with_file_name("link2.db")).expect("links");
    let ledger = SqliteLedger::open(&link, &store()).await.expect("opens");
    assert!(ledger.created());
    assert!(matches!(refusal(&backend.path()).await, LedgerError::Locked { .. }));
}

/// Every file in the folder with its content.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), std::fs::read(&path).expect("reads"))).collect();
    files.sort();
    files
}

#[tokio::test]
async fn the_file_of_another_program_is_left_as_it_is() {
    let cases = [
        "create table bookmarks (x)",
        "create table stores (x); create view v as select 1",
        "pragma application_id = 7; create table refinery_schema_history (version, name, applied_on, checksum)",
        "create table refinery_schema_history (version integer, name text, applied_on text, checksum text);
         insert into refinery_schema_history values (1, 'init', '', '1'); create table users (id)",
        // Its tables are in the -wal only, while the program has it open.
        "pragma journal_mode = wal; create table bookmarks (x)",
    ];
    for sql in cases {
        let backend = SqliteBackend::fresh();
        let program = Connection::open(backend.path()).expect("opens");
        program.execute_batch(sql).expect(sql);
        let folder = backend.path().parent().expect("a folder").to_owned();
        let before = contents(&folder);
        for told in checked_and_opened(&backend.path()).await {
            assert!(told.contains("a SQLite database of another program"), "{sql}: {told}");
        }
        let config = LedgerConfig::Sqlite(backend.path());
        let error = AuditLog::open(&config).await.expect_err("reads");
        assert!(error.to_string().contains("another program"), "{sql}: {error}");
        let unshared = |files: Vec<(PathBuf, Vec<u8>)>| -> Vec<_> {
            files.into_iter().filter(|(path, _)| !path.to_string_lossy().ends_with("-shm")).collect()
        };
        assert!(unshared(contents(&folder)) == unshared(before), "{sql}");
    }
}

#[tokio::test]
async fn the_file_itself_says_that_it_is_a_ledger() {
    let backend = SqliteBackend::fresh();
    let ledger = SqliteLedger::open(&backend.path(), &store()).await.expect("opens");
    // The newest commits are in the -wal; the header must not need them.
    let header = std::fs::read(backend.path()).expect("reads");
    assert_eq!(header[68..72], *b"attr");
    drop(ledger);
    // A copy as SQL has no application id.
    Connection::open(backend.path())
        .expect("opens")
        .execute_batch("pragma application_id = 0")
        .expect("sets");
    SqliteLedger::open(&backend.path(), &store()).await.expect("opens");
}

#[tokio::test]
async fn a_checkpoint_that_was_cut_off_leaves_a_ledger_that_opens() {
    let backend = SqliteBackend::fresh();
    let scene = Scene::new(&backend).await;
    scene.send(0, change(1, 1, "a"), confirmed()).await;
    // A full disk cut the checkpoint off after the first page, which counts pages that are only in the -wal.
    let (path, copy) = (backend.path(), tempfile::tempdir().expect("a folder"));
    let copied = copy.path().join("ledger.db");
    let mut file = std::fs::read(&path).expect("reads");
    file[28..32].copy_from_slice(&1_000_000_u32.to_be_bytes());
    std::fs::write(&copied, file).expect("writes");
    std::fs::copy(format!("{}-wal", path.display()), copy.path().join("ledger.db-wal")).expect("copies");

    let config = LedgerConfig::Sqlite(copied.clone());
    AuditLog::open(&config).await.expect("reads").expect("a ledger");
    SqliteLedger::open(&copied, &store()).await.expect("opens");
}

#[tokio::test]
async fn a_ledger_is_read_where_nothing_can_be_made_beside_it() {
    let backend = SqliteBackend::fresh();
    let scene = Scene::new(&backend).await;
    scene.send(0, change(1, 1, "a"), confirmed()).await;
    drop(scene);
    let path = backend.path();
    // SQLite cannot make a -wal here, as in a folder that the user may not write to.
    let wal = format!("{}-wal", path.display());
    symlink("nowhere/x", &wal).expect("links");
    let config = LedgerConfig::Sqlite(path.clone());
    let audit = AuditLog::open(&config).await.expect("reads").expect("a ledger");
    let store_id = audit.store_id(&store()).await.expect("reads").expect("the store");
    let reader = audit.entries_of(store_id);
    let mut pages = reader.entries(&Default::default()).await.expect("scans");
    assert_eq!(pages.next().await.expect("reads").expect("a page").len(), 1);

    // A run begins: what is read without locks may be wrong.
    std::fs::remove_file(&wal).expect("removes");
    std::fs::write(&wal, "commits").expect("writes");
    let error = audit.stores().await.expect_err("reads");
    assert!(error.to_string().contains("changed by a run"), "{error}");
    std::fs::remove_file(&wal).expect("removes");

    // Commits that cannot be read are not passed over in silence.
    std::fs::create_dir(&wal).expect("creates");
    let error = AuditLog::open(&config).await.expect_err("reads");
    assert!(error.to_string().contains("the newest commits of the ledger"), "{error}");
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_ledger_is_not_waited_for() {
    let backend = SqliteBackend::fresh();
    let made = std::process::Command::new("mkfifo").arg(backend.path()).status().expect("mkfifo");
    assert!(made.success());
    let error = AuditLog::open(&LedgerConfig::Sqlite(backend.path())).await.expect_err("reads");
    assert!(error.to_string().contains("is a pipe, not a file"), "{error}");
}

#[tokio::test]
async fn a_damaged_ledger_is_told_as_such() {
    let backend = SqliteBackend::fresh();
    drop(SqliteLedger::open(&backend.path(), &store()).await.expect("opens"));
    let mut content = std::fs::read(backend.path()).expect("reads");
    content[4096..].fill(0x5a);
    std::fs::write(backend.path(), content).expect("writes");
    let error = refusal(&backend.path()).await;
    assert!(matches!(&error, LedgerError::Damaged { .. }), "{error:?}");
    let cause = std::error::Error::source(&error).expect("a cause");
    assert_eq!(cause.to_string(), "database disk image is malformed");
    assert!(cause.source().is_none(), "said once");
}

#[tokio::test]
async fn a_ledger_that_lost_a_table_is_refused() {
    for (sql, lacks) in [
        ("drop table invalid_rows", "lacks its table invalid_rows"),
        ("drop table refinery_schema_history", "lacks its table refinery_schema_history"),
        ("delete from refinery_schema_history", "lacks its table refinery_schema_history's rows"),
    ] {
        let backend = SqliteBackend::fresh();
        drop(SqliteLedger::open(&backend.path(), &store()).await.expect("opens"));
        Connection::open(backend.path()).expect("opens").execute_batch(sql).expect(sql);
        for told in checked_and_opened(&backend.path()).await {
            assert!(told.contains(lacks) && told.contains("restore a backup"), "{sql}: {told}");
        }
        // A command that reads must not say that there is no ledger yet.
        let opened = AuditLog::open(&LedgerConfig::Sqlite(backend.path())).await;
        assert!(!matches!(opened, Ok(None)), "{sql}");
    }
}

#[tokio::test]
async fn a_kill_while_the_file_is_made_needs_no_help() {
    let backend = SqliteBackend::fresh();
    let made = backend.path().with_file_name("made.db");
    let program = Connection::open(&made).expect("opens");
    // Enough pages that SQLite has written some of them before the commit.
    program
        .execute_batch(
            "pragma application_id = 0x61747472; pragma cache_size = 1; begin; create table t (x);
             with recursive n (i) as (select 1 union all select i + 1 from n where i < 200)
             insert into t select zeroblob(4000) from n",
        )
        .expect("writes");
    for suffix in ["", "-journal"] {
        let path = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(path(&made), path(&backend.path())).expect("copies");
    }
    let error = AuditLog::open(&LedgerConfig::Sqlite(backend.path())).await.expect_err("reads");
    assert!(error.to_string().contains("cut off while it made the ledger"), "{error}");
    SqliteLedger::open(&backend.path(), &store()).await.expect("mends it");
}
