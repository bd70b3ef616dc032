//! Scheduled times: each has one run that ended, or is recorded as missed once.
//!
//! Which times a schedule has is not in the ledger. So a time that is accounted for nowhere is not found, and neither is
//! another number of missed times.

use super::flaws::Flaws;
use crate::ledger::Result;
use crate::ledger::audit::log::AuditLog;
use crate::ledger::cells::Cells;

/// The columns that hold times, read one by one, because a text that is no time cannot be compared.
const TIMES: &str = "
    select 'the scheduled_until of store ' || id, scheduled_until from stores
    union all select 'a first_time of store ' || store_id, first_time from missed_times
    union all select 'a last_time of store ' || store_id, last_time from missed_times
    union all select 'an at of missed times of store ' || store_id, at from missed_times";

/// Rows of `missed_times` that cannot be right.
const MISSED: &str = "
    select m.store_id, count(*) from (
        select missed_times.*, lag(last_time) over (partition by store_id order by first_time, last_time) as last_before
        from missed_times
    ) m
    join stores s on s.id = m.store_id
    left join runs r on r.id = m.run_id
    where m.times < 1 or m.first_time > m.last_time or (m.times = 1) <> (m.first_time = m.last_time)
        or m.last_before >= m.first_time
        or s.scheduled_until is null or m.last_time > s.scheduled_until
        or m.run_id is not null and (r.id is null or r.store_id <> m.store_id or r.scheduled_for is null
            or r.scheduled_for <= m.last_time or r.started_at <> m.at)
    group by m.store_id order by m.store_id";

/// Times with several runs that ended.
const RUN_TWICE: &str = "
    select min(id), count(*) from runs
    where scheduled_for is not null and finished_at is not null and status <> 'interrupted'
    group by store_id, scheduled_for having count(*) > 1 order by 1 limit 11";

/// Runs that ended although their time is recorded as missed.
const RUN_AND_MISSED: &str = "
    select r.id from runs r
    where r.scheduled_for is not null and r.finished_at is not null and r.status <> 'interrupted' and exists (
        select 1 from missed_times m
        where m.store_id = r.store_id and m.first_time <= r.scheduled_for and m.last_time >= r.scheduled_for
    )
    order by r.id limit 11";

/// Interrupted runs after which the store had another scheduled run, but none for the same time.
const NOT_RUN_AGAIN: &str = "
    select r.id from runs r join stores s on s.id = r.store_id
    where r.scheduled_for <= s.scheduled_until and r.status = 'interrupted'
        and exists (select 1 from runs n where n.store_id = r.store_id and n.id > r.id and n.scheduled_for is not null)
        and not exists (
            select 1 from runs n
            where n.store_id = r.store_id and n.scheduled_for = r.scheduled_for and n.id > r.id
        )
        and not exists (
            select 1 from missed_times m
            where m.store_id = r.store_id and m.first_time <= r.scheduled_for and m.last_time >= r.scheduled_for
        )
    order by r.id limit 11";

/// Stores whose runs have scheduled times, and which have no `scheduled_until`.
const NO_UNTIL: &str = "
    select s.id from stores s
    where s.scheduled_until is null
        and exists (select 1 from runs r where r.store_id = s.id and r.scheduled_for is not null)
    order by s.id limit 11";

pub(super) async fn flaws(audit: &AuditLog) -> Result<Flaws> {
    let mut flaws = Flaws::default();
    let times = audit.query(TIMES, Vec::new(), |row| Ok((row.text()?, row.maybe_time().is_ok()))).await?;
    let wrong: Vec<_> = times.into_iter().filter(|(_, good)| !good).collect();
    if !wrong.is_empty() {
        flaws.extend(wrong.into_iter().map(|(what, _)| format!("{what}: no time")));
        return Ok(flaws);
    }
    let missed = audit.query(MISSED, Vec::new(), |row| Ok((row.int()?, row.int()?))).await?;
    flaws.extend(missed.into_iter().map(|(store_id, rows)| {
        format!(
            "store {store_id}: {rows} of its rows of missed_times overlap, have times that do not fit, or name another run"
        )
    }));
    let twice = audit.query(RUN_TWICE, Vec::new(), |row| Ok((row.int()?, row.int()?))).await?;
    flaws.extend(twice.into_iter().map(|(run_id, runs)| {
        format!("run {run_id}: {runs} runs ended for its scheduled_for, expected one")
    }));
    let both = audit.query(RUN_AND_MISSED, Vec::new(), Cells::int).await?;
    flaws.extend(
        both.into_iter()
            .map(|run_id| format!("run {run_id}: it ended, and its scheduled_for is recorded as missed")),
    );
    let lost = audit.query(NOT_RUN_AGAIN, Vec::new(), Cells::int).await?;
    flaws.extend(lost.into_iter().map(|run_id| {
        format!(
            "run {run_id}: it was interrupted, and no other run or missed time stands for its scheduled_for"
        )
    }));
    let no_until = audit.query(NO_UNTIL, Vec::new(), Cells::int).await?;
    flaws.extend(no_until.into_iter().map(|store_id| {
        format!("store {store_id}: its runs have a scheduled_for, but its scheduled_until is NULL")
    }));
    Ok(flaws)
}
