//! The API as an OpenRPC 1.3 document, made from the table of methods and the schemas of its types.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::error::MEANINGS;
use crate::method::{Descriptor, TABLE};

/// Version of the API: the first number rises when something is taken away or means something else.
pub const API_VERSION: &str = "1.0.0";

/// The document that `rpc.discover` answers with.
#[must_use]
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(generate);
    &DOCUMENT
}

fn generate() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let methods: Vec<Value> = TABLE
        .iter()
        .map(|method| described(method, &mut generator))
        .collect();
    let schemas = used(&methods, generator.take_definitions(true));
    let errors: Map<String, Value> = MEANINGS
        .iter()
        .map(|known| {
            let error = json!({"code": known.code, "message": known.message});
            (key(known.code), error)
        })
        .collect();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Hashwright",
            "version": API_VERSION,
            "description": "What a Hashwright miner tells and takes over JSON-RPC 2.0.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{
            "name": "the agent",
            "url": "http://127.0.0.1:4029/rpc",
            "summary": "HTTP POST; also a WebSocket, which subscriptions need",
        }],
        "methods": methods,
        "components": {"schemas": schemas, "errors": errors},
    })
}

fn described(method: &Descriptor, generator: &mut schemars::SchemaGenerator) -> Value {
    let params = (method.params)(generator);
    let params = resolved(params.to_value(), generator);
    let result = (method.reply)(generator).to_value();
    let codes = crate::error::GENERAL.iter().chain(method.errors);
    let errors: Vec<Value> = codes
        .map(|code| json!({"$ref": format!("#/components/errors/{}", key(*code))}))
        .collect();
    let mut described = json!({
        "name": method.name,
        "summary": method.summary,
        "tags": [{"name": method.name.split('.').next().unwrap_or_default()}],
        "paramStructure": "by-name",
        "params": descriptors(&params),
        "result": {"name": "result", "schema": result},
        "errors": errors,
        "x-role": method.role,
        "x-kind": format!("{:?}", method.kind).to_lowercase(),
    });
    if let Some(news) = method.news {
        let schema = (news.schema)(generator).to_value();
        described["x-notification"] = json!({
            "name": news.name, "unsubscribe": news.unsubscribe, "result": schema,
        });
    }
    described
}

/// The schemas that methods lead to. Those of parameters as a whole are not among them: their fields are
/// described one by one.
fn used(methods: &[Value], mut schemas: Map<String, Value>) -> Map<String, Value> {
    let mut used = Map::new();
    let mut texts: Vec<String> = methods.iter().map(Value::to_string).collect();
    while let Some(text) = texts.pop() {
        for piece in text.split("#/components/schemas/").skip(1) {
            let name = piece.split('"').next().unwrap_or_default();
            if let Some((name, schema)) = schemas.remove_entry(name) {
                texts.push(schema.to_string());
                used.insert(name, schema);
            }
        }
    }
    used
}

/// A schema itself in place of a reference to it.
fn resolved(schema: Value, generator: &schemars::SchemaGenerator) -> Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next());
    match name.and_then(|name| generator.definitions().get(name)) {
        Some(definition) => definition.clone(),
        None => schema,
    }
}

/// The fields of an object as OpenRPC describes parameters.
fn descriptors(schema: &Value) -> Vec<Value> {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let described = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let about = schema
            .as_object_mut()
            .and_then(|schema| schema.remove("description"));
        json!({
            "name": name,
            "description": about.unwrap_or_default(),
            "required": required.contains(&name.as_str()),
            "schema": schema,
        })
    };
    let mut descriptors: Vec<_> = properties.iter().map(described).collect();
    // Those that are needed come first.
    descriptors.sort_by_key(|descriptor| descriptor["required"] == false);
    descriptors
}

fn key(code: i32) -> String {
    format!("E{}", code.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, root: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(path)) = fields.get("$ref") {
                        let path = path.strip_prefix('#').expect(path);
                        assert!(root.pointer(path).is_some(), "{path}");
                    }
                    fields.values().for_each(|value| walk(value, root));
                }
                Value::Array(list) => list.iter().for_each(|value| walk(value, root)),
                _ => {}
            }
        }
        walk(document(), document());
    }

    #[test]
    fn every_method_tells_role_and_parameters() {
        let methods = document()["methods"].as_array().unwrap();
        assert_eq!(methods.len(), TABLE.len());
        let find = |name: &str| methods.iter().find(|m| m["name"] == name).unwrap();
        assert_eq!(find("board.set")["x-role"], "tune");
        assert_eq!(find("auth.info")["x-role"], Value::Null);
        let names: Vec<_> = find("board.set")["params"]
            .as_array()
            .unwrap()
            .iter()
            .map(|param| param["name"].as_str().unwrap())
            .collect();
        assert_eq!(names[0], "board");
        assert!(
            names.contains(&"dry_run") && names.contains(&"voltage_mv"),
            "{names:?}"
        );
    }
}
