//! Who gives a command that is kept with a name.

use clap::Args;

/// Flattened into the commands that change something.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Who {
    /// Who
    #[arg(long, env = "USER", default_value = "unknown")]
    operator: String,
}

impl Who {
    /// As it is kept: `operator:NAME`.
    pub fn name(&self) -> String {
        format!("operator:{}", self.operator)
    }
}
