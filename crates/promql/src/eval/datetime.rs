//! Calendar fields of Unix times in UTC, by Howard Hinnant's day algorithms.

/// Seconds from Go's absolute zero year to 1970. Go counts in unsigned 64-bit seconds from there, so that times before it
/// wrap around to the far future; the numbers of `year()` and the like show it.
const GO_EPOCH_SECONDS: u64 = 9_223_372_028_715_321_600;

const DAY_SECONDS: i128 = 86_400;
/// Days of 400 years.
const ERA_DAYS: i128 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const MARCH_EPOCH_DAYS: i128 = 719_468;

/// A time of day and a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DateTime {
    pub(super) year: i128,
    /// From 1.
    pub(super) month: i128,
    /// From 1.
    pub(super) day: i128,
    /// From 1.
    pub(super) day_of_year: i128,
    /// Sunday is 0.
    pub(super) weekday: i128,
    pub(super) hour: i128,
    pub(super) minute: i128,
}

impl DateTime {
    /// The fields of a time in seconds; fractions are cut off towards zero, and what does not fit 64 bits is the smallest
    /// number, as on amd64.
    pub(super) fn from_seconds(seconds: f64) -> Self {
        let fits = seconds >= i64::MIN as f64 && seconds < i64::MAX as f64;
        Self::from_unix(if fits { seconds as i64 } else { i64::MIN })
    }

    fn from_unix(seconds: i64) -> Self {
        let absolute = (seconds as u64).wrapping_add(GO_EPOCH_SECONDS);
        let unix = i128::from(absolute) - i128::from(GO_EPOCH_SECONDS);
        let days = unix.div_euclid(DAY_SECONDS);
        let second = unix.rem_euclid(DAY_SECONDS);
        let shifted = days + MARCH_EPOCH_DAYS;
        let era = shifted.div_euclid(ERA_DAYS);
        let day_of_era = shifted.rem_euclid(ERA_DAYS);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_march_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_march_year + 2) / 153;
        let day = day_of_march_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + i128::from(month <= 2);
        let day_of_year = (1..month).map(|m| days_in_month(year, m)).sum::<i128>() + day;
        let weekday = (days + 4).rem_euclid(7);
        Self { year, month, day, day_of_year, weekday, hour: second / 3600, minute: second % 3600 / 60 }
    }

    /// Days of its month.
    pub(super) fn days_in_month(&self) -> i128 {
        days_in_month(self.year, self.month)
    }
}

fn days_in_month(year: i128, month: i128) -> i128 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let cases = [
            (0.0, (1970, 1, 1, 1, 4, 0, 0)),
            (1_136_239_445.0, (2006, 1, 2, 2, 1, 22, 4)),
            (-1.0, (1969, 12, 31, 365, 3, 23, 59)),
            (1_456_790_399.9, (2016, 2, 29, 60, 1, 23, 59)),
            (1_483_191_420.0, (2016, 12, 31, 366, 6, 13, 37)),
        ];
        for (seconds, expected) in cases {
            let d = DateTime::from_seconds(seconds);
            assert_eq!((d.year, d.month, d.day, d.day_of_year, d.weekday, d.hour, d.minute), expected, "{seconds}");
        }
        for seconds in [f64::NAN, 1e30, f64::NEG_INFINITY] {
            assert_eq!(DateTime::from_seconds(seconds).year, 292_277_026_596);
        }
    }
}
