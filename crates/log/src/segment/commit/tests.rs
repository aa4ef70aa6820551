use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Task {
    woken: Arc<Count>,
    future: Option<Pin<Box<Committed>>>,
}

impl Task {
    fn new(outcome: &Arc<Outcome>) -> Task {
        let mut task = Task { woken: Arc::default(), future: Some(Box::pin(Committed::new(Arc::clone(outcome)))) };
        assert!(!task.poll());
        task
    }

    fn poll(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.as_mut().is_some_and(|f| f.as_mut().poll(&mut Context::from_waker(&waker)).is_ready())
    }

    fn woken(&self) -> usize {
        self.woken.0.load(Ordering::Relaxed)
    }
}

#[test]
fn one_task_is_woken_and_wakes_the_others_of_its_thread() {
    let outcome = Arc::new(Outcome::default());
    let mut tasks: Vec<Task> = (0..5).map(|_| Task::new(&outcome)).collect();
    outcome.complete(Ok(()));
    assert_eq!(tasks.iter().map(Task::woken).sum::<usize>(), 1);
    let first = tasks.iter().position(|t| t.woken() == 1).expect("one is woken");
    assert!(tasks[first].poll());
    assert!(tasks.iter().all(|t| t.woken() == 1));
    for (at, task) in tasks.iter_mut().enumerate() {
        assert!(at == first || task.poll());
    }
}

#[test]
fn nobody_waits_for_a_task_that_is_gone() {
    for gone_before in [true, false] {
        let outcome = Arc::new(Outcome::default());
        let mut tasks: Vec<Task> = (0..5).map(|_| Task::new(&outcome)).collect();
        if gone_before {
            tasks[4].future = None;
            outcome.complete(Ok(()));
        } else {
            outcome.complete(Ok(()));
            let first = tasks.iter().position(|t| t.woken() == 1).expect("one is woken");
            tasks[first].future = None;
        }
        // Whoever was woken is polled, until nobody is left to be.
        let mut done = [false; 5];
        for _ in 0..5 {
            for (at, task) in tasks.iter_mut().enumerate() {
                if task.woken() > 0 && !done[at] {
                    done[at] = task.future.is_none() || task.poll();
                }
            }
        }
        let all = tasks.iter().zip(done).all(|(task, done)| done || task.future.is_none());
        assert!(all, "gone before: {gone_before}");
    }
}

#[test]
fn a_task_polled_again_waits_once_and_with_its_newest_waker() {
    let outcome = Arc::new(Outcome::default());
    let mut task = Task::new(&outcome);
    let old = Arc::clone(&task.woken);
    task.woken = Arc::default();
    assert!(!task.poll());
    outcome.complete(Ok(()));
    assert_eq!((old.0.load(Ordering::Relaxed), task.woken()), (0, 1));
}
