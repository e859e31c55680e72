//! What a program needs, said a line each before it is run: `ok`, `warning` (works now, and will hurt later) or
//! `FAILED` with what to do.

use crate::exit;

/// Prints lines as they come, on stdout, and remembers the worst.
#[derive(Debug, Default)]
pub struct Checklist {
    failed: bool,
    misconfigured: bool,
    warnings: u32,
}

impl Checklist {
    /// It is there.
    pub fn ok(&mut self, what: &str, text: impl AsRef<str>) {
        println!("ok       {what}: {}", text.as_ref());
    }

    /// It works now, and will hurt later.
    pub fn warning(&mut self, what: &str, text: impl AsRef<str>) {
        self.warnings += 1;
        println!("warning  {what}: {}", text.as_ref());
    }

    /// A service is away, or cannot do its part.
    pub fn failed(&mut self, what: &str, text: impl AsRef<str>) {
        self.failed = true;
        println!("FAILED   {what}: {}", text.as_ref());
    }

    /// It is there, but set up in a way that no waiting cures.
    pub fn misconfigured(&mut self, what: &str, text: impl AsRef<str>) {
        self.misconfigured = true;
        println!("FAILED   {what}: {}", text.as_ref());
    }

    /// Says the sum of it; `program` with its article, such as "a consumer". The exit code: 69 when something is
    /// away, else 64 when something is set up wrongly, else 0.
    pub fn conclude(&self, program: &str) -> u8 {
        let code = match self {
            Self { failed: true, .. } => exit::UNAVAILABLE,
            Self { misconfigured: true, .. } => exit::USAGE,
            _ => exit::OK,
        };
        match (code, self.warnings) {
            (exit::OK, 0) => println!("all is there"),
            (exit::OK, warnings) => println!("all is there, with {warnings} warnings"),
            _ => println!("{program} cannot work like this"),
        }
        code
    }
}
