//! Named places where the crash harness can end the process.
//!
//! With the cargo feature `failpoints`, `ATTRSYNC_FAILPOINT=sealed:3` aborts the process at its third arrival at
//! `sealed`: nothing is flushed, rolled back or closed, as after SIGKILL. `ATTRSYNC_FAILPOINT=sealed:3:panic` panics
//! instead, as a bug would. Without the feature, none of this is built.

/// All fail-points, in the order in which a run may reach them.
pub const NAMES: &[&str] = &[
    // The lock was taken.
    "locked",
    // A migration was executed and not committed. The first one creates the table that lists them.
    "migrating",
    // All migrations were committed.
    "migrated",
    // The ledger is open, and no run.
    "ledger-open",
    "run-opened",
    // Customers of e-mail addresses were looked up and kept.
    "emails-kept",
    // A page of the plan was committed.
    "page-saved",
    // The whole plan was saved and not sealed.
    "planned",
    // Between plan and push.
    "sealed",
    // The plan was sealed to be saved, and its run was not closed.
    "plan-saved",
    "intent-not-committed",
    // The intent was committed, and nothing was sent.
    "intent-committed",
    "before-request",
    // The response was read, and its outcome was not recorded.
    "response-read",
    "before-delete",
    // The response to a delete was read, and no read has proved it.
    "delete-read",
    "outcome-not-committed",
    "outcome-committed",
    // Everything was sent, and the run was not closed.
    "sent",
    "closed",
    // A page of the store's values was kept.
    "values-observed",
    // Some values were adopted.
    "values-adopted",
    // Beliefs were edited because of drift.
    "drift-edited",
];

/// Ends the process here, if this arrival at the point was chosen.
///
/// # Panics
/// If a panic was chosen.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &str) {
    if let Ok(Some(point)) = chosen::point()
        && point.name == name
        && point.left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1
    {
        match point.end {
            chosen::End::Abort => std::process::abort(),
            chosen::End::Panic => panic!("the fail-point {name} was reached"),
        }
    }
}

/// Does nothing.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn reach(_name: &str) {}

/// Returns an error if the chosen fail-point does not exist.
#[cfg(feature = "failpoints")]
pub(crate) fn check() -> Result<(), String> {
    chosen::point().as_ref().map(|_| ()).map_err(Clone::clone)
}

/// Returns no error, because no fail-point can be chosen.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn check() -> Result<(), String> {
    Ok(())
}

#[cfg(feature = "failpoints")]
mod chosen {
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicU32;

    use super::NAMES;

    const VARIABLE: &str = "ATTRSYNC_FAILPOINT";

    /// How the process ends.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum End {
        Abort,
        Panic,
    }

    #[derive(Debug)]
    pub(super) struct Point {
        pub(super) name: String,
        /// The number of arrivals left, including the one that ends the process.
        pub(super) left: AtomicU32,
        pub(super) end: End,
    }

    /// The fail-point that the environment chose, read once.
    pub(super) fn point() -> &'static Result<Option<Point>, String> {
        static CHOSEN: OnceLock<Result<Option<Point>, String>> = OnceLock::new();
        CHOSEN.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| read(&text)).transpose())
    }

    pub(super) fn read(text: &str) -> Result<Point, String> {
        let (rest, end) = match text.strip_suffix(":panic") {
            Some(rest) => (rest, End::Panic),
            None => (text, End::Abort),
        };
        let (name, count) = rest.split_once(':').unwrap_or((rest, "1"));
        match count.parse() {
            Ok(left @ 1..) if NAMES.contains(&name) => {
                Ok(Point { name: name.to_owned(), left: AtomicU32::new(left), end })
            }
            _ => Err(format!(
                "{VARIABLE} is {text:?}; write name or name:arrival, optionally followed by :panic; the names are {}",
                NAMES.join(", ")
            )),
        }
    }
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_chosen_by_name_arrival_and_end() {
        let read = |text| chosen::read(text).map(|point| (point.name, point.left.into_inner(), point.end));
        for (text, arrival, end) in [
            ("sealed", 1, chosen::End::Abort),
            ("sealed:3", 3, chosen::End::Abort),
            ("sealed:panic", 1, chosen::End::Panic),
            ("sealed:3:panic", 3, chosen::End::Panic),
        ] {
            assert_eq!(read(text), Ok(("sealed".to_owned(), arrival, end)));
        }
        for wrong in [
            "",
            "seal",
            "sealed:",
            "sealed:0",
            "sealed:-1",
            "sealed:x",
            "sealed:1:2",
            ":panic",
            "sealed:1:abort",
        ] {
            let problem = read(wrong).expect_err(wrong);
            assert!(NAMES.iter().all(|name| problem.contains(name)), "{problem}");
        }
    }
}
