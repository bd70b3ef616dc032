//! The small session port through which both databases run the statements of [`super::statements`].

use std::borrow::Cow;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::cells::Value;
use super::{LedgerError, Result};

/// A bound parameter. NULL has a type too, because Postgres prepares a statement for the types of its parameters.
#[derive(Debug, Clone)]
pub(super) enum Param {
    Int(Option<i64>),
    Text(Option<String>),
    Time(Option<DateTime<Utc>>),
}

impl From<i64> for Param {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Param {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Param {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<Option<&str>> for Param {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}

impl From<DateTime<Utc>> for Param {
    fn from(value: DateTime<Utc>) -> Self {
        Self::Time(Some(value))
    }
}

impl From<Option<DateTime<Utc>>> for Param {
    fn from(value: Option<DateTime<Utc>>) -> Self {
        Self::Time(value)
    }
}

/// A statement with its parameters `$1`, `$2`, and so on.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) sql: Cow<'static, str>,
    pub(super) params: Vec<Param>,
}

/// Makes a [`Statement`] of a text and its parameters.
macro_rules! statement {
    ($sql:expr $(, $param:expr)* $(,)?) => {
        crate::ledger::sql::Statement { sql: ($sql).into(), params: vec![$($crate::ledger::sql::Param::from($param)),*] }
    };
}
pub(super) use statement;

/// The fencing token that a write must hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fence {
    pub(super) store_id: i64,
    pub(super) run_id: i64,
}

impl Fence {
    /// Fails unless the token of the store is this run. `token` is 0 if no run owns the store; then the store's
    /// `newest` run was the last to own it.
    pub(super) fn check(self, token: i64, newest: i64) -> Result<()> {
        if token == self.run_id {
            return Ok(());
        }
        Err(LedgerError::LostLock { run_id: if token == 0 { newest } else { token } })
    }
}

/// A session that reads.
#[async_trait]
pub(super) trait Rows: Send + Sync {
    /// The rows of a statement that reads. `doing` names the operation in errors.
    async fn rows(&self, doing: &'static str, statement: Statement) -> Result<Vec<Vec<Value>>>;
}

/// A session that writes.
#[async_trait]
pub(super) trait Sql: Rows {
    /// Runs statements in one durable transaction and returns the rows that they return. If a fence is given, the
    /// transaction checks it first.
    async fn write(
        &self,
        doing: &'static str,
        fence: Option<Fence>,
        statements: Vec<Statement>,
    ) -> Result<Vec<Vec<Value>>>;
}
