//! An older copy of a data folder, put back: the backup that somebody restored.

use super::Postgres;
use super::cluster::run;
use crate::scratch::Scratch;
use anyhow::{Context as _, Result};
use std::fs;
use std::process::Command;

/// A copy of a cluster's data at one moment. Gone when dropped.
#[derive(Debug)]
pub struct Snapshot {
    scratch: Scratch,
}

impl Postgres {
    /// Copies the data folder. The server is stopped for it, in order, and started again: sessions
    /// are cut.
    ///
    /// # Errors
    /// When it does not stop, the copy does not fit, or it does not start.
    pub async fn copy_data_dir(&self) -> Result<Snapshot> {
        let was_running = self.is_running();
        if was_running {
            self.stop().await?;
        }
        let scratch = Scratch::new("snapshot")?;
        let to = scratch.path().join("data");
        run(Command::new("cp").arg("-a").arg(self.data_dir()).arg(to))?;
        if was_running {
            self.start_again().await?;
        }
        Ok(Snapshot { scratch })
    }

    /// Kills the server, puts the copy in the place of its data and starts it. A copy can be put
    /// back any number of times.
    ///
    /// # Errors
    /// When the copy does not fit, or the server does not start.
    pub async fn restore_data_dir(&self, snapshot: &Snapshot) -> Result<()> {
        self.kill();
        fs::remove_dir_all(self.data_dir()).context("removing a data folder")?;
        let from = snapshot.scratch.path().join("data");
        run(Command::new("cp").arg("-a").arg(from).arg(self.data_dir()))?;
        self.start_again().await
    }
}
