//! Health, and a ledger that cannot be read.

use std::fs;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{get, send};
use super::fixture::{Filled, SYNC_PATH, Site, TOKEN};
use super::html::Document;

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_said_and_found_again() {
    let filled = Filled::sqlite().await;
    let (path, moved) = (filled.folder().join("ledger.db"), filled.folder().join("other.db"));
    let site = Site::start(filled.config.clone(), None).await;
    let probe = async |path: &str| get(site.address, path).await.status;
    assert_eq!((probe("/healthz").await, probe("/readyz").await, probe("/").await), (200, 200, 200));

    // A session that is open would still read the file that was moved.
    let unreadable = Site::start(filled.config.clone(), None).await;
    fs::rename(&path, &moved).expect("moves the file");
    fs::write(&path, "this is a shopping list, not a database\n".repeat(50)).expect("a file");
    for page in ["/", SYNC_PATH, &format!("{SYNC_PATH}/rejected"), &format!("{SYNC_PATH}/runs/1")] {
        let response = get(unreadable.address, page).await;
        assert_eq!(response.status, 503, "{page}");
        assert!(
            response.body.contains("not a") && response.body.contains("attrsync check"),
            "{}",
            response.body
        );
        // A command is set in another type, without its backquotes.
        assert!(!response.body.contains('`'), "{}", response.body);
        Document::parse(&response.body).check(page);
    }
    let ready = get(unreadable.address, "/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "the ledger cannot be read: main & co\n"));
    assert_eq!(get(unreadable.address, "/healthz").await.status, 200);

    fs::rename(&moved, &path).expect("moves the file back");
    for page in ["/", SYNC_PATH, "/readyz"] {
        assert_eq!(get(unreadable.address, page).await.status, 200, "{page}");
    }
}

#[tokio::test]
async fn probes_need_no_token_and_no_name() {
    let filled = Filled::sqlite().await;
    for token in [None, Some(TOKEN)] {
        let site = Site::start(filled.config.clone(), token).await;
        for path in ["/healthz", "/readyz"] {
            let response = send(site.address, "GET", path, &[("Host", "10.1.2.3:9180")], "").await;
            assert_eq!(response.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn idle_connections_take_nothing_from_a_new_one_but_its_place() {
    let filled = Filled::sqlite().await;
    let site = Site::start(filled.config.clone(), None).await;
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(TcpStream::connect(site.address).await.expect("connects"));
    }
    let mut waiting = TcpStream::connect(site.address).await.expect("the system accepts it");
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", site.address);
    waiting.write_all(request.as_bytes()).await.expect("sends");
    let mut read = String::new();
    let mut response = Box::pin(waiting.read_to_string(&mut read));
    // The end of one connection makes room for the one that waits.
    let one_ends = async { drop(idle.pop()) };
    let (read_bytes, ()) = tokio::join!(&mut response, one_ends);
    read_bytes.expect("a response");
    drop(response);
    assert!(read.starts_with("HTTP/1.1 200 "), "{read}");
}
