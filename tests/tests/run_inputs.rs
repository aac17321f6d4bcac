//! The schema of a run input and its parser agree: what is read fits, and what a schema can refuse it refuses.

#![cfg(test)]

#[path = "../../events/src/wire/run_input/tests/inputs.rs"]
mod inputs;
#[path = "../../events/src/wire/run_input/tests/table.rs"]
mod table;

use proptest::prelude::*;
use serde_json::Value;
use tidegate_events::wire::run_input::{parse, schema};
use tidegate_tests::binary::root;

use table::{TABLE, Tell, spelled};

fn validator() -> jsonschema::Validator {
    let schema = serde_json::to_value(schema()).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn examples() -> Vec<(String, Value)> {
    let folders = ["run-inputs", "custom-inputs"].map(|folder| root().join("examples").join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    files.map(|path| (path.display().to_string(), serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())).collect()
}

#[test]
fn every_example_fits_the_schema() {
    let validator = validator();
    let all = examples();
    assert!(all.len() >= 12, "{}", all.len());
    for (name, input) in all {
        let faults: Vec<String> = validator.iter_errors(&input).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{name}: {faults:?}");
    }
}

#[test]
fn the_schema_refuses_what_the_parser_refuses_where_a_schema_can() {
    let validator = validator();
    for (input, _, tell) in TABLE {
        let input: Value = serde_json::from_str(&spelled(input)).unwrap();
        assert_eq!(validator.is_valid(&input), *tell == Tell::ParserAlone, "{input}");
    }
}

fn fits_if_read(input: &Value) -> Result<(), TestCaseError> {
    thread_local! {
        static SCHEMA: jsonschema::Validator = validator();
    }
    let fits = SCHEMA.with(|schema| schema.is_valid(input));
    prop_assert!(fits || parse(input.to_string().as_bytes()).is_err(), "read, but refused by the schema: {input}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_is_read_fits_the_schema(input in inputs::anything()) {
        fits_if_read(&input)?;
    }

    #[test]
    fn whatever_is_read_of_a_changed_example_fits_the_schema(input in inputs::changed(examples().into_iter().map(|(_, input)| input).collect())) {
        fits_if_read(&input)?;
    }
}
