//! Task spawning and timers for code that runs on a tokio runtime (the server and the binary; domain code has neither).
#![allow(clippy::disallowed_methods)] // the one place where they are wrapped

use std::future::Future;
use std::time::Duration;

/// Runs `task` on the current runtime, detached.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::task::spawn(task));
}

/// Waits for `duration`.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep_until(tokio::time::Instant::now() + duration).await;
}

/// The result of `work`, or `None` if it takes longer than `limit`.
pub async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}
