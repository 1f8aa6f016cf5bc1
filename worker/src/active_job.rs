//! Active Job's serialized arguments as plain JSON, for handlers that are not Ruby.
//!
//! The rules are those of `docs/reference/active-job.md`. They work on the text: what carries no marker comes out as it was written, and
//! so no digit of a number is lost, however many it has.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Error;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Only of a hash that has no other key.
const GLOBAL_ID: &str = "_aj_globalid";
const SERIALIZED: &str = "_aj_serialized";
/// The keys that Rails keeps for itself; it refuses hashes that have one of them.
const RESERVED: [&str; 5] =
    [GLOBAL_ID, SERIALIZED, "_aj_symbol_keys", "_aj_ruby2_keywords", "_aj_hash_with_indifferent_access"];

/// How deep arguments may be nested: serde_json's own limit.
const DEEPEST: usize = 127;

/// Takes Active Job's markers out of a JSON text; `None` when there are none in it.
///
/// # Errors
/// When it is no JSON, or nested deeper than 127 arrays and objects.
pub fn plain(text: &str) -> Result<Option<String>, Error> {
    // A marker's underscore may have been written as an escape.
    if !text.contains("_aj_") && !text.contains("\\u005") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    write(text, DEEPEST, &mut out)?;
    Ok(Some(out))
}

fn write(text: &str, depth: usize, out: &mut String) -> Result<(), Error> {
    let text = text.trim_ascii();
    let deeper = || depth.checked_sub(1).ok_or_else(|| Error::custom("the arguments are nested too deeply"));
    match text.as_bytes().first() {
        Some(b'[') => {
            let inner = deeper()?;
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            out.push('[');
            for (index, item) in items.into_iter().enumerate() {
                comma(index, out);
                write(item.get(), inner, out)?;
            }
            out.push(']');
        }
        Some(b'{') => object(&serde_json::from_str(text)?, deeper()?, out)?,
        // Read, if only to see that it is JSON.
        _ => out.push_str(serde_json::from_str::<&RawValue>(text)?.get()),
    }
    Ok(())
}

fn object(hash: &Entries<'_>, depth: usize, out: &mut String) -> Result<(), Error> {
    if let [(key, uri)] = hash.0.as_slice()
        && key == GLOBAL_ID
    {
        return write(uri.get(), depth, out);
    }
    if let Some(value) = hash.serialized_value() {
        return write(value.get(), depth, out);
    }
    out.push('{');
    let kept = hash.0.iter().filter(|(key, _)| !RESERVED.contains(&key.as_ref()));
    for (index, (key, value)) in kept.enumerate() {
        comma(index, out);
        out.push_str(&serde_json::to_string(key)?);
        out.push(':');
        write(value.get(), depth, out)?;
    }
    out.push('}');
    Ok(())
}

fn comma(index: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
}

/// An object's entries, in order.
struct Entries<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'t> Entries<'t> {
    /// What stands for an object that went through a serializer, when one value does: Rails' own keep it under `value`, and what else
    /// they write (a duration's parts, a time's zone) only says how to build the Ruby object; an application's own may do as it likes.
    fn serialized_value(&self) -> Option<&'t RawValue> {
        let get = |name: &str| self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        let serializer: Cow<'_, str> = serde_json::from_str(get(SERIALIZED)?.get()).ok()?;
        let value = get("value")?;
        (serializer.starts_with("ActiveJob::Serializers::") || self.0.len() == 2).then_some(value)
    }
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries<'de>, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn of(value: &Value) -> Value {
        let text = value.to_string();
        serde_json::from_str(plain(&text).unwrap().as_deref().unwrap_or(&text)).unwrap()
    }

    fn serialized(name: &str, value: &Value) -> Value {
        json!({"_aj_serialized": format!("ActiveJob::Serializers::{name}Serializer"), "value": value})
    }

    #[test]
    fn markers_disappear_and_what_they_mark_stays() {
        let symbol = serialized("Symbol", &json!("open"));
        assert_eq!(of(&symbol), json!("open"));
        assert_eq!(of(&json!({"status": symbol, "_aj_symbol_keys": ["status"]})), json!({"status": "open"}));
        assert_eq!(of(&json!([{"to": "ann", "_aj_ruby2_keywords": ["to"]}])), json!([{"to": "ann"}]));
        assert_eq!(
            of(&json!({"a": {"_aj_symbol_keys": []}, "_aj_hash_with_indifferent_access": true})),
            json!({"a": {}})
        );
        assert_eq!(of(&json!({"_aj_globalid": "gid://app/User/1"})), json!("gid://app/User/1"));
        assert_eq!(of(&json!([{"a": 1}, 2.5, null])), json!([{"a": 1}, 2.5, null]));
    }

    #[test]
    fn rails_own_serializers_become_their_value() {
        let times = [
            ("Time", "2026-01-02T03:04:05.000678000Z"),
            ("DateTime", "2026-01-02T03:04:05.000000000+00:00"),
            // Before Rails 7 without its zone.
            ("TimeWithZone", "2026-01-02T00:00:00.000000000Z"),
            ("Date", "2026-01-02"),
            ("BigDecimal", "0.1000000000000000000000000000001e1"),
            ("Module", "Net::HTTP"),
            ("SomeLater", "x"),
        ];
        for (name, value) in times {
            assert_eq!(of(&serialized(name, &json!(value))), json!(value));
        }
        let mut zoned = serialized("TimeWithZone", &json!("2026-01-02T09:00:00.000000000+09:00"));
        zoned["time_zone"] = json!("Asia/Seoul");
        assert_eq!(of(&zoned), json!("2026-01-02T09:00:00.000000000+09:00"));
        let mut duration = serialized("Duration", &json!(5400));
        duration["parts"] = json!([[serialized("Symbol", &json!("minutes")), 90]]);
        assert_eq!(of(&duration), json!(5400));
    }

    #[test]
    fn a_range_keeps_its_ends_whatever_they_are() {
        let range = |begin: Value, end: Value| json!({"_aj_serialized": "ActiveJob::Serializers::RangeSerializer", "begin": begin, "end": end, "exclude_end": false});
        assert_eq!(of(&range(json!(1), json!(3))), json!({"begin": 1, "end": 3, "exclude_end": false}));
        let dates = range(serialized("Date", &json!("2026-01-02")), json!(null));
        assert_eq!(of(&dates), json!({"begin": "2026-01-02", "end": null, "exclude_end": false}));
    }

    #[test]
    fn an_applications_own_serializer_loses_nothing() {
        let money = json!({"_aj_serialized": "MoneySerializer", "value": 5, "currency": {"code": "EUR", "_aj_symbol_keys": []}});
        assert_eq!(of(&money), json!({"value": 5, "currency": {"code": "EUR"}}));
        assert_eq!(of(&json!({"_aj_serialized": "PhoneSerializer", "value": "+82"})), json!("+82"));
        assert_eq!(of(&json!({"_aj_serialized": "ActiveJob::Serializers::OddSerializer", "at": 1})), json!({"at": 1}));
        assert_eq!(of(&json!({"_aj_serialized": 7, "value": 1})), json!({"value": 1}));
    }

    #[test]
    fn what_is_not_marked_stays_the_text_it_was() {
        let big = "9".repeat(400);
        let text =
            format!(r#"[ {big}, 1.10, 1e400, {{"d": {{"_aj_serialized":"ActiveJob::Serializers::X","value":0.10}}}}]"#);
        assert_eq!(plain(&text).unwrap().unwrap(), format!(r#"[{big},1.10,1e400,{{"d":0.10}}]"#));
        assert_eq!(plain(r#"[ 1 , {"a" : 1}]"#).unwrap(), None);
        assert_eq!(plain(r#"{"\u005faj_symbol_keys":[],"a":1}"#).unwrap().unwrap(), r#"{"a":1}"#);
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{}\"_aj_\"{}", "[".repeat(depth), "]".repeat(depth));
        assert!(plain(&nested(DEEPEST)).is_ok());
        assert!(plain(&nested(DEEPEST + 1)).is_err());
        assert!(plain(&nested(1_000_000)).is_err());
    }

    fn has_a_marker(value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(has_a_marker),
            Value::Object(map) => {
                map.iter().any(|(key, value)| RESERVED.contains(&key.as_str()) || has_a_marker(value))
            }
            _ => false,
        }
    }

    /// JSON in which markers stand wherever a key may stand.
    fn values(keys: &'static str) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            "ActiveJob::Serializers::(Symbol|Range)Serializer".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((keys, inner), 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_marker_is_left_over(value in values("_aj_(globalid|serialized|symbol_keys|ruby2_keywords|hash_with_indifferent_access)|value|[a-c]")) {
            prop_assert!(!has_a_marker(&of(&value)));
        }

        #[test]
        fn what_has_no_marker_is_not_changed(value in values("_aj_[a-z]?|.*")) {
            prop_assume!(!has_a_marker(&value));
            // By text: serde_json's own reading of a float may be off by its last digit.
            let text = value.to_string();
            prop_assert_eq!(plain(&text).unwrap().unwrap_or_else(|| text.clone()), text);
        }

        #[test]
        fn no_text_is_too_odd(text in "[\\[\\]{}\",:0-9a-z_ ]*_aj_.*") {
            let _ = plain(&text);
        }
    }
}
