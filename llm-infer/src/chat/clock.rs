//! `strftime_now`: the civil calendar from a Unix time, in C's `strftime` directives.

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// The moment `unix` (seconds since 1970-01-01) spelled by `format`; unknown directives stay as they are.
pub(super) fn strftime(unix: i64, format: &str) -> String {
    let (days, seconds) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let weekday = (days + 4).rem_euclid(7) as usize;
    let year_day = days - days_before(year, 1, 1) + 1;
    let (day_name, month_name) = (DAYS[weekday], MONTHS[month as usize - 1]);
    let hour12 = (hour + 11) % 12 + 1;
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (plain, directive) = match chars.next() {
            Some('-') => (true, chars.next()),
            other => (false, other),
        };
        let number = |value: i64, width: usize| if plain { value.to_string() } else { format!("{value:0width$}") };
        out.push_str(&match directive {
            Some('Y') => year.to_string(),
            Some('y') => number(year.rem_euclid(100), 2),
            Some('m') => number(month, 2),
            Some('d') => number(day, 2),
            Some('e') => format!("{day:2}"),
            Some('H') => number(hour, 2),
            Some('I') => number(hour12, 2),
            Some('M') => number(minute, 2),
            Some('S') => number(second, 2),
            Some('f') => "000000".into(),
            Some('j') => number(year_day, 3),
            Some('w') => weekday.to_string(),
            Some('u') => ((weekday + 6) % 7 + 1).to_string(),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.into(),
            Some('a') => day_name[..3].into(),
            Some('A') => day_name.into(),
            Some('b' | 'h') => month_name[..3].into(),
            Some('B') => month_name.into(),
            Some('F') => strftime(unix, "%Y-%m-%d"),
            Some('T' | 'X') => strftime(unix, "%H:%M:%S"),
            Some('R') => strftime(unix, "%H:%M"),
            Some('D' | 'x') => strftime(unix, "%m/%d/%y"),
            Some('c') => strftime(unix, "%a %b %e %H:%M:%S %Y"),
            Some('s') => unix.to_string(),
            Some('z' | 'Z') => String::new(),
            Some('n') => "\n".into(),
            Some('t') => "\t".into(),
            Some('%') => "%".into(),
            Some(other) => format!("%{other}"),
            None => "%".into(),
        });
    }
    out
}

/// Year, month and day of a count of days since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// The inverse of [`civil`].
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_a_known_moment() {
        let noon = 1_721_995_200; // 2024-07-26 12:00:00 UTC, a Friday
        assert_eq!(strftime(noon, "%d %b %Y, %A %H:%M:%S"), "26 Jul 2024, Friday 12:00:00");
        assert_eq!(strftime(noon, "%-d/%-m %j %I%p %y"), "26/7 208 12PM 24");
    }

    #[test]
    fn days_and_dates_are_inverse() {
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = civil(days);
            assert_eq!(days_before(year, month, day), days);
        }
    }
}
