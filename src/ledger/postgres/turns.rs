//! Which session saves a page of a plan. A server works on one page with one processor, so two sessions take turns as soon as
//! there is a second one; no page waits for it, and a plan goes on without.
//!
//! The second session has no lock, and takes none that anybody else could wait for: it may fall silent in the middle of a page.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::liveness::Patience;
use super::{Held, session};
use crate::error_chain::with_causes;
use crate::ledger::Result;

/// The two sessions of a plan, in turn.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many pages were to be saved so far.
    pages: u64,
    second: Second,
}

#[derive(Debug, Default)]
enum Second {
    /// Nobody has needed it yet.
    #[default]
    Unasked,
    /// It is being opened.
    Opening(JoinSet<Result<Held>>),
    Open(Held),
    /// It cannot be had.
    Refused,
}

impl Turns {
    /// The session for the next page. The second page is the first that could use another one, so that is when it is asked for.
    pub(super) fn next(&self, first: &Held) -> Held {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.pages += 1;
        let second = if state.pages.is_multiple_of(2) { state.second.ready(first) } else { None };
        second.unwrap_or_else(|| first.clone())
    }

    /// The plan is complete: the second session is given up.
    pub(super) fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }
}

impl Second {
    fn ready(&mut self, first: &Held) -> Option<Held> {
        match self {
            Self::Unasked => {
                let mut opening = JoinSet::new();
                opening.spawn(beside(first.clone()));
                *self = Self::Opening(opening);
            }
            Self::Opening(opening) => match opening.try_join_next() {
                None => {}
                Some(Ok(Ok(held))) => *self = Self::Open(held),
                Some(Ok(Err(error))) => {
                    let why = with_causes(&error);
                    tracing::debug!(
                        why,
                        "no second session with the ledger's database; the plan is saved over one"
                    );
                    *self = Self::Refused;
                }
                Some(Err(_)) => *self = Self::Refused,
            },
            Self::Open(_) | Self::Refused => {}
        }
        if let Self::Open(held) = self { Some(held.clone()) } else { None }
    }
}

/// The same store over another session.
async fn beside(first: Held) -> Result<Held> {
    let url = first.url.expose();
    let mut writer = session::connect_beside(url, first.store_id, first.patience.pid()).await?;
    let patience = Arc::new(Patience::with(url, &mut writer).await?);
    Ok(Held { writer: Arc::new(tokio::sync::Mutex::new(writer)), patience, ..first })
}
