//! The EventBridge patterns forward what we handle, and nothing that we would ignore.

use super::*;

/// EventBridge's matching as far as our patterns use it: a list means any of these values, an object goes deeper. Of an array
/// in the event, one element that fits is enough.
fn matches(pattern: &Value, event: &Value) -> bool {
    if let Value::Array(elements) = event {
        return elements.iter().any(|element| matches(pattern, element));
    }
    match pattern {
        Value::Object(fields) => fields.iter().all(|(key, inner)| event.get(key).is_some_and(|value| matches(inner, value))),
        Value::Array(any) => any.contains(event),
        other => panic!("a pattern is made of objects and lists, not {other}"),
    }
}

#[test]
fn each_event_is_forwarded_by_exactly_one_pattern() {
    let patterns: Vec<(String, Value)> =
        files("patterns").into_iter().map(|name| (name.clone(), serde_json::from_slice(&fs::read(folder("patterns").join(name)).unwrap()).unwrap())).collect();
    let mut used = std::collections::BTreeSet::new();
    for name in files("samples").iter().filter(|name| name.ends_with(".json")) {
        let event = sample_value(name);
        let parsed = parse(event.to_string().as_bytes());
        let by: Vec<&str> = patterns.iter().filter(|(_, pattern)| event.is_object() && matches(pattern, &event)).map(|(name, _)| name.as_str()).collect();
        // A pattern can't tell proactive evaluations apart where the mode is absent, nor compare two fields of an event, so these
        // are forwarded, and ignored here.
        let is_more = ["proactive", "securityhub-other-account"].iter().any(|part| name.contains(part));
        let is_forwarded = is_more || (matches!(parsed, Parsed::Event { .. }));
        assert_eq!(by.len(), usize::from(is_forwarded), "{name} is forwarded by {by:?}");
        used.extend(by.into_iter().map(str::to_owned));
    }
    assert_eq!(used.len(), patterns.len(), "every pattern forwards some sample");
}

#[test]
fn patterns_are_short_enough_and_spell_out_what_they_match() {
    for name in files("patterns") {
        let pattern: Value = serde_json::from_slice(&fs::read(folder("patterns").join(&name)).unwrap()).unwrap();
        let text = pattern.to_string();
        // Source: EventBridge quotas, "Event pattern size".
        assert!(text.len() <= 2048, "{name} has {} characters", text.len());
        assert!(!text.contains("wildcard") && !text.contains("prefix"), "{name}");
        assert!(pattern["source"].is_array() && pattern["detail-type"].is_array(), "{name} says whose events and which");
    }
}
