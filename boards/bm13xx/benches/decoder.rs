//! Throughput of the decoder.
fn main() {}
