//! A small file system, so that a disk can be full without filling the machine's.

use super::cluster::{Cluster, run};
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::Command;

/// A tmpfs, unmounted when dropped.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts it where the cluster's data folder is going to be made.
    pub(super) fn mount(cluster: &Cluster, mib: u32) -> Result<Self> {
        let path = cluster.dir().to_owned();
        let size = format!("size={mib}m,mode=0755");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "millrace-test"]).arg(&path))
            .context("mounting a small file system (needs root)")?;
        let disk = Self { path };
        cluster.own(&disk.path)?;
        Ok(disk)
    }

    /// Writes a file until nothing more fits.
    pub(super) fn fill(&self) -> Result<()> {
        let mut file = File::create(self.ballast()).context("making a file to fill the disk")?;
        let mut chunk = vec![0; 1 << 20];
        loop {
            match file.write_all(&chunk) {
                Ok(()) => {}
                // The rest by smaller and smaller chunks, down to the last page.
                Err(full) if full.kind() == ErrorKind::StorageFull && chunk.len() > 1 => {
                    chunk.truncate(chunk.len() / 2);
                }
                Err(full) if full.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => bail!("filling the disk: {error}"),
            }
        }
    }

    /// Removes that file.
    pub(super) fn free(&self) -> Result<()> {
        fs::remove_file(self.ballast()).context("freeing the disk")
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a backend may take a moment to go.
        let _ = run(Command::new("umount").arg("-l").arg(&self.path));
    }
}
