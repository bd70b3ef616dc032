//! The frame of every page: head, navigation, main part, foot.

use chrono::Utc;
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::format::{moment, segment};

/// What the frame of a page shows.
#[derive(Debug, Default)]
pub(super) struct Page<'a> {
    /// The title of the window.
    pub(super) title: &'a str,
    /// The sync that the page is about, and the page's place in it.
    pub(super) sync: Option<(&'a str, Tab)>,
    /// After how many seconds the page is read again.
    pub(super) refresh: Option<u32>,
    /// Whether the reader can sign out.
    pub(super) signed_in: bool,
}

/// The parts of a sync's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Runs,
    Rejected,
    Invalid,
    Customer,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Runs, "Runs", ""),
        (Self::Rejected, "Rejected values", "/rejected"),
        (Self::Invalid, "Invalid rows", "/invalid"),
        (Self::Customer, "Customer", "/customer"),
    ];
}

/// The whole page.
pub(super) fn page(page: &Page<'_>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) " · attrsync" }
                link rel="stylesheet" href=(assets::STYLE.href());
                link rel="icon" type="image/svg+xml" href=(assets::ICON.href());
                script src=(assets::REFRESH.href()) defer {}
                @if let Some(seconds) = page.refresh {
                    noscript { meta http-equiv="refresh" content=(seconds); }
                }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (top(page))
                main id="main" tabindex="-1" data-refresh=[page.refresh] {
                    (content)
                    p.as-of { "As of " (moment(Utc::now())) ". All times are UTC." }
                }
                footer {
                    p id="freshness" role="status" {}
                    p { "attrsync " (env!("CARGO_PKG_VERSION")) }
                }
            }
        }
    }
}

fn top(page: &Page<'_>) -> Markup {
    html! {
        header {
            nav.path aria-label="Syncs" {
                a.brand href="/" aria-current=[page.sync.is_none().then_some("page")] { "attrsync" }
                @if let Some((name, _)) = page.sync {
                    span.separator aria-hidden="true" { "/" }
                    a href={ "/syncs/" (segment(name)) } { (name) }
                }
            }
            @if page.signed_in {
                form.sign-out method="post" action="/logout" { button.quiet type="submit" { "Sign out" } }
            }
            @if let Some((name, tab)) = page.sync {
                nav.tabs aria-label={ "Pages of " (name) } {
                    @for (each, title, path) in Tab::ALL {
                        a href={ "/syncs/" (segment(name)) (path) } aria-current=[(each == tab).then_some("page")] {
                            (title)
                        }
                    }
                }
            }
        }
    }
}
