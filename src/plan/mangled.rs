//! Whether a value was probably damaged on its way: cut, or written with other signs around the same letters and digits.
//!
//! A column that is converted wrongly may change few of its values: a wrong encoding changes only those with an accent, and
//! a shorter column only the long ones. Ordinary changes of a value seldom look like that.

/// Two texts with fewer letters and digits than this are equal in too many ways by chance.
const LETTERS_MIN: usize = 3;

/// Returns whether `new` looks like a damaged form of `old`. A value that became empty does not count.
#[must_use]
pub(super) fn is_mangled(old: &str, new: &str) -> bool {
    if old.is_empty() || new.is_empty() || old == new {
        return false;
    }
    if let (Some(old), Some(new)) = (significant_digits(old), significant_digits(new)) {
        // Another unit, another number of decimals, zeros at the start that were lost.
        return !old.is_empty() && old == new;
    }
    if old.starts_with(new) {
        return true;
    }
    // The letters that every encoding has are enough where both values have some.
    let only_ascii = has_letters(old, true) && has_letters(new, true);
    if !has_letters(old, only_ascii) {
        return false;
    }
    let (old, new) = (letters(old, only_ascii), letters(new, only_ascii));
    let (old_count, new_count) = (old.clone().count(), new.clone().count());
    match new_count {
        0 => true,
        _ if old_count.min(new_count) < LETTERS_MIN => false,
        _ if new_count > old_count => is_part_of(old, new),
        _ => is_part_of(new, old),
    }
}

/// The digits of a decimal number without the zeros at both ends; `None` if the text is no such number.
fn significant_digits(text: &str) -> Option<Vec<u8>> {
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut digits = Vec::with_capacity(number.len());
    let mut points = 0;
    for byte in number.bytes() {
        match byte {
            b'0'..=b'9' => digits.push(byte),
            b'.' => points += 1,
            _ => return None,
        }
    }
    if digits.is_empty() || points > 1 {
        return None;
    }
    let end = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    let start = digits.iter().position(|digit| *digit != b'0').unwrap_or(end);
    Some(digits[start..end].to_vec())
}

/// The letters and digits of a text, in lower case.
fn letters(text: &str, only_ascii: bool) -> impl Iterator<Item = char> + Clone {
    let is_kept = move |c: &char| c.is_alphanumeric() && (!only_ascii || c.is_ascii());
    text.chars().filter(is_kept).flat_map(char::to_lowercase)
}

fn has_letters(text: &str, only_ascii: bool) -> bool {
    letters(text, only_ascii).next().is_some()
}

/// Whether `whole` has all of `part` in the same order, maybe with others between.
fn is_part_of(part: impl Iterator<Item = char>, mut whole: impl Iterator<Item = char>) -> bool {
    let mut part = part;
    part.all(|letter| whole.any(|other| other == letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_values_are_recognised() {
        for (old, new) in [
            ("Möller & Sons Limited", "Möller & S"),
            ("gold", "g"),
            ("Müller", "M?ller"),
            ("Müller", "M\u{fffd}ller"),
            ("Müller", "MÃ¼ller"),
            ("Müller", "Mu\u{308}ller"),
            ("Tools & Parts", "Tools &amp; Parts"),
            ("Crème brûlée", "Cr%C3%A8me br%C3%BBl%C3%A9e"),
            ("Иванов", "??????"),
            ("Иванов", "Ива"),
            ("gold", "GOLD"),
            ("gold", "\"gold\""),
            ("2026-01-05", "20260105"),
            ("2026-01-05", "2026-01-05 00:00:00"),
            ("00123", "123"),
            ("1250", "12.5"),
            ("12.50", "1250"),
            ("1,250.00", "1.250,00"),
        ] {
            assert!(is_mangled(old, new), "{old:?} to {new:?}");
        }
    }

    #[test]
    fn ordinary_changes_are_not() {
        for (old, new) in [
            ("silver", "gold"),
            ("", "gold"),
            ("gold", ""),
            ("0", "50"),
            ("0.00", "150.00"),
            ("120", "145"),
            ("99", "104"),
            ("1299.90", "1310.40"),
            ("2026-01-05", "2026-02-11"),
            ("no", "unknown"),
            ("true", "false"),
            ("Иванов", "Петров"),
            ("-", "gold"),
            ("same", "same"),
        ] {
            assert!(!is_mangled(old, new), "{old:?} to {new:?}");
        }
    }
}
