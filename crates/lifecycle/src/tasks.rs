//! The named tasks of a program: one that fails stops all, and all stop in order.
//!
//! ```text
//! spawn http, heartbeat, work        stop requested ─> work ─> heartbeat ─> http
//! ```
//!
//! Tasks are stopped in the reverse order of their spawning, each one after the next has ended, so
//! that what others lean on is spawned first and goes last.

use std::{any::Any, error::Error, time::Duration};

use tokio::{
    sync::oneshot,
    task::{Id, JoinError, JoinSet},
    time::{Instant, timeout_at},
};
use tracing::{debug, error};

use crate::Shutdown;

type BoxError = Box<dyn Error + Send + Sync>;
type Finished = Result<(Id, Result<(), BoxError>), JoinError>;

/// The tasks of one process. Dropping it aborts them; threads cannot be aborted.
#[derive(Debug)]
pub struct Tasks {
    shutdown: Shutdown,
    running: JoinSet<Result<(), BoxError>>,
    /// In the order of spawning; one that has ended is taken out.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: Id,
    name: &'static str,
    stop: Shutdown,
}

/// Why the program ended otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A task returned an error.
    #[error("task {name} failed")]
    Failed {
        /// The task.
        name: &'static str,
        /// What it returned.
        source: BoxError,
    },
    /// A task panicked: a bug.
    #[error("task {name} panicked: {message}")]
    Panicked {
        /// The task.
        name: &'static str,
        /// The panic's message.
        message: String,
    },
    /// Tasks were still running when the stop's deadline had passed; they were abandoned.
    #[error("still running {deadline:?} after the stop was requested: {}", names.join(", "))]
    Overdue {
        /// Who did not finish, in the order of spawning.
        names: Vec<&'static str>,
        /// The time that all had together.
        deadline: Duration,
    },
}

/// A panic that ended a thread, carried to where tasks are joined.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ThreadPanicked(String);

impl Tasks {
    /// No tasks yet. They stop when `shutdown` is requested, and a failed one requests it.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, running: JoinSet::new(), entries: Vec::new() }
    }

    /// Starts a task. The token that it is given is its own, requested when its turn to stop has
    /// come. A task that ends with `Ok` before that has done its work: the others go on.
    pub fn spawn<F, E>(&mut self, name: &'static str, start: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let stop = Shutdown::new();
        let work = start(stop.clone());
        let handle = self.running.spawn(async move { work.await.map_err(Into::into) });
        self.entries.push(Entry { id: handle.id(), name, stop });
    }

    /// Starts a task on an operating system thread of its own, for work that blocks. The thread
    /// carries `name` (Linux shows 15 bytes of it).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn_thread<E>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(Shutdown) -> Result<(), E> + Send + 'static,
    ) -> std::io::Result<()>
    where
        E: Into<BoxError>,
    {
        let stop = Shutdown::new();
        let (ended, end) = oneshot::channel::<Result<(), BoxError>>();
        let token = stop.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(token)));
            // Nobody listens any more when the stop's deadline has passed.
            let _ = ended.send(match outcome {
                Ok(result) => result.map_err(Into::into),
                Err(panic) => Err(Box::new(ThreadPanicked(panic_message(panic.as_ref())))),
            });
        })?;
        let handle =
            self.running.spawn(async move { end.await.expect("the thread sends how it ended, also when it panics") });
        self.entries.push(Entry { id: handle.id(), name, stop });
        Ok(())
    }

    /// Runs until the stop is requested or all tasks have ended, then stops what still runs, last
    /// spawned first. `deadline` is the time for the whole stop.
    ///
    /// # Errors
    /// The first failure or panic, or, when there was none, who did not stop in time. Every
    /// further failure is logged.
    pub async fn run(mut self, deadline: Duration) -> Result<(), TaskError> {
        let mut first = None;
        let shutdown = self.shutdown.clone();
        while !shutdown.is_requested() {
            tokio::select! {
                () = shutdown.requested() => {}
                finished = self.running.join_next_with_id() => match finished {
                    Some(finished) => self.note(finished, &mut first),
                    None => break,
                },
            }
        }
        let until = Instant::now() + deadline;
        while let Some(last) = self.entries.last() {
            last.stop.request(format!("{} stops", last.name));
            match timeout_at(until, self.running.join_next_with_id()).await {
                Ok(Some(finished)) => self.note(finished, &mut first),
                Ok(None) => break,
                Err(_) => {
                    let names = self.entries.iter().map(|entry| entry.name).collect();
                    let overdue = TaskError::Overdue { names, deadline };
                    error!("{overdue}");
                    return Err(first.unwrap_or(overdue));
                }
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Takes the ended task out of the list; a failure is logged, kept if it is the first, and
    /// asks everybody to stop.
    fn note(&mut self, finished: Finished, first: &mut Option<TaskError>) {
        let id = match &finished {
            Ok((id, _)) => *id,
            Err(panic) => panic.id(),
        };
        let at = self
            .entries
            .iter()
            .position(|entry| entry.id == id)
            .expect("every running task has its entry until it is joined");
        let name = self.entries.remove(at).name;
        let failure = match finished {
            Ok((_, Ok(()))) => return debug!(task = name, "ended"),
            Ok((_, Err(source))) => match source.downcast::<ThreadPanicked>() {
                Ok(panic) => TaskError::Panicked { name, message: panic.0 },
                Err(source) => TaskError::Failed { name, source },
            },
            Err(join) => TaskError::Panicked {
                name,
                message: join.try_into_panic().map_or_else(|_| "cancelled".to_owned(), |panic| panic_message(&*panic)),
            },
        };
        error!(task = name, error = %causes(&failure), "task ended in failure");
        self.shutdown.request(format!("task {name} failed"));
        first.get_or_insert(failure);
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// An error and what caused it, on one line.
fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
