//! Change calendars as the engine asks for them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tidegate_engine::ports::Cloud;

use super::ask;
use crate::{Faults, Spec, World};

#[test]
fn a_calendar_is_closed_at_its_times_and_tells_when_that_changes() {
    let start: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
    // Two closures that meet are one.
    let spec = Spec { calendars: BTreeMap::from([("year-end".to_owned(), vec![(60, 120), (120, 180)])]), ..Spec::generate(1, 1, 1, 5, Faults::none()) };
    let world = World::new(spec, start);
    let after = |secs: i64| start + SignedDuration::from_secs(secs);
    for (at, open, turns) in [(0, true, Some(60)), (60, false, Some(180)), (150, false, Some(180)), (180, true, None)] {
        drop(world.advance(after(at)));
        let seen = ask(world.calendar("year-end")).unwrap();
        assert_eq!((seen.open, seen.at, seen.turns_at), (open, after(at), turns.map(after)), "after {at} s");
    }
    assert!(ask(world.calendar("other")).is_err());
}
