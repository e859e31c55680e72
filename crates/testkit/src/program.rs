//! The workspace's own binaries, and the system's, run as processes.

use crate::process::{Process, mortal};
use anyhow::{Context as _, Result};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program, about to be started.
#[derive(Debug)]
pub struct Program {
    name: String,
    command: Command,
}

impl Program {
    /// The binary `name` of the build that the running test belongs to.
    ///
    /// # Errors
    /// When it has not been built; the message has the command that builds it.
    pub fn named(name: &str) -> Result<Self> {
        let path = built(name)?;
        let mut command = mortal(&path, None);
        // A test says what it wants: no setting of the developer's own stack leaks in.
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            if text.starts_with("KAFKA_") || ["DATABASE_URL", "HTTP_ADDR"].contains(&&*text) {
                command.env_remove(variable);
            }
        }
        Ok(Self { name: name.to_owned(), command })
    }

    /// A program of the system, found in `PATH`.
    #[must_use]
    pub fn installed(name: &str) -> Self {
        Self { name: name.to_owned(), command: mortal(Path::new(name), None) }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// What it reads; nothing, unless it is said.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Starts it; what it prints is appended to the file `log`.
    ///
    /// # Errors
    /// When the file cannot be written or the process not started.
    pub fn spawn(self, log: &Path) -> Result<Process> {
        Process::spawn(&self.name, self.command, Some(log))
    }
}

/// `target/PROFILE/NAME`, found from `target/PROFILE/deps/TEST-HASH` or a neighbour of it.
fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding the path of this test")?;
    own.ancestors()
        .skip(1)
        .take(3)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("the program {name} is not built: cargo build --bin {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_built_names_the_command_that_builds_it() {
        let error = Program::named("no-such-program").expect_err("there is no such program").to_string();
        assert!(error.contains("cargo build --bin no-such-program"), "{error}");
    }
}
