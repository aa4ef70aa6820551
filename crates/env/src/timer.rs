use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Lets a future wait. For what must happen although no event comes: a heartbeat, tokens that refill. Whoever waits for
/// something that announces itself waits for that.
pub trait Timer: Send + Sync + 'static {
    /// Ready once `duration` of monotonic time has passed. The real one must be polled on a runtime.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
