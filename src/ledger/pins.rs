//! Pins, once for both databases. An undo makes them when it is closed, or found interrupted: one for each value that it has
//! sent and that the source does not desire.

use super::Result;
use super::cells::Cells;
use super::sql::{Fence, Rows, Sql, Statement, statement};
use super::statements::COUNT_PINS;
use crate::record::{Filter, Key, Pin};

const IS_UNDO: &str = "select 1 from runs where id = $1 and kind = 'undo'";

/// What the undo `$2` has sent: its changes that the store has confirmed or may have applied.
macro_rules! sent {
    ($begin:literal, $condition:literal) => {
        concat!(
            $begin,
            " changes c where c.run_id = $2 and c.outcome in ('sending', 'confirmed', 'unknown')",
            $condition
        )
    };
}

const REMOVE_REPLACED: &str = sent!(
    "delete from pins where store_id = $1 and exists (select 1 from",
    " and c.customer_id = pins.customer_id and c.attribute_id = pins.attribute_id)"
);

const PIN: &str = sent!(
    "insert into pins (store_id, customer_id, attribute_id, value, source_value, run_id)
    select $1, c.customer_id, c.attribute_id, c.value, c.source_value, c.run_id from",
    " and c.value is distinct from c.source_value"
);

const END_PIN: &str = "delete from pins where store_id = $1 and customer_id = $2 and attribute_id = $3";

/// Returns the statements that make the pins of a run that ends, if it is an undo.
pub(super) async fn made_by(session: &dyn Rows, fence: Fence) -> Result<Vec<Statement>> {
    let Fence { store_id, run_id } = fence;
    if session.rows("look for an undo", statement!(IS_UNDO, run_id)).await?.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![
        statement!(REMOVE_REPLACED, store_id, run_id),
        statement!(PIN, store_id, run_id),
        statement!(COUNT_PINS, store_id),
    ])
}

pub(super) async fn end_pins(session: &dyn Sql, fence: Fence, keys: &[Key]) -> Result<()> {
    let store_id = fence.store_id;
    let end = |key: &Key| statement!(END_PIN, store_id, key.customer_id, key.attribute_id);
    let mut steps: Vec<_> = keys.iter().map(end).collect();
    steps.push(statement!(COUNT_PINS, store_id));
    session.write("end pins", Some(fence), steps).await.map(drop)
}

/// Only numbers are written into the statement.
pub(super) async fn pins(
    session: &dyn Rows,
    store_id: i64,
    filter: &Filter,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<Pin>> {
    let after = after.unwrap_or(Key::new(0, 0));
    let mut sql = "select customer_id, attribute_id, value, source_value, run_id from pins
        where store_id = $1 and (customer_id, attribute_id) > ($2, $3)"
        .to_owned();
    if !filter.customers.is_empty() {
        let customers: Vec<String> = filter.customers.iter().map(i64::to_string).collect();
        sql += &format!(" and customer_id in ({})", customers.join(", "));
    }
    sql += " order by customer_id, attribute_id limit $4";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let page = statement!(sql, store_id, after.customer_id, after.attribute_id, limit);
    let rows = session.rows("read the pins", page).await?;
    rows.into_iter().map(|row| pin(&mut Cells::of(row))).collect()
}

/// Reads the customer, the attribute, the two values and the run of a pin.
pub(super) fn pin(row: &mut Cells) -> Result<Pin> {
    Ok(Pin {
        key: Key::new(row.int()?, row.int()?),
        value: row.maybe_text()?,
        source_value: row.maybe_text()?,
        run_id: row.int()?,
    })
}
