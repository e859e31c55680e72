//! Temporary folders that are gone afterwards: in order by `Drop`, and when this process was
//! killed, by the next one that makes such a folder.

use anyhow::{Context as _, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use tempfile::TempDir;

const PREFIX: &str = "millrace-test-";

/// A temporary folder with the id of this process in its name, readable for every user (Postgres
/// runs as its own).
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
}

impl Scratch {
    /// Makes the folder, below `TMPDIR`.
    ///
    /// # Errors
    /// When the temporary folder cannot be written.
    pub fn new(name: &str) -> Result<Self> {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-{name}-", std::process::id()))
            .tempdir()
            .context("making a temporary folder")?;
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))
            .context("opening a temporary folder to other users")?;
        Ok(Self { dir })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes what killed processes left behind. Best effort: a leftover harms nobody.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(owner) = owner(&name.to_string_lossy()) else { continue };
        if !Path::new("/proc").join(owner.to_string()).exists() {
            unmount_below(&entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn unmount_below(path: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let below = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for mount in below.filter(|mount| Path::new(mount).starts_with(path)) {
        let _ = Command::new("umount").args(["-l", mount]).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_name() {
        assert_eq!(owner("millrace-test-123-kafka-AbC"), Some(123));
        assert_eq!(owner("millrace-else"), None);
    }

    #[test]
    fn a_folder_of_a_dead_process_is_swept_and_of_a_living_one_kept() {
        let living = Scratch::new("living").expect("a folder");
        // The highest id that Linux gives is below 2^22.
        let dead = std::env::temp_dir().join(format!("{PREFIX}4194305-dead-x"));
        fs::create_dir_all(dead.join("inside")).expect("a leftover");
        sweep();
        assert!(!dead.exists());
        assert!(living.path().exists());
    }
}
