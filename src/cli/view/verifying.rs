//! Shows on a terminal how far a verification of the ledger is.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::console::Console;
use super::text::{cut, number, whole_seconds};
use crate::ledger::audit::Progress;

/// How often the line is drawn.
const EVERY: Duration = Duration::from_millis(200);

/// Waits for a verification and shows its progress until it ends.
pub(crate) async fn show<T>(
    console: &Console,
    progress: &Progress,
    verification: impl Future<Output = T>,
) -> T {
    let bar = console.start_bar();
    let started = Instant::now();
    let mut verification = std::pin::pin!(verification);
    let verified = loop {
        match tokio::time::timeout(EVERY, &mut verification).await {
            Ok(verified) => break verified,
            Err(_) => {
                if let Some(bar) = &bar {
                    console.draw(bar, |columns| cut(&sentence(progress, started.elapsed()), columns));
                }
            }
        }
    };
    console.end_bar();
    verified
}

fn sentence(progress: &Progress, elapsed: Duration) -> String {
    let count = |count: &std::sync::atomic::AtomicU64| {
        i64::try_from(count.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    };
    let (read, all) = (count(&progress.read), count(&progress.all));
    let elapsed = whole_seconds(elapsed);
    match read {
        0 => format!(
            "verifying the ledger: {} changes and entries to be sorted by key · {elapsed}",
            number(all)
        ),
        _ => format!(
            "verifying the ledger: {} of {} changes and entries · {elapsed}",
            number(read),
            number(all)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_many_rows_were_read() {
        let progress = Progress::default();
        progress.all.store(6000, Ordering::Relaxed);
        progress.read.store(1500, Ordering::Relaxed);
        assert_eq!(
            sentence(&progress, Duration::from_millis(61_500)),
            "verifying the ledger: 1,500 of 6,000 changes and entries · 1 min 1 s"
        );
    }
}
