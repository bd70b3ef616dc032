//! Small charts of the last 90 days, as SVG with a text that says the same.

use chrono::{NaiveDate, TimeDelta};
use maud::{Markup, html};

/// How many days a chart shows.
pub(super) const DAYS: usize = 90;

/// The width of a day and the height of the chart, in units of the image.
const STEP: usize = 2;
const HEIGHT: i64 = 24;

/// One day of a chart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Day {
    /// The height of its bar.
    pub(super) amount: i64,
    /// Whether a run of the day did not finish: it gets a mark below its bar.
    pub(super) is_marked: bool,
}

/// Draws the days, the last of which is `today`. `title` says what is shown, `write` writes an amount.
pub(super) fn sparkline(
    title: &str,
    days: &[Day; DAYS],
    today: NaiveDate,
    write: impl Fn(i64) -> String,
) -> Markup {
    let most = days.iter().map(|day| day.amount).max().unwrap_or_default();
    let bar =
        |amount: i64| if amount <= 0 { 0 } else { (amount.saturating_mul(HEIGHT) / most.max(1)).max(1) };
    html! {
        svg.sparkline role="img" viewBox={ "0 0 " (DAYS * STEP) " " (HEIGHT + 4) } preserveAspectRatio="none" {
            title { (described(title, days, today, write)) }
            line.base x1="0" x2=(DAYS * STEP) y1=(HEIGHT) y2=(HEIGHT) {}
            @for (index, day) in days.iter().enumerate() {
                @let height = bar(day.amount);
                @if height > 0 {
                    rect.bar x=(index * STEP) y=(HEIGHT - height) width=(STEP - 1) height=(height) {}
                }
                @if day.is_marked {
                    rect.mark x=(index * STEP) y=(HEIGHT + 1) width=(STEP - 1) height="3" {}
                }
            }
        }
    }
}

/// The chart in words.
fn described(title: &str, days: &[Day; DAYS], today: NaiveDate, write: impl Fn(i64) -> String) -> String {
    let date = |index: usize| {
        let ago = i64::try_from(DAYS - 1 - index).unwrap_or_default();
        (today - TimeDelta::days(ago)).format("%Y-%m-%d").to_string()
    };
    let most = days.iter().enumerate().max_by_key(|(_, day)| day.amount).filter(|(_, day)| day.amount > 0);
    let most = most.map_or("none".to_owned(), |(index, day)| {
        format!("at most {} on {}, {} today", write(day.amount), date(index), write(days[DAYS - 1].amount))
    });
    let marked: Vec<String> =
        days.iter().enumerate().filter(|(_, day)| day.is_marked).map(|(index, _)| date(index)).collect();
    let marked = match marked.as_slice() {
        [] => String::new(),
        [.., last] => format!(". Days with a run that did not finish: {}, the last on {last}", marked.len()),
    };
    format!("{title} in {DAYS} days: {most}{marked}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_says_in_words_what_it_shows() {
        let today = NaiveDate::from_ymd_opt(2026, 4, 1).expect("a day");
        let mut days = [Day::default(); DAYS];
        let text = |days: &[Day; DAYS]| described("Changes", days, today, |amount| amount.to_string());
        assert_eq!(text(&days), "Changes in 90 days: none.");
        days[DAYS - 2] = Day { amount: 70, is_marked: true };
        days[DAYS - 1] = Day { amount: 7, is_marked: false };
        assert_eq!(
            text(&days),
            "Changes in 90 days: at most 70 on 2026-03-31, 7 today. Days with a run that did not finish: 1, the last on \
             2026-03-31."
        );
        let svg = sparkline("Changes", &days, today, |amount| amount.to_string()).into_string();
        assert_eq!((svg.matches("class=\"bar\"").count(), svg.matches("class=\"mark\"").count()), (2, 1));
        assert!(!svg.contains("style="), "the security policy allows no style in the page");
    }
}
