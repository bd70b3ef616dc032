//! TLS with a server whose certificate is signed by an authority of these tests. `tls/server.pem` is for `db.example` and
//! `localhost`; its key protects nothing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use attrsync::record::Filter;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{message, read, source_at, table};
use crate::support::postgres::Postgres;

const SERVER: &[u8] = include_bytes!("tls/server.pem");
const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/source/tls/authority.pem");

/// Starts a server that offers TLS, and closes each connection after the handshake. Returns its port.
fn tls_server() -> u16 {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(SERVER).collect::<Result<_, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(SERVER).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("a configuration");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let mut request = [0; 8];
            if client.read_exact(&mut request).and_then(|()| client.write_all(b"S")).is_ok() {
                let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
                while tls.is_handshaking() && tls.complete_io(&mut client).is_ok() {}
            }
        }
    });
    port
}

async fn said(parameters: &str, host: &str, port: u16) -> String {
    let url = format!("postgres://reader:hunter2@{host}:{port}/shop?{parameters}");
    message(read(&source_at(&url, table("v")), &Filter::default()).await)
}

#[tokio::test]
async fn promise_12_a_certificate_that_cannot_be_verified_is_explained() {
    let port = tls_server();
    for (host, parameters, words) in [
        ("localhost", "sslmode=verify-full", ["authority that is not trusted", "sslrootcert=FILE"]),
        ("localhost", "sslrootcert=system", ["authority that is not trusted", "sslrootcert=FILE"]),
        (
            "127.0.0.1",
            &format!("sslmode=verify-full&sslrootcert={AUTHORITY}"),
            ["for another host: ", "db.example"],
        ),
        ("localhost", "sslmode=verify-ca&sslrootcert=/nowhere/ca.pem", ["/nowhere/ca.pem", "whole path"]),
        (
            "localhost",
            concat!("sslmode=verify-ca&sslrootcert=", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            ["Cargo.toml", "-----BEGIN CERTIFICATE-----"],
        ),
    ] {
        let said = said(parameters, host, port).await;
        assert!(words.iter().all(|word| said.contains(word)), "{parameters}: {said}");
    }
}

#[tokio::test]
async fn a_certificate_of_a_named_authority_is_accepted() {
    let port = tls_server();
    for parameters in ["sslmode=verify-full", "sslmode=verify-ca", "sslmode=require"] {
        let said = said(&format!("{parameters}&sslrootcert={AUTHORITY}"), "localhost", port).await;
        // The handshake was completed, and this server has nothing more to say.
        assert!(said.contains("closed the connection"), "{parameters}: {said}");
    }
    let said = said(&format!("sslmode=require&sslrootcert={AUTHORITY}x"), "localhost", port).await;
    assert!(said.contains("cannot be read"), "an authority that is named is used, as in libpq: {said}");
}

#[tokio::test]
async fn a_server_without_tls_is_told_as_such() {
    let said = said("sslmode=require", "127.0.0.1", Postgres::start().port()).await;
    assert!(said.contains("does not offer TLS") && said.contains("sslmode=prefer"), "{said}");
}
