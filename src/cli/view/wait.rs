//! What a run waits for, in words, and which waits are logged.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use tracing::Level;

use super::text::{counted, whole_seconds};
use crate::config::LedgerConfig;
use crate::record::WaitReason;
use crate::waits::{CurrentWait, Waits};

/// How often [`log_waits`] looks at the waits.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(500);

/// Waits shorter than this are neither shown nor logged.
const SHOWN_FROM: Duration = Duration::from_secs(1);

/// Waits from this length on are logged without `-v`.
const WARNED_FROM: Duration = Duration::from_secs(10);

/// The same for the rate quota, because a store's window of half a minute is nothing unusual.
const QUOTA_WARNED_FROM: Duration = Duration::from_secs(60);

/// Short pauses that began within this time count together.
const LATELY: Duration = Duration::from_secs(60);

/// The same reason is logged without `-v` only so often.
const WARNED_AGAIN_AFTER: Duration = Duration::from_secs(300);

/// Returns whether a wait is worth a word.
pub(super) fn is_shown(wait: &CurrentWait) -> bool {
    length(wait) >= SHOWN_FROM
}

/// How long a pause is, or how long any other wait has lasted.
fn length(wait: &CurrentWait) -> Duration {
    let rest = wait.at_most.filter(|_| wait.reason.is_pause());
    wait.waited + rest.unwrap_or_default()
}

/// Returns why the run waits.
pub(super) fn why(wait: &CurrentWait) -> String {
    let detail = wait.detail.as_str();
    let with = |text: &str| if detail.is_empty() { text.to_owned() } else { format!("{text} ({detail})") };
    match wait.reason {
        WaitReason::Quota => with("rate quota used up"),
        WaitReason::Limited => {
            format!("the store asked to wait ({})", if detail.is_empty() { "429" } else { detail })
        }
        WaitReason::Backoff => with("a pause before the next try, because the last one failed"),
        WaitReason::Response => {
            let requests = detail.parse().map_or_else(|_| "calls".to_owned(), |count| counted(count, "call"));
            format!("no response yet to {requests} in flight")
        }
        WaitReason::InDoubt => with("a call of an earlier run may still be applied"),
        WaitReason::Attributes => with("asking the store for its attributes"),
        WaitReason::Existence => with("asking the store whether customers and attributes still exist"),
        WaitReason::ReadBack => with("reading values back from the store"),
        WaitReason::Customers => with("asking the store for customers by their e-mail addresses"),
        WaitReason::Values => with("reading the store's values"),
        WaitReason::Lock => with("another run holds this store"),
        WaitReason::Source => with("the source's database"),
        WaitReason::Ledger => with("the ledger's database"),
    }
}

/// Returns how long a wait can last, or how long it has lasted if that is not known.
pub(super) fn how_long(wait: &CurrentWait) -> String {
    match wait.at_most {
        Some(most) => format!("at most {}", whole_seconds(most + Duration::from_millis(999))),
        None => whole_seconds(wait.waited),
    }
}

/// A log line about a wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogLine {
    pub(super) level: Level,
    pub(super) reason: WaitReason,
    pub(super) text: String,
}

impl LogLine {
    pub(super) fn log(&self) {
        let Self { level, reason, text } = self;
        match *level {
            Level::WARN => tracing::warn!(%reason, "{text}"),
            _ => tracing::info!(%reason, "{text}"),
        }
    }
}

/// Logs what a run waits for, until it is dropped.
pub(crate) async fn log_waits(waits: &Waits, ledger: &LedgerConfig) -> Infallible {
    let (started, mut log) = (Instant::now(), WaitLog::new(ledger));
    loop {
        tokio::time::sleep(LOOKED_AT_EVERY).await;
        log.see(waits.current().as_ref(), started.elapsed()).iter().for_each(LogLine::log);
    }
}

/// Decides which waits are logged: each once when it begins, and once more if it gets long or ends after a long time.
#[derive(Debug, Default)]
pub(super) struct WaitLog {
    /// The wait that was logged last, as it was seen last, and at which level.
    told: Option<(CurrentWait, Level)>,
    /// When each reason was logged as a warning, as time since the display started.
    warned: BTreeMap<&'static str, Duration>,
    /// The pauses of each reason that began lately: when the first began, and how long those that have ended were in all.
    lately: BTreeMap<&'static str, (Duration, Duration)>,
    /// Whether the ledger's session warns itself, with the cause, if it is silent for half a minute.
    ledger_warns: bool,
}

impl WaitLog {
    pub(super) fn new(ledger: &LedgerConfig) -> Self {
        Self { ledger_warns: matches!(ledger, LedgerConfig::Postgres(_)), ..Self::default() }
    }

    /// Takes what the run waits for now, and returns the lines that follow from it.
    pub(super) fn see(&mut self, wait: Option<&CurrentWait>, now: Duration) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let told = self.told.take_if(|(told, _)| wait.is_none_or(|wait| wait.id != told.id));
        if let Some((ended, _)) = &told {
            self.add(ended, now);
        }
        if let Some((ended, _)) = told
            && ended.waited >= WARNED_FROM
        {
            let text = format!("waited {}: {}", whole_seconds(ended.waited), why(&ended));
            lines.push(LogLine { level: Level::INFO, reason: ended.reason, text });
        }
        let Some(wait) = wait.filter(|wait| is_shown(wait)) else { return lines };
        let before = self.told.as_ref().map(|(_, level)| *level);
        let level = self.level(wait, now);
        // INFO is greater than WARN.
        if before.is_none_or(|before| level < before) {
            if level == Level::WARN {
                self.warned.insert(wait.reason.as_str(), now);
            }
            let text = format!("waiting {}: {}", how_long(wait), why(wait));
            lines.push(LogLine { level, reason: wait.reason, text });
        }
        self.told = Some((wait.clone(), before.map_or(level, |before| before.min(level))));
        lines
    }

    /// Adds a pause that has ended.
    fn add(&mut self, ended: &CurrentWait, now: Duration) {
        let (first, sum) = self.lately.entry(ended.reason.as_str()).or_insert((now, Duration::ZERO));
        if now > *first + LATELY {
            (*first, *sum) = (now, Duration::ZERO);
        }
        *sum += ended.waited;
    }

    /// How long the pauses before this one were, if they are of the same failure: the reason is a failure, and they were
    /// lately.
    fn before(&self, wait: &CurrentWait, now: Duration) -> Duration {
        let lately = self.lately.get(wait.reason.as_str()).filter(|(first, _)| now <= *first + LATELY);
        let is_failure = matches!(wait.reason, WaitReason::Backoff | WaitReason::Limited);
        lately.filter(|_| is_failure).map_or(Duration::ZERO, |(_, sum)| *sum)
    }

    fn level(&self, wait: &CurrentWait, now: Duration) -> Level {
        if self.ledger_warns && wait.reason == WaitReason::Ledger && wait.detail.is_empty() {
            return Level::INFO;
        }
        let from = if wait.reason == WaitReason::Quota { QUOTA_WARNED_FROM } else { WARNED_FROM };
        let lately = self.warned.get(wait.reason.as_str()).is_some_and(|at| now < *at + WARNED_AGAIN_AFTER);
        if length(wait) + self.before(wait, now) >= from && !lately { Level::WARN } else { Level::INFO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn wait(id: u64, reason: WaitReason, waited: u64, at_most: Option<u64>) -> CurrentWait {
        let (waited, at_most) = (Duration::from_secs(waited), at_most.map(Duration::from_secs));
        CurrentWait { id, reason, detail: String::new(), waited, at_most }
    }

    fn see(log: &mut WaitLog, wait: Option<&CurrentWait>, now: u64) -> Vec<(Level, String)> {
        let lines = log.see(wait, Duration::from_secs(now));
        lines.into_iter().map(|line| (line.level, line.text)).collect()
    }

    #[test]
    fn a_long_wait_is_a_warning_once_and_its_end_is_told() {
        let mut log = WaitLog::default();
        let limited = |waited| wait(1, WaitReason::Limited, waited, Some(300 - waited));
        let begin = "waiting at most 5 min: the store asked to wait (429)".to_owned();
        assert_eq!(see(&mut log, Some(&limited(0)), 0), [(Level::WARN, begin)]);
        assert_eq!(see(&mut log, Some(&limited(100)), 100), []);
        assert_eq!(see(&mut log, Some(&limited(299)), 299), []);
        let end = "waited 4 min 59 s: the store asked to wait (429)".to_owned();
        assert_eq!(see(&mut log, None, 300), [(Level::INFO, end)]);
    }

    #[test]
    fn the_same_reason_again_is_no_warning() {
        let mut log = WaitLog::default();
        let levels = [0, 30, 299, 300].map(|now| {
            let again = wait(now, WaitReason::Limited, 0, Some(30));
            see(&mut log, Some(&again), now).iter().map(|(level, _)| *level).collect::<Vec<_>>()
        });
        assert_eq!(levels, [[Level::WARN], [Level::INFO], [Level::INFO], [Level::WARN]]);
    }

    #[test]
    fn an_ordinary_window_of_the_quota_is_no_warning_and_an_hour_is() {
        for (seconds, level) in [(29, Level::INFO), (3_600, Level::WARN)] {
            let lines = see(&mut WaitLog::default(), Some(&wait(1, WaitReason::Quota, 0, Some(seconds))), 0);
            assert_eq!(lines.first().map(|(level, _)| *level), Some(level));
        }
    }

    #[test]
    fn a_wait_that_may_end_at_any_time_is_told_after_a_second_and_warned_of_after_ten() {
        let mut log = WaitLog::default();
        let source = |waited| wait(1, WaitReason::Source, waited, Some(30 - waited));
        let seen = [0, 1, 5, 10, 11].map(|now| see(&mut log, Some(&source(now)), now).pop());
        let line = |level, text: &str| Some((level, text.to_owned()));
        let expected = [
            None,
            line(Level::INFO, "waiting at most 29 s: the source's database"),
            None,
            line(Level::WARN, "waiting at most 20 s: the source's database"),
            None,
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_ledger_that_warns_itself_is_warned_of_once() {
        let ledgers = [
            (LedgerConfig::Sqlite("ledger.db".into()), Level::WARN),
            (LedgerConfig::Postgres(Secret::new("postgres://a/b")), Level::INFO),
        ];
        for (ledger, level) in ledgers {
            let mut log = WaitLog::new(&ledger);
            let lines = see(&mut log, Some(&wait(1, WaitReason::Ledger, 10, None)), 10);
            assert_eq!(lines, [(level, "waiting 10 s: the ledger's database".to_owned())]);
        }
    }

    #[test]
    fn short_pauses_that_follow_each_other_are_a_warning_together() {
        let mut log = WaitLog::default();
        let mut levels = Vec::new();
        for (id, (at, length)) in [(0, 2), (3, 4), (8, 4), (13, 4)].into_iter().enumerate() {
            let pause = |waited| wait(id as u64, WaitReason::Backoff, waited, Some(length - waited));
            levels.extend(see(&mut log, Some(&pause(0)), at).iter().map(|(level, _)| *level));
            see(&mut log, Some(&pause(length)), at + length);
            see(&mut log, None, at + length);
        }
        assert_eq!(levels, [Level::INFO, Level::INFO, Level::WARN, Level::INFO]);
        let again = wait(9, WaitReason::Backoff, 0, Some(4));
        assert_eq!(see(&mut log, Some(&again), 900)[0].0, Level::INFO, "an old pause does not count");
    }

    #[test]
    fn short_waits_are_not_logged() {
        let mut log = WaitLog::default();
        let short = CurrentWait {
            at_most: Some(Duration::from_millis(700)),
            ..wait(1, WaitReason::Backoff, 0, None)
        };
        assert_eq!(see(&mut log, Some(&short), 0), []);
        assert_eq!(see(&mut log, None, 1), []);
    }
}
