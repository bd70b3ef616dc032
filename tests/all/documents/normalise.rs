//! Normalises the output of commands: folders, ports, versions, times and durations.

use std::path::Path;

/// The folder that the documents show.
const FOLDER: &str = "/srv/shop";

/// How long every run of the documents takes.
const DURATION: &str = "350 ms";

/// The time of day at which every run of the documents starts. Run 1 is of 21 November, and so on.
const TIME: &str = "02:30:00";

/// Returns the output with everything replaced that differs between executions.
pub(super) fn normalise(output: &str, folder: &Path) -> String {
    let text = output.replace(&folder.display().to_string(), FOLDER);
    let run = first_run(&text);
    // `attrsync runs ID` names its run in the first line only.
    let header = text.lines().next().and_then(|line| line.strip_prefix("run ")?.trim().parse().ok());
    text.lines().map(|line| normalise_line(line, run, header) + "\n").collect()
}

fn normalise_line(line: &str, run: u32, header: Option<u32>) -> String {
    let line = normalise_port(line);
    let line = after(&line, "Postgres ", ';', "17.2");
    let line = normalise_age(&normalise_listed(&normalise_duration(&line), run_of));
    normalise_times(&line, |before| header.or_else(|| run_of(before)).unwrap_or(run))
}

/// The number after the first word `run`, 1 where there is none.
fn first_run(text: &str) -> u32 {
    let number = |rest: &str| leading_number(rest.trim_start());
    text.split("run ").skip(1).find_map(number).unwrap_or(1)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The run that a line names before a time: at its beginning, or right before it.
fn run_of(before: &str) -> Option<u32> {
    let start = before.trim_start();
    if let Some(rest) = start.strip_prefix("run ") {
        return leading_number(rest.trim_start());
    }
    let mut words = start.split_whitespace();
    if let (Some(number), Some("sync" | "requeue")) = (words.next(), words.next()) {
        return number.parse().ok();
    }
    before.trim_end_matches([' ', ',']).rsplit(' ').next()?.parse().ok()
}

/// Every port on the loopback address is 8080.
fn normalise_port(line: &str) -> String {
    const LOOPBACK: &str = "127.0.0.1:";
    let mut parts = line.split(LOOPBACK);
    let mut normalised = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        normalised.push_str(LOOPBACK);
        normalised.push_str("8080");
        normalised.push_str(rest);
    }
    normalised
}

/// Replaces the text between `start` and `end`, if it begins with a digit.
fn after(line: &str, start: &str, end: char, by: &str) -> String {
    if let Some((before, rest)) = line.split_once(start)
        && rest.starts_with(|c: char| c.is_ascii_digit())
        && let Some((_, rest)) = rest.split_once(end)
    {
        return format!("{before}{start}{by}{end}{rest}");
    }
    line.to_owned()
}

/// `run 3 partial in 667 ms`, and the same in JSON.
fn normalise_duration(line: &str) -> String {
    if let Some((before, _)) = line.split_once(" in ")
        && before.starts_with("run ")
        && before.split(' ').count() == 3
    {
        return format!("{before} in {DURATION}");
    }
    if let Some(rest) = line.strip_prefix("took ") {
        let padding = " ".repeat(rest.len() - rest.trim_start().len());
        return format!("took {padding}{DURATION}");
    }
    after(line, "\"duration_ms\": ", ',', "350")
}

/// A line of `attrsync status`: every run of the documents ended a few hours ago.
fn normalise_age(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    for at in 2..words.len() {
        if words[at] == "ago" && words[at - 2].parse::<u32>().is_ok() {
            (words[at - 2], words[at - 1]) = ("5", "h");
        }
    }
    words.join(" ")
}

/// A line of `attrsync runs`: `2026-01-02 03:04      1.2 s`.
fn normalise_listed(line: &str, run_of: impl Fn(&str) -> Option<u32>) -> String {
    const SHAPE: &[u8] = b"0000-00-00 00:00  ";
    let Some(at) = (0..line.len()).find(|at| has_shape(&line.as_bytes()[*at..], SHAPE)) else {
        return line.to_owned();
    };
    let (before, rest) = line.split_at(at);
    let day = 20 + run_of(line).unwrap_or(1);
    format!("{before}2026-11-{day:02} 02:30  {DURATION:>9}{}", &rest[SHAPE.len() + 9..])
}

/// Times keep their form: `2026-01-02 03:04:05` or `2026-01-02T03:04:05.678Z`.
fn normalise_times(line: &str, run_of: impl Fn(&str) -> u32) -> String {
    let mut normalised = String::new();
    let mut rest = line;
    while let Some(at) = (0..rest.len()).find(|at| is_time(&rest.as_bytes()[*at..])) {
        let run = run_of(&format!("{normalised}{}", &rest[..at]));
        let (separator, tail) = (&rest[at + 10..=at + 10], &rest[at + 19..]);
        let fraction = tail
            .strip_prefix('.')
            .map_or(0, |digits| 1 + digits.bytes().take_while(u8::is_ascii_digit).count());
        normalised += &rest[..at];
        normalised += &format!("2026-11-{:02}{separator}{TIME}", 20 + run);
        if fraction > 0 {
            normalised += &format!(".{}", "0".repeat(fraction - 1));
        }
        rest = &tail[fraction..];
    }
    normalised + rest
}

fn is_time(bytes: &[u8]) -> bool {
    has_shape(bytes, b"0000-00-00 00:00:00")
}

fn has_shape(bytes: &[u8], shape: &[u8]) -> bool {
    bytes.len() >= shape.len()
        && bytes.iter().zip(shape).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            b' ' => matches!(byte, b' ' | b'T'),
            shape => byte == shape,
        })
}

#[test]
fn outputs_are_the_same_every_time() {
    let folder = Path::new("/tmp/x1");
    for (output, shown) in [
        ("made a new ledger: /tmp/x1/ledger.db\n", "made a new ledger: /srv/shop/ledger.db\n"),
        ("took            1.2 s\n", "took            350 ms\n"),
        ("run 3 partial in 1.2 s\n", "run 3 partial in 350 ms\n"),
        ("About 300 ms at 3 in flight\n", "About 300 ms at 3 in flight\n"),
        ("store at http://127.0.0.1:4711, x\n", "store at http://127.0.0.1:8080, x\n"),
        ("Postgres 15.18 (Debian 1); a\n", "Postgres 17.2; a\n"),
        ("  3  sync  partial  2026-01-02 03:04:05\n", "  3  sync  partial  2026-11-23 02:30:00\n"),
        ("(run 2, 2026-01-02 03:04:05)\n", "(run 2, 2026-11-22 02:30:00)\n"),
        (
            "2026-01-02T03:04:05.678Z WARN\nrun 3 partial in 1 s\n",
            "2026-11-23T02:30:00.000Z WARN\nrun 3 partial in 350 ms\n",
        ),
        ("\"duration_ms\": 12,\n", "\"duration_ms\": 350,\n"),
        (
            "  3  sync  partial  2026-01-02 03:04      1.2 s        2\n",
            "  3  sync  partial  2026-11-23 02:30     350 ms        2\n",
        ),
    ] {
        assert_eq!(normalise(output, folder), shown);
    }
}
