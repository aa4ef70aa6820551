/// A piece of blocking work: file I/O, a catalog transaction.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// Runs blocking jobs off the request threads. Several may run at once and in any order.
pub trait Pool: Send + Sync + 'static {
    /// Queues `job`.
    fn spawn(&self, job: Job);

    /// Whether other jobs wait for a thread: a job that could go on for long then queues the rest of itself anew.
    fn has_waiting(&self) -> bool;
}

impl dyn Pool {
    /// Runs `work` on the pool and resolves to what it returns, or to `None` if the pool dropped it (at shutdown).
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send + 'static {
        let (done, result) = tokio::sync::oneshot::channel();
        self.spawn(Box::new(move || {
            // The receiver is gone when the request was dropped; the work is done all the same.
            drop(done.send(work()));
        }));
        async move { result.await.ok() }
    }
}
