//! Rules that apply to a ledger in a file only.

use std::path::Path;

use attrsync::ledger::LedgerError;
use attrsync::ledger::sqlite::SqliteLedger;
use rusqlite::Connection;

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
    let error = refusal(&backend.path()).await;
    assert!(matches!(&error, LedgerError::Version(text) if text.contains("version 99")), "{error}");
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
    use std::os::unix::fs::symlink;
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
            matches!(&error, LedgerError::Unusable(text) if text.contains("moved or deleted under the run")),
            "{error}"
        );
    }
    std::fs::rename(&moved, backend.path()).expect("moves back");
    scene.try_intent(run, None, 3, &second).await.expect("records again");
}
