//! The pages: each reads what it shows and writes it.

pub(super) mod customer;
pub(super) mod drift;
pub(super) mod invalid;
pub(super) mod overview;
pub(super) mod rejected;
pub(super) mod request_list;
pub(super) mod run;
pub(super) mod runs;

mod groups;
mod needs;
mod opened_run;
mod plan;
mod progress;
mod requests;
mod sync_line;
mod table;
mod timeline;
