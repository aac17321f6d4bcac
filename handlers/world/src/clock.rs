//! Virtual time, in whole milliseconds inside: the precision that AWS writes in its events.

use jiff::Timestamp;

/// Milliseconds since 1970, or a span of them.
pub(crate) type Ms = i64;

pub(crate) const SECOND: Ms = 1_000;
pub(crate) const MINUTE: Ms = 60 * SECOND;
pub(crate) const HOUR: Ms = 60 * MINUTE;
pub(crate) const DAY: Ms = 24 * HOUR;

/// The milliseconds of a time; what is finer is cut off.
pub(crate) fn ms(at: Timestamp) -> Ms {
    at.as_millisecond()
}

/// The time of these milliseconds; the last one that can be written where they lie beyond.
pub(crate) fn time(at: Ms) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(if at < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Seconds as milliseconds, without overflow.
pub(crate) fn secs(secs: u64) -> Ms {
    i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(SECOND)
}

/// As AWS Config and Run Command write times inside `detail`: always three digits of milliseconds.
pub(crate) fn iso(at: Ms) -> String {
    format!("{:.3}", time(at))
}

/// As EventBridge writes `time`: whole seconds.
pub(crate) fn iso_secs(at: Ms) -> String {
    format!("{:.0}", time(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_aws_writes_them() {
        let at = ms("2026-11-19T19:03:50.25Z".parse().unwrap());
        assert_eq!((iso(at).as_str(), iso_secs(at).as_str()), ("2026-11-19T19:03:50.250Z", "2026-11-19T19:03:50Z"));
        assert_eq!(time(i64::MAX), Timestamp::MAX);
    }
}
