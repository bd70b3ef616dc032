//! The parameters of libpq: those that attrsync uses, those that change nothing here, and those that it refuses,
//! because an address that asks for them must not be used without them.

use super::notation::Flaw;

/// What a parameter means to attrsync.
enum Support {
    Used,
    /// It may be left out without harm.
    NoEffect,
    /// Only these values ask for what attrsync does anyway.
    Only(&'static [&'static str]),
    /// It cannot be left out without harm. What to do instead.
    Refused(&'static str),
}

use Support::{NoEffect, Only, Refused, Used};

const NO_LIST_OF_REVOKED: &str = "attrsync does not read lists of revoked certificates: remove it";
const NO_REQUIREMENT: &str =
    "attrsync cannot check this: remove it, and verify the server with sslmode=verify-full";

const PARAMETERS: &[(&str, Support)] = &[
    ("host", Used),
    ("hostaddr", Used),
    ("port", Used),
    ("dbname", Used),
    ("user", Used),
    ("password", Used),
    ("sslmode", Used),
    ("sslrootcert", Used),
    ("sslcert", Used),
    ("sslkey", Used),
    ("options", Used),
    ("application_name", Used),
    ("connect_timeout", Used),
    ("target_session_attrs", Used),
    // attrsync finds a dead session by asking another one.
    ("keepalives", NoEffect),
    ("keepalives_idle", NoEffect),
    ("keepalives_interval", NoEffect),
    ("keepalives_count", NoEffect),
    ("tcp_user_timeout", NoEffect),
    ("fallback_application_name", NoEffect),
    ("sslcompression", NoEffect),
    ("sslsni", NoEffect),
    ("krbsrvname", NoEffect),
    ("gsslib", NoEffect),
    ("gssdelegation", NoEffect),
    ("min_protocol_version", NoEffect),
    ("statement-cache-capacity", NoEffect),
    ("gssencmode", Only(&["disable", "prefer"])),
    ("channel_binding", Only(&["disable", "prefer"])),
    ("sslnegotiation", Only(&["postgres"])),
    ("sslcertmode", Only(&["allow"])),
    ("ssl_min_protocol_version", Only(&["TLSv1", "TLSv1.1", "TLSv1.2"])),
    ("ssl_max_protocol_version", Only(&["TLSv1.3"])),
    ("client_encoding", Only(&["auto", "utf8", "UTF8", "utf-8", "UTF-8"])),
    ("load_balance_hosts", Only(&["disable"])),
    ("replication", Only(&["false", "off", "no", "0"])),
    ("max_protocol_version", Only(&["3.0", "latest"])),
    (
        "service",
        Refused("attrsync does not read service files: write the service's host, port and database here"),
    ),
    (
        "servicefile",
        Refused("attrsync does not read service files: write the service's host, port and database here"),
    ),
    ("passfile", Refused("name the password file in the environment variable PGPASSFILE")),
    ("sslpassword", Refused("attrsync cannot decrypt a key: name a key without a password in sslkey")),
    ("sslcrl", Refused(NO_LIST_OF_REVOKED)),
    ("sslcrldir", Refused(NO_LIST_OF_REVOKED)),
    ("requiressl", Refused("write sslmode=require instead")),
    ("requirepeer", Refused(NO_REQUIREMENT)),
    ("require_auth", Refused(NO_REQUIREMENT)),
];

/// Variables of the environment that stand for a parameter that an address leaves out. sqlx reads the others itself.
pub(super) const VARIABLES: &[(&str, &str)] = &[
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("gssencmode", "PGGSSENCMODE"),
    ("require_auth", "PGREQUIREAUTH"),
    ("requirepeer", "PGREQUIREPEER"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("application_name", "PGAPPNAME"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
];

/// Returns a sentence for each variable that is set, that libpq reads, and that an address does not use. `has_host`:
/// whether the address names a host. A session's own settings, as those of `PGTZ`, matter to nothing.
pub(super) fn unused_variables(has_host: bool, is_set: &dyn Fn(&str) -> bool) -> Vec<String> {
    let service = "PGSERVICE is set, but attrsync does not read service files: write the service's host, port and database \
                   into the address";
    let address = "PGHOSTADDR is set, but the address names a host, which counts more: write hostaddr=… into the address";
    let unused = [("PGSERVICE", service, true), ("PGHOSTADDR", address, has_host)];
    let told = unused.into_iter().filter(|(name, _, applies)| *applies && is_set(name));
    told.map(|(_, sentence, _)| sentence.to_owned()).collect()
}

/// Returns whether a parameter is used. `Ok(false)` means that it changes nothing.
pub(super) fn is_used(name: &str, value: &str) -> Result<bool, Flaw> {
    let Some((_, support)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
        return Err(unknown(name));
    };
    match support {
        Used => Ok(true),
        NoEffect => Ok(false),
        _ if value.is_empty() => Ok(false),
        Only(values) if values.contains(&value) => Ok(false),
        Only(values) => Err((
            format!("has a value of the parameter {name} that attrsync does not support"),
            format!("remove it, or write {name}={}", values.join(" or ")),
        )),
        Refused(hint) => {
            Err((format!("has the parameter {name}, which attrsync does not support"), (*hint).to_owned()))
        }
    }
}

/// The name of an unknown parameter is not shown unless it is a plain word: it may be a part of a password.
fn unknown(name: &str) -> Flaw {
    let names = PARAMETERS.iter().map(|(known, _)| *known);
    let near = names.map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    match near {
        Some((distance, near)) if distance <= 2 => {
            (format!("has an unknown parameter, much like {near}"), format!("did you mean {near}?"))
        }
        _ => (
            format!("has an unknown parameter{}", shown(name)),
            "remove it: attrsync takes the parameters of psql (libpq), not those of other programs"
                .to_owned(),
        ),
    }
}

fn shown(name: &str) -> String {
    const OF_OTHERS: [&str; 8] = [
        "schema",
        "pgbouncer",
        "connection_limit",
        "pool_timeout",
        "currentSchema",
        "search_path",
        "socket_timeout",
        "prepareThreshold",
    ];
    if OF_OTHERS.contains(&name) { format!(": {name}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_must_not_be_passed_over_is_refused() {
        for (name, value, words) in [
            ("sslcrl", "/x", "sslcrl"),
            ("channel_binding", "require", "prefer"),
            ("gssencmode", "require", "disable"),
            ("sslnegotiation", "direct", "postgres"),
            ("service", "shop", "host, port"),
            ("passfile", "/x", "PGPASSFILE"),
            ("load_balance_hosts", "random", "disable"),
            ("require_auth", "scram-sha-256", "verify-full"),
            ("sslmod", "require", "did you mean sslmode"),
            ("pgbouncer", "true", "pgbouncer"),
            ("hunter2", "", "unknown parameter"),
        ] {
            let (problem, hint) = is_used(name, value).expect_err(name);
            let text = format!("{problem}; {hint}");
            assert!(text.contains(words) && !text.contains("hunter2"), "{name}: {text}");
        }
    }

    #[test]
    fn a_parameter_that_changes_nothing_may_stand() {
        for (name, value) in [
            ("keepalives", "1"),
            ("keepalives_idle", "30"),
            ("gssencmode", "prefer"),
            ("channel_binding", "prefer"),
            ("sslcrl", ""),
            ("client_encoding", "utf8"),
            ("load_balance_hosts", "disable"),
        ] {
            assert_eq!(is_used(name, value), Ok(false), "{name}");
        }
        assert_eq!(is_used("host", "h"), Ok(true));
    }
}
