//! What `attrsync check` says of a source that names its customers by e-mail address.

use crate::config::Config;
use crate::ledger::LedgerError;
use crate::ledger::audit::AuditLog;
use crate::record::{SourcePage, SourceRow};

/// Gives the addresses of a sample ids that a store can have, as if each had a customer: `check` looks up none.
pub(super) fn numbered(sample: &SourcePage) -> SourcePage {
    let (mut numbered, mut last, mut number) = (SourcePage::default(), None, 0);
    for row in (0..sample.len()).map(|at| sample.row(at)) {
        number += i64::from(row.customer_id != last);
        last = row.customer_id;
        numbered.push(SourceRow { customer_id: row.customer_id.map(|_| number), ..row });
    }
    numbered
}

/// Says how many e-mail addresses the ledger knows, in a line of its own.
pub(super) async fn known(config: &Config, audit: Option<&AuditLog>) -> Result<String, LedgerError> {
    let counts = match audit {
        Some(audit) => match audit.store_id(&config.store.name).await? {
            Some(store_id) => audit.count_emails(store_id).await?,
            None => Vec::new(),
        },
        None => Vec::new(),
    };
    let all: i64 = counts.iter().map(|(_, count)| count).sum();
    if all == 0 {
        return Ok(
            "\nno e-mail address was looked up yet: the first sync asks the store for all of them, 40 a call"
                .to_owned(),
        );
    }
    let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    Ok(format!("\ne-mail addresses that were looked up: {all} ({})", counts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_of_a_sample_has_an_id_of_its_own() {
        let mut sample = SourcePage::default();
        for (customer_id, problem) in
            [(Some(70), None), (Some(70), None), (Some(1 << 59), None), (None, Some("why"))]
        {
            sample.push(SourceRow { customer_id, attribute_id: Some(1), value: None, problem });
        }
        let numbered = numbered(&sample);
        let ids: Vec<_> = (0..numbered.len()).map(|at| numbered.row(at).customer_id).collect();
        assert_eq!(ids, [Some(1), Some(1), Some(2), None]);
        assert_eq!(numbered.row(3).problem, Some("why"));
    }
}
