//! What can go wrong with certificates, keys and passwords in files, and what to do about it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError};
use sqlx::postgres::PgSslMode;

use super::Purpose;
use super::address::Address;
use super::endpoint::Endpoint;

/// A problem and a hint.
type Explanation = (String, String);

/// Checks the files that an address names, because the errors of sqlx do not name them.
pub(super) fn check_files(address: &Address, endpoint: &Endpoint) -> Result<(), Explanation> {
    if matches!(endpoint.options.get_ssl_mode(), PgSslMode::Disable) {
        return Ok(());
    }
    let root = address.root_certificates().map(|file| ("sslrootcert", file));
    root.into_iter().chain(address.client_files()).try_for_each(|(name, file)| check_file(name, file))
}

fn check_file(name: &str, file: &str) -> Result<(), Explanation> {
    let bytes = std::fs::read(file).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "write the file's whole path, as this user and this machine see it",
            _ => "let this user read the file",
        };
        (format!("names a file in {name} that cannot be read: {file}: {error}"), hint.to_owned())
    })?;
    let is_good = match name {
        "sslkey" => PrivateKeyDer::from_pem_slice(&bytes).is_ok(),
        _ => {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
            certificates.is_ok_and(|certificates| !certificates.is_empty())
        }
    };
    let what = if name == "sslkey" { "private key without a password" } else { "certificate" };
    let hint = if name == "sslkey" { "-----BEGIN PRIVATE KEY-----" } else { "-----BEGIN CERTIFICATE-----" };
    if is_good {
        return Ok(());
    }
    Err((
        format!("names a file in {name} that has no {what} in the PEM format: {file}"),
        format!("such a file has a line {hint}; openssl converts other formats"),
    ))
}

/// Explains the error of a socket that was raised by TLS; `None` for any other error.
pub(super) fn explained(error: &io::Error, purpose: Purpose, place: &str) -> Option<Explanation> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(explanation(error, purpose, place))
}

/// Whether an error that was raised by TLS may pass by itself: the other side failed inside or closed the session.
pub(super) fn may_pass(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    error.is_some_and(is_passing_alert)
}

/// Explains an error before the handshake.
pub(super) fn refused(error: &(dyn Error + 'static), purpose: Purpose, place: &str) -> Explanation {
    let (name, key) = (purpose.name(), purpose.key());
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return explanation(error, purpose, place);
    }
    let text = error.to_string();
    if text.contains("does not support TLS") {
        return (
            format!("{name} at {place} does not offer TLS, which sslmode in {key} requires"),
            format!(
                "switch TLS on in the server (ssl = on); only within a network of your own, write \
                 sslmode=prefer in {key}"
            ),
        );
    }
    (
        format!("could not set up TLS with {name} at {place}: {text}"),
        format!("check sslmode and sslrootcert in {key}"),
    )
}

fn explanation(error: &rustls::Error, purpose: Purpose, place: &str) -> Explanation {
    let (name, key) = (purpose.name(), purpose.key());
    let certificate = format!("the certificate of {name} at {place}");
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => (
                format!("{certificate} is signed by an authority that is not trusted here"),
                format!(
                    "write sslrootcert=FILE in {key}, with the file of that authority's certificate (of a hosted \
                     database: its provider offers the file); a file named already is that of another authority"
                ),
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
                format!("{certificate} has expired"),
                "renew it on the server; or correct the clock of this machine".to_owned(),
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                (format!("{certificate} is not valid yet"), "correct the clock of this machine".to_owned())
            }
            CertificateError::NotValidForName => {
                (format!("{certificate} is for another host"), other_name(key))
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names: Vec<_> = presented.iter().take(5).map(String::as_str).collect();
                let names = if names.is_empty() { "no host".to_owned() } else { names.join(", ") };
                (format!("{certificate} is for another host: {names}"), other_name(key))
            }
            CertificateError::Revoked => {
                (format!("{certificate} is revoked"), "install another one on the server".to_owned())
            }
            error => (
                format!("{certificate} cannot be verified: {}", certificate_flaw(error)),
                format!(
                    "sign it by an authority of your own and name that in sslrootcert of {key}; its host's name must \
                     be among its alternative names (subjectAltName)"
                ),
            ),
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown,
        ) => (
            format!("{name} at {place} did not accept the certificate of this client ({error})"),
            format!(
                "name a certificate that the server's ssl_ca_file has signed, by sslcert and sslkey in {key}"
            ),
        ),
        error if is_passing_alert(error) => (
            format!("{name} at {place} ended the TLS session ({error})"),
            "see the server's log, and that of a pooler or proxy on the way".to_owned(),
        ),
        rustls::Error::PeerIncompatible(_) | rustls::Error::AlertReceived(_) => (
            format!("{name} at {place} and attrsync have no kind of TLS in common ({error})"),
            "the server must offer TLS 1.2 or 1.3 (ssl_max_protocol_version, ssl_ciphers)".to_owned(),
        ),
        error => (
            format!("could not set up TLS with {name} at {place}: {error}"),
            format!("check host and port in {key}, and proxies on the way"),
        ),
    }
}

/// Whether the other side sent an alert that says nothing against a later session.
fn is_passing_alert(error: &rustls::Error) -> bool {
    use AlertDescription as Alert;
    let rustls::Error::AlertReceived(alert) = error else { return false };
    matches!(alert, Alert::InternalError | Alert::UserCanceled | Alert::CloseNotify)
}

fn certificate_flaw(error: &CertificateError) -> String {
    let text = error.to_string();
    if text.contains("CaUsedAsEndEntity") { "it is signed by itself".to_owned() } else { text }
}

fn other_name(key: &str) -> String {
    format!(
        "write that name as the host in {key}; or verify the authority only, by sslmode=verify-ca with sslrootcert"
    )
}

/// Says where a password is missing; `None` if the address has one, which is wrong then.
pub(super) fn missing_password(endpoint: &Endpoint) -> Option<String> {
    if endpoint.has_password || std::env::var_os("PGPASSWORD").is_some() {
        return None;
    }
    let key = endpoint.purpose.key();
    Some(match password_file().filter(|file| is_open_to_others(file)) {
        Some(file) => format!(
            "the password file {0} is passed over, because others may read it: chmod 600 {0}",
            file.display()
        ),
        None => format!(
            "no password was found for this host, port, database and user, or a wrong one: it may stand in {key}, in \
             PGPASSWORD, or in the password file (~/.pgpass or PGPASSFILE)"
        ),
    })
}

fn password_file() -> Option<PathBuf> {
    let named = std::env::var_os("PGPASSFILE").map(PathBuf::from);
    named.or_else(|| std::env::home_dir().map(|home| home.join(".pgpass")))
}

fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_has_a_hint_that_fits() {
        for (error, words) in [
            (CertificateError::UnknownIssuer, "sslrootcert=FILE in [ledger] url"),
            (CertificateError::Expired, "clock"),
            (CertificateError::NotValidForName, "as the host in [ledger] url"),
            (CertificateError::BadSignature, "subjectAltName"),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(error));
            let (problem, hint) = explained(&error, Purpose::Ledger, "db:5432").expect("is about TLS");
            assert!(problem.contains("db:5432") && hint.contains(words), "{problem}; {hint}");
        }
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let (_, hint) = explanation(&alert, Purpose::Source, "db:5432");
        assert!(hint.contains("sslcert and sslkey"), "{hint}");
        for (alert, passes) in
            [(AlertDescription::InternalError, true), (AlertDescription::HandshakeFailure, false)]
        {
            let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert));
            assert_eq!(may_pass(&error), passes, "{alert:?}");
        }
        assert!(explained(&io::ErrorKind::TimedOut.into(), Purpose::Source, "db:5432").is_none());
    }

    #[test]
    fn a_file_of_an_address_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("text"), "no certificate").expect("a file");
        for (name, file, words) in [
            ("sslrootcert", path("nowhere"), "nowhere"),
            ("sslrootcert", path("text"), "has no certificate in the PEM format"),
            ("sslkey", path("text"), "has no private key"),
        ] {
            let (problem, _) = check_file(name, &file).expect_err("is refused");
            assert!(problem.contains(words), "{problem}");
        }
    }
}
