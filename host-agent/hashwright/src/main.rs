//! The `hashwright` program.
fn main() {}
