//! Compares the outputs in the documents with what the commands print. A mark names an output, the block below shows
//! it:
//!
//! ````text
//! <!-- output: plan -->
//! ```
//! $ attrsync plan
//! …
//! ```
//! ````
//!
//! With `ATTRSYNC_UPDATE=1`, which `scripts/docs` sets, the blocks are rewritten.

use std::collections::BTreeSet;
use std::fs;

use super::pages::{Page, pages};
use super::story::{Output, outputs};

/// The environment variable with which `scripts/docs` has the documents rewritten.
const UPDATE: &str = "ATTRSYNC_UPDATE";

const MARK: &str = "<!-- output: ";

#[test]
fn every_shown_output_is_what_the_command_prints() {
    let outputs = outputs();
    let write = std::env::var_os(UPDATE).is_some();
    let (mut shown, mut wrong) = (BTreeSet::new(), Vec::new());
    for page in pages() {
        let current = with_outputs(&page, &outputs, &mut shown);
        if current == page.text {
            continue;
        }
        if write {
            fs::write(&page.path, &current).expect("the document can be written");
        }
        let differ = page.text.lines().zip(current.lines()).find(|(shown, printed)| shown != printed);
        wrong.push(format!("{}: {differ:?}", page.name));
    }
    let unused: Vec<_> =
        outputs.iter().map(|output| output.title).filter(|title| !shown.contains(title)).collect();
    assert!(unused.is_empty(), "no document shows these outputs: {unused:?}");
    assert!(write || wrong.is_empty(), "run scripts/docs; shown and printed differ:\n{}", wrong.join("\n"));
}

/// Returns the text of a page with the outputs in its marked blocks.
fn with_outputs(page: &Page, outputs: &[Output], shown: &mut BTreeSet<&'static str>) -> String {
    let mut text = String::new();
    let mut lines = page.text.lines();
    while let Some(line) = lines.next() {
        text += &format!("{line}\n");
        let Some(title) = line.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let output = outputs.iter().find(|output| output.title == title);
        let output = output.unwrap_or_else(|| panic!("{}: there is no output {title:?}", page.name));
        shown.insert(output.title);
        assert_eq!(lines.next(), Some("```"), "{}: a block follows the mark of {title:?}", page.name);
        let end = lines.by_ref().find(|line| *line == "```");
        assert!(end.is_some(), "{}: the block of {title:?} does not end", page.name);
        text += &format!("```\n{}```\n", output.text);
    }
    text
}

#[test]
fn no_output_is_shown_without_its_mark() {
    for page in pages() {
        let lines: Vec<&str> = page.text.lines().collect();
        let shows = |index: &usize| lines[*index].starts_with("$ attrsync ");
        for index in (0..lines.len()).filter(shows) {
            let marked = index >= 2 && lines[index - 2].starts_with(MARK);
            assert!(marked, "{}, line {}: this output has no mark", page.name, index + 1);
        }
    }
}
