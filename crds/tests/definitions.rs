//! The CustomResourceDefinitions in `crds/*.yaml` are those of the types.

use std::fs;
use std::path::Path;

use gritstone_crds::schema::definitions;
use serde_json::Value;

#[test]
fn the_files_are_those_of_the_types() {
    for definition in definitions() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&definition.file);
        let written = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == definition.to_yaml().expect("yaml"),
            "crds/{} is not what the types say: run `cargo run -p gritstone-crds --features kube --bin crdgen`",
            definition.file
        );
    }
}

#[test]
fn the_files_are_read_back_as_they_were() {
    for definition in definitions() {
        let yaml = definition.to_yaml().expect("yaml");
        let read: Value = serde_saphyr::from_str(&yaml).expect("yaml");
        assert_eq!(read, definition.definition, "{}", definition.file);
    }
}

#[test]
fn every_field_is_described() {
    for definition in definitions() {
        let schema = &definition.definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut without = Vec::new();
        for part in ["spec", "status"] {
            undescribed(&schema["properties"][part], part, &mut without);
        }
        assert!(without.is_empty(), "{}: no description of {without:?}", definition.file);
    }
}

fn undescribed(schema: &Value, path: &str, without: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if field["description"].as_str().is_none_or(str::is_empty) {
            without.push(path.clone());
        }
        undescribed(field, &path, without);
        undescribed(&field["items"], &path, without);
        undescribed(&field["additionalProperties"], &path, without);
    }
}
