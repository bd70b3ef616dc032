//! `[serve]`: where the scheduler listens, who may read its pages, and how many runs it lets run at once.

use std::net::SocketAddr;

use super::address::Flaw;
use super::section::Section;
use super::{Secret, ServeConfig};

/// The shortest token that is taken. A shorter one could be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// The longest token: it is sent in a header.
const TOKEN_CHARS_MAX: usize = 512;

/// Reads `[serve]`. A key with a problem has its default.
pub(super) fn read(section: &mut Section<'_>) -> ServeConfig {
    let default = ServeConfig::default();
    let address = section.checked("address", address).unwrap_or(default.address);
    let token = section.checked("token", token);
    if !address.ip().is_loopback() && !section.has("token") {
        section.problem(
            "token",
            format!(
                "is missing, and {address} is reached from other machines, which could read customers' values"
            ),
            "write token = \"${ATTRSYNC_TOKEN}\", or serve at 127.0.0.1",
        );
    }
    let max_concurrent_runs = section
        .integer("max_concurrent_runs", 1..=1_000)
        .map_or(default.max_concurrent_runs, |number| number as usize);
    ServeConfig { address, token, max_concurrent_runs }
}

/// Checks an address to listen at: an IP address and a port, or `localhost` and a port.
fn address(text: &str) -> Result<SocketAddr, Flaw> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric.as_deref().unwrap_or(text).parse().map_err(|_| {
        let hint = "write an IP address and a port: \"127.0.0.1:9180\", \"0.0.0.0:9180\" or \"[::]:9180\"";
        ("is not an address to listen at".to_owned(), hint.to_owned())
    })
}

/// Checks the token of the status site.
fn token(text: &str) -> Result<Secret, Flaw> {
    let flaw = |problem: &str, hint: &str| Err((problem.to_owned(), hint.to_owned()));
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return flaw(
            "has a character that no header can carry (a space, a line break or a letter outside of ASCII)",
            "make one with `openssl rand -hex 24`",
        );
    }
    match text.len() {
        0..TOKEN_CHARS_MIN => {
            flaw("has fewer than 16 characters and could be guessed", "make one with `openssl rand -hex 24`")
        }
        TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX => Ok(Secret::new(text)),
        _ => flaw("has more than 512 characters", "make one with `openssl rand -hex 24`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_at() {
        for (text, expect) in [
            ("127.0.0.1:9180", Some("127.0.0.1:9180")),
            ("localhost:80", Some("127.0.0.1:80")),
            ("[::1]:9180", Some("[::1]:9180")),
            ("0.0.0.0:0", Some("0.0.0.0:0")),
            ("9180", None),
            (":9180", None),
            ("example.com:9180", None),
            ("http://127.0.0.1:9180", None),
        ] {
            assert_eq!(address(text).ok(), expect.map(|text| text.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused() {
        assert!(token(&"x".repeat(15)).is_err() && token(&"x".repeat(16)).is_ok());
        assert!(token("with a space in the middle").is_err() && token(&"x".repeat(513)).is_err());
    }
}
