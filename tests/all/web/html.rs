//! Reads a page strictly: elements are closed in order, and follow the rules of the site.

use std::collections::{BTreeMap, BTreeSet};

/// Elements without an end.
const VOID: [&str; 4] = ["meta", "link", "input", "br"];

/// One element with its attributes, and the text up to the next tag.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The text of the element, with that of its children.
    pub(crate) text: String,
}

/// A page as a list of its elements in the order of their ends.
#[derive(Debug)]
pub(crate) struct Document(Vec<Element>);

impl Document {
    /// Reads a page, and panics if it is not well-formed.
    pub(crate) fn parse(text: &str) -> Self {
        let mut rest = text.strip_prefix("<!DOCTYPE html>").expect("a document type");
        let (mut open, mut ended): (Vec<Element>, Vec<Element>) = (Vec::new(), Vec::new());
        while let Some(at) = rest.find('<') {
            let words = unescaped(&rest[..at]);
            open.iter_mut().for_each(|element| element.text.push_str(&words));
            let end = rest[at..].find('>').unwrap_or_else(|| panic!("a tag has no end: {rest}")) + at;
            let tag = &rest[at + 1..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                let element = open.pop().unwrap_or_else(|| panic!("{name} ends and is not open"));
                assert_eq!(element.name, name, "ends in the wrong order");
                ended.push(element);
                continue;
            }
            let element = element(tag);
            if VOID.contains(&element.name.as_str()) { ended.push(element) } else { open.push(element) }
        }
        assert!(open.is_empty(), "elements that do not end: {open:?}");
        Self(ended)
    }

    /// All elements of a name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.0.iter().filter(move |element| element.name == name)
    }

    /// The addresses of all links and files.
    pub(crate) fn addresses(&self) -> BTreeSet<&str> {
        let names = ["href", "src", "action"];
        let values =
            self.0.iter().flat_map(|element| names.iter().filter_map(|name| element.attributes.get(*name)));
        values.map(String::as_str).collect()
    }

    /// Panics where the page breaks a rule of the site.
    pub(crate) fn check(&self, path: &str) {
        let one = |name: &str| {
            let mut found = self.all(name);
            let first = found.next().unwrap_or_else(|| panic!("{path} has no {name}"));
            assert!(found.next().is_none(), "{path} has several {name}");
            first
        };
        assert_eq!(one("html").attributes["lang"], "en", "{path}");
        assert!(!one("h1").text.is_empty(), "{path}");
        assert_eq!(one("main").attributes["id"], "main", "{path}: the skip link leads there");
        let mut ids = BTreeSet::new();
        for element in &self.0 {
            for name in element.attributes.keys() {
                let is_script = name.starts_with("on") || name == "style";
                assert!(!is_script, "{path}: the security policy forbids {name} in {}", element.name);
            }
            let id = element.attributes.get("id");
            assert!(id.is_none_or(|id| ids.insert(id)), "{path}: two elements have the id {id:?}");
        }
        let labels: BTreeSet<&String> = self.all("label").map(|label| &label.attributes["for"]).collect();
        for input in
            self.all("input").filter(|input| input.attributes.get("type").is_none_or(|kind| kind != "hidden"))
        {
            assert!(labels.contains(&input.attributes["id"]), "{path}: an input without a label");
        }
        assert!(self.all("th").all(|head| head.attributes.contains_key("scope")), "{path}: th without scope");
        assert_eq!(self.all("table").count(), self.all("caption").count(), "{path}: a table without caption");
        for image in self.all("svg") {
            assert_eq!(image.attributes["role"], "img", "{path}");
        }
        let titles: Vec<&str> = self.all("title").map(|title| title.text.as_str()).collect();
        assert_eq!(titles.len(), 1 + self.all("svg").count(), "{path}: the page and each chart have a title");
        assert!(titles.iter().all(|title| !title.is_empty()), "{path}: a title is empty");
        for address in self.addresses() {
            assert!(address.starts_with('/') || address.starts_with('#'), "{path}: {address} is elsewhere");
        }
    }
}

/// A tag's name and attributes. Every value stands in quotes.
fn element(tag: &str) -> Element {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    let mut attributes = BTreeMap::new();
    while !rest.trim().is_empty() {
        rest = rest.trim_start();
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let mut value = String::new();
        rest = after;
        if let Some(quoted) = after.strip_prefix("=\"") {
            let (inside, after) =
                quoted.split_once('"').unwrap_or_else(|| panic!("no end of {name} in {tag}"));
            (value, rest) = (unescaped(inside), after);
        }
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        assert!(is_name, "not the name of an attribute: {name} in {tag}");
        assert!(attributes.insert(name.to_owned(), value).is_none(), "{name} twice in {tag}");
    }
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "not the name of an element: {name}");
    Element { name: name.to_owned(), attributes, text: String::new() }
}

/// A text without entities. Any other entity than the four of the site would stay as it is.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
