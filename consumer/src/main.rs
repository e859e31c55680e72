//! `consumer`: one group member, and the commands that prepare, check and repair what it stores.
//!
//! ```text
//! migrate ─> check ─> sensors, feed (the members) ─> verify
//!                        │ bad records                │ findings
//!                        └─> dead-letters             └─> offsets, retention
//! ```

mod commands;

use std::process::ExitCode;

use lifecycle::exit;

fn main() -> ExitCode {
    let (program, settings) = match configuration::parse::<commands::Program>() {
        Ok(parsed) => parsed,
        Err(error) => return refuse_command_line(&error),
    };
    commands::run(program, &settings).into()
}

/// Help and version are answers; anything else that the command line cannot be is a usage error.
fn refuse_command_line(error: &clap::Error) -> ExitCode {
    // Nowhere left to say it when stderr is gone.
    let _ = error.print();
    if error.use_stderr() { exit::USAGE.into() } else { exit::OK.into() }
}
