//! When a source is scanned: at an interval, or by a cron line in its city's time zone, each a little later by a jitter of
//! its own, so that a thousand cities do not begin in one second.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use uuid::Uuid;

use crate::Error;

/// Longest jitter.
const JITTER: TimeDelta = TimeDelta::minutes(5);

/// When a source is scanned.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// Every so many seconds.
    Every(i32),
    /// By a line of five fields.
    Cron(Box<Cron>, String),
}

impl Schedule {
    /// `15m`, `6h`, `30s`; or minute, hour, day of month, month, day of week.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(seconds) = seconds(text) {
            return Ok(Self::Every(seconds));
        }
        let advice = "write an interval, as in 15m, or five fields of cron, as in 30 6 * * 1-5 (in the city's time zone)";
        if text.split_whitespace().count() != 5 {
            return Err(Error::invalid("schedule", advice));
        }
        match Cron::from_str(text) {
            Ok(cron) if cron.find_next_occurrence(&DateTime::UNIX_EPOCH, false).is_err() => {
                Err(Error::invalid("schedule", format!("no day is ever like that: {advice}")))
            }
            Ok(cron) => Ok(Self::Cron(Box::new(cron), text.to_owned())),
            Err(error) => Err(Error::invalid("schedule", format!("{error}: {advice}"))),
        }
    }

    /// The interval's seconds, where it is one.
    pub(crate) fn seconds(&self) -> Option<i32> {
        match self {
            Self::Every(seconds) => Some(*seconds),
            Self::Cron(..) => None,
        }
    }

    /// The cron line, where it is one.
    pub(crate) fn line(&self) -> Option<&str> {
        match self {
            Self::Every(_) => None,
            Self::Cron(_, line) => Some(line),
        }
    }

    /// The first time after `now`, with the jitter of `source`. `None`: never again.
    ///
    /// It counts from `now` and not from the last window: windows that were missed are caught up by one.
    pub(crate) fn next(&self, now: DateTime<Utc>, zone: Tz, source: Uuid) -> Option<DateTime<Utc>> {
        match self {
            Self::Every(seconds) => {
                let every = TimeDelta::seconds(i64::from(*seconds));
                Some(now + every + jitter(source, every / 10))
            }
            Self::Cron(cron, _) => {
                let local = now.with_timezone(&zone);
                // Of a window whose time has come but not yet its jitter, the jittered time is still ahead.
                let windows = cron.iter_after(local - JITTER).take(1_000);
                let mut ahead = windows.map(|window| {
                    let next = cron.find_next_occurrence(&window, false).unwrap_or_else(|_| window + JITTER);
                    let gap = next - window;
                    window.with_timezone(&Utc) + jitter(source, gap / 10)
                });
                ahead.find(|at| *at > now)
            }
        }
    }
}

/// Between nothing and `most`, the same for a source always; a source's id is random in its last bits.
fn jitter(source: Uuid, most: TimeDelta) -> TimeDelta {
    let most = most.min(JITTER).num_milliseconds().max(0);
    let share = source.as_u128() as u32;
    TimeDelta::milliseconds(most * i64::from(share) / i64::from(u32::MAX))
}

fn seconds(text: &str) -> Option<i32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.parse::<i32>().ok().filter(|n| *n > 0)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHICAGO: Tz = chrono_tz::America::Chicago;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// No jitter, and the longest.
    fn sources() -> [Uuid; 2] {
        [Uuid::nil(), Uuid::max()]
    }

    #[test]
    fn an_interval_is_a_number_and_a_unit() {
        assert_eq!(seconds("15m"), Some(900));
        assert_eq!(seconds("5s"), Some(5));
        for bad in ["", "m", "0s", "-1h", "15", "15 m", "999999999h", "1é"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_advice() {
        for bad in ["", "often", "61 * * * *", "* * * *", "* * * * * *", "0 6 * * 9", "0 6 31 2 *"] {
            let error = Schedule::parse(bad).unwrap_err().to_string();
            assert!(error.contains("as in 15m"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_line_is_of_the_city_s_time_and_follows_its_summer_time() {
        let daily = Schedule::parse("30 6 * * *").unwrap();
        let [none, _] = sources();
        // Winter: UTC−6; summer: UTC−5. The clocks go forward on 10 March 2024.
        assert_eq!(daily.next(at("2024-03-08T00:00:00Z"), CHICAGO, none), Some(at("2024-03-08T12:30:00Z")));
        assert_eq!(daily.next(at("2024-03-10T00:00:00Z"), CHICAGO, none), Some(at("2024-03-10T11:30:00Z")));
        // A time that does not exist on that day still happens once.
        let gap = Schedule::parse("30 2 * * *").unwrap();
        let first = gap.next(at("2024-03-10T07:00:00Z"), CHICAGO, none).unwrap();
        let second = gap.next(first, CHICAGO, none).unwrap();
        assert!(
            first > at("2024-03-10T07:00:00Z") && second - first > TimeDelta::hours(20),
            "{first} {second}"
        );
    }

    #[test]
    fn jitter_is_a_source_s_own_and_never_skips_or_doubles_a_window() {
        let hourly = Schedule::parse("0 * * * *").unwrap();
        for source in sources() {
            let (mut now, mut fired) = (at("2024-01-01T00:00:00Z"), Vec::new());
            while fired.len() < 48 {
                now = hourly.next(now, CHICAGO, source).unwrap();
                fired.push(now);
            }
            assert!(fired.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::hours(1)), "{fired:?}");
        }
        let [none, most] = sources();
        let now = at("2024-01-01T00:30:00Z");
        assert_eq!(hourly.next(now, CHICAGO, none), Some(at("2024-01-01T01:00:00Z")));
        assert_eq!(hourly.next(now, CHICAGO, most), Some(at("2024-01-01T01:05:00Z")));
        let every = Schedule::parse("10m").unwrap();
        assert_eq!(every.next(now, CHICAGO, most), Some(at("2024-01-01T00:41:00Z")));
    }

    #[test]
    fn missed_windows_are_caught_up_by_one() {
        let hourly = Schedule::parse("0 * * * *").unwrap();
        // Due since two days: the next after now is the next hour, not the first that was missed.
        assert_eq!(
            hourly.next(at("2024-01-03T05:10:00Z"), CHICAGO, Uuid::nil()),
            Some(at("2024-01-03T06:00:00Z"))
        );
    }
}
