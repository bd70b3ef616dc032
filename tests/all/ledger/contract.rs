//! Tests every ledger against the contract in the documentation of the port.
//!
//! Each rule takes a [`Backend`]: a ledger that can be opened, dropped as by a crash, opened again, and read back as
//! plain rows. A new database needs a backend and a module in `on_every_backend`.

pub(crate) mod backend;
mod belief_edits;
mod deletes;
mod digests;
mod emails;
mod entries;
pub(crate) mod fixture;
mod history;
mod intents;
pub(crate) mod memory;
mod outcomes;
mod plan;
pub(crate) mod postgres;
mod readings;
mod runs;
mod saved_plans;
mod scheduled;
pub(crate) mod sqlite;
mod tables;
mod undo;

/// Makes a test of each rule on each backend.
macro_rules! on_every_backend {
    ($($module:ident::{$($rule:ident),+ $(,)?}),+ $(,)?) => {
        mod on_memory {
            $(mod $module { $(
                #[tokio::test]
                async fn $rule() {
                    crate::ledger::contract::$module::$rule(&crate::ledger::contract::memory::MemoryBackend::fresh()).await;
                }
            )+ })+
        }
        mod on_sqlite {
            $(mod $module { $(
                #[tokio::test]
                async fn $rule() {
                    crate::ledger::contract::$module::$rule(&crate::ledger::contract::sqlite::SqliteBackend::fresh()).await;
                }
            )+ })+
        }
        mod on_postgres {
            $(mod $module { $(
                #[tokio::test]
                async fn $rule() {
                    crate::ledger::contract::$module::$rule(&crate::ledger::contract::postgres::PostgresBackend::fresh()).await;
                }
            )+ })+
        }
    };
}

on_every_backend! {
    runs::{
        a_run_is_opened_and_closed,
        an_open_run_is_interrupted_by_the_next,
        how_long_a_run_waited_is_recorded,
        a_run_that_lost_its_lock_writes_nothing,
        a_closed_run_writes_nothing,
        the_sizes_of_requests_are_kept_and_forgotten,
        two_stores_of_one_ledger_do_not_touch_each_other,
        a_store_has_one_lock,
    },
    scheduled::{
        a_run_claims_its_time,
        an_interrupted_time_is_open_until_it_is_missed,
        a_clock_that_was_set_back_takes_missed_times_back,
        stores_have_their_own_times,
    },
    plan::{
        a_plan_is_saved_sealed_and_read_in_pages,
        changes_in_doubt_are_read_separately,
        a_plan_is_discarded,
        what_an_ended_run_never_sent_is_removed,
        a_blocked_run_keeps_its_plan_until_a_later_whole_plan,
        the_last_finished_run_is_a_whole_one_that_came_to_its_end,
        invalid_rows_are_kept_for_the_newest_ten_syncs,
        runs_on_change_displace_no_invalid_rows_of_other_syncs,
        a_key_is_planned_once,
        every_change_of_a_closed_run_has_an_outcome,
    },
    saved_plans::{
        a_saved_plan_stays_for_seven_days,
        the_plan_of_a_blocked_run_stays_until_all_rows_are_planned_anew,
        a_saved_plan_is_read_with_what_the_entries_say_now,
        a_run_is_known_by_what_applies_its_plan,
    },
    undo::{
        what_a_run_has_sent_is_read_with_what_the_entries_say_now,
        an_undo_leaves_pins_of_what_it_has_sent,
        an_interrupted_undo_leaves_pins_too,
        a_later_undo_replaces_the_pins_of_its_keys,
        pins_end_by_key_and_by_scope,
    },
    digests::{
        a_digest_is_known_as_long_as_the_ledger_is_as_its_run_left_it,
        a_digest_needs_a_run_that_confirmed_all_of_its_changes,
        a_run_by_digest_has_the_counts_and_the_invalid_rows_of_the_run_before,
    },
    intents::{
        an_intent_is_recorded_before_a_request,
        an_intent_keeps_the_value_that_the_store_held,
        an_intent_keeps_the_observed_value_of_the_same_value_only,
        changes_may_be_sent_again,
        a_request_touches_no_other_value_of_its_customers,
        an_intent_needs_changes_without_an_outcome,
        the_later_end_of_the_in_doubt_window_counts,
    },
    deletes::{
        a_delete_that_a_read_proved_leaves_no_value,
        the_id_of_a_value_may_be_read_after_the_plan_was_made,
        a_value_that_is_not_there_needs_no_request,
        a_rejected_delete_keeps_what_the_store_holds,
        deletes_are_a_part_of_a_plan_of_their_own,
        a_deleted_value_is_no_unchanged_row_of_the_next_run,
        an_absent_entry_stays_absent,
    },
    outcomes::{
        an_unpolled_write_does_not_block_others,
        every_outcome_is_recorded,
        a_request_may_end_without_an_outcome_of_its_changes,
        a_request_that_was_not_sent_is_not_counted,
        an_outcome_leaves_the_entries_of_other_runs_alone,
        a_recorded_outcome_never_changes,
        planned_changes_get_an_outcome_without_a_request,
        sent_changes_get_an_outcome_without_a_request,
        entries_are_marked_unconfirmed_without_the_fence,
        customers_of_rejected_values_are_to_be_checked,
    },
    entries::{
        entries_come_in_key_order_across_pages,
        entries_are_filtered,
        an_empty_ledger_has_no_page,
        a_scan_returns_every_column_that_the_diff_needs,
        the_audit_reads_the_same_entries,
    },
    belief_edits::{
        a_requeue_makes_rejected_entries_unconfirmed,
        an_acknowledgement_lasts_as_long_as_the_rejection,
        a_clear_forgets_what_the_store_held,
        a_full_sync_leaves_nothing_confirmed,
        an_edit_affects_its_scope_only,
        attributes_are_recorded_until_they_are_deleted,
        the_customers_checked_longest_ago_come_first,
    },
    readings::{
        what_was_observed_is_kept_until_it_is_removed,
        an_adopted_value_is_confirmed_and_no_known_key_is_adopted,
        drift_makes_an_entry_unconfirmed_and_keeps_what_was_sent,
        reported_drift_lasts_until_it_ends,
        a_run_that_lost_its_lock_keeps_nothing,
        entries_are_read_by_customer,
    },
    emails::{
        addresses_are_kept_by_their_hashes,
        a_customer_has_one_address,
        a_run_that_lost_its_lock_keeps_no_address,
    },
    history::{
        entries_are_a_fold_of_changes_and_edits,
        a_value_that_returns_is_sent_again,
    },
}
