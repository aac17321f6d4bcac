//! How inputs come apart.

use super::*;

fn compact(name: &str) -> String {
    sample_value(name).to_string()
}

fn finding() -> String {
    compact(STANDALONE)
}

fn tick() -> String {
    compact("21-tick.json")
}

fn pretty(name: &str) -> String {
    serde_json::to_string_pretty(&sample_value(name)).unwrap()
}

#[test]
fn nothing_is_one_rejection() {
    for empty in ["", " ", "\n\n\r\n\t", "\u{feff}", "\u{feff}\n"] {
        assert_eq!(kinds(empty), ["rejected"]);
    }
    assert!(told(&read(b"")[0].parsed).contains("the input is empty: expected "));
    assert_eq!(kinds("[]"), [""; 0]);
    assert_eq!(kinds(r#"{"Records":[]}"#), [""; 0]);
}

#[test]
fn one_event_in_any_layout() {
    for text in [finding(), pretty(STANDALONE), format!("\u{feff}{}", finding()), pretty(STANDALONE).replace('\n', "\r\n"), format!("\n\n  {}\n\n", finding())]
    {
        assert_eq!(kinds(text), ["finding"]);
    }
    // Indented by nothing: every line begins at the margin.
    let flat: String = pretty(STANDALONE).lines().map(|line| format!("{}\n", line.trim_start())).collect();
    assert_eq!(kinds(&flat), ["finding"]);
    assert_eq!(kinds(&flat[..flat.len() / 2]), ["rejected"]);
}

#[test]
fn several_values_in_a_row() {
    let (one, two) = (pretty(STANDALONE), pretty("21-tick.json"));
    assert_eq!(kinds(format!("{one}\n{two}")), ["finding", "tick"]);
    assert_eq!(kinds(format!("{one}{two}")), ["finding", "tick"]);
    assert_eq!(kinds(format!("{}{}", finding(), tick())), ["finding", "tick"]);
    assert_eq!(kinds(format!("[{},{}]\n{}", finding(), tick(), tick())), ["finding", "tick", "tick"]);
}

#[test]
fn json_lines_are_taken_up_again_at_each_newline() {
    let (finding, tick) = (finding(), tick());
    let half = &finding[..finding.len() / 2];
    let garbage = ["garbage", half, "{", "}", "]", "{\"a\":", "123 x", "\"half", "[1,", "[1,{}", "null {", "{}}", "<xml/>", "  indented garbage"];
    for line in garbage {
        for text in [
            format!("{finding}\n{line}\n{tick}\n"),
            format!("{finding}\r\n{line}\r\n\r\n{tick}"),
            // An array may go on in the next line, and the first line's indentation is the margin.
            format!("{}\n{finding}\n\n{tick}", line.trim_start_matches(['[', ' '])),
            format!("{finding}\n{tick}\n{line}\n"),
        ] {
            let kinds = kinds(&text);
            assert_eq!(kinds.iter().filter(|kind| **kind == "rejected").count(), 1, "{line}: {kinds:?}");
            assert!(kinds.contains(&"finding") && kinds.contains(&"tick") && kinds.len() == 3, "{line}: {kinds:?}");
        }
    }
    let all = format!("{finding}\n{}\n{tick}", garbage.join("\n"));
    assert_eq!(kinds(&all).len(), garbage.len() + 2);
}

#[test]
fn values_that_are_no_events_are_rejected_one_by_one() {
    assert_eq!(kinds("1\n\"x\"\nnull\n{}\n"), ["rejected"; 4]);
    assert_eq!(kinds("not\njson\nat all"), ["rejected"; 3]);
    assert_eq!(kinds(format!("12\n{}\nnull {{\n", tick())), ["rejected", "tick", "rejected"]);
}

#[test]
fn text_that_clings_to_an_event_breaks_its_line() {
    let (finding, tick) = (finding(), tick());
    assert_eq!(kinds(format!("{finding}}}")), ["rejected"]);
    assert_eq!(kinds(format!("{finding}}}\n{tick}")), ["rejected", "tick"]);
    assert_eq!(kinds(format!("{finding},\n{tick}\n")), ["rejected", "tick"]);
    // Another event on the same line is a neighbour, not garbage.
    assert_eq!(kinds(format!("{finding}{}", &tick[..20])), ["finding", "rejected"]);
    assert_eq!(kinds(format!("{}\ngarbage\nmore\n", pretty(STANDALONE))), ["finding", "rejected", "rejected"]);
    assert_eq!(kinds(format!("{}}}\n{}", pretty(STANDALONE), pretty("21-tick.json"))), ["rejected", "tick"]);
    assert_eq!(kinds(format!("[{finding},{tick}]]")), ["finding", "tick", "rejected"]);
    assert_eq!(kinds(format!("[{finding}]]\n{tick}\n{tick}")), ["finding", "rejected", "tick", "tick"]);
}

#[test]
fn invalid_utf8_costs_one_line() {
    let (finding, tick) = (finding(), tick());
    let broken = |before: &str, after: &str| [before.as_bytes(), b"{\"x\":\"\xff\"}\n", after.as_bytes()].concat();
    assert_eq!(kinds(broken(&format!("{finding}\n"), &tick)), ["finding", "rejected", "tick"]);
    assert_eq!(kinds(broken("", &format!("{finding}\n{tick}"))), ["rejected", "finding", "tick"]);
    assert_eq!(kinds(broken(&format!("{finding}\n{tick}\n"), "")), ["finding", "tick", "rejected"]);
    let utf16: Vec<u8> = "\u{feff}{}\n{}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(kinds(&utf16), ["rejected"]);
}

#[test]
fn a_cut_document_is_one_rejection_wherever_it_is_cut() {
    for name in [STANDALONE, "13-securityhub-findings-imported-ssm2.json", "15-lambda-sqs-batch-duplicate-and-poison.json"] {
        for text in [pretty(name), String::from_utf8(sample(name)).unwrap()] {
            let text = text.trim_end();
            for cut in 1..text.len() {
                assert_eq!(kinds(&text.as_bytes()[..cut]), ["rejected"], "{name} cut at {cut}");
            }
        }
    }
}

#[test]
fn a_damaged_document_is_one_rejection_and_spares_its_neighbours() {
    let (one, two) = (pretty(STANDALONE), pretty("21-tick.json"));
    let damaged = one.replace("\"aws.config\",", "\"aws.config\"").replace("    \"awsRegion\"", "GARBAGE");
    assert_eq!(kinds(&damaged), ["rejected"]);
    assert_eq!(kinds(format!("{two}\n{damaged}\n{two}\n{two}")), ["tick", "rejected", "tick", "tick"]);
    // Between JSON Lines too, as long as only its outer brackets stand at the margin.
    let damaged = one.replace("\"aws.config\",", "\"aws.config\"");
    assert_eq!(kinds(format!("{}\n{damaged}\n{}", finding(), tick())), ["finding", "rejected", "tick"]);
    assert_eq!(kinds(format!("{}\n{}\n{}", finding(), &one[..300], tick())), ["finding", "rejected", "tick"]);
    assert_eq!(kinds(format!("garbage\n{}\n{two}\n{}", finding(), tick())), ["rejected", "finding", "tick", "tick"]);
}

#[test]
fn lines_that_are_all_broken_count_one_by_one() {
    let finding = finding();
    let half = &finding[..finding.len() / 2];
    assert_eq!(kinds(format!("{half}\n{half}\n{half}")), ["rejected"; 3]);
}

#[test]
fn arrays_give_what_is_complete() {
    let (finding, tick) = (finding(), tick());
    let half = &finding[..finding.len() / 2];
    assert_eq!(kinds(format!("[{finding},{tick}]")), ["finding", "tick"]);
    for cut_off in [format!("[{finding},{tick},{half}"), format!("[{finding},{tick},"), format!("[{finding},{tick}"), format!("[\n{finding},\n{tick}\n")] {
        assert_eq!(kinds(&cut_off), ["finding", "tick", "rejected"]);
    }
    assert_eq!(kinds("["), ["rejected"]);
    assert_eq!(kinds(format!("[{half}")), ["rejected"]);
    // Pretty-printed, cut inside the second element.
    let events = serde_json::to_string_pretty(&[sample_value(STANDALONE), sample_value("13-securityhub-findings-imported-ssm2.json")]).unwrap();
    assert_eq!(kinds(&events), ["finding", "finding"]);
    assert_eq!(kinds(&events[..events.len() - 500]), ["finding", "rejected"]);
}

#[test]
fn elements_on_lines_of_their_own_survive_a_broken_one() {
    let (finding, tick) = (finding(), tick());
    assert_eq!(kinds(format!("[\n{finding},\n{{broken,\n{tick},\n{tick}\n]\n")), ["finding", "rejected", "tick", "tick"]);
    assert_eq!(kinds(format!("[\n{finding}\n{tick}\n{tick}\n]\n")), ["finding", "rejected", "tick", "tick"]);
    assert_eq!(kinds(format!("[\n{finding},\n{tick}\n]\ngarbage\n")), ["finding", "tick", "rejected"]);
}

#[test]
fn a_record_of_a_batch_is_one_piece() {
    let body = Value::from(tick()).to_string();
    let batch = format!(r#"{{"Records":[{{"body":{body}}},{{"body":"[]"}},{{"body":{body}}}]}}"#);
    assert_eq!(kinds(&batch), ["tick", "rejected", "tick"]);
    assert_eq!(kinds(format!("[{batch},{}]", finding())), ["tick", "rejected", "tick", "finding"]);
    assert_eq!(kinds(format!("{batch}\n{batch}\nx")), ["tick", "rejected", "tick", "tick", "rejected", "tick", "rejected"]);
    assert_eq!(told(&read(br#"{"Records":7}"#)[0].parsed), "rejected: Records: expected an array of SQS messages");
    // An event that has such a field is an event.
    let mut event = sample_value("21-tick.json");
    event["Records"] = serde_json::json!([1, 2]);
    assert_eq!(kinds(event.to_string()), ["tick"]);
}

#[test]
fn findings_of_one_event_share_its_place_and_cost_each_other_nothing() {
    let three = compact("malformed/securityhub-three-findings-one-broken.json");
    let places = |text: &str| -> Vec<(usize, &'static str)> { read(text.as_bytes()).iter().map(|read| (read.index, kind(&read.parsed))).collect() };
    let expected = [(1, "finding"), (1, "rejected"), (1, "finding")];
    let between = |expected: &[(usize, &'static str)]| [&[(0, "tick")], expected, &[(2, "tick")]].concat();
    assert_eq!(places(&format!("[{},{three},{}]", tick(), tick())), between(&expected));
    assert_eq!(places(&format!("{}\n{three}\n{}", tick(), tick())), between(&expected));
    let body = |text: String| serde_json::json!({ "body": text });
    let batch = serde_json::json!({ "Records": [body(tick()), body(three.clone()), body(tick())] }).to_string();
    assert_eq!(places(&batch), between(&expected));
    // A line that is broken is one rejection, whatever its arrays held that was wrong.
    assert_eq!(places(&format!("[{three},{}", &tick()[..20])).len(), 4);
    assert_eq!(told(&parse(three.as_bytes())), "rejected: the event holds 3 findings: expected one");
}

#[test]
fn an_event_above_the_limit_is_rejected() {
    let mut event = sample_value("21-tick.json");
    event["padding"] = "x".repeat(EVENT_BYTES_MAX - event.to_string().len() - r#","padding":"""#.len()).into();
    assert_eq!(event.to_string().len(), EVENT_BYTES_MAX);
    assert_eq!(kinds(event.to_string()), ["tick"]);
    event["more"] = 1.into();
    let too_large = event.to_string();
    assert!(told(&parse(too_large.as_bytes())).contains("expected at most 1048576"));
    assert_eq!(kinds(format!("{}\n{too_large}\n{}", finding(), tick())), ["finding", "rejected", "tick"]);
}

#[test]
fn large_and_deep_inputs_end_soon() {
    let n = 100_000;
    let started = std::time::Instant::now();
    for unit in ["[", "{\"a\":", "[\n", "{\"a\":\n", "[1,\n", "\"", "{}\n", "{} ", "\\", "]", "1 "] {
        assert!(!read(unit.repeat(n).as_bytes()).is_empty());
        read(format!("{}\n{}", finding(), unit.repeat(n)).as_bytes());
    }
    assert_eq!(kinds(format!("{}{}", "[".repeat(n), "]".repeat(n))), ["rejected"]);
    assert_eq!(kinds(format!("[{}]", vec![tick(); 40_000].join(","))).len(), 40_000);
    assert_eq!(kinds(format!("x\n{}", vec![tick(); 40_000].join("\n"))).len(), 40_001);
    // Quadratic work would take hours; a slow machine takes seconds.
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}
