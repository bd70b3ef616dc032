//! The address of a database, as libpq takes it. What attrsync does not support is refused, not passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::notation;
pub(crate) use super::notation::Flaw;
use super::parameters::{self, VARIABLES};

fn flaw<T>(problem: impl Into<String>, hint: impl Into<String>) -> Result<T, Flaw> {
    Err((problem.into(), hint.into()))
}

/// The values of `sslmode`.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// How long a session may take to be opened, unless `connect_timeout` says so, and to be set up.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The value of `sslrootcert` for the authorities that the system trusts.
const SYSTEM: &str = "system";

/// The address of a database: one host or several, which are tried in order.
#[derive(Clone)]
pub(crate) struct Address {
    hosts: Vec<Host>,
    /// The other parameters, under their libpq names.
    parameters: BTreeMap<String, String>,
    /// Which kind of server is asked for.
    pub(super) target: Target,
    /// How long a host may take.
    pub(super) timeout: Duration,
    /// Variables of the environment that libpq reads and that are not used, with what to do.
    unused: Vec<String>,
}

/// A host of an address. What is `None` has the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    name: Option<String>,
    port: Option<u16>,
}

/// The values of `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Address {
    /// Whether the text is meant as an address of Postgres, valid or not.
    pub(crate) fn is_meant_by(text: &str) -> bool {
        notation::is_postgres(text)
    }

    /// Reads an address. Variables of the environment stand for what it leaves out.
    ///
    /// # Errors
    /// What is wrong with it, without any part that may be a password.
    pub(crate) fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Flaw> {
        let mut parameters = BTreeMap::new();
        for (name, value) in notation::read(text)? {
            let (name, value) = canonical(&name, value, &parameters);
            if parameters::is_used(&name, &value)? {
                parameters.insert(name, value);
            }
        }
        let has_host = ["host", "hostaddr"].iter().any(|name| parameters.contains_key(*name));
        for (name, variable) in VARIABLES {
            let is_host = matches!(*name, "host" | "hostaddr");
            let value = env(variable).filter(|value| !value.is_empty());
            let is_given = parameters.contains_key(*name) || (has_host && is_host);
            if let Some(value) = value.filter(|_| !is_given) {
                let of_variable = |(problem, hint): Flaw| (format!("with {variable}: {problem}"), hint);
                if parameters::is_used(name, &value).map_err(of_variable)? {
                    parameters.insert((*name).to_owned(), value);
                }
            }
        }
        check_tls(&mut parameters)?;
        let target = match parameters.remove("target_session_attrs").as_deref() {
            None | Some("" | "any") => Target::Any,
            Some("read-write") => Target::ReadWrite,
            Some("read-only") => Target::ReadOnly,
            Some("primary") => Target::Primary,
            Some("standby") => Target::Standby,
            Some("prefer-standby") => Target::PreferStandby,
            Some(_) => {
                return flaw(
                    "has an unknown target_session_attrs",
                    "allowed: any, read-write, read-only, primary, standby, prefer-standby",
                );
            }
        };
        let timeout = connect_timeout(parameters.remove("connect_timeout").as_deref())?;
        let hosts = hosts(&mut parameters)?;
        let is_set = |name: &str| env(name).is_some_and(|value| !value.is_empty());
        let unused = parameters::unused_variables(has_host, &is_set);
        Ok(Self { hosts, parameters, target, timeout, unused })
    }

    /// The variables of the environment that libpq reads and that are not used, a sentence each.
    pub(crate) fn unused_variables(&self) -> &[String] {
        &self.unused
    }

    /// Whether a password is part of the address.
    pub(super) fn has_password(&self) -> bool {
        self.parameters.contains_key("password")
    }

    /// The file with the authorities that may sign the server's certificate.
    pub(super) fn root_certificates(&self) -> Option<&str> {
        self.parameters.get("sslrootcert").map(String::as_str).filter(|file| *file != SYSTEM)
    }

    /// The files with this client's certificate and its key.
    pub(super) fn client_files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        ["sslcert", "sslkey"]
            .into_iter()
            .filter_map(|name| self.parameters.get(name).map(|file| (name, file.as_str())))
    }

    pub(super) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The options of a session with one host.
    ///
    /// # Errors
    /// A parameter has a value that cannot be read.
    pub(super) fn options(&self, host: &Host) -> Result<PgConnectOptions, Flaw> {
        const NAMES: [&str; 8] =
            ["user", "password", "dbname", "sslmode", "sslrootcert", "sslcert", "sslkey", "options"];
        let bad = |_| ("cannot be used".to_owned(), "check its parameters".to_owned());
        // sqlx looks into the password file only for an address that it has read itself.
        let mut url = Url::parse("postgres:///").map_err(|_| bad(()))?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(name) = &host.name {
                query.append_pair("host", name);
            }
            if let Some(port) = host.port {
                query.append_pair("port", &port.to_string());
            }
            for name in NAMES {
                let value = self.parameters.get(name).filter(|value| !value.is_empty());
                if let Some(value) = value.filter(|value| name != "sslrootcert" || *value != SYSTEM) {
                    query.append_pair(name, value);
                }
            }
        }
        let mut options = PgConnectOptions::from_str(url.as_str()).map_err(|_| bad(()))?;
        if self.root_certificates().is_none() {
            // Otherwise sqlx takes the authorities of the environment.
            options = options.ssl_root_cert_from_pem(Vec::new());
        }
        let name = self.parameters.get("application_name").map_or("attrsync", String::as_str);
        // A pooler with its default settings refuses `extra_float_digits` at the start of a session.
        Ok(options.application_name(name).extra_float_digits(None).disable_statement_logging())
    }
}

/// Replaces the other names of a parameter. Single options are added to `options`.
fn canonical(name: &str, value: String, others: &BTreeMap<String, String>) -> (String, String) {
    let option = name.strip_prefix("options[").and_then(|rest| rest.strip_suffix(']'));
    if let Some(option) = option {
        let escaped = value.replace('\\', "\\\\").replace(' ', "\\ ");
        let before = others.get("options").map(|options| format!("{options} ")).unwrap_or_default();
        return ("options".to_owned(), format!("{before}-c {option}={escaped}"));
    }
    let name = match name {
        "ssl-mode" => "sslmode",
        "ssl-root-cert" | "ssl-ca" => "sslrootcert",
        "ssl-cert" => "sslcert",
        "ssl-key" => "sslkey",
        "ssl" if value == "true" => return ("sslmode".to_owned(), "require".to_owned()),
        name => name,
    };
    (name.to_owned(), value)
}

/// Checks the parameters of TLS and sets `sslmode` to what libpq would do.
fn check_tls(parameters: &mut BTreeMap<String, String>) -> Result<(), Flaw> {
    let mode = parameters.get("sslmode").map(|mode| mode.to_ascii_lowercase());
    if mode.as_deref().is_some_and(|mode| !SSL_MODES.contains(&mode)) {
        return flaw("has an unknown sslmode", format!("allowed: {}", SSL_MODES.join(", ")));
    }
    let root = parameters.get("sslrootcert").filter(|file| !file.is_empty());
    let mode = match (root.map(String::as_str), mode.as_deref()) {
        (Some(SYSTEM), None | Some("verify-full")) => "verify-full",
        (Some(SYSTEM), Some(_)) => {
            return flaw(
                "has sslrootcert=system beside a weaker sslmode",
                "write sslmode=verify-full: any server has a certificate that the system trusts, so its host name \
                 must be verified too",
            );
        }
        // As in libpq.
        (Some(_), Some("require")) => "verify-ca",
        // sqlx never encrypts with "allow".
        (_, Some("allow") | None) => "prefer",
        (_, Some(mode)) => mode,
    }
    .to_owned();
    if parameters.contains_key("sslcert") != parameters.contains_key("sslkey") {
        return flaw("has only one of sslcert and sslkey", "name the files of both");
    }
    if mode == "verify-full" && parameters.contains_key("host") && parameters.contains_key("hostaddr") {
        return flaw(
            "has host and hostaddr with sslmode=verify-full, which attrsync does not support",
            "remove hostaddr: the certificate must be that of the host it connects to",
        );
    }
    parameters.insert("sslmode".to_owned(), mode);
    Ok(())
}

fn connect_timeout(text: Option<&str>) -> Result<Duration, Flaw> {
    match text.unwrap_or_default().trim() {
        "" => Ok(CONNECT_TIMEOUT),
        text => match text.parse::<i64>() {
            Ok(seconds) if seconds <= 0 => Ok(CONNECT_TIMEOUT),
            // As in libpq.
            Ok(seconds) => Ok(Duration::from_secs(seconds.clamp(2, 3600).unsigned_abs())),
            Err(_) => flaw("has a connect_timeout that is not a number", "write seconds: connect_timeout=10"),
        },
    }
}

/// Takes the hosts out of the parameters.
fn hosts(parameters: &mut BTreeMap<String, String>) -> Result<Vec<Host>, Flaw> {
    let mut list = |name: &str| {
        let text = parameters.remove(name).unwrap_or_default();
        text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>()
    };
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let is_given = |list: &[String]| list.iter().any(|part| !part.is_empty());
    let names = match (is_given(&names), is_given(&addresses)) {
        (true, true) if names.len() != addresses.len() => {
            return flaw("has not as many values in hostaddr as in host", "write one for each host");
        }
        (_, true) => {
            let or_name = |(at, address): (usize, &String)| match address.as_str() {
                "" => names.get(at).cloned().unwrap_or_default(),
                address => address.to_owned(),
            };
            addresses.iter().enumerate().map(or_name).collect()
        }
        _ => names,
    };
    if ports.len() > 1 && ports.len() != names.len() {
        return flaw("has not as many ports as hosts", "write one port for each host, or one for all");
    }
    let host = |(at, name): (usize, String)| {
        let port = ports.get(at).unwrap_or(&ports[0]);
        let port = match port.parse::<u16>() {
            _ if port.is_empty() => None,
            Ok(port @ 1..) => Some(port),
            _ => return flaw("has a port that is not one of 1 to 65535", "the usual one is 5432"),
        };
        if name.starts_with('@')
            || name.chars().any(|c| c.is_control() || (c.is_whitespace() && !name.starts_with('/')))
        {
            return flaw(
                "has a host that attrsync cannot reach",
                "write a name, an IP address or the folder of a socket",
            );
        }
        Ok(Host { name: (!name.is_empty()).then_some(name), port })
    };
    names.into_iter().enumerate().map(host).collect()
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgSslMode;

    use super::*;

    fn parse(text: &str) -> Result<Address, Flaw> {
        Address::parse(text, &|_| None)
    }

    fn options(text: &str) -> Vec<PgConnectOptions> {
        let address = parse(text).unwrap_or_else(|(problem, _)| panic!("{text}: {problem}"));
        address.hosts().iter().map(|host| address.options(host).expect("options")).collect()
    }

    fn places(text: &str) -> Vec<String> {
        let place = |options: &PgConnectOptions| match options.get_socket() {
            Some(folder) => format!("{}:{}", folder.display(), options.get_port()),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        options(text).iter().map(place).collect()
    }

    #[test]
    fn hosts_are_names_addresses_and_folders_of_sockets() {
        for (text, expect) in [
            ("postgres://u@h:1/d", vec!["h:1"]),
            ("postgres://u@[::1]:1/d", vec!["::1:1"]),
            ("postgres://%2Frun%2Fpg:7/d", vec!["/run/pg:7"]),
            ("postgres:///d?host=/run/pg&port=7", vec!["/run/pg:7"]),
            ("host=/run/pg port=7 dbname=d", vec!["/run/pg:7"]),
            ("postgres://h:1/d?hostaddr=127.0.0.1", vec!["127.0.0.1:1"]),
            ("postgres://a:1,b:2/d", vec!["a:1", "b:2"]),
            ("postgres:///d?host=a,b&port=3", vec!["a:3", "b:3"]),
            ("host=a,/run/pg port=3,4", vec!["a:3", "/run/pg:4"]),
        ] {
            assert_eq!(places(text), expect, "{text}");
        }
    }

    #[test]
    fn the_environment_fills_what_is_left_out() {
        let env = |name: &str| match name {
            "PGHOST" => Some("a,b".to_owned()),
            "PGPORT" => Some("3".to_owned()),
            "PGSSLROOTCERT" => Some("system".to_owned()),
            _ => None,
        };
        let address = Address::parse("postgres:///d", &env).expect("an address");
        let names: Vec<_> = address.hosts().iter().map(|host| (host.name.as_deref(), host.port)).collect();
        assert_eq!(names, [(Some("a"), Some(3)), (Some("b"), Some(3))]);
        assert!(matches!(
            address.options(&address.hosts()[0]).expect("options").get_ssl_mode(),
            PgSslMode::VerifyFull
        ));
        let address = Address::parse("postgres://h:5/d", &env).expect("an address");
        assert_eq!(address.hosts(), [Host { name: Some("h".to_owned()), port: Some(5) }]);
        assert_eq!(address.unused_variables(), [""; 0]);
        let unused = |name: &str| ["PGSERVICE", "PGHOSTADDR"].contains(&name).then(|| "x".to_owned());
        let address = Address::parse("postgres://h:5/d", &unused).expect("an address");
        assert_eq!(address.unused_variables().len(), 2, "{:?}", address.unused_variables());
        let address = Address::parse("postgres:///d", &unused).expect("an address");
        assert_eq!(address.unused_variables().len(), 1, "{:?}", address.unused_variables());
        let wrong = |name: &str| (name == "PGSSLMODE").then(|| "verify_full".to_owned());
        assert!(Address::parse("postgres://h", &wrong).is_err(), "a misspelt mode would verify nothing");
        let unmet = |name: &str| (name == "PGCHANNELBINDING").then(|| "require".to_owned());
        let (problem, _) = Address::parse("postgres://h", &unmet).expect_err("is refused");
        assert!(problem.contains("PGCHANNELBINDING"), "{problem}");
    }

    #[test]
    fn tls_is_at_least_as_strict_as_in_libpq() {
        let mode = |text: &str| format!("{:?}", options(text)[0].get_ssl_mode());
        for (query, expect) in [
            ("", "Prefer"),
            ("sslmode=allow", "Prefer"),
            ("sslmode=Verify-Full", "VerifyFull"),
            ("ssl-mode=disable", "Disable"),
            ("ssl=true", "Require"),
            ("sslrootcert=system", "VerifyFull"),
            ("sslrootcert=system&sslmode=verify-full", "VerifyFull"),
            ("sslrootcert=/ca.pem&sslmode=require", "VerifyCa"),
            ("sslrootcert=/ca.pem", "Prefer"),
        ] {
            assert_eq!(mode(&format!("postgres://h/d?{query}")), expect, "{query}");
        }
        for query in [
            "sslrootcert=system&sslmode=require",
            "sslrootcert=system&sslmode=disable",
            "sslmode=hunter2",
            "sslmode=",
            "sslmode=require&ssl-mode=hunter2",
            "sslcert=/c.pem",
            "hostaddr=127.0.0.1&sslmode=verify-full",
        ] {
            let (problem, hint) = parse(&format!("postgres://h/d?{query}")).expect_err(query);
            assert!(!format!("{problem} {hint}").contains("hunter2"), "{problem} {hint}");
        }
    }

    #[test]
    fn options_of_the_session_are_collected() {
        let text = "postgres://h/d?options=-c%20a%3D1&options[b]=x%20y&application_name=nightly";
        let options = &options(text)[0];
        assert_eq!(options.get_options(), Some("-c a=1 -c b=x\\ y"));
        assert_eq!(options.get_application_name(), Some("nightly"));
        assert_eq!(super::tests::options("postgres://h")[0].get_application_name(), Some("attrsync"));
    }

    #[test]
    fn numbers_and_lists_are_checked() {
        for text in [
            "postgres://h:0/d",
            "postgres://h:65536/d",
            "postgres://h/d?port=x",
            "postgres://a,b,c/d?port=1,2",
            "postgres://a,b/d?hostaddr=127.0.0.1",
            "postgres://h/d?connect_timeout=soon",
            "postgres://h/d?target_session_attrs=master",
            "postgres://a b/d",
            "postgres://%40abstract/d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("postgres://h?connect_timeout=1").expect("an address").timeout.as_secs(), 2);
        assert_eq!(parse("postgres://h?connect_timeout=0").expect("an address").timeout, CONNECT_TIMEOUT);
        let target = parse("postgres://a,b/d?target_session_attrs=primary").expect("an address").target;
        assert_eq!(target, Target::Primary);
    }

    #[test]
    fn a_password_is_not_shown() {
        let address = parse("postgres://u:hunter2@h/d").expect("an address");
        assert!(address.has_password() && !format!("{address:?}").contains("hunter2"));
    }
}
