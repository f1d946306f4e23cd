//! What other systems are told about the miner, and what they may say to it: metrics as Prometheus
//! reads them, MQTT messages with Home Assistant discovery, webhook requests, mDNS records. State and
//! events go in; texts and messages come out. It opens nothing and reads no clock.
#![forbid(unsafe_code)]

#[cfg(test)]
mod example;
pub mod mdns;
pub mod metrics;
pub mod mqtt;
mod time;
mod tuned;
pub mod webhook;
