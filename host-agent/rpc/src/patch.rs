//! JSON patches (RFC 6902) between states, as telemetry carries them: `add`, `remove` and `replace` only.

use json_patch::Patch;
use serde_json::Value;

/// Not a patch, or not one for this state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the change does not fit the state so far ({0}); subscribe again")]
pub struct Misfit(String);

/// What makes `to` of `from`; empty if they are equal.
#[must_use]
pub fn diff(from: &Value, to: &Value) -> Vec<Value> {
    let operations = json_patch::diff(from, to).0;
    let written = operations.iter().map(serde_json::to_value);
    // Operations are plain values with text keys, which always can be written.
    written.filter_map(Result::ok).collect()
}

/// Changes `state` by a patch. If that fails, `state` is as before.
///
/// # Errors
///
/// An operation that is none, or whose path the state does not have.
pub fn apply(state: &mut Value, changes: &[Value]) -> Result<(), Misfit> {
    let patch: Patch = serde_json::from_value(Value::Array(changes.to_vec()))
        .map_err(|error| Misfit(error.to_string()))?;
    json_patch::patch(state, &patch.0).map_err(|error| Misfit(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c~/]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a-c~/]{0,2}", inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_makes_exactly_the_new_state(from in any_json(), to in any_json()) {
            let mut state = from.clone();
            let changes = diff(&from, &to);
            for change in &changes {
                prop_assert!(["add", "remove", "replace"].contains(&change["op"].as_str().unwrap()));
            }
            apply(&mut state, &changes).unwrap();
            prop_assert_eq!(state, to);
        }
    }

    #[test]
    fn equal_states_need_no_change() {
        assert!(diff(&json!({"a": [1, 2]}), &json!({"a": [1, 2]})).is_empty());
    }

    #[test]
    fn a_patch_for_another_state_changes_nothing() {
        let mut state = json!({"a": 1});
        let changes = [
            json!({"op": "replace", "path": "/a", "value": 2}),
            json!({"op": "remove", "path": "/b"}),
        ];
        assert!(apply(&mut state, &changes).is_err());
        assert_eq!(state, json!({"a": 1}));
        assert!(apply(&mut state, &[json!("x")]).is_err());
    }
}
