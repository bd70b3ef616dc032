//! The project's files as the rules read them: Rust code without comments and texts, and the prose of every file.

use std::fs;
use std::path::{Path, PathBuf};

/// A Rust file.
pub(super) struct Source {
    /// The path from the project's root, with `/`.
    pub(super) path: String,
    /// The text as it is, without `mod tests` blocks.
    pub(super) text: String,
    /// The same, with comments and the contents of string literals replaced by spaces.
    pub(super) code: String,
    /// Comments and string literals, each with the number of its first line.
    pub(super) prose: Vec<(usize, String)>,
    /// The number of lines outside of `mod tests` blocks.
    pub(super) lines: usize,
}

impl Source {
    /// Reads a file. `with_tests` keeps its `mod tests` blocks.
    fn read(path: &Path, with_tests: bool) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(&relative(path), &text, with_tests)
    }

    pub(super) fn parse(path: &str, text: &str, with_tests: bool) -> Self {
        let (code, prose) = split(text);
        let blocks = if with_tests { Vec::new() } else { test_blocks(&code) };
        let cut = |text: &str| {
            let mut kept: Vec<char> = text.chars().collect();
            for &(from, to) in &blocks {
                let blank = |c: &mut char| *c = if *c == '\n' { '\n' } else { ' ' };
                kept[from..to].iter_mut().for_each(blank);
            }
            kept.into_iter().collect::<String>()
        };
        let in_tests = |at: usize| blocks.iter().any(|&(from, to)| (from..to).contains(&at));
        let ends: Vec<usize> =
            text.chars().enumerate().filter(|(_, c)| *c == '\n').map(|(at, _)| at).collect();
        let line_of = |at: usize| 1 + ends.partition_point(|&end| end < at);
        let tests: usize = blocks.iter().map(|&(from, to)| line_of(to) - line_of(from)).sum();
        let prose = prose.into_iter().filter(|(at, _)| !in_tests(*at));
        Self {
            path: path.to_owned(),
            text: cut(text),
            code: cut(&code),
            prose: prose.map(|(at, words)| (line_of(at), words)).collect(),
            lines: text.lines().count() - tests,
        }
    }

    /// Whether the file is the module, or lies below it.
    pub(super) fn is_in(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix("src/").and_then(|path| path.strip_prefix(module));
        rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    }

    pub(super) fn is_in_any(&self, modules: &[&str]) -> bool {
        modules.iter().any(|module| self.is_in(module))
    }
}

/// The Rust files below these folders.
pub(super) fn rust_files(folders: &[&str], with_tests: bool) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        files(&root().join(folder), &["rs"], &mut found);
    }
    found.sort();
    found.iter().map(|path| Source::read(path, with_tests)).collect()
}

/// The files of `src`, without their unit tests.
pub(super) fn sources() -> Vec<Source> {
    let mut sources = rust_files(&["src"], false);
    sources.retain(|source| !source.path.ends_with("/tests.rs") && !source.path.contains("/tests/"));
    assert!(sources.len() > 30, "the sources were not found");
    sources
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("a file of the project").display().to_string()
}

/// Collects the files below a folder that have one of these extensions; no extension is an empty one.
pub(super) fn files(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("a folder's entry").path()) {
        let extension = path.extension().map_or("", |extension| extension.to_str().unwrap_or_default());
        if path.is_dir() {
            files(&path, extensions, found);
        } else if extensions.contains(&extension) {
            found.push(path);
        }
    }
}

/// Whether `word` is in `code` by itself, not as a part of a longer name.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(is_name)
            && !code[at + word.len()..].chars().next().is_some_and(is_name)
    })
}

/// A place of prose by its first character, with its words.
type Prose = Vec<(usize, String)>;

/// Separates code from comments and string literals. The code keeps its length in characters and its lines.
fn split(text: &str) -> (String, Prose) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut prose) = (chars.clone(), Vec::new());
    let mut at = 0;
    while at < chars.len() {
        let Some((from, to, end)) = prose_at(&chars, at) else {
            at += if chars[at] == '\'' { char_literal(&chars, at) } else { 1 };
            continue;
        };
        prose.push((at, chars[from..to].iter().collect()));
        code[from..to].iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
        at = end;
    }
    (code.into_iter().collect(), prose)
}

/// The comment or string literal that starts at `at`: where its words begin and end, and where it ends.
fn prose_at(chars: &[char], at: usize) -> Option<(usize, usize, usize)> {
    let starts = |at: usize, text: &str| text.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let find = |mut at: usize, text: &str| {
        while at < chars.len() && !starts(at, text) {
            at += 1;
        }
        at
    };
    if starts(at, "//") {
        let end = find(at, "\n");
        return Some((at, end, end));
    }
    if starts(at, "/*") {
        let end = find(at, "*/");
        return Some((at, end, (end + 2).min(chars.len())));
    }
    if chars[at] == '"' {
        let mut end = at + 1;
        while end < chars.len() && chars[end] != '"' {
            end += if chars[end] == '\\' { 2 } else { 1 };
        }
        let end = end.min(chars.len());
        return Some((at + 1, end, (end + 1).min(chars.len())));
    }
    let in_name = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && chars[at - 1] != 'b';
    if chars[at] == 'r' && !in_name {
        let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
        if chars.get(at + 1 + hashes) == Some(&'"') {
            let from = at + 2 + hashes;
            let closing = format!("\"{}", "#".repeat(hashes));
            let to = find(from, &closing);
            return Some((from, to, (to + 1 + hashes).min(chars.len())));
        }
    }
    None
}

/// The length of a character literal, or 1 for a lifetime.
fn char_literal(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let end = chars.iter().skip(at + 3).position(|&c| c == '\'');
            end.map_or(1, |end| end + 4)
        }
        (Some(_), Some('\'')) => 3,
        _ => 1,
    }
}

/// Where the `mod tests { … }` blocks of a file begin and end, in characters.
fn test_blocks(code: &str) -> Vec<(usize, usize)> {
    let mut blocks = Vec::new();
    for (found, opening) in code.match_indices("mod tests {") {
        let mut depth = 0;
        let mut end = found + opening.len();
        for (at, c) in code[found..].char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if c == '}' && depth == 0 {
                end = found + at + 1;
                break;
            }
        }
        let place = |byte: usize| code[..byte].chars().count();
        blocks.push((place(found), place(end)));
    }
    blocks
}

#[test]
fn code_and_prose_are_separated() {
    let text = "fn a<'x>() { // one {\n b('\"', \"two \\\" {\"); /* three */ c(r#\"four \" }\"#, '\\''); }\n";
    let source = Source::parse("src/a.rs", text, false);
    let words: Vec<_> = source.prose.iter().map(|(line, words)| (*line, words.as_str())).collect();
    assert_eq!(words, [(1, "// one {"), (2, "two \\\" {"), (2, "/* three "), (2, "four \" }")]);
    assert_eq!(source.code.matches('{').count(), 1);
    assert!(has_word(&source.code, "c") && !source.code.contains("two"));
}

#[test]
fn only_test_blocks_are_cut() {
    let text =
        "#[cfg(test)]\nmod tests {\n    fn inside() { \"}\" }\n}\nfn after() {}\n#[cfg(test)]\nmod x;\n";
    let source = Source::parse("src/a.rs", text, false);
    assert!(!source.code.contains("inside") && source.code.contains("fn after()"));
    assert_eq!(source.lines, 5);
    assert!(Source::parse("src/a.rs", text, true).code.contains("inside"));
}
