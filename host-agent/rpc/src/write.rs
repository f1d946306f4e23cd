//! Parameters of a change: what is wanted and [`WriteOptions`], side by side in one object.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::settings::WriteOptions;

/// A wish with the options that every change has. In JSON both are one flat object; by position only the
/// wish can be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Write<P> {
    /// What is wanted.
    #[serde(flatten)]
    pub what: P,
    /// How it is to be done.
    #[serde(flatten)]
    pub how: WriteOptions,
}

impl<P> From<P> for Write<P> {
    /// Done at once, and saved where there is a config file.
    fn from(what: P) -> Self {
        let how = WriteOptions::default();
        Self { what, how }
    }
}

/// Names of the options.
const OPTIONS: [&str; 3] = ["dry_run", "confirm_within_s", "save"];

/// By hand, because serde cannot refuse unknown fields in flattened structs.
impl<'de, P: DeserializeOwned> Deserialize<'de> for Write<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut options = Map::new();
        let mut rest = Value::deserialize(deserializer)?;
        if let Value::Object(fields) = &mut rest {
            for name in OPTIONS {
                if let Some(value) = fields.remove(name) {
                    options.insert(name.to_owned(), value);
                }
            }
        }
        Ok(Self {
            what: serde_json::from_value(rest).map_err(D::Error::custom)?,
            how: serde_json::from_value(options.into()).map_err(D::Error::custom)?,
        })
    }
}

impl<P: JsonSchema> JsonSchema for Write<P> {
    fn schema_name() -> Cow<'static, str> {
        format!("Write_{}", P::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = P::json_schema(generator);
        let options = WriteOptions::json_schema(generator);
        let mut properties = match schema.get("properties") {
            Some(Value::Object(properties)) => properties.clone(),
            _ => Map::new(),
        };
        if let Some(Value::Object(options)) = options.get("properties") {
            properties.extend(options.clone());
        }
        schema.insert("properties".to_owned(), properties.into());
        schema
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::NoParams;
    use crate::settings::{BoardSet, CoolingSet};

    fn read<P: DeserializeOwned>(value: Value) -> Result<Write<P>, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn wish_and_options_share_an_object() {
        let write: Write<BoardSet> =
            read(json!({"board": 1, "voltage_mv": 1100, "dry_run": true, "save": false})).unwrap();
        assert_eq!((write.what.board, write.what.voltage_mv), (1, Some(1100)));
        assert_eq!((write.how.dry_run, write.how.save), (true, Some(false)));
        let back = serde_json::to_value(&write).unwrap();
        assert_eq!(
            back,
            json!({"board": 1, "voltage_mv": 1100, "dry_run": true, "save": false})
        );
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(
            read::<NoParams>(json!({"dryrun": true}))
                .unwrap_err()
                .contains("dryrun")
        );
        assert!(
            read::<CoolingSet>(json!({"fan": 1, "dry_run": true}))
                .unwrap_err()
                .contains("fan")
        );
        assert!(read::<NoParams>(json!({"dry_run": 1})).is_err());
    }

    #[test]
    fn a_wish_can_be_given_by_position() {
        assert_eq!(
            read::<BoardSet>(json!([3, 500.0, null, null]))
                .unwrap()
                .what
                .board,
            3
        );
        assert!(read::<NoParams>(json!([])).is_ok());
        assert!(read::<NoParams>(json!([1])).is_err());
    }
}
