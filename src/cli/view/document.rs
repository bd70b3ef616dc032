//! A JSON object that is printed while it is made: its lists may be longer than what fits in memory.

use std::io;

use serde::Serialize;

use super::console::Console;

/// How much text is collected before it is printed. If reading fails before that, the error is the whole document.
const PRINTED_FROM: usize = 1 << 16;

/// A JSON object, printed piece by piece in the form of [`Console::json`]. Its fields come in the order in which they
/// are added.
pub(crate) struct Document<P> {
    print: P,
    text: String,
    /// What comes before the next field, or the next item of the list that is open.
    separator: &'static str,
    /// Whether it is still read, or why it cannot be printed.
    printed: io::Result<bool>,
}

/// Starts a JSON object on stdout.
pub(crate) fn on(console: &Console) -> Document<impl FnMut(&str) -> io::Result<bool> + Send + 'static> {
    let console = console.clone();
    Document::new(move |text: &str| console.stream_json(text))
}

impl<P: FnMut(&str) -> io::Result<bool>> Document<P> {
    fn new(print: P) -> Self {
        Self { print, text: "{".to_owned(), separator: "", printed: Ok(true) }
    }

    /// Adds a field.
    pub(crate) fn field(&mut self, name: &str, value: &impl Serialize) {
        self.name(name);
        self.value(value, "\n  ");
        self.separator = ",";
    }

    /// Adds a field that is a list. Its items follow.
    pub(crate) fn begin_list(&mut self, name: &str) {
        self.name(name);
        self.text.push('[');
        self.separator = "";
    }

    /// Adds an item to the list.
    pub(crate) fn item(&mut self, value: &impl Serialize) {
        self.text.push_str(self.separator);
        self.text.push_str("\n    ");
        self.value(value, "\n    ");
        self.separator = ",";
    }

    /// Ends the list.
    pub(crate) fn end_list(&mut self) {
        self.text.push_str(if self.separator.is_empty() { "]" } else { "\n  ]" });
        self.separator = ",";
    }

    /// Ends the object, and prints what is left.
    ///
    /// # Errors
    /// It could not be printed, for example to a full disk.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.text.push_str("\n}\n");
        self.print();
        self.printed.map(drop)
    }

    fn name(&mut self, name: &str) {
        self.text.push_str(self.separator);
        self.text.push_str("\n  \"");
        self.text.push_str(name);
        self.text.push_str("\": ");
    }

    fn value(&mut self, value: &impl Serialize, line_break: &str) {
        // JSON escapes the line breaks within its strings.
        let text = serde_json::to_value(value).and_then(|value| serde_json::to_string_pretty(&value));
        match text {
            Ok(text) => self.text.push_str(&text.replace('\n', line_break)),
            Err(error) => self.printed = Err(error.into()),
        }
        if self.text.len() >= PRINTED_FROM {
            self.print();
        }
    }

    /// Prints what was collected, if it is still read.
    fn print(&mut self) {
        if matches!(self.printed, Ok(true)) {
            self.printed = (self.print)(&self.text);
        }
        self.text.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_parts_are_one_json_document() {
        let mut printed = String::new();
        let mut document = Document::new(|text: &str| {
            printed += text;
            Ok(true)
        });
        document.begin_list("a");
        document.end_list();
        document.field("b", &json!({ "c": "x\ny", "d": [1] }));
        document.begin_list("e");
        document.item(&json!({ "f": 1 }));
        document.item(&json!(2));
        document.end_list();
        document.field("g", &json!(null));
        document.end().expect("prints");
        let whole = json!({ "a": [], "b": { "c": "x\ny", "d": [1] }, "e": [{ "f": 1 }, 2], "g": null });
        assert_eq!(printed, format!("{whole:#}\n"));
    }

    #[test]
    fn a_long_list_is_not_collected() {
        let longest = RefCell::new(0);
        let mut document = Document::new(|text: &str| {
            longest.replace_with(|longest| text.len().max(*longest));
            Ok(true)
        });
        document.begin_list("rows");
        for _ in 0..10_000 {
            document.item(&"x".repeat(100));
        }
        document.end_list();
        document.end().expect("prints");
        assert!((PRINTED_FROM..PRINTED_FROM + 200).contains(&longest.take()));
    }

    #[test]
    fn nothing_is_printed_after_the_reader_has_left() {
        let parts = RefCell::new(0);
        let mut document = Document::new(|_: &str| {
            parts.replace_with(|parts| *parts + 1);
            Ok(false)
        });
        document.begin_list("rows");
        for _ in 0..10_000 {
            document.item(&"x".repeat(100));
        }
        document.end_list();
        document.end().expect("a closed pipe is no error");
        assert_eq!(parts.take(), 1);
    }
}
