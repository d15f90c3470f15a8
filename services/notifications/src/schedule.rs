//! When somebody may be told: quiet hours and digests, by the clocks of where they live.
//!
//! Times of day are those on the wall. A night with the change to summer time is an hour shorter, and a time that the
//! clocks leap over counts as the moment after the leap; a time that comes twice counts the first time, but quiet hours that
//! end at it end at both.

use chrono::{
    DateTime, Datelike, Days, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc, Weekday,
};
use chrono_tz::Tz;

/// How often a digest is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digest {
    /// No digest: each as it comes.
    #[default]
    Off,
    /// Every day.
    Daily,
    /// On Mondays.
    Weekly,
}

impl Digest {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
        }
    }

    /// Of a word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Off, Self::Daily, Self::Weekly].into_iter().find(|digest| digest.as_str() == word)
    }
}

/// Local times of day between which nobody is told, minutes after midnight; from later than until: over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// The first quiet minute.
    pub from: u16,
    /// The first minute that is not.
    pub until: u16,
}

/// When a person wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Where the person's clocks are.
    pub zone: Tz,
    /// When not.
    pub quiet: Option<QuietHours>,
    /// Whether many are sent as one.
    pub digest: Digest,
    /// The hour a digest is sent at, 0 to 23.
    pub digest_hour: u8,
}

/// From when on a delivery may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Not before.
    pub at: DateTime<Utc>,
    /// The digest it is to be part of, named by its time.
    pub digest_at: Option<DateTime<Utc>>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { zone: Tz::UTC, quiet: None, digest: Digest::Off, digest_hour: 8 }
    }
}

impl Schedule {
    /// When what is made now may be sent.
    pub fn due(&self, now: DateTime<Utc>) -> Due {
        let minute = u16::from(self.digest_hour) * 60;
        let digest = match self.digest {
            Digest::Off => return Due { at: self.after_quiet(now), digest_at: None },
            Digest::Daily => self.next(now, minute, |_| true, false),
            Digest::Weekly => self.next(now, minute, |day| day == Weekday::Mon, false),
        };
        let at = self.after_quiet(digest);
        Due { at, digest_at: Some(at) }
    }

    /// The moment itself, or the end of the quiet hours it falls into.
    pub fn after_quiet(&self, moment: DateTime<Utc>) -> DateTime<Utc> {
        let Some(QuietHours { from, until }) = self.quiet else { return moment };
        let local = moment.with_timezone(&self.zone);
        let minute = local.hour() * 60 + local.minute();
        let (start, end) = (u32::from(from), u32::from(until));
        let quiet =
            if start < end { (start..end).contains(&minute) } else { minute >= start || minute < end };
        if quiet { self.next(moment, until, |_| true, true) } else { moment }
    }

    /// The first moment after `now` at which the clocks show `minute` on a day that counts, or show it again where
    /// `again`: who waits within the hour that comes twice waits for its end, and not for the next day's.
    fn next(
        &self,
        now: DateTime<Utc>,
        minute: u16,
        counts: impl Fn(Weekday) -> bool,
        again: bool,
    ) -> DateTime<Utc> {
        let (hour, minute) = (u32::from(minute) / 60, u32::from(minute) % 60);
        let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or(NaiveTime::MIN);
        let today = now.with_timezone(&self.zone).date_naive();
        (0..=8)
            .filter_map(|days| today.checked_add_days(Days::new(days)))
            .filter(|day| counts(day.weekday()))
            .flat_map(|day| {
                let local = day.and_time(time);
                let second = self.zone.from_local_datetime(&local).latest().filter(|_| again);
                std::iter::once(self.moment(local)).chain(second.map(|moment| moment.to_utc()))
            })
            .find(|moment| *moment > now)
            .unwrap_or(now)
    }

    /// When the clocks show `local`.
    fn moment(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let mut shown = local;
        // The longest leap there was is a whole day (Samoa, 2011).
        for _ in 0..=25 * 60 {
            if let Some(moment) = self.zone.from_local_datetime(&shown).earliest() {
                return moment.to_utc();
            }
            shown += TimeDelta::minutes(1);
        }
        local.and_utc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn night(zone: Tz) -> Schedule {
        Schedule { zone, quiet: Some(QuietHours { from: 22 * 60, until: 7 * 60 }), ..Schedule::default() }
    }

    #[test]
    fn quiet_hours_are_those_of_the_wall_clock_in_summer_and_winter() {
        let schedule = night(Tz::America__Chicago);
        for (now, due) in [
            // CST, six hours behind.
            ("2023-01-10T03:59:00Z", "2023-01-10T03:59:00Z"),
            ("2023-01-10T04:00:00Z", "2023-01-10T13:00:00Z"),
            ("2023-01-10T12:59:59Z", "2023-01-10T13:00:00Z"),
            ("2023-01-10T13:00:00Z", "2023-01-10T13:00:00Z"),
            // CDT, five.
            ("2023-07-10T03:00:00Z", "2023-07-10T12:00:00Z"),
            // The nights of the changes: an hour shorter, an hour longer.
            ("2023-03-12T05:00:00Z", "2023-03-12T12:00:00Z"),
            ("2023-11-05T04:00:00Z", "2023-11-05T13:00:00Z"),
        ] {
            assert_eq!(schedule.due(at(now)), Due { at: at(due), digest_at: None }, "{now}");
        }
    }

    #[test]
    fn a_time_that_the_clocks_leap_over_is_the_moment_after_and_one_that_comes_twice_the_first() {
        let until = |minute| Schedule {
            quiet: Some(QuietHours { from: 0, until: minute }),
            ..night(Tz::America__Chicago)
        };
        // 02:00 to 03:00 is not on 12 March 2023; 01:00 to 02:00 is twice on 5 November.
        assert_eq!(until(150).due(at("2023-03-12T07:00:00Z")).at, at("2023-03-12T08:00:00Z"));
        assert_eq!(until(90).due(at("2023-11-05T05:30:00Z")).at, at("2023-11-05T06:30:00Z"));
        // Within the hour that comes again: its end, and not the next day's.
        assert_eq!(until(90).due(at("2023-11-05T07:10:00Z")).at, at("2023-11-05T07:30:00Z"));
        let daily = Schedule { digest: Digest::Daily, digest_hour: 1, ..until(30) };
        let daily = Schedule { quiet: None, ..daily };
        assert_eq!(daily.due(at("2023-11-05T06:00:00Z")).at, at("2023-11-06T07:00:00Z"), "one digest a day");
    }

    #[test]
    fn a_digest_of_the_hour_that_comes_twice_is_due_the_first_time_and_quiet_hours_hold_both() {
        // 01:00 to 02:00 is from 06:00 to 08:00 UTC on 5 November 2023.
        let daily =
            Schedule { zone: Tz::America__Chicago, quiet: None, digest: Digest::Daily, digest_hour: 1 };
        let due = |schedule: &Schedule, now: &str| schedule.due(at(now)).digest_at.unwrap();
        for (now, digest) in [
            ("2023-11-05T05:59:59Z", "2023-11-05T06:00:00Z"),
            // Between the two ones, and after both.
            ("2023-11-05T06:30:00Z", "2023-11-06T07:00:00Z"),
            ("2023-11-05T07:00:00Z", "2023-11-06T07:00:00Z"),
            ("2023-11-05T07:30:00Z", "2023-11-06T07:00:00Z"),
        ] {
            assert_eq!(due(&daily, now), at(digest), "{now}");
        }
        // Its time lies in quiet hours that end within the hour: at their first end.
        let quiet = |from, until| Some(QuietHours { from, until });
        let late = Schedule { quiet: quiet(23 * 60, 90), ..daily };
        assert_eq!(due(&late, "2023-11-05T05:00:00Z"), at("2023-11-05T06:30:00Z"));
        // Quiet hours that begin and end within it hold both times, each to its own end, and not in between.
        let short = Schedule { quiet: quiet(75, 105), digest: Digest::Off, ..daily };
        for (now, until) in [
            ("2023-11-05T06:14:59Z", "2023-11-05T06:14:59Z"),
            ("2023-11-05T06:20:00Z", "2023-11-05T06:45:00Z"),
            ("2023-11-05T06:45:00Z", "2023-11-05T06:45:00Z"),
            ("2023-11-05T07:20:00Z", "2023-11-05T07:45:00Z"),
            ("2023-11-05T07:45:00Z", "2023-11-05T07:45:00Z"),
        ] {
            assert_eq!(short.due(at(now)).at, at(until), "{now}");
        }
        // Those that end when the hour has come twice end once.
        let whole = Schedule { quiet: quiet(22 * 60, 2 * 60), digest: Digest::Off, ..daily };
        assert_eq!(whole.due(at("2023-11-05T06:30:00Z")).at, at("2023-11-05T08:00:00Z"));
        assert_eq!(whole.due(at("2023-11-05T07:59:59Z")).at, at("2023-11-05T08:00:00Z"));
    }

    #[test]
    fn quiet_hours_of_one_day_and_odd_zones() {
        let schedule = Schedule {
            zone: Tz::Asia__Kathmandu,
            quiet: Some(QuietHours { from: 60, until: 90 }),
            ..Schedule::default()
        };
        // 05:45 ahead.
        assert_eq!(schedule.due(at("2023-06-01T19:15:00Z")).at, at("2023-06-01T19:45:00Z"));
        assert_eq!(schedule.due(at("2023-06-01T19:45:00Z")).at, at("2023-06-01T19:45:00Z"));
    }

    #[test]
    fn digests_come_at_their_hour_and_after_quiet_hours() {
        let daily = Schedule {
            zone: Tz::Europe__Berlin,
            digest: Digest::Daily,
            digest_hour: 8,
            ..Schedule::default()
        };
        let due = |schedule: &Schedule, now: &str| schedule.due(at(now)).digest_at.unwrap();
        assert_eq!(due(&daily, "2023-03-25T06:59:00Z"), at("2023-03-25T07:00:00Z"));
        // The next morning is in summer time.
        assert_eq!(due(&daily, "2023-03-25T07:00:00Z"), at("2023-03-26T06:00:00Z"));
        let weekly = Schedule { digest: Digest::Weekly, ..daily };
        assert_eq!(due(&weekly, "2023-03-25T06:00:00Z"), at("2023-03-27T06:00:00Z"));
        assert_eq!(due(&weekly, "2023-03-27T06:00:00Z"), at("2023-04-03T06:00:00Z"));
        let late = Schedule { digest_hour: 3, ..night(Tz::Europe__Berlin) };
        let late = Schedule { digest: Digest::Daily, ..late };
        assert_eq!(due(&late, "2023-06-01T12:00:00Z"), at("2023-06-02T05:00:00Z"));
    }

    #[test]
    fn whatever_the_zone_and_hour_a_moment_is_found_within_a_day_and_it_is_not_quiet() {
        for zone in chrono_tz::TZ_VARIANTS {
            let schedule = night(zone);
            for step in 0..400 {
                let now = at("2023-03-10T00:00:00Z") + TimeDelta::hours(step * 25);
                let due = schedule.due(now).at;
                assert!(due >= now && due - now <= TimeDelta::hours(11), "{zone} {now} {due}");
                assert_eq!(schedule.after_quiet(due), due, "{zone} {now} {due}");
            }
        }
    }
}
