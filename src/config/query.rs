//! Looks over `[source] query` before Postgres does: attrsync puts it in parentheses, so that an end that is missing in the
//! query would be looked for in attrsync's own SQL, and the server's message would show that.

use super::address::Flaw;

/// Returns the query without the semicolon at its end, and without what follows it.
pub(super) fn checked(text: &str) -> Result<&str, Flaw> {
    plain(text)?;
    let mut rest = Scan { text, at: 0 };
    let (mut depth, mut end, mut is_empty) = (0_usize, None, true);
    while let Some(token) = rest.next().map_err(unclosed)? {
        is_empty &= matches!(token, Token::Space | Token::Semicolon(_));
        match token {
            Token::Space => {}
            Token::Semicolon(at) if depth == 0 => end = end.or(Some(at)),
            _ if end.is_some() => {
                return flaw("has more than one statement", "only one select can be read: remove the others");
            }
            Token::Open => depth += 1,
            Token::Close if depth == 0 => {
                return flaw("closes a parenthesis that it did not open", "run it in psql and correct it");
            }
            Token::Close => depth -= 1,
            Token::Semicolon(_) | Token::Other => {}
        }
    }
    if depth > 0 {
        return flaw("has a parenthesis that is not closed", "run it in psql and correct it");
    }
    if is_empty {
        return flaw("is empty", "write select customer_id, attribute_id, value from …");
    }
    Ok(text[..end.unwrap_or(text.len())].trim())
}

/// Refuses control characters, which TOML makes of a backslash in double quotes: `\b` is a backspace there.
pub(super) fn plain(text: &str) -> Result<(), Flaw> {
    match text.chars().find(|char| char.is_control() && !matches!(char, '\t' | '\n' | '\r')) {
        None => Ok(()),
        Some(char) => flaw(
            &format!("has the control character {}", char.escape_unicode()),
            "in double quotes TOML reads \\b and the like as control characters: write the text in single quotes, '…' \
             or '''…'''",
        ),
    }
}

fn flaw<T>(problem: &str, hint: &str) -> Result<T, Flaw> {
    Err((problem.into(), hint.into()))
}

fn unclosed(Unclosed(what): Unclosed) -> Flaw {
    (format!("has {what} that is not closed"), "run it in psql and correct it".into())
}

/// A part of the query that counts for its end.
enum Token {
    /// White space or a comment.
    Space,
    Semicolon(usize),
    Open,
    Close,
    /// Anything else; a whole text or name if it is in quotes.
    Other,
}

/// What is not closed.
struct Unclosed(&'static str);

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn next(&mut self) -> Result<Option<Token>, Unclosed> {
        let (text, start) = (self.text, self.at);
        let rest = &text[start..];
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let (length, token) = match first {
            _ if first.is_whitespace() => (first.len_utf8(), Token::Space),
            '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), Token::Space),
            '/' if rest.starts_with("/*") => (comment(rest)?, Token::Space),
            '\'' => {
                (quoted(rest, '\'', is_escaped(&text[..start])).ok_or(Unclosed("a quote"))?, Token::Other)
            }
            '"' => (quoted(rest, '"', false).ok_or(Unclosed("a double quote"))?, Token::Other),
            '$' => (dollar_quoted(rest)?, Token::Other),
            '(' => (1, Token::Open),
            ')' => (1, Token::Close),
            ';' => (1, Token::Semicolon(start)),
            // A name may contain dollar signs, which begin no text there.
            _ if is_name(first) => {
                (rest.find(|c| !is_name(c) && c != '$').unwrap_or(rest.len()), Token::Other)
            }
            _ => (first.len_utf8(), Token::Other),
        };
        self.at += length;
        Ok(Some(token))
    }
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Whether the text before a quote makes it one with backslashes: `E'…'`.
fn is_escaped(before: &str) -> bool {
    let prefix = before.strip_suffix(['e', 'E']);
    prefix.is_some_and(|before| !before.ends_with(|c| is_name(c) || c == '$'))
}

/// The length of a quoted text, with its quotes. A doubled quote stands for itself.
fn quoted(text: &str, quote: char, backslashes: bool) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, char)) = chars.next() {
        if char == '\\' && backslashes {
            chars.next();
        } else if char == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}

/// The length of a comment, which may contain others.
fn comment(text: &str) -> Result<usize, Unclosed> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Ok(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Err(Unclosed("a comment"))
}

/// The length of a text in dollar quotes, `$$…$$` or `$tag$…$tag$`; of anything else that begins with a dollar sign, 1.
fn dollar_quoted(text: &str) -> Result<usize, Unclosed> {
    let Some((tag, _)) = text[1..].split_once('$') else { return Ok(1) };
    if !tag.chars().all(is_name) || tag.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(1);
    }
    let fence = &text[..tag.len() + 2];
    let end = text[fence.len()..].find(fence).ok_or(Unclosed("a dollar quote"))?;
    Ok(fence.len() + end + fence.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_semicolon_at_the_end_is_left_out() {
        for query in [
            "select 1",
            " select 1;\n",
            "select 1; -- nightly export",
            "select 1 ; /* done; /* really */ ; */ ;; -- ",
            "select 1;--",
        ] {
            assert_eq!(checked(query), Ok("select 1"), "{query}");
        }
    }

    #[test]
    fn a_query_is_kept_as_it_is_whatever_its_texts_contain() {
        for query in [
            "select ';' from v -- end;",
            "select 1 /* ; ( */",
            r"select ')' || E'\';(' || 'a''b;' from v",
            r"select 'a\' from v",
            "select \"a;\"\"(\" from v",
            "select $$;('$$, $q$ $$;( $q$ from v where a = $1 and b$c = 2",
            "select (1), e'x' from like_e where nave'(' is null",
            "select 'ä;' from größe",
            "select (select ';') from v",
        ] {
            assert_eq!(checked(query), Ok(query), "{query}");
        }
    }

    #[test]
    fn promise_12_a_query_without_its_end_is_refused_in_its_own_words() {
        for (query, words) in [
            ("", "is empty"),
            (" ; -- nothing", "is empty"),
            ("-- only a comment", "is empty"),
            ("select 'a", "has a quote that is not closed"),
            (r"select E'a\'", "has a quote that is not closed"),
            ("select \"a", "has a double quote that is not closed"),
            ("select 1 /* a /* b */", "has a comment that is not closed"),
            ("select $q$ a $$", "has a dollar quote that is not closed"),
            ("select (1", "has a parenthesis that is not closed"),
            ("select 1) as s, (select 2", "closes a parenthesis that it did not open"),
            ("select 1; select 2", "has more than one statement"),
            ("select 1; commit; drop table v", "has more than one statement"),
        ] {
            let (problem, _) = checked(query).expect_err(query);
            assert!(problem.contains(words), "{query}: {problem}");
        }
    }

    #[test]
    fn promise_12_a_control_character_is_refused_with_the_way_out() {
        let (problem, hint) = checked("select 1 where a ~ '\u{8}gold'").expect_err("a backspace");
        assert!(problem.contains("\\u{8}") && hint.contains("single quotes"), "{problem}; {hint}");
        assert!(checked("select\t1\r\n").is_ok());
    }
}
