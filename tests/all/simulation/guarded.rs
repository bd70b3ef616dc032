//! The guard of a story: in half of the stories a canary of few customers, in a quarter limits that small tables reach.

use attrsync::config::GuardConfig;

/// The guard of a story by its seed.
pub(super) fn guard(seed: u64) -> GuardConfig {
    let canary = [100, 2, 5, 100][(seed % 4) as usize];
    let min_values = [100, 100, 1, 100][(seed % 4) as usize];
    GuardConfig { canary, min_values, ..GuardConfig::default() }
}

/// The same without limits, for the end of a story: everything has to be sent then.
pub(super) fn without_limits(guard: &GuardConfig) -> GuardConfig {
    GuardConfig { min_values: i64::MAX, ..guard.clone() }
}
