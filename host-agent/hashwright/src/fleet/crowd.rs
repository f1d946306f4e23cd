//! Doing the same with many machines: so many at once and no more, each with its own time, and results in
//! the order of the machines.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Runs `work` for every item, at most `at_once` at a time, and tells `progress` how many of how many are
/// done. Work that panics gives no result.
pub async fn each<T, R, W, F>(
    items: Vec<T>,
    at_once: usize,
    work: W,
    mut progress: impl FnMut(usize, usize),
) -> Vec<R>
where
    T: Send + 'static,
    R: Send + 'static,
    W: Fn(T) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let all = items.len();
    let permits = Arc::new(Semaphore::new(at_once.max(1)));
    let mut tasks = JoinSet::new();
    for (index, item) in items.into_iter().enumerate() {
        let (permits, work) = (Arc::clone(&permits), work.clone());
        tasks.spawn(async move {
            // Never closed, so a permit always comes.
            let _permit = permits.acquire().await;
            (index, work(item).await)
        });
    }
    let mut results = Vec::with_capacity(all);
    let mut done = 0;
    while let Some(result) = tasks.join_next().await {
        done += 1;
        results.extend(result.ok());
        progress(done, all);
    }
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn results_come_in_order_and_few_run_at_once() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let work = |item: u64| async move {
            let now = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
            MOST.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100 - item)).await;
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            item * 2
        };
        let mut told = Vec::new();
        let results = each((0..10).collect(), 3, work, |done, all| {
            told.push((done, all))
        })
        .await;
        assert_eq!(results, (0..10).map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(MOST.load(Ordering::SeqCst), 3);
        assert_eq!(told.last(), Some(&(10, 10)));
    }

    #[tokio::test]
    async fn nothing_to_do_is_done() {
        let results = each(Vec::<u8>::new(), 0, |item| async move { item }, |_, _| {}).await;
        assert_eq!(results, [0; 0]);
    }
}
