//! Percentages of the work.

use std::time::Duration;

use super::WHOLE;
use super::pool::Pool;

/// The part of each pool: its quota, and of the quotas of pools that are away as much as it has of the
/// others. Pools that have not proved themselves get something only if nobody else has work, and those
/// that were taken out of the list only after them.
pub(super) fn weights(quotas: &[u32], pools: &[Pool], now: Duration) -> Vec<u32> {
    let listed = |pool: &Pool| pool.has_work() && !pool.is_retired();
    let trusted = |pool: &Pool| listed(pool) && pool.is_trusted();
    let any = pools.iter().any(trusted);
    let takes = |pool: &Pool| trusted(pool) || (!any && listed(pool));
    // Those that were taken out come last and have no quota.
    let quotas = quotas.iter().copied().chain(std::iter::repeat(0));
    let parts = quotas.zip(pools);
    let mut parts: Vec<_> = parts
        .map(|(quota, pool)| if takes(pool) { quota } else { 0 })
        .collect();
    if parts.iter().all(|part| *part == 0) {
        let leaves = |pool: &Pool| pool.is_retired() && pool.may_work(now);
        parts = pools.iter().map(|pool| leaves(pool).into()).collect();
    }
    split(&parts)
}

/// Splits the whole in proportion; what cannot be split goes to those who miss most.
fn split(parts: &[u32]) -> Vec<u32> {
    let sum: u64 = parts.iter().copied().map(u64::from).sum();
    if sum == 0 {
        return vec![0; parts.len()];
    }
    let scaled = |part: &u32| u64::from(*part) * u64::from(WHOLE);
    // A quotient is at most the whole.
    let mut weights: Vec<_> = parts
        .iter()
        .map(|part| (scaled(part) / sum) as u32)
        .collect();
    let mut order: Vec<_> = (0..parts.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(scaled(&parts[*index]) % sum));
    let missing = WHOLE.saturating_sub(weights.iter().sum());
    for index in order.into_iter().take(missing as usize) {
        weights[index] += 1;
    }
    weights
}
