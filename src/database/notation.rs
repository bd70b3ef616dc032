//! The two notations of libpq for an address: `postgres://user@host/database?name=value` and `host=… dbname=…`.
//!
//! No problem repeats a part of the text, because a special character that is not escaped makes a part of the password
//! look like any other part.

/// A problem and what to do about it.
pub(crate) type Flaw = (String, String);

/// Names and values in the order of the text. A later value replaces an earlier one.
pub(super) type Pairs = Vec<(String, String)>;

const SHAPE: &str = "it must be postgres://user:password@host:5432/database";
const ESCAPED: &str = "it must be postgres://user:password@host:5432/database, with special characters of the \
     password written as %40 and the like";

fn flaw<T>(problem: &str, hint: &str) -> Result<T, Flaw> {
    Err((problem.to_owned(), hint.to_owned()))
}

/// Whether the text is an address of Postgres, valid or not.
pub(super) fn is_postgres(text: &str) -> bool {
    without_scheme(text).is_some() || is_list(text)
}

fn without_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"))
}

/// Whether the text begins with `name =`.
fn is_list(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        let name = name.trim();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}

/// Reads an address in either notation.
pub(super) fn read(text: &str) -> Result<Pairs, Flaw> {
    match without_scheme(text) {
        Some(rest) => read_uri(rest),
        None if is_list(text) => read_list(text),
        None => flaw("is not an address of a Postgres database", SHAPE),
    }
}

fn read_uri(text: &str) -> Result<Pairs, Flaw> {
    let (authority, rest) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
    // A special character in the password ends the password too early.
    if rest.contains(['@', '#']) {
        return flaw("has an @ or a # after the host's name", ESCAPED);
    }
    let mut pairs = Pairs::new();
    let hosts = match authority.rsplit_once('@') {
        Some((account, hosts)) => {
            let (user, password) =
                account.split_once(':').map_or((account, None), |(user, password)| (user, Some(password)));
            add(&mut pairs, "user", user)?;
            if let Some(password) = password {
                add(&mut pairs, "password", password)?;
            }
            hosts
        }
        None => authority,
    };
    read_hosts(hosts, &mut pairs)?;
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    add(&mut pairs, "dbname", path.trim_start_matches('/'))?;
    for parameter in query.into_iter().flat_map(|query| query.split('&')).filter(|part| !part.is_empty()) {
        let Some((name, value)) = parameter.split_once('=') else {
            return flaw("has a parameter without a value after the question mark", ESCAPED);
        };
        pairs.push((decoded(name)?, decoded(value)?));
    }
    Ok(pairs)
}

/// Adds a part of an address, unless it is empty.
fn add(pairs: &mut Pairs, name: &str, part: &str) -> Result<(), Flaw> {
    if !part.is_empty() {
        pairs.push((name.to_owned(), decoded(part)?));
    }
    Ok(())
}

/// Reads `host:port,host:port`, with IPv6 addresses in brackets.
fn read_hosts(text: &str, pairs: &mut Pairs) -> Result<(), Flaw> {
    if text.is_empty() {
        return Ok(());
    }
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        let (host, port) = match part.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((host, ""))) => (host, ""),
            Some(Some((host, after))) => match after.strip_prefix(':') {
                Some(port) => (host, port),
                None => return flaw("has a host's name that cannot be read", ESCAPED),
            },
            Some(None) => return flaw("has a [ without its ]", "write an IPv6 address as [::1]"),
            None => part.split_once(':').unwrap_or((part, "")),
        };
        if port.contains(':') {
            return flaw(
                "has a host's name with several colons",
                "write an IPv6 address in brackets, as [::1]; write special characters of the password as %40 and \
                 the like",
            );
        }
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return flaw("has a port that is not a number", ESCAPED);
        }
        hosts.push(decoded(host)?);
        ports.push(port);
    }
    pairs.push(("host".to_owned(), hosts.join(",")));
    if ports.iter().any(|port| !port.is_empty()) {
        pairs.push(("port".to_owned(), ports.join(",")));
    }
    Ok(())
}

/// Replaces `%40` and the like. A per cent sign without two digits after it stands for itself.
fn decoded(text: &str) -> Result<String, Flaw> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => flaw("has an escaped character that is not UTF-8 text", ESCAPED),
    }
}

/// Reads `name = value name = 'a \'quoted\' value'`.
fn read_list(text: &str) -> Result<Pairs, Flaw> {
    const QUOTES: &str = "write host=… dbname=…, with a value that has spaces in single quotes";
    let mut pairs = Pairs::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            return flaw("has a name without a value", QUOTES);
        };
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return flaw("has a name without a value", QUOTES);
        }
        let Some((value, after)) = list_value(after.trim_start()) else {
            return flaw("has a quote that is not closed", QUOTES);
        };
        pairs.push((name.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// Splits a value from what follows; `None` if its quote is not closed.
fn list_value(text: &str) -> Option<(String, &str)> {
    let quoted = text.strip_prefix('\'');
    let mut chars = quoted.unwrap_or(text).char_indices();
    let whole = quoted.unwrap_or(text);
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '\'' if quoted.is_some() => return Some((value, &whole[at + 1..])),
            c if quoted.is_none() && c.is_whitespace() => return Some((value, &whole[at..])),
            c => value.push(c),
        }
    }
    quoted.is_none().then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &[(&str, &str)]) {
        let pairs = read(text).unwrap_or_else(|(problem, _)| panic!("{text}: {problem}"));
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, expect, "{text}");
    }

    #[test]
    fn an_address_has_parts() {
        check("postgres://", &[]);
        check("postgresql://h", &[("host", "h")]);
        check("postgres:///db?host=/run/pg&port=1", &[("dbname", "db"), ("host", "/run/pg"), ("port", "1")]);
        check(
            "postgres://u%40x:p%3A%2F%23+@h_1:5433/a%20b?options=-c%20a%3D1",
            &[
                ("user", "u@x"),
                ("password", "p:/#+"),
                ("host", "h_1"),
                ("port", "5433"),
                ("dbname", "a b"),
                ("options", "-c a=1"),
            ],
        );
        check("postgres://%2Frun%2Fpg/db", &[("host", "/run/pg"), ("dbname", "db")]);
        check("postgres://u:100%@h", &[("user", "u"), ("password", "100%"), ("host", "h")]);
        check(
            "postgres://u@x:p@y@h",
            &[("user", "u@x"), ("password", "p@y"), ("host", "h")].map(|pair| pair),
        );
    }

    #[test]
    fn several_hosts_are_a_list() {
        check("postgres://a:1,b,[::1]:3/d", &[("host", "a,b,::1"), ("port", "1,,3"), ("dbname", "d")]);
        check("postgres://[fe80::1]/d", &[("host", "fe80::1"), ("dbname", "d")]);
    }

    #[test]
    fn names_and_values_are_an_address_too() {
        check("host=h dbname=shop", &[("host", "h"), ("dbname", "shop")]);
        check(
            r"host = h  password='it\'s \\ 1' user=a\ b  options=''",
            &[("host", "h"), ("password", r"it's \ 1"), ("user", "a b"), ("options", "")],
        );
    }

    #[test]
    fn no_problem_repeats_the_text() {
        for bad in [
            "mysql://hunter2/db",
            "hunter2",
            "postgres://u:hunter2@hunter2/hunter2@h/db",
            "postgres://u:4711/hunter2@h/db",
            "postgres://u:4711?hunter2@h/db",
            "postgres://u:p#hunter2@h/db",
            "postgres://u:hunter2:hunter2",
            "postgres://h:hunter2/db",
            "postgres://[hunter2/db",
            "postgres://[::1]hunter2/db",
            "postgres://h/db?hunter2",
            "postgres://u:%FFhunter2@h",
            "postgres://u:%00hunter2@h",
            "host=h password='hunter2",
            "host=h hunter2",
            "host=h hunter2 x=1",
        ] {
            let (problem, hint) = read(bad).expect_err(bad);
            assert!(!format!("{problem} {hint}").contains("hunter2"), "{problem} {hint}");
        }
    }
}
