//! The next times of a schedule, in local time and in UTC.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use super::table::aligned;
use super::text::{tame, whole_seconds};
use crate::config::Config;
use crate::schedule::{Schedule, Zone};

/// How many times are shown.
const TIMES: usize = 10;

/// A sync with its next times.
pub(crate) fn text(config: &Config, file: &Path, now: DateTime<Utc>) -> String {
    let file = tame(&file.display().to_string());
    let mut text = format!("{} · {} · {file}\n", tame(&config.name), tame(&config.store.name.to_string()));
    let Some(schedule) = &config.schedule else {
        let fixed = "no [schedule] cron or every: no sync starts at a fixed time\n";
        return text + fixed + &listening(config);
    };
    text += &tame(&schedule.to_string());
    let delay = schedule.delay(&config.store.name);
    if !delay.is_zero() {
        text += &format!(" · each starts {} later, by its jitter", whole_seconds(delay));
    }
    if schedule.zone().is_none() {
        text += " · if one starts now:";
    }
    let times = std::iter::successors(schedule.next_after(now), |time| schedule.next_after(*time));
    text + "\n" + &table(schedule, now, times.take(TIMES)) + &listening(config)
}

/// Says whether a sync also starts on change.
fn listening(config: &Config) -> String {
    let channel = config.on_change.as_ref().map(|on_change| tame(&on_change.channel));
    channel.map_or_else(String::new, |channel| {
        format!("and soon after a notification on the channel {channel}\n")
    })
}

fn table(schedule: &Schedule, now: DateTime<Utc>, times: impl Iterator<Item = DateTime<Utc>>) -> String {
    let utc = |time: DateTime<Utc>| time.format("%a %Y-%m-%d %H:%M:%S").to_string();
    let Some(zone) = schedule.zone().filter(|zone| zone.name() != "UTC") else {
        let rows: Vec<_> = times.map(|time| vec![utc(time)]).collect();
        return aligned(&["UTC"], &rows);
    };
    let mut before = now;
    let rows: Vec<_> = times
        .map(|time| {
            let local = zone.local(time).format("%a %Y-%m-%d %H:%M").to_string();
            let row = vec![local, zone.abbreviation(time), utc(time), change(zone, before, time)];
            before = time;
            row
        })
        .collect();
    aligned(&[zone.name(), "", "UTC", ""], &rows)
}

/// How the clock is set between two times.
fn change(zone: &Zone, before: DateTime<Utc>, time: DateTime<Utc>) -> String {
    let change = zone.offset(time) - zone.offset(before);
    let by = whole_seconds(change.abs().to_std().unwrap_or_default());
    if change > TimeDelta::zero() {
        format!("the clock has been set forward by {by}")
    } else if change < TimeDelta::zero() {
        format!("the clock has been set back by {by}")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &str, now: &str) -> String {
        let text = format!(
            "name = \"main\"\n[source]\nurl = \"postgres://db\"\ntable = \"t\"\n[store]\nhash = \"abc\"\n\
             access_token = \"t\"\n[schedule]\n{lines}"
        );
        let config = Config::parse(&text, Path::new("/etc"), &|_| Err(std::env::VarError::NotPresent))
            .expect("a configuration");
        super::text(&config, Path::new("/etc/sync.toml"), now.parse().expect("a time"))
    }

    #[test]
    fn times_are_shown_in_local_time_and_in_utc() {
        let lines =
            "cron = [\"30 2 * * *\", \"0 6 * * sun\"]\ntimezone = \"europe/berlin\"\njitter = \"10m\"\n";
        let shown = shown(lines, "2026-10-23T12:00:00Z");
        let expect = "\
main · store abc at https://api.bigcommerce.com · /etc/sync.toml
cron 30 2 * * *, 0 6 * * sun in Europe/Berlin · each starts DELAY later, by its jitter
Europe/Berlin               UTC
--------------------  ----  -----------------------  ----------------------------------
Sat 2026-10-24 02:30  CEST  Sat 2026-10-24 00:30:00
Sun 2026-10-25 02:30  CEST  Sun 2026-10-25 00:30:00
Sun 2026-10-25 06:00  CET   Sun 2026-10-25 05:00:00  the clock has been set back by 1 h
Mon 2026-10-26 02:30  CET   Mon 2026-10-26 01:30:00
";
        let delay =
            shown.split("starts ").nth(1).and_then(|rest| rest.split(" later").next()).expect("a delay");
        let first: Vec<&str> = shown.lines().take(8).map(str::trim_end).collect();
        let expect = expect.replace("DELAY", delay);
        let expect: Vec<&str> = expect.lines().map(str::trim_end).collect();
        assert_eq!(first, expect, "{shown}");
        assert_eq!(shown.lines().count(), 14, "ten times: {shown}");
    }

    #[test]
    fn an_interval_has_times_too_and_no_schedule_has_none() {
        let text = shown("every = \"90s\"\n", "2026-10-23T12:00:00Z");
        assert!(text.contains("\nevery 1 min 30 s · if one starts now:\nUTC\n"), "{text}");
        assert!(text.contains("\nFri 2026-10-23 12:01:30\nFri 2026-10-23 12:03:00\n"), "{text}");
        assert!(shown("", "2026-10-23T12:00:00Z").contains("\nno [schedule] cron or every"));
    }
}
