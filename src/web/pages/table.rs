//! Tables that scroll by themselves where the screen is narrower than they are. On a phone each row becomes a block. The
//! roles say that it is still a table.

use maud::{Markup, html};

/// A column: its heading, and whether it holds numbers.
pub(super) type Column = (&'static str, Kind);

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
}

impl Kind {
    const fn class(self) -> Option<&'static str> {
        match self {
            Self::Text => None,
            Self::Number => Some("number"),
        }
    }
}

/// A table with these rows. The first cell of a row is its heading.
pub(super) fn table(caption: &str, columns: &[Column], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.scroll role="region" aria-label=(caption) tabindex="0" {
            table role="table" {
                caption.hidden { (caption) }
                thead role="rowgroup" {
                    tr role="row" {
                        @for (head, kind) in columns {
                            th scope="col" role="columnheader" class=[kind.class()] { (head) }
                        }
                    }
                }
                tbody role="rowgroup" {
                    @for row in rows {
                        tr role="row" {
                            @for (index, ((head, kind), cell)) in columns.iter().zip(row).enumerate() {
                                @if index == 0 {
                                    th scope="row" role="rowheader" class=[kind.class()] { (cell) }
                                } @else {
                                    td role="cell" data-label=(head) class=[kind.class()] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
