//! Schemas of the values that are written as text.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::rules::{matches, rule};
use crate::text::{Duration, KeyExpression, Memory, QueueName, QueueSelector, QueueSelectors};

/// What a queue's name is made of, after its first character: any but commas, `*` and control characters.
const IN_QUEUE: &str = r"[^,*\x00-\x1f\x7f-\x{9f}]*";
/// Its first character: no `!` besides, nor a space.
const FIRST_IN_QUEUE: &str = r"[^\s!,*\x00-\x1f\x7f-\x{9f}]";

/// Inlined wherever it is used, as everything in a CustomResourceDefinition is.
macro_rules! schema_of_text {
    ($type:ty, $generator:ident => $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

// The rule comes with the bounds of each field: `rules::duration`.
schema_of_text!(Duration, _generator => json_schema!({"type": "string"}));

schema_of_text!(Memory, _generator => {
    let mut schema = json_schema!({"type": "string", "maxLength": 40});
    rule(
        r"self.matches('^\\s*[0-9]+([.][0-9]{1,9})?(Ki|Mi|Gi|Ti|k|M|G|T)?\\s*$') && quantity(self.trim()).compareTo(quantity('1Mi')) >= 0",
        "must be an amount of memory of at least 1Mi, such as 512Mi or 1.5Gi",
    )(&mut schema);
    schema
});

schema_of_text!(QueueName, _generator => {
    let mut schema = json_schema!({"type": "string"});
    let message = "must be the name of a queue: not empty, no `!` in front, no comma, no `*`";
    matches(&format!(r"^\s*{FIRST_IN_QUEUE}{IN_QUEUE}$"), 255, message)(&mut schema);
    schema
});

schema_of_text!(QueueSelector, _generator => {
    let mut schema = json_schema!({"type": "string"});
    let message = "must be a queue (mail), a prefix (mail*), every queue (*), or one of the first two to leave out (!mail)";
    matches(&format!(r"^\s*([*]|(!\s*)?{FIRST_IN_QUEUE}{IN_QUEUE}[*]?)\s*$"), 258, message)(&mut schema);
    schema
});

schema_of_text!(QueueSelectors, generator => {
    let item = generator.subschema_for::<QueueSelector>();
    let mut schema = json_schema!({"type": "array", "minItems": 1, "maxItems": QueueSelectors::MAX, "items": item});
    rule("self.exists(queue, !queue.trim().startsWith('!'))", "only excludes queues: put \"*\" in front to work on all the others")(&mut schema);
    schema
});

schema_of_text!(KeyExpression, _generator => {
    let mut schema = json_schema!({"type": "string"});
    const INDEX: &str = r"\[0*[0-9]{1,3}\]";
    let part = format!(r"('[^'\x00-\x1f\x7f-\x{{9f}}]+'|\s*args{INDEX}([.][\pL\pN_-]+|{INDEX})*\s*)");
    matches(
        &format!(r"^{part}(/{part})*$"),
        255,
        "must name arguments and constants, joined by `/`: args[0], args[0].account_id, 'eu'/args[1]",
    )(&mut schema);
    schema
});
