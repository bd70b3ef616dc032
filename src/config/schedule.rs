//! Reads `[schedule]` and the name of a sync.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::OnChange;
use super::address::Flaw;
use super::known::nearest;
use super::section::Section;
use crate::duration_text::duration;
use crate::schedule::{Cron, OnMissed, Schedule, Timing, Zone};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The most characters of a name.
const NAME_MAX: usize = 64;

/// Reads the name of the sync. Without one, it is the name of the file without its extension.
pub(super) fn read_name(section: &mut Section<'_>, stem: &str) -> String {
    section.checked("name", checked_name).unwrap_or_else(|| {
        let kept = |c: char| if is_of_name(c) { c } else { '-' };
        stem.chars().take(NAME_MAX).map(kept).collect()
    })
}

/// The name is a part of addresses and of the names of metrics.
fn checked_name(text: &str) -> Result<String, Flaw> {
    let hint = || "write letters without accents, digits, - and _, such as \"main\" or \"shop-2\"".to_owned();
    match text.chars().find(|c| !is_of_name(*c)) {
        Some(c) => Err((format!("has the character {c:?}"), hint())),
        None if text.len() > NAME_MAX => Err((format!("has more than {NAME_MAX} characters"), hint())),
        None => Ok(text.to_owned()),
    }
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// Reads `[schedule]`; `None` if it names no times.
pub(super) fn read(section: &mut Section<'_>) -> Option<Schedule> {
    let expressions = section.all_checked("cron", Cron::parse);
    let every = section.duration("every", SECOND..=30 * DAY);
    let zone = section.optional("timezone", "UTC", zone);
    let jitter = section.duration("jitter", Duration::ZERO..=DAY).unwrap_or_default();
    let on_missed = section.optional("on_missed", "run", on_missed).unwrap_or_default();
    if section.has("cron") && section.has("every") {
        section.problem("every", "is set as well as schedule.cron", "keep one of the two");
        return None;
    }
    let timing = match every {
        Some(every) => Timing::Every(every),
        None if expressions.is_empty() => return None,
        None => Timing::Cron(expressions, zone?),
    };
    let schedule = Schedule::new(timing, jitter, on_missed);
    if let Some(shortest) = schedule.shortest_interval().filter(|shortest| jitter >= *shortest) {
        let hint = format!("two of the scheduled times are only {} apart", duration(shortest));
        section.problem("jitter", "is not shorter than the time between two syncs", hint);
    }
    Some(schedule)
}

/// Reads how `serve` hears of changes; `None` if it does not listen.
pub(super) fn read_on_change(section: &mut Section<'_>) -> Option<OnChange> {
    const LONGEST: Duration = Duration::from_secs(60 * 60);
    let channel = section.checked("listen", channel);
    let debounce = section.duration("debounce", Duration::ZERO..=LONGEST).unwrap_or(SECOND);
    Some(OnChange { channel: channel?, debounce })
}

fn channel(text: &str) -> Result<String, Flaw> {
    if text.len() > 63 {
        let problem = "is longer than 63 bytes, the limit of Postgres".to_owned();
        return Err((problem, format!("write a short name, such as {:?}", OnChange::CHANNEL)));
    }
    Ok(text.to_owned())
}

/// Reads the name of a zone.
fn zone(text: &str) -> Result<Zone, Flaw> {
    if let Ok(zone) = TimeZone::get(text) {
        return Ok(Zone::new(zone));
    }
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let is_city = |name: &&String| {
        name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&text.replace(' ', "_")))
    };
    let near = known.iter().find(is_city).map(String::as_str);
    let hint = match near.or_else(|| nearest(text, known.iter().map(String::as_str))) {
        Some(near) => format!("did you mean {near}?"),
        None => "write a name of the IANA database, such as \"Europe/Berlin\"".to_owned(),
    };
    Err(("is no time zone that is known here".to_owned(), hint))
}

fn on_missed(text: &str) -> Result<OnMissed, Flaw> {
    match text {
        "run" => Ok(OnMissed::Run),
        "skip" => Ok(OnMissed::Skip),
        _ => {
            Err(("is neither run nor skip".to_owned(), "\"run\" runs the newest missed time late".to_owned()))
        }
    }
}
