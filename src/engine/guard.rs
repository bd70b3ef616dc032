//! Asks the guard whether a plan may be sent.

use super::planning::Planned;
use super::ports::{EngineError, Options};
use crate::destination::Attribute;
use crate::ledger::LedgerReader;
use crate::plan::guard::{self, Exceeded, Facts};
use crate::push::End;
use crate::record::{Filter, RunStatus};

/// How many limits a message names.
const NAMED: usize = 3;

/// Returns the limits that a plan exceeds.
pub(super) async fn exceeded(
    ledger: Option<&dyn LedgerReader>,
    options: &Options,
    filter: &Filter,
    planned: &Planned,
    attributes: &[Attribute],
) -> Result<Vec<Exceeded>, EngineError> {
    if !options.guard.enabled {
        return Ok(Vec::new());
    }
    let last = match ledger {
        Some(ledger) => ledger.last_finished().await?,
        None => None,
    };
    let name_of = |id| {
        let attribute = attributes.iter().find(|attribute| attribute.id == id);
        attribute.map(|attribute| attribute.name.clone()).unwrap_or_default()
    };
    let facts = Facts {
        filter,
        counts: &planned.counts,
        extents: &planned.extents,
        last: last.as_ref(),
        name_of: &name_of,
    };
    Ok(guard::exceeded(&options.guard, facts))
}

/// Returns the end of a run whose plan exceeds some limits.
pub(super) fn blocked(run_id: i64, exceeded: &[Exceeded]) -> End {
    let mut named: Vec<String> = exceeded.iter().take(NAMED).map(Exceeded::to_string).collect();
    if exceeded.len() > NAMED {
        named.push(format!("and {} more", exceeded.len() - NAMED));
    }
    let message = format!("nothing was sent: {}", named.join("; "));
    let hint = format!(
        "correct the source and run `attrsync sync`; or, if the plan is right, `attrsync apply {run_id}` sends exactly this \
         plan, and {} below [guard] lets such plans through",
        guard::settings(exceeded).join(", ")
    );
    End { status: RunStatus::Blocked, message: Some(message), hint: Some(hint) }
}
