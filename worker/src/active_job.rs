//! Active Job's serialized arguments as plain JSON, for handlers that are not Ruby.

use serde_json::{Map, Value};

/// Takes Active Job's markers out of an argument: symbols and modules become texts, times their ISO 8601 text, durations seconds, ranges
/// objects with `begin`, `end` and `exclude_end`, GlobalIDs their URI, hashes lose the keys that list their symbols.
/// What is not known stays as it is.
pub fn plain(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        Value::Object(map) => object(map),
        other => other,
    }
}

fn object(mut map: Map<String, Value>) -> Value {
    if map.len() == 1
        && let Some(global_id) = map.remove("_aj_globalid")
    {
        return global_id;
    }
    if let Some(Value::String(serializer)) = map.get("_aj_serialized") {
        return match serializer.rsplit("::").next() {
            Some("RangeSerializer") => {
                map.remove("_aj_serialized");
                Value::Object(map.into_iter().map(|(key, value)| (key, plain(value))).collect())
            }
            _ => match map.remove("value") {
                Some(value) => plain(value),
                None => Value::Object(map),
            },
        };
    }
    let markers = ["_aj_symbol_keys", "_aj_ruby2_keywords", "_aj_hash_with_indifferent_access"];
    Value::Object(
        map.into_iter()
            .filter(|(key, _)| !markers.contains(&key.as_str()))
            .map(|(key, value)| (key, plain(value)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn markers_disappear_and_what_they_mark_stays() {
        let symbol = json!({"_aj_serialized": "ActiveJob::Serializers::SymbolSerializer", "value": "open"});
        assert_eq!(plain(symbol.clone()), json!("open"));
        assert_eq!(plain(json!({"status": symbol, "_aj_symbol_keys": ["status"]})), json!({"status": "open"}));
        assert_eq!(plain(json!({"_aj_globalid": "gid://app/User/1"})), json!("gid://app/User/1"));
        let range = json!({"_aj_serialized": "ActiveJob::Serializers::RangeSerializer", "begin": 1, "end": 3, "exclude_end": false});
        assert_eq!(plain(range), json!({"begin": 1, "end": 3, "exclude_end": false}));
        assert_eq!(plain(json!([{"a": 1}, 2.5, null])), json!([{"a": 1}, 2.5, null]));
    }
}
