//! What the numbers were measured on.

use std::fs;

use jiff::Timestamp;

/// One line: time, processors, memory, kernel and the load at the start.
pub fn describe() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = processors
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, m)| m))
        .collect();
    let memory_kib = fs::read_to_string("/proc/meminfo").ok().and_then(|text| number_after(&text, "MemTotal:"));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{}: {} x {}, {:.0} GiB, Linux {}, load average at the start {}.",
        Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
        models.len(),
        models.first().copied().unwrap_or("unknown processor"),
        memory_kib.unwrap_or(0.0) / 1024.0 / 1024.0,
        kernel.trim(),
        load_average(),
    )
}

/// The kernel's load average of the last minute.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// The number behind `key` in a file of lines `key number unit`.
pub fn number_after(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::number_after;

    #[test]
    fn a_number_is_read_behind_its_key() {
        assert_eq!(number_after("VmPeak:\t  7 kB\nVmHWM:\t  1234 kB\n", "VmHWM:"), Some(1234.0));
        assert_eq!(number_after("VmPeak: 7 kB", "VmHWM:"), None);
    }
}
