//! The page for people who describe a board: its example is a profile, and it names every key.

use std::collections::BTreeSet;
use std::path::Path;

use board_profiles::Profile;
use toml::Value;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/porting.md");
    std::fs::read_to_string(path).unwrap()
}

/// The example: all blocks of TOML, in order.
fn example(page: &str) -> String {
    let blocks = page.split("```toml\n").skip(1);
    let blocks: Vec<&str> = blocks
        .map(|block| block.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() > 5, "{}", blocks.len());
    blocks.join("\n")
}

#[test]
fn the_example_is_a_profile() {
    let profile = Profile::parse("docs/porting.md", &example(&page()));
    let profile = profile.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(profile.chain.chips, 2);
    assert!(profile.simulation.physics.is_some());
}

fn keys(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                into.insert(key.clone());
                keys(value, into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

#[test]
fn the_page_names_every_key_that_a_profile_uses() {
    let mut used = BTreeSet::new();
    for name in Profile::names() {
        let path = format!("{}/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let table: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let mut table = Value::Table(table);
        // Names of buses are free.
        for place in ["bridge", "linux"] {
            if let Some(place) = table.get_mut(place) {
                place.as_table_mut().unwrap().remove("i2c");
            }
        }
        keys(&table, &mut used);
    }
    assert!(used.len() > 100, "{}", used.len());
    let page = page();
    let words: BTreeSet<&str> = page
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let missing: Vec<_> = used
        .iter()
        .filter(|key| !words.contains(key.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/porting.md lacks {missing:?}");
}
