//! Tasks stop in order, within a deadline, and a failed one stops the others.

use std::{
    convert::Infallible,
    future::pending,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use millrace_lifecycle::{Shutdown, TaskError, Tasks};

const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn add(&self, entry: &'static str) {
        self.0.lock().expect("no test panics while it logs").push(entry);
    }

    fn entries(&self) -> Vec<&'static str> {
        self.0.lock().expect("no test panics while it logs").clone()
    }
}

async fn until_stopped(name: &'static str, log: Log, stop: Shutdown) -> Result<(), Infallible> {
    stop.requested().await;
    log.add(name);
    Ok(())
}

#[tokio::test]
async fn tasks_and_threads_stop_in_reverse_order_of_their_start() {
    let (shutdown, log) = (Shutdown::new(), Log::default());
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("http", |stop| until_stopped("http", log.clone(), stop));
    let thread_log = log.clone();
    tasks
        .spawn_thread("poll", move |stop| {
            while !stop.is_requested() {
                std::thread::yield_now();
            }
            thread_log.add("poll");
            Ok::<(), Infallible>(())
        })
        .expect("a thread starts");
    tasks.spawn("work", |stop| until_stopped("work", log.clone(), stop));
    shutdown.request("test");
    tasks.run(LONG).await.expect("all stop in order");
    assert_eq!(log.entries(), ["work", "poll", "http"]);
}

#[tokio::test]
async fn a_task_that_fails_stops_the_others_and_is_named() {
    let (shutdown, log) = (Shutdown::new(), Log::default());
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("http", |stop| until_stopped("http", log.clone(), stop));
    tasks.spawn("work", |_| async { Err(io::Error::other("disk on fire")) });
    let failure = tasks.run(LONG).await.expect_err("the failure is returned");
    assert!(
        matches!(&failure, TaskError::Failed { name: "work", source } if source.to_string() == "disk on fire"),
        "{failure:?}"
    );
    assert!(shutdown.is_requested());
    assert_eq!(log.entries(), ["http"]);
}

#[tokio::test]
async fn a_panic_in_a_task_or_a_thread_is_reported_as_such() {
    let mut tasks = Tasks::new(Shutdown::new());
    tasks.spawn("work", |_| async {
        if true {
            panic!("a bug in {}", "work");
        }
        Ok::<(), Infallible>(())
    });
    let failure = tasks.run(LONG).await.expect_err("the panic is returned");
    assert_eq!(failure.to_string(), "task work panicked: a bug in work");

    let mut tasks = Tasks::new(Shutdown::new());
    tasks
        .spawn_thread("poll", |_| {
            if true {
                panic!("a bug in poll");
            }
            Ok::<(), Infallible>(())
        })
        .expect("a thread starts");
    let failure = tasks.run(LONG).await.expect_err("the panic is returned");
    assert_eq!(failure.to_string(), "task poll panicked: a bug in poll");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_stop_in_time_is_named() {
    let (shutdown, log) = (Shutdown::new(), Log::default());
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("http", |stop| until_stopped("http", log.clone(), stop));
    tasks.spawn("stuck", |_| pending::<Result<(), Infallible>>());
    tasks.spawn("work", |stop| until_stopped("work", log.clone(), stop));
    shutdown.request("test");
    let failure = tasks.run(LONG).await.expect_err("one does not stop");
    assert!(
        matches!(&failure, TaskError::Overdue { names, deadline: LONG } if names == &["http", "stuck"]),
        "{failure:?}"
    );
    assert_eq!(log.entries(), ["work"]);
}

#[tokio::test]
async fn when_every_task_has_done_its_work_the_run_is_over() {
    let mut tasks = Tasks::new(Shutdown::new());
    tasks.spawn("one", |_| async { Ok::<(), Infallible>(()) });
    tasks.spawn("two", |_| async { Ok::<(), Infallible>(()) });
    tasks.run(LONG).await.expect("both ended well");
}
