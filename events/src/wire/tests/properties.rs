//! What holds for any input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Samples that hold events which somebody else may send with more fields than we know.
fn samples() -> Vec<Vec<u8>> {
    files("samples").iter().map(|name| sample(name)).collect()
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Delete(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    let json = prop::sample::select(&b"{}[],:\"\\\n 0-entf\xff"[..]);
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        (place(), 1..200_usize).prop_map(|(at, count)| Damage::Delete(at, count)),
        (place(), vec(json, 1..4)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match damage {
        Damage::Flip(at, byte) => bytes[at.index(length)] ^= byte,
        Damage::Delete(at, count) => drop(bytes.drain(at.index(length)..(at.index(length) + count).min(length))),
        Damage::Insert(at, new) => drop(bytes.splice(at.index(length)..at.index(length), new.iter().copied())),
    }
}

/// A line at the margin that does not begin with a JSON value, and does not go on where a broken line before it ends: lines
/// that make one valid JSON value together are that value.
fn garbage() -> impl Strategy<Value = String> {
    let line = prop_oneof!["[^\\s\\p{C}][^\\n\\p{C}]{0,40}", "[\\[\\]{}\",:0-9a-z]{1,20}", Just("{\"version\":\"0\",\"id\":".to_owned())];
    line.prop_filter("may be JSON", |line| {
        let values = serde_json::Deserializer::from_str(line).into_iter::<Value>();
        values.take_while(Result::is_ok).count() == 0 && !line.starts_with(['[', '}', ',', ':'])
    })
}

fn is_from_aws(name: &str) -> bool {
    sample_value(name)["source"].as_str().is_some_and(|source| source.starts_with("aws."))
}

fn with_unknown_field(value: &mut Value, place: &mut usize, new: &Value) {
    let Value::Object(map) = value else { return };
    if *place == 0 {
        map.insert("brandNewField".into(), new.clone());
    }
    *place = place.wrapping_sub(1);
    for inner in map.values_mut() {
        with_unknown_field(inner, place, new);
    }
}

/// Every place in a document: each field and each element, however deep.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut inner = |name: &str, value: &Value| {
        let here = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        pointers(value, &here, found);
        found.push(here);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| inner(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| inner(&index.to_string(), value)),
        _ => {}
    }
}

/// What somebody may put in the place of anything.
fn anything() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        Value::Null,
        Value::from(true),
        Value::from(-1),
        Value::from(1.5),
        Value::from(""),
        Value::from("444455556666"),
        Value::from("eu-west-1"),
        Value::from("arn:aws:ec2:eu-west-1:444455556666:instance/i-0b2c3d4e5f6789011"),
        Value::from("arn:aws:securityhub:eu-west-1::product/aws/securityhub"),
        Value::from("::::::"),
        Value::from("i-0b2c3d4e5f6789011"),
        serde_json::json!([]),
        serde_json::json!([null]),
        serde_json::json!({}),
    ])
}

proptest! {
    #[test]
    fn whatever_is_put_in_no_fact_is_about_another_place_than_the_envelopes(
        which in any::<prop::sample::Index>(), changes in vec((any::<prop::sample::Index>(), anything()), 1..4),
    ) {
        let names: Vec<String> = files("samples").into_iter().filter(|name| name.ends_with(".json") && is_from_aws(name)).collect();
        let mut event = sample_value(&names[which.index(names.len())]);
        for (place, new) in changes {
            let mut places = Vec::new();
            pointers(&event, "", &mut places);
            if let Some(old) = event.pointer_mut(&places[place.index(places.len())]) {
                *old = new;
            }
        }
        for read in read(event.to_string().as_bytes()) {
            if let Parsed::Event { event: Event::Finding { target, .. }, account, region, .. } = read.parsed {
                prop_assert_eq!((Some(target.account), Some(target.region)), (account, region));
                prop_assert_eq!(event["account"].as_str().map(str::to_owned), account.map(|account| account.to_string()));
            }
        }
    }

    #[test]
    fn any_bytes_give_reasons_and_no_panic(bytes in vec(any::<u8>(), 0..600)) {
        let read = read(&bytes);
        prop_assert!(read.iter().enumerate().all(|(place, read)| read.index == place));
        parse(&bytes);
    }

    #[test]
    fn any_brackets_give_reasons_and_no_panic(text in "[\\[\\]{}\",:\\\\\n 01a]{0,80}") {
        for read in read(text.as_bytes()) {
            prop_assert_eq!(kind(&read.parsed), "rejected");
        }
    }

    #[test]
    fn damaged_samples_give_reasons_and_no_panic(which in any::<prop::sample::Index>(), damages in vec(damage(), 1..6)) {
        let samples = samples();
        let mut bytes = which.get(&samples).clone();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        prop_assert!(read(&bytes).len() < bytes.len() + 2);
        parse(&bytes);
    }

    #[test]
    fn events_survive_any_garbage_lines_between_them(mut lines in vec(prop_oneof![Just(None), garbage().prop_map(Some)], 1..12), here in any::<prop::sample::Index>(), ending in "\r?\n") {
        let event = sample_value("21-tick.json").to_string();
        lines.insert(here.index(lines.len()), None);
        let text: Vec<&str> = lines.iter().map(|line| line.as_deref().unwrap_or(&event)).collect();
        let expected: Vec<&str> = lines.iter().map(|line| if line.is_none() { "tick" } else { "rejected" }).collect();
        prop_assert_eq!(kinds(text.join(&ending)), expected);
    }

    #[test]
    fn unknown_fields_change_nothing_in_events_of_aws(which in any::<prop::sample::Index>(), place in 0..12_usize, new in prop_oneof![
        Just(Value::Null), Just(Value::from(7)), Just(Value::from("text")), Just(serde_json::json!({ "deep": [1, { "er": null }] })),
    ]) {
        let names: Vec<String> = files("samples").into_iter().filter(|name| name.ends_with(".json") && is_from_aws(name)).collect();
        let mut value = sample_value(&names[which.index(names.len())]);
        let before = parse(value.to_string().as_bytes());
        with_unknown_field(&mut value, &mut { place }, &new);
        prop_assert_eq!(parse(value.to_string().as_bytes()), before);
    }
}
