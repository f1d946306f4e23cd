//! `docs/rpc.md`: an introduction by hand, and a section for each method and each type from the table, the
//! schemas and the examples. A test keeps the file in step.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::error::{GENERAL, MEANINGS};
use crate::method::{Descriptor, Kind, TABLE};
use crate::openrpc;

/// Width at which an example is broken into lines.
const WIDTH: usize = 118;

/// Parameters of every change, which are told once for all.
const OPTIONS: [&str; 3] = ["dry_run", "confirm_within_s", "save"];

/// An example of a method: its parameters, a reply, and for a subscription its first messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The parameters; null if it takes none.
    pub params: Value,
    /// What it answers.
    pub result: Value,
    /// What a subscription sends.
    pub news: Vec<Value>,
}

/// The example of a method.
#[must_use]
pub fn example(method: &str) -> Option<Example> {
    let all: Value = serde_json::from_str(include_str!("../doc/examples.json")).ok()?;
    let example = all.get(method)?;
    Some(Example {
        params: example["params"].clone(),
        result: example["result"].clone(),
        news: example["news"].as_array().cloned().unwrap_or_default(),
    })
}

/// The whole page.
#[must_use]
pub fn page() -> String {
    let document = openrpc::document();
    let mut page = include_str!("../doc/intro.md").to_owned();
    // Writing to a text cannot fail.
    let _ = errors(&mut page)
        .and_then(|()| overview(&mut page))
        .and_then(|()| {
            let described = document["methods"].as_array().into_iter().flatten();
            TABLE
                .iter()
                .zip(described)
                .try_for_each(|(method, described)| section(&mut page, method, described))
        })
        .and_then(|()| types(&mut page, document));
    page.replace("\n\n\n", "\n\n")
}

fn errors(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "## Errors\n\n| code | message | when |\n|---|---|---|"
    )?;
    for known in MEANINGS {
        let (code, message, meaning) = (known.code, known.message, known.meaning);
        writeln!(page, "| {code} | {message} | {meaning} |")?;
    }
    let example = json!({
        "jsonrpc": "2.0", "id": 1,
        "error": {"code": -32602, "message": "Invalid params", "data": "no board 7; the boards are [0]"},
    });
    writeln!(
        page,
        "\n`data` is a text for people, or an object with a `text` and values for programs.\n\n{}",
        block(&example)
    )
}

fn overview(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "## Methods\n\n\
         Rates are in hashes per second, `sigma_hps` is one standard deviation of the estimate. A name that ends in `_s` is seconds, `_ms` \
         milliseconds, `_mhz`, `_mv`, `_c`, `_w` megahertz, millivolts, degrees Celsius and watts, `_percent` percent. New fields may be added at any \
         time. Parameters are given by name, as an object.\n\n\
         | method | role | what it does |\n|---|---|---|"
    )?;
    for method in TABLE {
        let anchor = anchor(method.name);
        let (name, role, summary) = (method.name, role(method), method.summary);
        writeln!(page, "| [`{name}`](#{anchor}) | {role} | {summary} |")?;
    }
    Ok(())
}

fn section(page: &mut String, method: &Descriptor, described: &Value) -> std::fmt::Result {
    writeln!(page, "\n### `{}`\n\n{}", method.name, method.summary)?;
    let transport = match (method.kind, method.name) {
        (Kind::Subscribe, _) => " WebSocket only.",
        (_, "auth.login") => {
            " WebSocket only: a POST carries its token in the `Authorization` header."
        }
        _ => "",
    };
    let particular = method.errors.iter().filter(|code| !GENERAL.contains(code));
    let codes: Vec<_> = particular.map(i32::to_string).collect();
    let errors = match codes.as_slice() {
        [] => String::new(),
        [one] => format!(" Particular error: {one}."),
        many => format!(" Particular errors: {}.", many.join(", ")),
    };
    writeln!(page, "\nRole: {}.{transport}{errors}", role(method))?;
    let all = described["params"].as_array().map_or(&[][..], |all| all);
    let is_change = all.iter().any(|param| param["name"] == "dry_run");
    let own: Vec<_> = all
        .iter()
        .filter(|param| {
            !is_change
                || param["name"]
                    .as_str()
                    .is_none_or(|name| !OPTIONS.contains(&name))
        })
        .collect();
    if own.is_empty() {
        let beside = if is_change { " of its own" } else { "" };
        writeln!(page, "\nNo parameters{beside}.")?;
    } else {
        writeln!(page, "\n| parameter | type | meaning |\n|---|---|---|")?;
        for param in own {
            let needed = if param["required"] == true {
                ", needed"
            } else {
                ""
            };
            let name = param["name"].as_str().unwrap_or_default();
            let about = plain(&param["description"]);
            let mut schema = param["schema"].clone();
            if param["required"] != true {
                without_null(&mut schema);
            }
            writeln!(page, "| `{name}` | {}{needed} | {about} |", kind(&schema))?;
        }
    }
    if is_change {
        writeln!(page, "\nAnd the options of [every change](#changes).")?;
    }
    if let Some(example) = example(method.name) {
        let mut call = json!({"jsonrpc": "2.0", "id": 1, "method": method.name});
        if !example.params.is_null() {
            call["params"] = example.params;
        }
        writeln!(page, "\n{}", block(&call))?;
        writeln!(page, "Reply: {}.", kind(&described["result"]["schema"]))?;
        if !example.result.is_null() {
            let reply = json!({"jsonrpc": "2.0", "id": 1, "result": example.result});
            writeln!(page, "\n{}", block(&reply))?;
        }
        if let Some(news) = method.news {
            let schema = &described["x-notification"]["result"];
            writeln!(
                page,
                "Notifications are named `{}` and carry {}. `{}` ends them.\n",
                news.name,
                kind(schema),
                news.unsubscribe
            )?;
            for result in example.news {
                let params = json!({"subscription": example.result, "result": result});
                let news = json!({"jsonrpc": "2.0", "method": news.name, "params": params});
                writeln!(page, "{}", block(&news))?;
            }
        }
    }
    if let Some(prose) = prose(method.name) {
        writeln!(page, "{}", prose.trim())?;
    }
    Ok(())
}

/// What is to be said of a method beyond its types.
fn prose(method: &str) -> Option<&'static str> {
    macro_rules! prose {
        ($($name:literal)*) => {
            match method {
                $($name => Some(include_str!(concat!("../doc/methods/", $name, ".md"))),)*
                _ => None,
            }
        };
    }
    prose! {
        "board.list" "event.list" "miner.status" "pool.list" "station.list" "telemetry.subscribe"
    }
}

fn types(page: &mut String, document: &Value) -> std::fmt::Result {
    writeln!(page, "\n## Types")?;
    let empty = Map::new();
    let schemas = document["components"]["schemas"]
        .as_object()
        .unwrap_or(&empty);
    for (name, schema) in schemas {
        writeln!(page, "\n### {name}\n\n{}", plain(&schema["description"]))?;
        if let Some(fields) = schema["properties"].as_object() {
            writeln!(page, "\n| field | type | meaning |\n|---|---|---|")?;
            for (field, schema) in fields {
                let about = plain(&schema["description"]);
                writeln!(page, "| `{field}` | {} | {about} |", kind(schema))?;
            }
        }
        let variants = ["oneOf", "anyOf"]
            .iter()
            .find_map(|key| schema[*key].as_array());
        if let Some(variants) = variants {
            writeln!(page, "\n| value | meaning |\n|---|---|")?;
            for variant in variants {
                let about = plain(&variant["description"]);
                writeln!(page, "| {} | {about} |", kind(variant))?;
            }
        }
    }
    Ok(())
}

fn role(method: &Descriptor) -> String {
    let role = method.role.map(|role| format!("`{role}`"));
    role.unwrap_or_else(|| "anybody".to_owned())
}

/// A schema in words.
fn kind(schema: &Value) -> String {
    if let Some(path) = schema["$ref"].as_str() {
        let name = path.rsplit('/').next().unwrap_or_default();
        return format!("[`{name}`](#{})", anchor(name));
    }
    if let Some(value) = schema.get("const").filter(|value| !value.is_null()) {
        return format!("`{value}`");
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(choices) = schema[key].as_array() {
            let choices: Vec<_> = choices.iter().map(kind).collect();
            return choices.join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        return values.join(" or ");
    }
    let one = |name: &str| match name {
        "array" => match &schema["items"] {
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(kind).collect();
                format!("list of {}", items.join(" and "))
            }
            items => match kind(items) {
                several if several.contains(" or ") => format!("list of ({several})"),
                one => format!("list of {one}"),
            },
        },
        "object" if schema["properties"].is_object() => {
            let names = schema["properties"].as_object().into_iter().flatten();
            let fields: Vec<_> = names
                .map(|(name, schema)| format!("`{name}`: {}", kind(schema)))
                .collect();
            format!("object with {}", fields.join(", "))
        }
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        other => other.to_owned(),
    };
    match &schema["type"] {
        Value::String(name) => one(name),
        Value::Array(names) => {
            let names: Vec<_> = names.iter().filter_map(Value::as_str).map(one).collect();
            names.join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

/// What is not needed is left out rather than null.
fn without_null(schema: &mut Value) {
    let is_null = |value: &Value| value == "null" || value["type"] == "null";
    for key in ["type", "anyOf"] {
        if let Some(choices) = schema[key].as_array_mut() {
            choices.retain(|choice| !is_null(choice));
        }
    }
}

/// The text of a description on one line, as a cell of a table takes it.
fn plain(description: &Value) -> String {
    let text = description.as_str().unwrap_or_default();
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// As renderers of Markdown make it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn block(value: &Value) -> String {
    format!("```json\n{}\n```\n", pretty(value, 0))
}

/// JSON in as few lines as fit.
fn pretty(value: &Value, indent: usize) -> String {
    let line = one_line(value);
    if line.chars().count() + indent <= WIDTH {
        return line;
    }
    let pad = " ".repeat(indent + 2);
    let (open, items, close) = match value {
        Value::Array(list) => {
            let items = list.iter().map(|item| pretty(item, indent + 2));
            ('[', items.collect::<Vec<_>>(), ']')
        }
        Value::Object(fields) => {
            let items = in_order(fields)
                .into_iter()
                .map(|(name, item)| format!("{}: {}", json!(name), pretty(item, indent + 2)));
            ('{', items.collect(), '}')
        }
        _ => return line,
    };
    let items = items.join(&format!(",\n{pad}"));
    format!("{open}\n{pad}{items}\n{}{close}", " ".repeat(indent))
}

/// The fields with those first that say what it is.
fn in_order(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    const FIRST: [&str; 14] = [
        "jsonrpc",
        "id",
        "method",
        "params",
        "subscription",
        "index",
        "number",
        "name",
        "path",
        "from",
        "to",
        "code",
        "message",
        "text",
    ];
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| {
        let place = FIRST.iter().position(|first| first == name);
        place.unwrap_or(FIRST.len())
    });
    fields
}

fn one_line(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let items: Vec<_> = list.iter().map(one_line).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let items = in_order(fields)
                .into_iter()
                .map(|(name, item)| format!("{}: {}", json!(name), one_line(item)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
