//! What listens at an https:// address cannot be trusted, or speaks something else.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use attrsync::destination::{Destination, Response};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{ITEM, TOKEN, client};

/// Serves one connection on a thread of its own, and returns its https:// address.
fn listen(serve: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    (address, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// Sends a write, and returns why it was not sent and what to do.
async fn not_sent(address: &str) -> (String, &'static str) {
    match client(address).upsert(&ITEM).await {
        Response::NotSent { reason, hint, may_pass: false } => (reason, hint),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_that_nothing_trusts_is_explained_and_gets_no_token() {
    let (address, server) = listen(|mut stream| {
        let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/certificate.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut received = Vec::new();
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        assert!(tls.read_to_end(&mut received).is_err());
        assert!(!String::from_utf8_lossy(&received).contains(TOKEN));
    });
    let (reason, hint) = not_sent(&address).await;
    assert_eq!(
        reason,
        "could not connect to the store: the certificate there is signed by an authority that this machine does not trust"
    );
    assert!(hint.contains("SSL_CERT_FILE"), "{hint}");
    server.join().unwrap();
}

#[tokio::test]
async fn a_server_without_tls_is_explained() {
    let (address, server) = listen(|mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let (reason, hint) = not_sent(&address).await;
    assert_eq!(reason, "could not connect to the store: what listens there does not speak TLS");
    assert!(hint.contains("https:// in [store] api_url"), "{hint}");
    server.join().unwrap();
}
