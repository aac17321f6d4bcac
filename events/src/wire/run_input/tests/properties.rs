//! What holds for any input: no panic, every problem says something, and what is read can be relied on.

use proptest::collection::vec;
use proptest::prelude::*;

use super::inputs::{anything, changed};
use super::*;

fn all_examples() -> Vec<Value> {
    examples().iter().map(|(_, bytes)| serde_json::from_slice(bytes).unwrap()).collect()
}

fn any_example() -> impl Strategy<Value = Value> {
    prop::sample::select(all_examples())
}

/// What must hold of any tree.
fn hold(input: &Value) -> Result<(), TestCaseError> {
    match parse(input.to_string().as_bytes()) {
        Ok(parsed) => {
            let run = parsed.run;
            prop_assert!(!run.waves.is_empty());
            let mut names: Vec<&str> = run.waves.iter().map(|wave| wave.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!(names.len(), run.waves.len());
            for wave in &run.waves {
                prop_assert!(!wave.accounts.is_empty() && !wave.regions.is_empty());
                prop_assert!(wave.tags.values().all(|values| !values.is_empty()));
            }
        }
        Err(problems) => {
            prop_assert!(problems.iter().count() > 0);
            prop_assert!(problems.iter().all(|problem| !problem.text.is_empty() && !problem.to_string().contains('\n')));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_json_is_read_or_refused_with_reasons(input in anything()) {
        hold(&input)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn an_example_with_something_else_in_it_is_read_or_refused_with_reasons(input in changed(all_examples())) {
        hold(&input)?;
    }

    #[test]
    fn an_example_with_a_further_key_is_refused(input in any_example(), strange in "[a-z]{3,12}_x") {
        let mut input = input;
        input[&strange] = Value::from(1);
        let problems = problems_of(input.to_string());
        prop_assert!(problems.len() == 1 && problems[0].starts_with(&format!("{strange}: unknown key: ")), "{problems:?}");
    }

    #[test]
    fn damaged_bytes_never_panic(input in any_example(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = input.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        let _ = parse(&bytes);
    }
}

/// A key of 100 KB with tens of thousands of values under it, each twice: time and memory stay those of the input.
#[test]
fn long_paths_are_not_copied_for_each_value() {
    let input = format!(r#"{{"{}":[{}],"accounts":[{}]}}"#, "k".repeat(100_000), vec!["{}"; 20_000].join(","), vec!["7"; 40_000].join(","));
    assert!(input.len() <= RUN_INPUT_BYTES_MAX);
    let start = std::time::Instant::now();
    let problems = parse(input.as_bytes()).unwrap_err();
    assert!(problems.iter().count() > 40_000);
    assert!(problems.to_string().len() < 20_000, "{}", problems.to_string().len());
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}
