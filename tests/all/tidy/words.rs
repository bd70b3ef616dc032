//! The glossary's words: retired words and empty names come back neither in names nor in prose.

use std::collections::BTreeMap;
use std::fs;

use super::source::{Source, files, has_word, root, rust_files};
use super::terms::{
    EMPTY_NAMES, FIXED_NAMES, FIXED_PROSE, RETIRED_AS_NAMES, RETIRED_IN_NAMES, RETIRED_IN_PROSE,
    SPELT_OUT_HERE, WORDS_OF_A_NAME,
};

/// Places of words that may not be there, each once a file.
type Found = BTreeMap<(String, String), usize>;

#[test]
fn no_name_has_a_retired_word() {
    let mut found = Found::new();
    for source in code() {
        for (line, name) in names(&source.code) {
            if let Some(word) = retired_in(name, &source.path) {
                found.entry((source.path.clone(), format!("{name} ({word})"))).or_insert(line);
            }
        }
    }
    assert_none(&found);
}

#[test]
fn no_prose_has_a_retired_word() {
    let mut found = Found::new();
    for (path, line, text) in prose() {
        for word in retired_words(&text, &path) {
            let line = line + line_of(word, &text, &path);
            found.insert((path.clone(), format!("{word}, in line {line}")), line);
        }
    }
    assert_none(&found);
}

#[test]
fn modules_types_and_functions_are_named_for_what_they_are() {
    let mut found = Found::new();
    for source in code() {
        for (line, name) in definitions(&source.code) {
            if words_of(name).iter().any(|word| EMPTY_NAMES.contains(&word.as_str())) {
                found.insert((source.path.clone(), name.to_owned()), line);
            }
        }
        for name in source.path.trim_end_matches(".rs").split('/') {
            if words_of(name).iter().any(|word| EMPTY_NAMES.contains(&word.as_str())) {
                found.insert((source.path.clone(), name.to_owned()), 1);
            }
        }
    }
    assert_none(&found);
}

#[test]
fn every_exception_is_needed() {
    let (code, prose) = (code(), prose());
    let is_used = |name: &str, place: &str| {
        code.iter().any(|source| source.path.starts_with(place) && has_word(&source.code, name))
            || prose.iter().any(|(path, _, text)| path.starts_with(place) && has_word(text, name))
    };
    let names = FIXED_NAMES.iter().filter(|(name, place, _)| !is_used(name, place)).map(|(name, ..)| *name);
    let is_said = |words: &str, place: &str| {
        prose.iter().any(|(path, _, text)| path.starts_with(place) && plain(text).contains(words))
    };
    let phrases =
        FIXED_PROSE.iter().filter(|(words, place, _)| !is_said(words, place)).map(|(words, ..)| *words);
    let idle: Vec<_> = names.chain(phrases).collect();
    assert!(idle.is_empty(), "exceptions that nothing needs: {idle:?}");
}

#[track_caller]
fn assert_none(found: &Found) {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, _) in found.keys() {
        let depth = if path.starts_with("tests/all/") { 3 } else { 2 };
        let end = path.match_indices('/').nth(depth - 1).map_or(path.len(), |(end, _)| end);
        *folders.entry(&path[..end]).or_default() += 1;
    }
    let lines = found.iter().map(|((path, word), line)| format!("{path}:{line}: {word}"));
    let lines = lines.collect::<Vec<_>>().join("\n");
    assert!(found.is_empty(), "{lines}\n{} in all, by folder: {folders:#?}", found.len());
}

/// All Rust code, tests and benchmarks too.
fn code() -> Vec<Source> {
    let mut code = rust_files(&["src", "tests", "benches", "fuzz/fuzz_targets"], true);
    code.retain(|source| !SPELT_OUT_HERE.contains(&source.path.as_str()));
    code
}

/// Everything that a person reads: comments and texts of the code, documents, SQL, settings and scripts.
fn prose() -> Vec<(String, usize, String)> {
    let mut prose = Vec::new();
    for source in code() {
        let lines =
            source.prose.into_iter().map(|(line, text)| (line, text.trim_start_matches('/').to_owned()));
        prose.extend(paragraphs(&source.path, lines));
    }
    let mut others = Vec::new();
    for folder in ["docs", "migrations", "scripts", "deploy", ".ci"] {
        files(&root().join(folder), &["", "md", "sql", "py", "service", "txt"], &mut others);
    }
    let single = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "sync.toml", "Cargo.toml", "deny.toml"];
    others.extend(single.iter().map(|name| root().join(name)));
    for path in others {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let path = path.strip_prefix(root()).expect("a file of the project").display().to_string();
        let lines = text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line.trim_start_matches(['#', '-', ' ', '>']).to_owned()));
        prose.extend(paragraphs(&path, lines));
    }
    prose
}

/// Joins lines that follow each other, so that a phrase may go over a line's end.
fn paragraphs(path: &str, lines: impl Iterator<Item = (usize, String)>) -> Vec<(String, usize, String)> {
    let mut joined: Vec<(String, usize, String)> = Vec::new();
    let mut last = 0;
    for (line, text) in lines {
        match joined.last_mut() {
            Some((_, _, paragraph)) if line == last + 1 && !text.trim().is_empty() => {
                *paragraph += "\n";
                *paragraph += &text;
            }
            _ => joined.push((path.to_owned(), line, text)),
        }
        last = line;
    }
    joined
}

/// The names of a code with their lines.
fn names(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().flat_map(|(at, line)| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'))
            .map(move |name| (at + 1, name))
    })
}

/// The names that a code gives to modules, types and functions, with their lines.
fn definitions(code: &str) -> Vec<(usize, &str)> {
    let names: Vec<_> = names(code).collect();
    let kinds = ["mod", "struct", "enum", "trait", "type", "fn", "union"];
    names.windows(2).filter(|pair| kinds.contains(&pair[0].1)).map(|pair| pair[1]).collect()
}

/// The words of a name in snake case, camel case or capitals, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("a word").extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The retired word of a name.
fn retired_in(name: &str, path: &str) -> Option<&'static str> {
    if FIXED_NAMES.iter().any(|(fixed, place, _)| *fixed == name && path.starts_with(place)) {
        return None;
    }
    let words = words_of(name);
    let joined = words.join(" ");
    if words.len() > WORDS_OF_A_NAME {
        return retired_words(&joined, path).first().copied();
    }
    if let Some(word) = RETIRED_AS_NAMES.iter().find(|word| **word == joined) {
        return Some(word);
    }
    let joined = format!(" {joined} ").replace(" in doubt ", " ");
    RETIRED_IN_NAMES.iter().copied().find(|word| joined.contains(&format!(" {word} ")))
}

/// Words in lower case with one space between them, without marks of Markdown.
fn plain(text: &str) -> String {
    let kept: String = text
        .chars()
        .map(|c| if c.is_alphanumeric() || "_'’.-$/".contains(c) { c } else { ' ' })
        .collect::<String>()
        .to_lowercase();
    format!(
        " {} ",
        kept.split_whitespace().map(|word| word.trim_matches(['.', '-', '\''])).collect::<Vec<_>>().join(" ")
    )
}

/// The retired words of a text.
fn retired_words(text: &str, path: &str) -> Vec<&'static str> {
    let mut text = plain(text);
    for (fixed, ..) in FIXED_PROSE.iter().filter(|(_, place, _)| path.starts_with(place)) {
        text = text.replace(&format!(" {fixed} "), " … ");
    }
    RETIRED_IN_PROSE.iter().copied().filter(|word| text.contains(&format!(" {word} "))).collect()
}

/// How many lines below the first of a text the word is.
fn line_of(word: &str, text: &str, path: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let has_it = |from: usize, to: usize| {
        let lines = lines[from..to.min(lines.len())].join("\n");
        retired_words(&lines, path).contains(&word)
    };
    let in_one = (0..lines.len()).find(|&at| has_it(at, at + 1));
    in_one.or_else(|| (0..lines.len()).find(|&at| has_it(at, at + 2))).unwrap_or(0)
}

#[test]
fn names_are_split_into_words() {
    for (name, words) in [
        ("snake_case2_x", &["snake", "case2", "x"][..]),
        ("CamelCaseName", &["camel", "case", "name"]),
        ("LOUD_NAME", &["loud", "name"]),
        ("_hidden", &["hidden"]),
    ] {
        assert_eq!(words_of(name), words, "{name}");
    }
}

#[test]
fn retired_words_are_found_in_names() {
    for (name, word) in [
        ("in_doubt_until", None),
        ("DoubtfulValue", Some("doubtful")),
        ("owner_run_id", None),
        ("key_owner", Some("owner")),
        ("push_back", None),
        ("Back", Some("back")),
        ("a_customer_is_back_in_the_store", None),
        ("a_value_that_is_set_aside_stays", Some("set aside")),
    ] {
        assert_eq!(retired_in(name, "src/ledger.rs"), word, "{name}");
    }
}

#[test]
fn phrases_are_found_over_line_ends_and_marks() {
    assert_eq!(retired_words("It was *set\naside*.", "README.md"), ["set aside"]);
    assert_eq!(retired_words("A request is in doubt.", "README.md"), [""; 0]);
    assert_eq!(retired_words("no doubt", "README.md"), ["doubt"]);
    assert_eq!(line_of("set aside", "One.\nIt was set\naside.", "README.md"), 1);
}
