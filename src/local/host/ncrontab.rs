//! NCRONTAB, the cron dialect of timer triggers: `{second} {minute} {hour} {day} {month} {day of week}`.
//!
//! It is not Vixie cron: day and day of week must **both** match, Sunday is 0 and 7 is invalid, `a/n` runs from `a` to
//! the field's end, names may be cut short (`j` is January), and a range the wrong way round is turned. Five fields
//! mean second 0. The rules are those of github.com/atifaziz/NCrontab, which the Functions host uses.

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta, Timelike};

use crate::clock::Timestamp;

/// A schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ncrontab {
    seconds: Field,
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    days_of_week: Field,
}

/// The values that a field allows, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field(u64);

/// A field's range, and names for its values from the lowest on.
struct Kind {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const SECOND: Kind = Kind { name: "second", min: 0, max: 59, names: &[] };
const MINUTE: Kind = Kind { name: "minute", min: 0, max: 59, names: &[] };
const HOUR: Kind = Kind { name: "hour", min: 0, max: 23, names: &[] };
const DAY: Kind = Kind { name: "day", min: 1, max: 31, names: &[] };
const MONTH: Kind = Kind {
    name: "month",
    min: 1,
    max: 12,
    names: &[
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
};
const DAY_OF_WEEK: Kind = Kind {
    name: "day of week",
    min: 0,
    max: 6,
    names: &["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"],
};

/// A day and a weekday coincide after at most 40 years (29 February around 2100); what is further off never comes.
const HORIZON_DAYS: usize = 41 * 366;

impl Ncrontab {
    /// Reads six fields, or five.
    ///
    /// # Errors
    /// The number of fields is wrong or one of them is malformed or out of range.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (second, rest) = match fields.as_slice() {
            [second, rest @ ..] if rest.len() == 5 => (*second, rest),
            rest if rest.len() == 5 => ("0", rest),
            _ => return Err(format!("{} fields instead of six", fields.len())),
        };
        Ok(Self {
            seconds: SECOND.parse(second)?,
            minutes: MINUTE.parse(rest[0])?,
            hours: HOUR.parse(rest[1])?,
            days: DAY.parse(rest[2])?,
            months: MONTH.parse(rest[3])?,
            days_of_week: DAY_OF_WEEK.parse(rest[4])?,
        })
    }

    /// The first occurrence strictly after `moment`; `None` when there is none, as for 30 February.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let start = moment.naive_utc().with_nanosecond(0)?.checked_add_signed(TimeDelta::seconds(1))?;
        if self.allows(start.date())
            && let Some(time) = self.time_from(start.time())
        {
            return Some(start.date().and_time(time).and_utc());
        }
        let day = start.date().iter_days().skip(1).take(HORIZON_DAYS).find(|day| self.allows(*day))?;
        Some(day.and_time(self.time_from(NaiveTime::MIN)?).and_utc())
    }

    fn allows(&self, day: NaiveDate) -> bool {
        self.months.has(day.month())
            && self.days.has(day.day())
            && self.days_of_week.has(day.weekday().num_days_from_sunday())
    }

    /// The first time of a day that is not before `start`.
    fn time_from(&self, start: NaiveTime) -> Option<NaiveTime> {
        let (hour, minute, second) = (start.hour(), start.minute(), start.second());
        if self.hours.has(hour) {
            if self.minutes.has(minute)
                && let Some(second) = self.seconds.from(second)
            {
                return NaiveTime::from_hms_opt(hour, minute, second);
            }
            if let Some(minute) = self.minutes.from(minute + 1) {
                return NaiveTime::from_hms_opt(hour, minute, self.seconds.from(0)?);
            }
        }
        NaiveTime::from_hms_opt(self.hours.from(hour + 1)?, self.minutes.from(0)?, self.seconds.from(0)?)
    }
}

impl Field {
    fn has(self, value: u32) -> bool {
        self.0 >> value & 1 == 1
    }

    /// The first allowed value that is not below `start`.
    fn from(self, start: u32) -> Option<u32> {
        let rest = self.0.checked_shr(start)?;
        (rest != 0).then(|| start + rest.trailing_zeros())
    }
}

impl Kind {
    fn parse(&self, text: &str) -> Result<Field, String> {
        let mut bits = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(self.number(step)?)),
                None => (part, None),
            };
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => (self.min, self.max),
                Some((first, last)) => {
                    let (first, last) = (self.value(first)?, self.value(last)?);
                    (first.min(last), first.max(last))
                }
                None if step.is_some() => (self.value(range)?, self.max),
                None => (self.value(range)?, self.value(range)?),
            };
            for value in (first..=last).step_by(step.unwrap_or(1).max(1) as usize) {
                bits |= 1 << value;
            }
        }
        Ok(Field(bits))
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        if text.starts_with(|first: char| first.is_ascii_alphabetic()) {
            let is_prefix = |name: &&str| name.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
            let found = self.names.iter().position(is_prefix);
            return found.map(|index| self.min + index as u32).ok_or_else(|| format!("`{text}` is no {}", self.name));
        }
        let value = self.number(text)?;
        if !(self.min..=self.max).contains(&value) {
            return Err(format!("`{text}` is no {}: {} to {}", self.name, self.min, self.max));
        }
        Ok(value)
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or_else(|| format!("`{text}` is no number for the {}", self.name))
    }
}
