//! One suite of rules for every ledger: what the port's documentation promises, each implementation must do.
//!
//! A rule sees a [`Backend`]: a ledger that can be opened, dropped as by a crash, opened again, and read back
//! as plain rows. Another database is one more backend and one more line in `on_every_backend`.

mod attempts;
pub(crate) mod backend;
mod entries;
pub(crate) mod fixture;
mod history;
pub(crate) mod memory;
mod plan;
pub(crate) mod postgres;
mod requeue;
mod runs;
pub(crate) mod sqlite;

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
        a_run_that_lost_the_store_writes_nothing,
        a_closed_run_writes_nothing,
        what_a_store_accepts_is_learnt_and_forgotten,
        how_long_runs_waited_is_kept,
        what_had_no_clear_answer_is_told,
        two_stores_of_one_ledger_do_not_touch_each_other,
        a_store_is_held_by_one,
    },
    plan::{
        a_plan_is_saved_sealed_and_read_in_pages,
        late_changes_are_read_apart,
        a_plan_is_taken_back,
        a_key_is_planned_once,
        a_closed_run_leaves_nothing_undecided,
    },
    attempts::{
        begin_commits_the_intent,
        begin_keeps_what_the_store_was_known_to_hold,
        begin_keeps_what_was_seen_for_the_same_value_only,
        a_repeated_request_carries_what_was_begun,
        only_what_is_planned_is_begun,
        a_write_that_nobody_polls_goes_on,
        finish_writes_every_verdict,
        finish_may_decide_nothing,
        what_was_not_sent_is_no_call,
        finish_leaves_the_entries_of_other_runs_alone,
        a_decided_change_never_changes,
        planned_changes_are_set_aside,
        changes_on_their_way_are_set_aside,
        certainty_is_cleared_whoever_owns_the_store,
        distrust_leaves_nothing_certain,
    },
    entries::{
        entries_come_in_key_order_across_pages,
        entries_are_filtered,
        an_empty_ledger_has_no_page,
        the_time_is_told_where_it_is_needed_only,
        a_note_stays_with_a_confirmed_entry,
        the_audit_reads_the_same_entries,
    },
    requeue::{
        what_was_set_aside_is_released_by_hand,
        only_what_is_named_is_released,
        news_of_the_store_take_beliefs_back,
        attributes_are_known_and_missed,
        missing_customers_are_asked_about_in_turn,
        customers_of_refused_values_are_asked_about_once,
    },
    history::{
        entries_are_a_fold_of_changes,
        a_value_that_comes_back_is_sent_again,
    },
}
