//! What is known of the store itself: the attributes that it defines, and customers that it has no more.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Transaction, params};

use super::attempts::Place;
use super::failure::Failure;
use super::runs::check_fence;
use super::stamp;
use crate::ledger::Refused;
use crate::record::KnownAttribute;

/// The attributes, by their ids.
pub(super) fn attributes(connection: &Connection, store_id: i64) -> Result<Vec<KnownAttribute>, Failure> {
    let mut statement = connection.prepare_cached(
        "select attribute_id, name, type, gone_run_id is not null from attributes where store_id = ?1
         order by attribute_id",
    )?;
    let rows = statement.query_map([store_id], |row| {
        Ok(KnownAttribute { id: row.get(0)?, name: row.get(1)?, kind: row.get(2)?, gone: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Notes which attributes there are; the others are gone.
pub(super) fn note_attributes(
    transaction: &Transaction<'_>,
    place: Place,
    listed: &[KnownAttribute],
    at: DateTime<Utc>,
) -> Result<(), Failure> {
    let Place { store_id, run_id } = place;
    check_fence(transaction, store_id, run_id)?;
    transaction.execute(
        "update attributes set gone_run_id = coalesce(gone_run_id, ?2) where store_id = ?1",
        [store_id, run_id],
    )?;
    let mut note = transaction.prepare_cached(
        "insert into attributes (store_id, attribute_id, name, type, seen_at) values (?1, ?2, ?3, ?4, ?5)
         on conflict (store_id, attribute_id) do update set
             name = excluded.name, type = excluded.type, seen_at = excluded.seen_at, gone_run_id = null",
    )?;
    let at = stamp::text(at);
    for KnownAttribute { id, name, kind, .. } in listed {
        note.execute(params![store_id, id, name, kind, at])?;
    }
    Ok(())
}

/// Customers that the store has no more, those first that were asked about longest ago.
pub(super) fn missing(connection: &Connection, store_id: i64, limit: usize) -> Result<Vec<i64>, Failure> {
    let mut statement = connection.prepare_cached(
        "select customer_id from missing_customers where store_id = ?1 order by asked_run_id, customer_id limit ?2",
    )?;
    let rows = statement.query_map([store_id, i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Notes which customers are missing, as this run was told, and which are back.
pub(super) fn note_customers(
    transaction: &Transaction<'_>,
    place: Place,
    missing: &[i64],
    back: &[i64],
) -> Result<(), Failure> {
    let Place { store_id, run_id } = place;
    check_fence(transaction, store_id, run_id)?;
    let mut note = transaction.prepare_cached(
        "insert into missing_customers (store_id, customer_id, found_run_id, asked_run_id) values (?1, ?2, ?3, ?3)
         on conflict (store_id, customer_id) do update set asked_run_id = excluded.asked_run_id",
    )?;
    for customer in missing {
        note.execute([store_id, *customer, run_id])?;
    }
    let mut forget = transaction
        .prepare_cached("delete from missing_customers where store_id = ?1 and customer_id = ?2")?;
    for customer in back {
        forget.execute([store_id, *customer])?;
    }
    Ok(())
}

/// Customers of refused values about whom the store was not asked since. Joined in this order, along the keys, the rows
/// come sorted and no more of them are read than are wanted.
pub(super) fn unasked(connection: &Connection, store_id: i64, limit: usize) -> Result<Vec<Refused>, Failure> {
    let mut statement = connection.prepare_cached(
        "select distinct r.id, c.customer_id
         from stores s
         cross join runs r on r.store_id = s.id and r.id >= coalesce(s.asked_run_id, 0) and r.rejected > 0
             and (r.id is not s.asked_run_id or s.asked_customer_id is not null)
         cross join changes c on c.run_id = r.id and c.outcome = 'rejected'
             and c.customer_id > case r.id when s.asked_run_id then s.asked_customer_id else ?2 end
         where s.id = ?1 order by r.id, c.customer_id limit ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map([store_id, i64::MIN, limit], |row| {
        Ok(Refused { run_id: row.get(0)?, customer_id: row.get(1)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Notes through whom the store was asked about customers of refused values.
pub(super) fn note_asked(
    transaction: &Transaction<'_>,
    place: Place,
    of: i64,
    through: Option<i64>,
) -> Result<(), Failure> {
    let Place { store_id, run_id } = place;
    check_fence(transaction, store_id, run_id)?;
    transaction.execute(
        "update stores set asked_run_id = ?2, asked_customer_id = ?3 where id = ?1",
        params![store_id, of, through],
    )?;
    Ok(())
}
