//! The documents of the project: README, ARCHITECTURE, CHANGELOG and everything in `docs`.

use std::fs;
use std::path::{Path, PathBuf};

/// A document.
pub(super) struct Page {
    /// The path from the root of the project: `docs/glossary.md`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Page {
    /// The headings as a link names them: `#exit-codes`.
    pub(super) fn anchors(&self) -> Vec<String> {
        self.prose().filter(|line| line.starts_with('#')).map(anchor).collect()
    }

    /// The targets of the links.
    pub(super) fn links(&self) -> Vec<&str> {
        self.prose()
            .flat_map(|line| line.split("](").skip(1))
            .filter_map(|rest| rest.split(')').next())
            .collect()
    }

    /// The blocks of this language.
    pub(super) fn blocks(&self, language: &str) -> Vec<String> {
        let mut blocks: Vec<String> = Vec::new();
        let mut fence: Option<&str> = None;
        for line in self.text.lines() {
            match (fence, line.strip_prefix("```")) {
                (None, Some(found)) => {
                    fence = Some(found);
                    blocks.extend((found == language).then(String::new));
                }
                (Some(_), Some(_)) => fence = None,
                (Some(found), None) if found == language => {
                    let block = blocks.last_mut().expect("the block that the fence opened");
                    *block += &format!("{line}\n");
                }
                _ => {}
            }
        }
        blocks
    }

    /// The lines outside of blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut fenced = false;
        self.text.lines().filter(move |line| {
            let fence = line.starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
    }
}

/// Returns a heading's anchor as GitHub makes it: lower case, no punctuation, hyphens for spaces.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The page of this name.
pub(super) fn page(name: &str) -> Page {
    let path = root().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    Page { name: name.to_owned(), path, text }
}

/// Every page.
pub(super) fn pages() -> Vec<Page> {
    let mut names: Vec<String> = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned).into();
    collect(&root().join("docs"), &mut names);
    assert!(names.len() > 20, "the documents were not found: {names:?}");
    names.iter().map(|name| page(name)).collect()
}

fn collect(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of documents") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.strip_prefix(root()).expect("a document of the project");
            names.push(name.display().to_string());
        }
    }
    names.sort();
}

/// The root of the project.
pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
