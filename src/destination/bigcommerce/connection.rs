//! Explains why no connection to the store could be made.

use std::error::Error;
use std::io;

use chrono::DateTime;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};

use super::mask::Mask;
use super::proxy::Proxy;
use crate::destination::Response;
use crate::error_chain::with_causes;

const CHECK_PROXY: &str = "check the proxy that the environment names (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY); NO_PROXY names \
     the hosts that are reached without it";

const CHECK_CLOCK: &str =
    "check the clock of this machine (`date`); if it is right, the certificate must be renewed";

const NAME_AUTHORITY: &str = "`openssl s_client -connect HOST:443` shows who signed it. If that is your network's proxy, or a \
     server of your own, name the file of its authority's certificate in SSL_CERT_FILE; otherwise install the \
     system's CA certificates (ca-certificates)";

const CHECK_HOST: &str = "check the host in [store] api_url, and what responds there in its place: a proxy, a log-in page of the \
     network, an entry in /etc/hosts";

/// Explains an error before a byte of a request was sent.
pub(super) fn failure(error: &(dyn Error + 'static), proxy: Option<&Proxy>, mask: &Mask) -> Response {
    let not_sent = |reason: String, hint, may_pass| {
        let reason = mask.clean(reason).into_owned();
        Response::NotSent { reason, hint, may_pass }
    };
    if let Some(error) = find::<rustls::Error>(error) {
        let (reason, hint) = tls(error);
        // A certificate does not change by itself.
        return not_sent(format!("could not connect to the store: {reason}"), hint, is_passing_alert(error));
    }
    let failed = find::<io::Error>(error);
    let whole = error.source().map_or_else(|| error.to_string(), with_causes);
    let reason = failed.map_or_else(|| whole.replace("client error (Connect): ", ""), ToString::to_string);
    if let Some(proxy) = proxy {
        let (place, variable) = (proxy.place(), proxy.variable);
        let needs_password = whole.contains("proxy authorization required");
        let hint = if needs_password {
            "write a log-in that the proxy accepts into its variable: http://USER:PASSWORD@HOST:PORT"
        } else {
            CHECK_PROXY
        };
        let reason = format!(
            "could not connect to the store through the proxy {place}, which {variable} names: {reason}"
        );
        return not_sent(reason, hint, !needs_password);
    }
    let hint = match failed.map(|error| (error.kind(), error.raw_os_error())) {
        // The same number on Linux, the BSDs and macOS.
        Some((_, Some(24))) => "raise the limit of open files (ulimit -n)",
        Some((io::ErrorKind::ConnectionRefused, _)) => {
            "check host and port in [store] api_url: nothing listens there, or a firewall refuses connections"
        }
        _ if whole.contains("dns error") => {
            "check the host in [store] api_url, and the name resolution of this machine"
        }
        _ => {
            "check [store] api_url (a server without TLS keeps an https:// address waiting), the network and the firewall; a \
             proxy is named in HTTPS_PROXY"
        }
    };
    not_sent(format!("could not connect to the store: {reason}"), hint, true)
}

/// Finds an error of this type among an error and its causes. An I/O error hides the error within it from its causes.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// What is wrong with the other side's TLS, and what to do.
fn tls(error: &rustls::Error) -> (String, &'static str) {
    let certificate = |text: &str| format!("the certificate there {text}");
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => {
                (certificate("is signed by an authority that this machine does not trust"), NAME_AUTHORITY)
            }
            CertificateError::Expired => (certificate("has expired"), CHECK_CLOCK),
            CertificateError::ExpiredContext { not_after, .. } => {
                (certificate(&format!("expired on {}", day(*not_after))), CHECK_CLOCK)
            }
            CertificateError::NotValidYet => (certificate("is not valid yet"), CHECK_CLOCK),
            CertificateError::NotValidYetContext { not_before, .. } => {
                (certificate(&format!("is valid from {} only", day(*not_before))), CHECK_CLOCK)
            }
            CertificateError::NotValidForName => (certificate("is for another host"), CHECK_HOST),
            CertificateError::NotValidForNameContext { presented, .. } => {
                // They are written as `DnsName("host")`.
                let name = |text: &'_ String| text.split('"').nth(1).unwrap_or(text).to_owned();
                let names: Vec<String> = presented.iter().take(5).map(name).collect();
                (certificate(&format!("is for another host ({})", names.join(", "))), CHECK_HOST)
            }
            error if error.to_string().contains("CaUsedAsEndEntity") => {
                (certificate("is signed by itself"), NAME_AUTHORITY)
            }
            error => (certificate(&format!("cannot be verified ({error})")), CHECK_HOST),
        },
        error if is_passing_alert(error) => (
            format!("the other side ended the TLS session ({error})"),
            "try again; if it stays so, check [store] api_url, and proxies on the way",
        ),
        rustls::Error::InvalidMessage(_) => (
            "what listens there does not speak TLS".to_owned(),
            "check the port and https:// in [store] api_url, and proxies on the way",
        ),
        error => (
            format!("TLS could not be set up ({error})"),
            "the other side must offer TLS 1.2 or 1.3; check [store] api_url, and proxies on the way",
        ),
    }
}

/// Whether the other side sent an alert that says nothing against a later connection.
fn is_passing_alert(error: &rustls::Error) -> bool {
    use AlertDescription as Alert;
    let rustls::Error::AlertReceived(alert) = error else { return false };
    matches!(alert, Alert::InternalError | Alert::UserCanceled | Alert::CloseNotify)
}

fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).map_or_else(String::new, |time| time.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use reqwest::Url;
    use rustls::pki_types::ServerName;

    use super::*;
    use crate::config::Secret;

    #[derive(Debug, thiserror::Error)]
    #[error("error sending request")]
    struct Outer(#[source] io::Error);

    fn explained(error: io::Error, proxy: Option<&Proxy>) -> (String, &'static str, bool) {
        match failure(&Outer(error), proxy, &Mask::new(Secret::new(""))) {
            Response::NotSent { reason, hint, may_pass } => (reason, hint, may_pass),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_flaw_of_a_certificate_has_a_hint_that_fits_and_does_not_pass() {
        use CertificateError as Flaw;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_700_000_000));
        let expected = ServerName::try_from("b.example").expect("a name");
        let presented = vec!["DnsName(\"a.example\")".to_owned()];
        for (flaw, words, hint) in [
            (Flaw::UnknownIssuer, "does not trust", "SSL_CERT_FILE"),
            (Flaw::Expired, "expired", "clock"),
            (Flaw::ExpiredContext { time, not_after: time }, "expired on 2023-11-14", "clock"),
            (Flaw::NotValidYetContext { time, not_before: time }, "from 2023-11-14", "clock"),
            (Flaw::NotValidForName, "another host", "api_url"),
            (Flaw::NotValidForNameContext { expected, presented }, "another host (a.example)", "api_url"),
            (Flaw::BadSignature, "cannot be verified", "api_url"),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(flaw));
            let (reason, shown, may_pass) = explained(error, None);
            assert!(reason.contains(words) && shown.contains(hint) && !may_pass, "{reason}; {shown}");
        }
    }

    #[test]
    fn an_alert_of_a_server_that_fails_inside_may_pass() {
        for (alert, passes) in
            [(AlertDescription::InternalError, true), (AlertDescription::HandshakeFailure, false)]
        {
            let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert));
            assert_eq!(explained(error, None).2, passes, "{alert:?}");
        }
    }

    #[test]
    fn a_failure_of_the_way_may_pass_and_names_what_to_check() {
        let proxy =
            Proxy { variable: "HTTPS_PROXY", url: Url::parse("http://me:secret@proxy:3128").expect("a URL") };
        for (error, proxy, words, hint) in [
            (io::ErrorKind::ConnectionRefused.into(), None, "refused", "nothing listens"),
            (io::Error::from_raw_os_error(24), None, "open files", "ulimit -n"),
            (io::Error::other("dns error: no such name"), None, "no such name", "name resolution"),
            (
                io::ErrorKind::ConnectionRefused.into(),
                Some(&proxy),
                "proxy:3128, which HTTPS_PROXY names",
                "NO_PROXY",
            ),
        ] {
            let (reason, shown, may_pass) = explained(error, proxy);
            assert!(reason.contains(words) && shown.contains(hint) && may_pass, "{reason}; {shown}");
            assert!(!reason.contains("secret"), "{reason}");
        }
        let error = io::Error::other("proxy authorization required");
        let (_, hint, may_pass) = explained(error, Some(&proxy));
        assert!(hint.contains("USER:PASSWORD") && !may_pass, "{hint}");
    }
}
