//! The JSON Schema of recipes (draft 7, what TOML editors read), made of the same tables that check recipes.
//!
//! A file may be a part of a recipe (one that others extend), so what a recipe must have is required here only where merging cannot bring it.
//! Where text of a certain form is expected, text with a `${variable}` passes.

use serde_json::{Map, Value, json};

use super::{
    sections::ROOT,
    shape::{Group, Pattern, Shape, TableShape, Word},
};

/// The schema as committed in `schema/recipe.schema.json`.
pub const SCHEMA: &str = include_str!("../../schema/recipe.schema.json");

/// Makes the schema anew.
#[must_use]
pub fn generate() -> String {
    let mut schema = table(&ROOT, true);
    schema.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("title".into(), json!("Transom recipe"));
    format!("{:#}\n", Value::Object(schema))
}

/// The schema of a shape. `partial`: merging may bring what is missing.
fn shape(shape: &Shape, partial: bool) -> Map<String, Value> {
    match shape {
        Shape::Text(None) => object(json!({ "type": "string" })),
        Shape::Text(Some(form)) => object(json!({ "type": "string", "pattern": regex(form) })),
        Shape::Path => object(json!({ "type": "string", "minLength": 1 })),
        Shape::Boolean => object(json!({ "type": "boolean" })),
        Shape::True => object(json!({ "const": true })),
        Shape::Integer { least, most, .. } => object(json!({
            "type": "integer",
            "minimum": number(*least),
            "maximum": number(*most),
        })),
        Shape::Time => object(json!({ "type": "string", "format": "date-time" })),
        Shape::Choice { words, other } => choice(words, *other),
        Shape::List { of, least, .. } => {
            let mut list = object(json!({ "type": "array", "items": self::shape(of, false) }));
            if *least > 0 {
                list.insert("minItems".into(), json!(least));
            }
            list
        }
        Shape::Table(shape) => table(shape, partial && !shape.whole),
        // The whole schema once more; what may not stand there is said when the recipe is read.
        Shape::Part(_) => object(json!({ "$ref": "#" })),
        Shape::Map(map) => object(json!({
            "type": "object",
            "description": map.about,
            "additionalProperties": self::shape(map.value, partial),
        })),
        Shape::Tree(about) => object(json!({ "type": "object", "description": about })),
        Shape::OneOf(shapes) => {
            let shapes: Vec<_> = shapes.iter().map(|one| self::shape(one, partial)).collect();
            object(json!({ "anyOf": shapes }))
        }
    }
}

fn table(table: &TableShape, partial: bool) -> Map<String, Value> {
    let mut properties = Map::new();
    for key in table.keys {
        let mut schema = shape(key.shape, partial);
        schema.insert("description".into(), json!(sentence(key.about)));
        properties.insert(key.name.into(), Value::Object(schema));
    }
    let mut schema = object(json!({
        "type": "object",
        "description": table.about,
        "properties": properties,
        "additionalProperties": false,
    }));
    let required: Vec<&str> =
        table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    if !required.is_empty() && !partial {
        schema.insert("required".into(), json!(required));
    }
    let groups: Vec<Value> = table.groups.iter().map(|one| group(one, partial)).collect();
    if !groups.is_empty() {
        schema.insert("allOf".into(), json!(groups));
    }
    schema
}

/// At most one of the keys; exactly one where that is required.
fn group(group: &Group, partial: bool) -> Value {
    if group.required && !partial {
        let one: Vec<Value> = group.keys.iter().map(|key| json!({ "required": [key] })).collect();
        return json!({ "oneOf": one });
    }
    let mut pairs = Vec::new();
    for (index, first) in group.keys.iter().enumerate() {
        for second in &group.keys[index + 1..] {
            pairs.push(json!({ "required": [first, second] }));
        }
    }
    json!({ "not": { "anyOf": pairs } })
}

fn choice(words: &[Word], other: Option<&Pattern>) -> Map<String, Value> {
    let texts: Vec<&str> = words.iter().map(|word| word.text).collect();
    let docs: Vec<String> = words.iter().map(|word| sentence(word.about)).collect();
    let pattern = other.map_or_else(|| VARIABLE.to_owned(), regex);
    object(json!({
        "anyOf": [
            { "enum": texts, "x-taplo": { "docs": { "enumValues": docs } } },
            { "type": "string", "pattern": pattern },
        ]
    }))
}

/// Matches what holds a variable.
const VARIABLE: &str = r"\$\{";

fn regex(pattern: &Pattern) -> String {
    format!("{}|{VARIABLE}", pattern.regex)
}

/// A bound; JSON numbers here are 64-bit.
fn number(bound: i128) -> Value {
    match (i64::try_from(bound), u64::try_from(bound)) {
        (Ok(bound), _) => json!(bound),
        (_, Ok(bound)) => json!(bound),
        _ => Value::Null,
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if first.is_alphabetic() => {
            format!("{}{}.", first.to_uppercase(), characters.as_str())
        }
        _ => format!("{text}."),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_what_the_check_says() {
        let schema: Value = serde_json::from_str(&generate()).unwrap();
        assert_eq!(schema["properties"]["base"]["properties"]["index"]["minimum"], json!(1));
        assert_eq!(schema["properties"]["base"].get("required"), None);
        assert_eq!(schema["properties"]["files"]["items"]["required"], json!(["to"]));
        let value = &schema["properties"]["registry"]["additionalProperties"]["anyOf"][1];
        let typed = &value["additionalProperties"]["anyOf"][3];
        assert_eq!(typed["allOf"][0]["oneOf"][0], json!({ "required": ["type"] }));
        assert!(!generate().contains("null"));
        assert!(!generate().contains("\"iso\""), "what is not in this version is not offered");
    }
}
