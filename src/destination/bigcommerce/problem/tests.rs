use super::*;
use crate::config::Secret;

fn mask() -> Mask {
    Mask::new(Secret::new("tok_s3cret"))
}

fn problem(text: &str) -> (String, Vec<(String, String)>) {
    match error_body(422, text, &mask()) {
        Body::Problem { title, errors } => (title, errors),
        other => panic!("{text} was read as {other:?}"),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn errors_keep_their_order() {
    let text = r#"{"status":422,"title":"Update failed.","type":"t",
        "errors":{"9.value":"too long","0.customer_id":"unknown","":"whole"}}"#;
    let expected = pairs(&[("9.value", "too long"), ("0.customer_id", "unknown"), ("", "whole")]);
    assert_eq!(problem(text), ("Update failed.".to_owned(), expected));
}

#[test]
fn errors_may_be_missing_empty_nested_or_a_list() {
    let check = |text: &str, title: &str, errors: &[(&str, &str)]| {
        assert_eq!(problem(text), (title.to_owned(), pairs(errors)), "{text}");
    };
    check(r#"{"status":403,"title":"Authentication Required"}"#, "Authentication Required", &[]);
    check(r#"{"status":429,"title":"Too many requests","errors":{}}"#, "Too many requests", &[]);
    check(r#"{"status":504,"title":"","errors":null}"#, "", &[]);
    check(r#"{"status":422,"errors":{"0.id":"gone"}}"#, "", &[("0.id", "gone")]);
    check(r#"{"title":"Input is invalid","detail":"Syntax error"}"#, "Input is invalid: Syntax error", &[]);
    check(
        r#"{"title":"t","errors":{"1":{"value":["long","odd"]},"n":3,"b":true}}"#,
        "t",
        &[("1.value", "long"), ("1.value", "odd"), ("n", "3"), ("b", "true")],
    );
    check(r#"{"title":"t","errors":["a",{"2.value":"b"}]}"#, "t", &[("", "a"), ("2.value", "b")]);
    check(r#"{"title":"t","errors":"all"}"#, "t", &[("", "all")]);
}

#[test]
fn the_errors_of_the_v2_api_are_a_list() {
    let text = r#"[{"status":400,"message":"tok_s3cret is bad","details":{"3.value":"long"}},{"status":400,"message":"b"}]"#;
    assert_eq!(problem(text), ("*** is bad; b".to_owned(), pairs(&[("3.value", "long")])));
}

#[test]
fn a_refusal_of_a_gateway_may_have_one_error() {
    assert_eq!(problem(r#"{"error":{"message":"bad"}}"#), (String::new(), pairs(&[("message", "bad")])));
    assert_eq!(problem(r#"{"error":"bad"}"#), (String::new(), pairs(&[("", "bad")])));
}

#[test]
fn other_bodies_are_unreadable() {
    for text in [
        "",
        "null",
        "7",
        "[]",
        r#"[{"message":"m"}]"#,
        r#"{"message":"m"}"#,
        r#"{"error":"m"}"#,
        "<h1>404</h1>",
    ] {
        assert_eq!(error_body(403, text, &mask()), Body::Unreadable(text.to_owned()));
    }
}

#[test]
fn excerpts_are_cut_between_characters_and_clean() {
    assert_eq!(excerpt("a\0b\r\n\u{1b}[31mc\u{202e}d"), "a b   [31mc d");
    let long = format!("a{}", "é".repeat(4000));
    let cut = excerpt(&long);
    assert_eq!(cut.len(), 2047);
    assert!(long.starts_with(&cut));
    let (title, errors) = problem(r#"{"title":"a\u0000b","errors":{"v\u0000":"c\u0000"}}"#);
    assert_eq!((title.as_str(), errors), ("a b", pairs(&[("v ", "c ")])));
}

#[test]
fn a_refusal_that_was_cut_is_still_a_refusal() {
    assert_eq!(
        problem(r#"{"title":"Update failed","errors":{"0.value":"too"#),
        ("Update failed".to_owned(), vec![])
    );
    assert_eq!(error_body(422, r#"{"title":"Upd"#, &mask()), Body::Unreadable(r#"{"title":"Upd"#.to_owned()));
}

#[test]
fn promise_8_of_a_monstrous_refusal_little_is_kept() {
    let key = "k".repeat(1 << 20);
    let zeros = vec!["0"; 400_000].join(",");
    let texts = vec![format!("\"{}\"", "x".repeat(5_000)); 200].join(",");
    let deep = format!("{}{}", r#"{"level":"#.repeat(120), "0") + &"}".repeat(120);
    for (errors, count) in [
        (format!(r#"{{"{key}":[{zeros}]}}"#), 256),
        (format!(r#"{{"{key}":[{texts}]}}"#), 29),
        (format!(r#"{{"0":{{"{key}":{{"{key}":"x"}}}},"1":"y"}}"#), 2),
        (deep, 1),
    ] {
        let (title, errors) = problem(&format!(r#"{{"title":"x","errors":{errors}}}"#));
        assert_eq!((title.as_str(), errors.len()), ("x", count));
        assert!(errors.iter().all(|(field, text)| field.len() <= FIELD_MAX && text.len() <= EXCERPT_MAX));
    }
    let (title, _) = problem(&format!(r#"{{"title":"{key}"}}"#));
    assert_eq!(title.len(), EXCERPT_MAX);
}

#[test]
fn promise_11_the_token_is_masked_before_a_text_is_cut() {
    let before = "é".repeat(EXCERPT_MAX / 2 - 2);
    for text in [r"tok_\u00733cret", "tok_s3cret"] {
        let (title, errors) =
            problem(&format!(r#"{{"title":"{before}{text}","errors":{{"{text}":"{before}{text}"}}}}"#));
        assert_eq!(
            (title, errors),
            (format!("{before}***"), vec![("***".to_owned(), format!("{before}***"))])
        );
        assert_eq!(
            error_body(422, &format!("{before}{text}"), &mask()),
            Body::Unreadable(format!("{before}***"))
        );
    }
}
