//! How well the alarms' detector of the unusual does on NAB's labelled recordings, next to a plain z-score.
//!
//! NAB's scoring (Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms - the Numenta Anomaly
//! Benchmark", 2015), standard profile: in a window of anomaly the earliest detection counts, the earlier the
//! better; each one outside costs 0.11, less when it closely follows a window; each window that is missed costs 1.
//! 0 is a detector that never speaks, 100 one that speaks once at the start of every window. The first 15 % of a
//! recording (750 values at most) are for learning. One alarm, from raised to returned, is one detection.

use std::fs;
use std::path::{Path, PathBuf};

use alarms::{Kind, Limits, Place, Reading, Rules, Sensor, What};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schema::SensorType;

/// The command line of `bench detector`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The folder with NAB's recordings and `anomaly_windows.json`
    #[arg(long, default_value = "../shared/data/nab")]
    nab: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { nab: "../shared/data/nab".into() }
    }
}

/// A cost in the standard profile.
const FALSE_POSITIVE: f64 = 0.11;
/// The thresholds that the z-score may choose the best from, knowing the labels.
const THRESHOLDS: [f64; 8] = [2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0];

struct Recording {
    name: String,
    readings: Vec<Reading>,
    /// First and last index of each window.
    windows: Vec<(usize, usize)>,
}

/// What came of a recording, or of all of them.
#[derive(Clone, Copy, Default)]
struct Score {
    points: f64,
    windows: usize,
    found: usize,
    outside: usize,
}

impl Score {
    fn add(self, other: Self) -> Self {
        Self {
            points: self.points + other.points,
            windows: self.windows + other.windows,
            found: self.found + other.found,
            outside: self.outside + other.outside,
        }
    }

    /// 0 for silence, 100 for perfection.
    #[expect(clippy::cast_precision_loss, reason = "a few windows")]
    fn normalized(self) -> f64 {
        let windows = self.windows as f64;
        100.0 * (self.points + windows) / (2.0 * windows)
    }

    fn cells(self) -> [String; 3] {
        [format!("{:.0}", self.normalized()), format!("{} of {}", self.found, self.windows), self.outside.to_string()]
    }
}

/// The table.
///
/// # Errors
/// When a file is not there or not as it should be.
pub fn run(options: &Options) -> Result<String> {
    let recordings = recordings(&options.nab)?;
    let scores = |detect: &dyn Fn(&[Reading]) -> Vec<usize>| -> Vec<Score> {
        recordings.iter().map(|recording| score(recording, &detect(&recording.readings))).collect()
    };
    let sum = |scores: &[Score]| scores.iter().copied().fold(Score::default(), Score::add);
    let ours = scores(&|readings| envelope(readings));
    let plain = THRESHOLDS.map(|threshold| (threshold, scores(&|readings| z_score(readings, threshold))));
    let (threshold, best) = plain
        .into_iter()
        .max_by(|(_, a), (_, b)| sum(a).normalized().total_cmp(&sum(b).normalized()))
        .context("there are thresholds")?;
    let mut table = format!(
        "{} recordings, {} windows; the z-score with its best threshold for these files, {threshold}; the envelope as shipped \
         (its two settings were chosen on the same files).\n\n\
         | recording | envelope: score | windows found | false alarms | z-score: score | windows found | false alarms |\n\
         |---|---|---|---|---|---|---|\n",
        recordings.len(),
        sum(&ours).windows,
    );
    let names = recordings.iter().map(|recording| recording.name.as_str()).chain(["**all**"]);
    let lines = ours.iter().zip(&best).map(|(ours, best)| (*ours, *best)).chain([(sum(&ours), sum(&best))]);
    for (name, (ours, plain)) in names.zip(lines) {
        table += &format!("| {name} | {} | {} |\n", ours.cells().join(" | "), plain.cells().join(" | "));
    }
    Ok(table)
}

/// Our own detector, without limits: the index of each reading that raised an alarm.
fn envelope(readings: &[Reading]) -> Vec<usize> {
    let rules = Rules { limits: Limits::for_type(SensorType::Other), deviation: true };
    let mut sensor = Sensor::default();
    let raised = readings.iter().zip(0i64..).map(|(reading, offset)| {
        let told = sensor.apply(&rules, Place { log_id: 1, partition: 0, offset }, *reading);
        told.iter().any(|told| matches!(told.kind, Kind::Deviation(What::Raised(_))))
    });
    raised.enumerate().filter_map(|(index, raised)| raised.then_some(index)).collect()
}

/// Mean and deviation of everything before (Welford); an alarm while the value is farther off than `threshold`.
fn z_score(readings: &[Reading], threshold: f64) -> Vec<usize> {
    let (mut count, mut mean, mut squares, mut active) = (0.0, 0.0, 0.0, false);
    let mut raised = Vec::new();
    for (index, Reading { value, .. }) in readings.iter().enumerate() {
        let deviation: f64 = if count > 0.0 { f64::sqrt(squares / count) } else { 0.0 };
        let is_far = count > 100.0 && (value - mean).abs() > threshold * deviation;
        if is_far && !active {
            raised.push(index);
        }
        active = is_far;
        count += 1.0;
        let off = value - mean;
        mean += off / count;
        squares += off * (value - mean);
    }
    raised
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand readings")]
fn score(recording: &Recording, detections: &[usize]) -> Score {
    let learning = (recording.readings.len() * 15 / 100).min(750);
    let mut score = Score { windows: recording.windows.len(), ..Score::default() };
    let mut found = vec![None::<f64>; recording.windows.len()];
    for &at in detections.iter().filter(|&&at| at >= learning) {
        if let Some(window) = recording.windows.iter().position(|(from, to)| (*from..=*to).contains(&at)) {
            let (from, to) = recording.windows[window];
            let place = -((to - at + 1) as f64) / ((to - from + 1) as f64);
            let worth = sigmoid(place) / sigmoid(-1.0);
            found[window] = Some(found[window].map_or(worth, |best| best.max(worth)));
            continue;
        }
        score.outside += 1;
        let before = recording.windows.iter().rev().find(|(_, to)| *to < at);
        let late = before.map_or(-1.0, |(from, to)| sigmoid((at - to) as f64 / (to - from) as f64));
        score.points += FALSE_POSITIVE * late;
    }
    score.found = found.iter().flatten().count();
    score.points += found.iter().map(|worth| worth.unwrap_or(-1.0)).sum::<f64>();
    score
}

/// NAB's scaled sigmoid: nearly 1 at the start of a window, 0 at its end, nearly -1 long after.
fn sigmoid(place: f64) -> f64 {
    if place > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * place).exp()) - 1.0 }
}

fn recordings(folder: &Path) -> Result<Vec<Recording>> {
    let labels = folder.join("anomaly_windows.json");
    let labels = fs::read(&labels).with_context(|| format!("reading {}", labels.display()))?;
    let labels: std::collections::BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_slice(&labels).context("reading NAB's windows")?;
    let mut recordings = Vec::new();
    for (path, windows) in labels {
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        let readings = readings(&folder.join(&name))?;
        let windows = windows.iter().map(|(from, to)| window(&readings, from, to)).collect::<Result<_>>()?;
        recordings.push(Recording { name, readings, windows });
    }
    ensure!(!recordings.is_empty(), "no recordings in {}", folder.display());
    Ok(recordings)
}

fn window(readings: &[Reading], from: &str, to: &str) -> Result<(usize, usize)> {
    let (from, to) = (time(from)?, time(to)?);
    let first = readings.iter().position(|reading| reading.event_time >= from);
    let last = readings.iter().rposition(|reading| reading.event_time <= to);
    first.zip(last).context("a window outside its recording")
}

fn readings(file: &Path) -> Result<Vec<Reading>> {
    let mut lines = csv::Reader::from_path(file).with_context(|| format!("opening {}", file.display()))?;
    let line = |line: Result<csv::StringRecord, csv::Error>| {
        let line = line?;
        let field = |i| line.get(i).context("a line without timestamp,value");
        Ok(Reading { event_time: time(field(0)?)?, value: field(1)?.parse()? })
    };
    lines.records().map(line).collect::<Result<_>>().with_context(|| format!("reading {}", file.display()))
}

/// `2014-01-27 14:20:00`, with or without a fraction, taken as UTC.
fn time(text: &str) -> Result<Timestamp> {
    let time: DateTime = text.replace(' ', "T").parse().with_context(|| format!("{text} is no time"))?;
    Ok(time.to_zoned(TimeZone::UTC)?.timestamp())
}
