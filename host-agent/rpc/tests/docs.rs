//! The documentation is what the types say, and its examples are what the types take and give.

use std::path::Path;

use rpc::docs::{self, example};
use rpc::method::TABLE;
use serde_json::json;

/// Written anew with `UPDATE_DOCS=1 cargo test -p rpc --test docs`.
#[test]
fn the_page_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rpc.md");
    let page = docs::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == page,
        "docs/rpc.md is not up to date; run with UPDATE_DOCS=1"
    );
}

#[test]
fn every_method_has_an_example_that_its_types_take() {
    for method in TABLE {
        let example =
            example(method.name).unwrap_or_else(|| panic!("no example of {}", method.name));
        let params = if example.params.is_null() {
            json!({})
        } else {
            example.params
        };
        if let Err(error) = (method.check)(params) {
            panic!("{}: {error}", method.name);
        }
        if method.name == "rpc.discover" {
            continue;
        }
        // Read and written again it is the same: nothing is missing, and nothing is there that is not.
        let same = (method.same)(example.result.clone());
        assert_eq!(same, Ok(example.result), "{}", method.name);
        assert_eq!(method.news.is_some(), !example.news.is_empty());
    }
}
