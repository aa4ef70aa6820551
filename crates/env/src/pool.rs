/// A piece of blocking work: file I/O, a catalog transaction.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// Runs blocking jobs off the request threads. Several may run at once and in any order.
pub trait Pool: Send + Sync + 'static {
    /// Queues a job that somebody waits for.
    fn spawn(&self, job: Job);

    /// Queues upkeep: a job that nobody waits for, and that may take long. Few of these run at once, apart from the others,
    /// so that commits and reads never queue behind them.
    fn spawn_background(&self, job: Job);

    /// Whether other jobs that somebody waits for have no thread: one that could go on for long then queues the rest of
    /// itself anew.
    fn has_waiting(&self) -> bool;

    /// Runs `work` on the calling thread when it has done all that is ready to be done: at the end of its turn, if it is
    /// a request thread (see [`crate::runtime::Turns`]), else at once. For what is better done once for many requests.
    fn at_turn_end(&self, work: Job) {
        work();
    }
}

impl dyn Pool {
    /// Runs `work` on the pool and resolves to what it returns, or to `None` if the pool dropped it (at shutdown).
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send + 'static {
        let (job, ended) = job_of(work);
        self.spawn(job);
        ended
    }

    /// The same for upkeep: behind what others wait for, and it may take long.
    pub fn run_in_background<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send + 'static {
        let (job, ended) = job_of(work);
        self.spawn_background(job);
        ended
    }
}

/// A job, and what resolves when it has ended.
fn job_of<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> (Job, impl Future<Output = Option<T>> + Send + 'static) {
    let (done, result) = tokio::sync::oneshot::channel();
    let job = Box::new(move || {
        // The receiver is gone when the request was dropped; the work is done all the same.
        drop(done.send(work()));
    });
    (job, async move { result.await.ok() })
}
