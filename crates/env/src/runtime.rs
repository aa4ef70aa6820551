//! Task spawning and timers for code that runs on a tokio runtime (the server and the binary; domain code spawns nothing
//! and waits through [`Timer`]).
#![allow(clippy::disallowed_methods)] // the one place where they are wrapped

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::Timer;

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

/// The timer of the runtime that polls.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeTimer;

impl Timer for RuntimeTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(sleep(duration))
    }
}
