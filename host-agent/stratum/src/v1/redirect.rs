//! Where a pool may send its miners with `client.reconnect`: to itself and to its own sister
//! hosts, never to a stranger. Plain TCP lets anyone on the way say "reconnect".

use std::net::IpAddr;

use crate::url::is_host_name;

/// Whether a miner that its owner pointed at `configured` may follow to `wanted`.
///
/// The same host may, and one that differs in its first label only (`eu.pool.example` and
/// `us.pool.example`), provided that what they share is more than a public suffix.
pub(crate) fn may_follow(configured: &str, wanted: &str) -> bool {
    let configured = normal(configured);
    let wanted = normal(wanted);
    if configured == wanted {
        return true;
    }
    // The tails of addresses say nothing about who owns them.
    if configured.parse::<IpAddr>().is_ok() || !is_host_name(&wanted) {
        return false;
    }
    match (configured.split_once('.'), wanted.split_once('.')) {
        (Some((_, ours)), Some((first, theirs))) => {
            !first.is_empty() && ours == theirs && is_owned(ours)
        }
        _ => false,
    }
}

fn normal(host: &str) -> String {
    host.trim().trim_end_matches('.').to_ascii_lowercase()
}

/// Labels that registries put under a country's domain.
const REGISTRY_LABELS: [&str; 9] = ["ac", "co", "com", "edu", "go", "gov", "ne", "net", "org"];

/// Whether a domain belongs to someone: at least two labels, three under `co.uk` and the like.
fn is_owned(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    match labels.as_slice() {
        [second, country] => !(country.len() == 2 && REGISTRY_LABELS.contains(second)),
        labels => labels.len() > 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sister_hosts_may_be_followed() {
        assert!(may_follow("eu.pool.example", "us.pool.example"));
        assert!(may_follow("eu.pool.example", "EU.Pool.Example."));
        assert!(may_follow("eu.pool.co.uk", "us.pool.co.uk"));
        assert!(may_follow("10.0.0.5", "10.0.0.5"));
        assert!(may_follow("pool", "pool"));
    }

    #[test]
    fn strangers_are_never_followed() {
        for (configured, wanted) in [
            ("eu.pool.example", "eu.evil.example"),
            ("eu.pool.example", "pool.example"),
            ("pool.example", "evil.example"),
            ("pool.co.uk", "evil.co.uk"),
            ("10.0.0.5", "11.0.0.5"),
            ("10.0.0.5", "evil.0.0.5"),
            ("eu.pool.example", "127.0.0.1"),
            ("eu.pool.example", ".pool.example"),
            ("eu.pool.example", "a b.pool.example"),
            ("pool", "evil"),
            ("::1", "::2"),
        ] {
            assert!(!may_follow(configured, wanted), "{configured} -> {wanted}");
        }
    }
}
