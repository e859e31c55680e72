//! A child process that dies with the test, whatever happens to the test.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::time::{Instant, sleep};

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// The kernel kills a child when the *thread* that started it ends (`PR_SET_PDEATHSIG`), and a
/// test's thread ends with the test. This one lives as long as the process.
static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, queue) = mpsc::channel::<Order>();
    std::thread::Builder::new()
        .name("testkit-spawner".into())
        .spawn(move || {
            for (mut command, answer) in queue {
                // Nobody waits any more: the child is dropped, and dies with this process.
                let _ = answer.send(command.spawn());
            }
        })
        .expect("the machine has room for one more thread");
    orders
});

/// A running or exited child process. Dropping it is SIGKILL.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: Mutex<Child>,
    log: Option<PathBuf>,
}

/// The start of a command whose process the kernel kills when this process ends. `user` is taken
/// over when we are root.
pub(crate) fn mortal(program: &Path, user: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).stdin(Stdio::null());
    command
}

impl Process {
    /// Starts `command` (from [`mortal`]); what it prints goes to the end of `log`, or to where
    /// this process prints.
    pub(crate) fn spawn(name: &str, mut command: Command, log: Option<&Path>) -> Result<Self> {
        if let Some(path) = log {
            let file = File::options().create(true).append(true).open(path);
            let file = file.with_context(|| format!("opening {}", path.display()))?;
            command.stdout(file.try_clone().context("sharing a log file")?).stderr(file);
        }
        let (answer, child) = mpsc::channel();
        SPAWNER.send((command, answer)).expect("the spawner lives as long as the process");
        let child = child.recv().expect("the spawner answers every order");
        let child = child.with_context(|| format!("starting {name}"))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Self {
            name: name.to_owned(),
            pid: pid.expect("the kernel gives positive process ids"),
            child: Mutex::new(child),
            log: log.map(Path::to_owned),
        })
    }

    /// The name that it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it ended, or nothing while it runs.
    #[must_use]
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// Everything that it printed so far; empty when it prints to where the test does.
    #[must_use]
    pub fn output(&self) -> String {
        let bytes = self.log.as_ref().and_then(|path| fs::read(path).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its last printed lines, for the message of a failed test.
    #[must_use]
    pub fn last_output(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// SIGTERM: please end. See [`Process::wait`].
    ///
    /// # Errors
    /// When it has exited already.
    pub fn term(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGSTOP: freezes it, sockets and locks held.
    ///
    /// # Errors
    /// When it has exited already.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: lets it go on after [`Process::stop`].
    ///
    /// # Errors
    /// When it has exited already.
    pub fn cont(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Holds one of its threads until the answer is dropped; the others go on, as beside a handler that takes too long.
    ///
    /// It is held while it runs, not while it waits in a system call: a client that waits for records is polling.
    ///
    /// # Errors
    /// When it has no thread of that name, may not be traced, or never runs.
    pub fn hold_thread(&self, name: &str) -> Result<Held> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).context("its threads")?;
        let named = |task: &Path| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
        let task = tasks.flatten().map(|task| task.path()).find(|task| named(task));
        let task = task.with_context(|| format!("{} has no thread {name}", self.name))?;
        let id = task.file_name().and_then(|id| id.to_str()).and_then(|id| id.parse().ok()).context("a thread id")?;
        Held::begin(nix::unistd::Pid::from_raw(id))
    }

    /// SIGKILL, and waits until it is gone, which it is at once. Does nothing when it was.
    pub fn kill(&self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Any other signal.
    ///
    /// # Errors
    /// When it has exited already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // The lock and `try_wait` keep the id from being someone else's by now.
        let mut child = self.child();
        if let Some(status) = child.try_wait().context("looking after a child process")? {
            bail!("{} has exited: {status}", self.name);
        }
        kill_process(self.pid, signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Waits until it has exited.
    ///
    /// # Errors
    /// When it still runs at the deadline; the message has its last lines.
    pub async fn wait(&self, deadline: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.exited() {
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!("{} still runs after {deadline:?}:\n{}", self.name, self.last_output());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that stands still (`ptrace(2)`). Only who traces it may let it go, so a thread of ours stands by.
pub struct Held {
    let_go: mpsc::Sender<()>,
    tracer: Option<std::thread::JoinHandle<()>>,
}

impl Held {
    /// A thread that handles a record now and then is met at work after some of these.
    const TRIES: u32 = 20_000;

    fn begin(thread: nix::unistd::Pid) -> Result<Self> {
        use nix::sys::{ptrace, wait};
        let (let_go, told) = mpsc::channel::<()>();
        let (answer, held) = mpsc::channel();
        let tracer = std::thread::spawn(move || {
            let stop = || {
                ptrace::interrupt(thread)?;
                wait::waitpid(thread, Some(wait::WaitPidFlag::__WALL)).map(|_| ())
            };
            // -1: stopped outside of a system call (proc(5), /proc/pid/syscall).
            let runs = || {
                let call = fs::read_to_string(format!("/proc/{thread}/syscall")).unwrap_or_default();
                call.starts_with("-1") || call.starts_with("running")
            };
            let catch = || {
                ptrace::seize(thread, ptrace::Options::empty())?;
                for _ in 0..Self::TRIES {
                    stop()?;
                    if runs() {
                        return Ok(());
                    }
                    ptrace::cont(thread, None)?;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(nix::Error::ETIMEDOUT)
            };
            let held = catch();
            let stopped = held.is_ok();
            let _ = answer.send(held);
            // Ends when the other end is dropped.
            let _ = told.recv();
            if stopped {
                let _ = ptrace::detach(thread, None);
            }
        });
        held.recv().context("the tracer")?.context("holding a thread")?;
        Ok(Self { let_go, tracer: Some(tracer) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.let_go.send(());
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
