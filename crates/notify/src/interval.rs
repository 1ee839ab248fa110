//! Time intervals: recurring times such as nights and week-ends, in which a route is quiet or only then heard.

use jiff::Zoned;
use jiff::tz::TimeZone;
use model::Timestamp;

/// From the first up to and including the second.
pub(crate) type Span = (i32, i32);

/// A recurring time: every part that names something must fit, of each part one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeInterval {
    /// Minutes of the day; the last one of a span does not belong to it.
    pub(crate) times: Vec<Span>,
    /// 0 is Sunday.
    pub(crate) weekdays: Vec<Span>,
    /// From 1; negative ones count from the month's end.
    pub(crate) days_of_month: Vec<Span>,
    /// From 1.
    pub(crate) months: Vec<Span>,
    pub(crate) years: Vec<Span>,
    /// Where the clock hangs.
    pub(crate) location: TimeZone,
}

impl TimeInterval {
    /// Whether a time lies in it.
    pub fn contains(&self, at: Timestamp) -> bool {
        let Ok(at) = jiff::Timestamp::from_millisecond(at) else { return false };
        let at = at.to_zoned(self.location.clone());
        let minute = i32::from(at.hour()) * 60 + i32::from(at.minute());
        let within =
            |spans: &[Span], value: i32| spans.is_empty() || spans.iter().any(|s| s.0 <= value && value <= s.1);
        let in_times = self.times.is_empty() || self.times.iter().any(|s| s.0 <= minute && minute < s.1);
        let in_month = self.days_of_month.is_empty() || self.days_of_month.iter().any(|span| is_day(*span, &at));
        in_times
            && in_month
            && within(&self.weekdays, i32::from(at.weekday().to_sunday_zero_offset()))
            && within(&self.months, i32::from(at.month()))
            && within(&self.years, i32::from(at.year()))
    }
}

/// Whether the day lies in a span of days of the month; one that begins behind the month's end has none in it.
fn is_day((first, last): Span, at: &Zoned) -> bool {
    let length = i32::from(at.days_in_month());
    let from_start = |day: i32| if day < 0 { length + day + 1 } else { day };
    let (first, last) = (from_start(first), from_start(last));
    let day = i32::from(at.day());
    first <= length && first.max(-length) <= day && day <= last.clamp(-length, length)
}

/// `HH:MM` up to `24:00`, in minutes.
pub(crate) fn minutes(text: &str) -> Option<i32> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<i32>().ok()).flatten().filter(|n| *n >= 0);
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let is_time = (hours < 24 && minutes < 60) || (hours == 24 && minutes == 0);
    is_time.then_some(hours * 60 + minutes)
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A day or a range of days of the week.
pub(crate) fn weekdays(text: &str) -> Result<Span, String> {
    let span = span(text, |day| {
        let place = WEEKDAYS.iter().position(|name| *name == day);
        place.map(|place| place as i32).ok_or_else(|| format!("{day} is not a valid weekday"))
    })?;
    if span.0 > span.1 { Err("start day cannot be before end day".to_owned()) } else { Ok(span) }
}

/// A month or a range of months, by name or number.
pub(crate) fn months(text: &str) -> Result<Span, String> {
    let span = span(text, |month| {
        let named = MONTHS.iter().position(|name| *name == month).map(|place| place as i32 + 1);
        // Alertmanager takes any number; those that are no month never come.
        let number = || month.parse().ok();
        named.or_else(number).ok_or_else(|| format!("{month} is not a valid month"))
    })?;
    if span.0 > span.1 { Err(format!("end month {} is before start month {}", span.1, span.0)) } else { Ok(span) }
}

/// A year or a range of years.
pub(crate) fn years(text: &str) -> Result<Span, String> {
    let span = span(text, |year| year.parse().map_err(|_| format!("{year} is not a valid year")))?;
    if span.0 > span.1 { Err(format!("end year {} is before start year {}", span.1, span.0)) } else { Ok(span) }
}

/// A day or a range of days of the month.
pub(crate) fn days_of_month(text: &str) -> Result<Span, String> {
    let (first, last) = span(text, |day| day.parse().map_err(|_| format!("{day} is not a valid day of the month")))?;
    let is_day = |day: i32| day != 0 && (-31..=31).contains(&day);
    for day in [first, last] {
        if !is_day(day) {
            return Err(format!("{day} is not a valid day of the month: out of range"));
        }
    }
    if first < 0 && last > 0 {
        return Err("end day must be negative if start day is negative".to_owned());
    }
    // As Alertmanager judges it: by a day less than the shortest month has.
    let from_start = |day: i32| if day < 0 { 28 + day } else { day };
    if from_start(first) > from_start(last) {
        return Err(format!("end day {last} is always before start day {first}"));
    }
    Ok((first, last))
}

/// `a` or `a:b`, in lower case.
fn span(text: &str, read: impl Fn(&str) -> Result<i32, String>) -> Result<Span, String> {
    let text = text.to_lowercase();
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    match (parts.next(), parts.next()) {
        (None, _) => read(first).map(|one| (one, one)),
        (Some(last), None) => Ok((read(first)?, read(last)?)),
        (Some(_), Some(_)) => Err(format!("couldn't parse range {text}, invalid format")),
    }
}

/// A place by its name in the time zone database; `Local` is where this machine is.
pub(crate) fn location(name: &str) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        "Local" => Ok(TimeZone::system()),
        name => match TimeZone::get(name) {
            Ok(zone) if zone.iana_name() == Some(name) => Ok(zone),
            _ => Err(format!("unknown time zone {name}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> TimeInterval {
        TimeInterval {
            times: Vec::new(),
            weekdays: Vec::new(),
            days_of_month: Vec::new(),
            months: Vec::new(),
            years: Vec::new(),
            location: TimeZone::UTC,
        }
    }

    fn check(interval: &TimeInterval, at: &str, expected: bool) {
        let at: jiff::Timestamp = at.parse().unwrap();
        assert_eq!(interval.contains(at.as_millisecond()), expected, "{interval:?} {at}");
    }

    #[test]
    fn knows_its_times() {
        check(&none(), "2026-11-21T00:00:00Z", true);
        let office = TimeInterval {
            times: vec![(minutes("09:00").unwrap(), minutes("17:00").unwrap())],
            weekdays: vec![weekdays("monday:friday").unwrap()],
            ..none()
        };
        check(&office, "2026-11-20T09:00:00Z", true);
        check(&office, "2026-11-20T16:59:59Z", true);
        check(&office, "2026-11-20T17:00:00Z", false);
        check(&office, "2026-11-21T10:00:00Z", false);
        let berlin = TimeInterval { location: location("Europe/Berlin").unwrap(), ..office };
        check(&berlin, "2026-11-20T08:00:00Z", true);
        check(&berlin, "2026-11-20T16:00:00Z", false);
        check(&berlin, "2026-07-20T07:00:00Z", true);
        let last_days = TimeInterval { days_of_month: vec![days_of_month("-3:-1").unwrap()], ..none() };
        check(&last_days, "2026-02-26T00:00:00Z", true);
        check(&last_days, "2026-02-25T00:00:00Z", false);
        let end = TimeInterval { days_of_month: vec![days_of_month("29:31").unwrap()], ..none() };
        check(&end, "2026-02-28T00:00:00Z", false);
        check(&end, "2026-04-30T00:00:00Z", true);
        let winter = TimeInterval {
            months: vec![months("11:december").unwrap()],
            years: vec![years("2026").unwrap()],
            ..none()
        };
        check(&winter, "2026-12-31T23:59:59Z", true);
        check(&winter, "2027-12-31T23:59:59Z", false);
        check(&winter, "2026-10-31T23:59:59Z", false);
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["9:00", "24:01", "09:60", "0900", "-1:00", ""] {
            assert_eq!(minutes(text), None, "{text}");
        }
        assert!(weekdays("mon").is_err() && weekdays("friday:monday").is_err() && weekdays("a:b:c").is_err());
        assert!(months("13").is_ok() && months("may:april").is_err());
        assert!(days_of_month("0").is_err() && days_of_month("-1:1").is_err() && days_of_month("32").is_err());
        assert!(days_of_month("5:4").is_err() && days_of_month("-1:-2").is_err() && years("2027:2026").is_err());
        assert!(location("Nowhere/City").is_err());
    }
}
