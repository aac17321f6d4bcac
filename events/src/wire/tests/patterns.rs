//! The EventBridge patterns forward what we handle, and nothing that we would ignore.

use super::*;

/// EventBridge's matching as far as our patterns use it: a list means any of these values, an object goes deeper.
fn matches(pattern: &Value, event: &Value) -> bool {
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
        let by: Vec<&str> = patterns.iter().filter(|(_, pattern)| matches(pattern, &event)).map(|(name, _)| name.as_str()).collect();
        // A pattern can't tell proactive evaluations apart where the mode is absent, so they are forwarded, and ignored here.
        let is_forwarded = matches!(parsed, Parsed::Event { .. }) || name.contains("proactive");
        assert_eq!(by.len(), usize::from(is_forwarded), "{name} is forwarded by {by:?}");
        used.extend(by.into_iter().map(str::to_owned));
    }
    assert_eq!(used.len(), patterns.len(), "every pattern forwards some sample");
}
