//! Named places where a run can be made to die at once, for the crash harness.
//!
//! With the cargo feature `failpoints`, `ATTRSYNC_FAILPOINT=begun:3` ends the process at its third arrival at `begun`, by
//! an abort: nothing is flushed, rolled back, closed or given up, as by SIGKILL. Without the feature nothing of this is
//! built in.

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
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &str) {
    if let Ok(Some(point)) = chosen::point()
        && point.name == name
        && point.left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1
    {
        std::process::abort();
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

    #[derive(Debug)]
    pub(super) struct Point {
        pub(super) name: String,
        /// Arrivals to come, with the last.
        pub(super) left: AtomicU32,
    }

    /// What the environment chose, read once.
    pub(super) fn point() -> &'static Result<Option<Point>, String> {
        static CHOSEN: OnceLock<Result<Option<Point>, String>> = OnceLock::new();
        CHOSEN.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| read(&text)).transpose())
    }

    pub(super) fn read(text: &str) -> Result<Point, String> {
        let (name, count) = text.split_once(':').unwrap_or((text, "1"));
        match count.parse() {
            Ok(left @ 1..) if NAMES.contains(&name) => {
                Ok(Point { name: name.to_owned(), left: AtomicU32::new(left) })
            }
            _ => Err(format!(
                "{VARIABLE} is {text:?}; it takes name or name:arrival, and the names are {}",
                NAMES.join(", ")
            )),
        }
    }
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_chosen_by_name_and_arrival() {
        let read = |text| chosen::read(text).map(|point| (point.name, point.left.into_inner()));
        assert_eq!(read("begun"), Ok(("begun".to_owned(), 1)));
        assert_eq!(read("begun:3"), Ok(("begun".to_owned(), 3)));
        for wrong in ["", "begin", "begun:", "begun:0", "begun:-1", "begun:x", "begun:1:2"] {
            let problem = read(wrong).expect_err(wrong);
            assert!(NAMES.iter().all(|name| problem.contains(name)), "{problem}");
        }
    }
}
