//! CPU time, from /proc: who used how much between two readings, and what nobody used.
//!
//! ```text
//! machine = client + Postgres + brokers + others (with what the hypervisor took) + idle
//! ```

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use e2e::plant::Site;

/// `USER_HZ`, the unit of /proc's CPU times: 100 on every architecture that Rust runs Linux on.
const TICKS_A_SECOND: f64 = 100.0;

/// Knows the processes of a site.
pub struct Meter {
    postmaster: u32,
    brokers: Vec<u32>,
    client: u32,
}

/// CPU seconds since the start of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// The process that stores.
    pub client: f64,
    /// The postmaster, its children, and its children that have ended.
    pub postgres: f64,
    /// All three brokers.
    pub brokers: f64,
    /// Everything else on the machine, and what the hypervisor gave to others.
    pub others: f64,
    /// What nobody used.
    pub idle: f64,
}

impl Meter {
    /// Finds the processes of `site`; `client` is the process that stores.
    ///
    /// # Errors
    /// When one of them does not run.
    pub fn new(site: &Site, client: u32) -> Result<Self> {
        let file = site.postgres.data_dir().join("postmaster.pid");
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let postmaster = text.lines().next().and_then(|line| line.trim().parse().ok());
        let brokers = site.kafka.brokers().iter().map(|broker| {
            let settings = broker.data_dir().with_extension("properties");
            let settings = settings.to_string_lossy().into_owned();
            processes()
                .find(|id| arguments(*id).last() == Some(&settings))
                .with_context(|| format!("no process runs with {settings}"))
        });
        Ok(Self {
            postmaster: postmaster.context("postmaster.pid does not begin with a process id")?,
            brokers: brokers.collect::<Result<_>>()?,
            client,
        })
    }

    /// What was used so far.
    pub fn read(&self) -> Cost {
        let client = own(self.client);
        let children = processes().filter(|id| field(*id, 1) == Some(f64::from(self.postmaster)));
        let postgres = with_ended_children(self.postmaster) + children.map(own).sum::<f64>();
        let brokers = self.brokers.iter().map(|id| own(*id)).sum::<f64>();
        let (used, idle) = machine();
        Cost { client, postgres, brokers, others: used - client - postgres - brokers, idle }
    }
}

impl Cost {
    /// What was used since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            client: self.client - earlier.client,
            postgres: self.postgres - earlier.postgres,
            brokers: self.brokers - earlier.brokers,
            // A difference of large numbers, each rounded to a tick.
            others: (self.others - earlier.others).max(0.0),
            idle: self.idle - earlier.idle,
        }
    }
}

/// CPU seconds of a process's threads, by what they do.
pub fn threads(process: u32) -> BTreeMap<&'static str, f64> {
    let mut seconds = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let kind = match name.trim() {
            "poll" => "poll",
            name if name.starts_with("rdk:") => "librdkafka",
            _ => "tasks",
        };
        *seconds.entry(kind).or_default() += sum(&stat, 11..13);
    }
    seconds
}

/// CPU seconds of a process that runs.
pub fn cpu_seconds(process: u32) -> f64 {
    own(process)
}

/// Most memory that a process held so far, in MiB (`VmHWM`).
pub fn peak_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    crate::machine::number_after(&status, "VmHWM:").unwrap_or(0.0) / 1024.0
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn arguments(process: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0)
        .filter(|argument| !argument.is_empty())
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect()
}

/// User and system time of a process that runs; 0 of one that has ended.
fn own(process: u32) -> f64 {
    sum(&stat(process), 11..13)
}

/// The same with its children that have ended and were waited for.
fn with_ended_children(process: u32) -> f64 {
    sum(&stat(process), 11..15)
}

fn stat(process: u32) -> String {
    fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default()
}

fn field(process: u32, at: usize) -> Option<f64> {
    fields(&stat(process)).get(at).copied()
}

/// The numbers behind the name, which is in parentheses and may hold blanks. 0 is the state (no
/// number: 0), 1 the parent, 11 to 14 utime, stime, cutime and cstime (proc(5)).
fn fields(stat: &str) -> Vec<f64> {
    let Some((_, rest)) = stat.rsplit_once(')') else { return Vec::new() };
    rest.split_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect()
}

fn sum(stat: &str, range: std::ops::Range<usize>) -> f64 {
    fields(stat).get(range).map_or(0.0, |ticks| ticks.iter().sum()) / TICKS_A_SECOND
}

/// Used (steal included) and idle (waiting for a disk included) CPU seconds of all processors.
fn machine() -> (f64, f64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal; guest time is part of user
    let ticks: Vec<f64> = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    ((ticks.iter().sum::<f64>() - idle) / TICKS_A_SECOND, idle / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::{fields, sum};

    #[test]
    fn a_name_with_blanks_and_parentheses_is_skipped() {
        let stat = "12 (a b) c) S 7 1 1 0 -1 0 0 0 0 0 150 50 25 25 20 0";
        assert_eq!(fields(stat)[1], 7.0);
        assert_eq!(sum(stat, 11..13), 2.0);
        assert_eq!(sum(stat, 11..15), 2.5);
    }
}
