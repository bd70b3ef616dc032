//! Errors of a private Postgres server.

use std::io;
use std::path::{Path, PathBuf};

/// Why a private server could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No folder with all programs was found; with the folder that `ATTRSYNC_PG_BIN` names, if it is set.
    #[error("found no Postgres programs (initdb, pg_ctl, postgres){}", named(.0.as_deref()))]
    NoPrograms(Option<PathBuf>),
    /// A file or a process could not be used.
    #[error("could not set up the private Postgres")]
    Io(#[from] io::Error),
    /// A program of Postgres failed, with what it printed.
    #[error("{0} failed: {1}")]
    Program(&'static str, String),
    /// The server did not start, with the end of its log.
    #[error("the private Postgres did not start: {0}")]
    NotStarted(String),
    /// A statement failed.
    #[error("the private Postgres could not run a statement")]
    Statement(#[from] sqlx::Error),
}

impl ServerError {
    /// What to do about the error, if it is known.
    pub fn hint(&self) -> Option<&'static str> {
        matches!(self, Self::NoPrograms(_)).then_some(
            "install PostgreSQL 14 or later (apt-get install postgresql, brew install postgresql), \
             or name the folder of its programs in ATTRSYNC_PG_BIN",
        )
    }
}

fn named(folder: Option<&Path>) -> String {
    folder.map(|folder| format!(" in {}, which ATTRSYNC_PG_BIN names", folder.display())).unwrap_or_default()
}
