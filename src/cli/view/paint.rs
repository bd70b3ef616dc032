//! Colours of words.

use clap::builder::styling::{AnsiColor, Style};

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// In any case
    Always,
    /// Not at all
    Never,
}

impl ColorWhen {
    /// Decides for one stream.
    pub(super) fn paint(self, is_terminal: bool) -> Paint {
        let set =
            |name: &str, is: fn(&std::ffi::OsStr) -> bool| std::env::var_os(name).is_some_and(|v| is(&v));
        Paint(match self {
            Self::Auto => {
                is_terminal
                    && !set("NO_COLOR", |value| !value.is_empty())
                    && !set("TERM", |value| value == "dumb")
            }
            Self::Always => true,
            Self::Never => false,
        })
    }
}

/// Colours a word, or leaves it as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Paint(bool);

impl Paint {
    /// For what is created, or in order.
    pub(super) fn good(self, text: &str) -> String {
        self.styled(text, AnsiColor::Green.on_default())
    }

    /// For what is changed, or needs a look.
    pub(super) fn notable(self, text: &str) -> String {
        self.styled(text, AnsiColor::Yellow.on_default())
    }

    /// For what failed.
    pub(super) fn bad(self, text: &str) -> String {
        self.styled(text, AnsiColor::Red.on_default().bold())
    }

    /// For what matters most.
    pub(crate) fn strong(self, text: &str) -> String {
        self.styled(text, Style::new().bold())
    }

    /// Whether it colours anything.
    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    fn styled(self, text: &str, style: Style) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
