//! Named places where a run can be made to die at once, for the crash harness.
//!
//! With the cargo feature `failpoints`, `ATTRSYNC_FAILPOINT=begun:3` ends the process at its third arrival at `begun`, by
//! an abort: nothing is flushed, rolled back, closed or given up, as by SIGKILL. `ATTRSYNC_FAILPOINT=begun:3:panic` panics
//! there instead, as a fault of the program would. Without the feature nothing of this is built in.

/// Every point, in the order in which a run may pass them.
pub const NAMES: &[&str] = &[
    // The lock is taken, and nothing was done under it.
    "locked",
    // A migration is done and not committed: the first is the table that counts them.
    "migrating",
    // The tables are of this version.
    "migrated",
    // The ledger is open, and no run is.
    "ledger-open",
    "run-opened",
    // A page of the plan is committed.
    "page-saved",
    // The plan is whole and not sealed.
    "planned",
    // Between plan and push.
    "sealed",
    "begin-not-committed",
    // The intent is committed, and nothing has left.
    "begun",
    "request-leaves",
    // The answer is there, and not written down.
    "answered",
    "finish-not-committed",
    "finished",
    // Everything is sent, and the run is not closed.
    "sent",
    "closed",
];

/// Dies here, if this arrival at the point was chosen.
///
/// # Panics
/// Where that was chosen.
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

/// Nothing.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn reach(_name: &str) {}

/// Fails where a point was chosen that there is not.
#[cfg(feature = "failpoints")]
pub(crate) fn check() -> Result<(), String> {
    chosen::point().as_ref().map(|_| ()).map_err(Clone::clone)
}

/// Nothing can be chosen.
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

    /// How a run dies.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum End {
        Abort,
        Panic,
    }

    #[derive(Debug)]
    pub(super) struct Point {
        pub(super) name: String,
        /// Arrivals to come, with the last.
        pub(super) left: AtomicU32,
        pub(super) end: End,
    }

    /// What the environment chose, read once.
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
                "{VARIABLE} is {text:?}; it takes name or name:arrival, with :panic behind it or not, and the names are {}",
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
            ("begun", 1, chosen::End::Abort),
            ("begun:3", 3, chosen::End::Abort),
            ("begun:panic", 1, chosen::End::Panic),
            ("begun:3:panic", 3, chosen::End::Panic),
        ] {
            assert_eq!(read(text), Ok(("begun".to_owned(), arrival, end)));
        }
        for wrong in
            ["", "begin", "begun:", "begun:0", "begun:-1", "begun:x", "begun:1:2", ":panic", "begun:1:abort"]
        {
            let problem = read(wrong).expect_err(wrong);
            assert!(NAMES.iter().all(|name| problem.contains(name)), "{problem}");
        }
    }
}
