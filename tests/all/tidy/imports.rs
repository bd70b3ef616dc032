//! Who uses whom among the files of `src`, read from `use` statements and paths. There are no circles.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, has_word, sources};

/// Circles that may stay, each as its files and the reason. The test fails if one of them is no longer there.
const ALLOWED: &[(&[&str], &str)] = &[];

/// A path in the code, with what it is imported as, if it is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Import {
    path: Vec<String>,
    name: Option<String>,
    is_public: bool,
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let found: BTreeSet<Vec<String>> = circles(&graph(&sources())).into_iter().collect();
    let allowed: BTreeSet<Vec<String>> =
        ALLOWED.iter().map(|(files, _)| files.iter().map(|&file| file.to_owned()).collect()).collect();
    let text = |circles: Vec<&Vec<String>>| {
        circles.iter().map(|circle| circle.join(" ~ ")).collect::<Vec<_>>().join("\n")
    };
    let (new, ended) = (found.difference(&allowed).collect(), allowed.difference(&found).collect());
    assert_eq!(
        (text(new), text(ended)),
        (String::new(), String::new()),
        "new circles, and allowed ones that ended"
    );
}

/// Whether a file uses something of a module of the crate: `destination`, or `destination::bigcommerce`.
pub(super) fn uses(source: &Source, module: &str) -> bool {
    let module: Vec<String> = module.split("::").map(str::to_owned).collect();
    let imports = imports_of(&module_of(&source.path), &source.code, &BTreeSet::new());
    imports.iter().any(|import| import.path.starts_with(&module))
}

/// The modules of the crate by their path, `[]` being the crate itself.
type Modules<'a> = BTreeMap<Vec<String>, &'a Source>;

fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// Which files each file uses.
fn graph(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let library = sources.iter().filter(|source| source.path != "src/main.rs");
    let modules: Modules<'_> = library.map(|source| (module_of(&source.path), source)).collect();
    let mut imports: BTreeMap<Vec<String>, Vec<Import>> = BTreeMap::new();
    for (module, source) in &modules {
        let children: BTreeSet<&str> = modules
            .keys()
            .filter(|path| path.len() == module.len() + 1 && path.starts_with(module))
            .filter_map(|path| path.last().map(String::as_str))
            .collect();
        imports.insert(module.clone(), imports_of(module, &source.code, &children));
    }
    let mut graph = BTreeMap::new();
    for (module, source) in &modules {
        let used = imports[module]
            .iter()
            // What is only passed on is not used here.
            .filter(|import| !import.is_public || is_used(import, &source.code))
            .map(|import| resolve(&import.path, &imports, 0))
            .filter(|target| target != module)
            .map(|target| modules[&target].path.clone());
        graph.insert(source.path.clone(), used.collect());
    }
    graph
}

/// Whether the name of a re-export is used in the same file, beside the `use` itself.
fn is_used(import: &Import, code: &str) -> bool {
    let without_use: String = code.split_inclusive(';').filter(|part| !is_use(part)).collect();
    import.name.as_ref().is_some_and(|name| has_word(&without_use, name))
}

fn is_use(statement: &str) -> bool {
    let tokens = tokens(statement);
    let start = tokens.iter().rposition(|token| token == "use");
    start.is_some_and(|start| tokens[start..].iter().all(|token| !["(", "=", "fn"].contains(&token.as_str())))
}

/// The file that has what a path names: the longest module of the path, behind re-exports.
fn resolve(path: &[String], imports: &BTreeMap<Vec<String>, Vec<Import>>, depth: usize) -> Vec<String> {
    let length = (0..=path.len()).rev().find(|&length| imports.contains_key(&path[..length])).unwrap_or(0);
    let (module, rest) = path.split_at(length);
    let re_export = rest.first().and_then(|name| {
        imports[module].iter().find(|import| import.is_public && import.name.as_ref() == Some(name))
    });
    match re_export {
        Some(import) if depth < 8 => {
            let path: Vec<_> = import.path.iter().chain(&rest[1..]).cloned().collect();
            resolve(&path, imports, depth + 1)
        }
        _ => module.to_vec(),
    }
}

/// Names, `::` and single signs.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut open = false;
    for c in code.chars() {
        let in_name = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(last) if in_name && open => last.push(c),
            Some(last) if c == ':' && last == ":" => last.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.to_string()),
        }
        open = in_name;
    }
    tokens
}

/// Every path of a file that leads into the crate.
fn imports_of(module: &[String], code: &str, children: &BTreeSet<&str>) -> Vec<Import> {
    let tokens = tokens(code);
    let mut imports = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" {
            let is_public = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
            let end = at + tokens[at..].iter().position(|token| token == ";").unwrap_or(tokens.len() - at);
            let mut flat = Vec::new();
            flatten(&tokens[at + 1..end], Vec::new(), &mut flat);
            for (path, name) in flat {
                let path = absolute(module, &path, children);
                imports.extend(path.map(|path| Import { path, name: Some(name), is_public }));
            }
            at = end;
        } else {
            let mut path = vec![tokens[at].clone()];
            while tokens.get(at + 1).is_some_and(|token| token == "::")
                && tokens.get(at + 2).is_some_and(|token| token.starts_with(|c: char| c.is_alphabetic()))
            {
                path.push(tokens[at + 2].clone());
                at += 2;
            }
            if path.len() > 1 {
                let path = absolute(module, &path, children);
                imports.extend(path.map(|path| Import { path, name: None, is_public: false }));
            }
        }
        at += 1;
    }
    imports
}

/// The paths of a `use` tree, each with the name that it brings in.
fn flatten(tree: &[String], before: Vec<String>, flat: &mut Vec<(Vec<String>, String)>) {
    let mut path = before;
    let mut at = 0;
    while at < tree.len() {
        match tree[at].as_str() {
            "::" => {}
            "{" => {
                let (mut depth, mut start) = (0, at + 1);
                for (index, token) in tree.iter().enumerate().skip(at) {
                    depth += i32::from(token == "{") - i32::from(token == "}");
                    if depth == 0 || depth == 1 && token == "," {
                        flatten(&tree[start..index], path.clone(), flat);
                        start = index + 1;
                    }
                    if depth == 0 {
                        return;
                    }
                }
            }
            "as" => return flat.push((path, tree[at + 1].clone())),
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    if let Some(name) = path.last().cloned() {
        flat.push((path, name));
    }
}

/// The path from the crate's root; `None` for a path into another crate.
fn absolute(module: &[String], path: &[String], children: &BTreeSet<&str>) -> Option<Vec<String>> {
    let mut from = match path[0].as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        child if children.contains(child) => module.to_vec(),
        _ => return None,
    };
    for name in path {
        match name.as_str() {
            "super" => drop(from.pop()),
            "crate" | "self" => {}
            _ => from.push(name.clone()),
        }
    }
    Some(from)
}

/// The groups of files that reach each other, each in the order of their names.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> = graph
        .keys()
        .map(|file| {
            let (mut reached, mut next) = (BTreeSet::new(), vec![file]);
            while let Some(file) = next.pop() {
                next.extend(graph.get(file).into_iter().flatten().filter(|used| reached.insert(*used)));
            }
            (file, reached)
        })
        .collect();
    let mut circles = BTreeSet::new();
    for (file, reached) in &reach {
        let circle: Vec<String> =
            reached.iter().filter(|other| reach[*other].contains(file)).map(|&other| other.clone()).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

#[test]
fn a_circle_is_found_through_nested_imports_and_re_exports() {
    let file = |path: &str, code: &str| Source::parse(path, code, false);
    let graph = graph(&[
        file("src/lib.rs", "pub mod a; pub mod b; pub mod c;"),
        file("src/a.rs", "pub mod deep; pub use self::deep::Thing; use crate::c;"),
        file("src/a/deep.rs", "use crate::{b::{Other, self}, c::Last as L};"),
        file("src/b.rs", "use super::a::Thing; fn f() { crate::c::g() }"),
        file("src/c.rs", "// crate::a is only named\nuse std::fmt;"),
    ]);
    assert_eq!(graph["src/b.rs"], ["src/a/deep.rs", "src/c.rs"].map(str::to_owned).into());
    assert_eq!(graph["src/a.rs"], ["src/c.rs".to_owned()].into());
    assert_eq!(circles(&graph), [["src/a/deep.rs", "src/b.rs"].map(str::to_owned).to_vec()]);
}
