//! A signal reaches everybody who holds the token. Alone in its file: signals are the process's.

use millrace_lifecycle::Shutdown;
use rustix::process::{Signal, getpid, kill_process};

#[tokio::test]
async fn sigterm_requests_the_stop() {
    let shutdown = Shutdown::on_signals().expect("handlers are installed");
    assert!(!shutdown.is_requested());
    kill_process(getpid(), Signal::TERM).expect("a process may signal itself");
    shutdown.requested().await;
    assert_eq!(shutdown.reason(), Some("SIGTERM"));
}
