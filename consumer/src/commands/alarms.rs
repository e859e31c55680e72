//! `consumer alarms`: what is wrong, and what people decide about it.

use std::time::Duration;

use alarms::Rules;
use clap::{Args, Subcommand};
use consumer::alarming;
use jiff::{SignedDuration, Timestamp};
use lifecycle::exit;
use schema::SensorType;
use store::Store;
use store::alarms::operator::{self, Key};
use store::alarms::{Alarm, Limits, limits, standing};

use super::table::Table;
use super::who::Who;
use super::{Failure, open, printable};

/// Exit code: there is no such alarm, or nothing to decide about it.
const NOTHING: u8 = 1;
/// Longest that an alarm may be shelved.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// Alarms that are listed.
const LISTED: i64 = 1_000;

/// The subcommands of `consumer alarms`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The alarms that stand: active, not acknowledged, or shelved
    List(List),
    /// Say that an alarm was seen
    Acknowledge(Acknowledge),
    /// Hide an alarm for a time
    Shelve(Shelve),
    /// Show a shelved alarm again
    Unshelve(Unshelve),
    /// Forget a sensor that is gone: its state, and its alarms end
    Forget(Forget),
    /// Limits of one sensor in place of its type's: show, set, reset
    #[command(subcommand)]
    Limits(LimitsCommand),
}

/// The command line of `consumer alarms list`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct List {
    #[command(flatten)]
    store: store::Options,
}

/// Which alarm, and who decides.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Which {
    /// The sensor, or what of the system, as `list` names it
    source: String,
    /// One of its conditions, such as limit; all of them without it
    condition: Option<String>,
    /// The source is of the system, not a sensor
    #[arg(long)]
    system: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    store: store::Options,
}

/// The command line of `consumer alarms acknowledge`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Acknowledge {
    #[command(flatten)]
    which: Which,
    /// Only this activation, as `list` names it: one that got worse since then stays to be seen
    #[arg(long, value_name = "ID")]
    activation: Option<String>,
    /// What there is to say
    #[arg(long, default_value = "")]
    comment: String,
}

/// The command line of `consumer alarms forget`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Forget {
    /// The sensor
    sensor: String,
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    store: store::Options,
}

/// The command line of `consumer alarms shelve`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Shelve {
    #[command(flatten)]
    which: Which,
    /// How long, such as 30m, 8h or 2d; 31 days at most
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    span: Duration,
    /// Why
    #[arg(long)]
    reason: String,
}

/// The command line of `consumer alarms unshelve`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Unshelve {
    #[command(flatten)]
    which: Which,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
}

/// The subcommands of `consumer alarms limits`.
#[derive(Debug, Subcommand)]
pub enum LimitsCommand {
    /// Every sensor that has limits of its own
    Show(List),
    /// Give a sensor limits of its own; what is not named stays as it is
    Set(Box<SetLimits>),
    /// Give a sensor the defaults of its type back
    Reset(ResetLimits),
}

/// The command line of `consumer alarms limits set`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct SetLimits {
    /// The sensor
    sensor: String,
    /// What it measures: where the limits begin that are not named
    #[arg(long = "type", default_value_t = SensorType::Other)]
    sensor_type: SensorType,
    /// At or above is high-high; `none` for no such limit
    #[arg(long, value_parser = limit, allow_negative_numbers = true)]
    high_high: Option<Bound>,
    /// At or above is high
    #[arg(long, value_parser = limit, allow_negative_numbers = true)]
    high: Option<Bound>,
    /// At or below is low
    #[arg(long, value_parser = limit, allow_negative_numbers = true)]
    low: Option<Bound>,
    /// At or below is low-low
    #[arg(long, value_parser = limit, allow_negative_numbers = true)]
    low_low: Option<Bound>,
    /// How far inside its limit a value counts as back, in the sensor's unit
    #[arg(long, allow_negative_numbers = true)]
    deadband: Option<f64>,
    /// Seconds that a limit must be exceeded
    #[arg(long, allow_negative_numbers = true)]
    on_delay_s: Option<f64>,
    /// Seconds that the value must be back
    #[arg(long, allow_negative_numbers = true)]
    off_delay_s: Option<f64>,
    /// Whether what is unusual for the sensor is an alarm, too
    #[arg(long)]
    deviation: Option<bool>,
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    store: store::Options,
}

/// The command line of `consumer alarms limits reset`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct ResetLimits {
    /// The sensor
    sensor: String,
    #[command(flatten)]
    store: store::Options,
}

/// A limit, or that there is none.
#[derive(Clone, Copy, Debug)]
struct Bound(Option<f64>);

fn limit(text: &str) -> Result<Bound, String> {
    if text == "none" {
        return Ok(Bound(None));
    }
    text.parse().map(|limit| Bound(Some(limit))).map_err(|_| "give a number, or none".to_owned())
}

fn span(text: &str) -> Result<Duration, String> {
    let span: SignedDuration = text.parse().map_err(|e| format!("{e}; give a time such as 30m, 8h or 48h"))?;
    let span = Duration::try_from(span).map_err(|_| "give a time ahead".to_owned())?;
    if span.is_zero() || span > LONGEST {
        return Err("give more than nothing and at most 744h (31 days)".to_owned());
    }
    Ok(span)
}

/// Runs one of them.
pub async fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::List(options) => list(&options).await,
        Command::Acknowledge(Acknowledge { which, activation, comment }) => {
            let (store, key, by) = which.open().await?;
            let seen = activation.as_deref();
            Ok(said(operator::acknowledge(&store, &key, seen, &by, &comment).await?, "acknowledged"))
        }
        Command::Forget(Forget { sensor, reason, who, store }) => {
            let store = open(&store).await?;
            Ok(said(operator::forget(&store, &sensor, &who.name(), &reason).await?, "states and alarms ended"))
        }
        Command::Shelve(Shelve { which, span, reason }) => {
            let (store, key, by) = which.open().await?;
            let until = Timestamp::now() + span;
            Ok(said(operator::shelve(&store, &key, until, &by, &reason).await?, &format!("shelved until {until:.0}")))
        }
        Command::Unshelve(Unshelve { which, reason }) => {
            let (store, key, by) = which.open().await?;
            Ok(said(operator::unshelve(&store, &key, &by, &reason).await?, "shown again"))
        }
        Command::Limits(LimitsCommand::Show(options)) => show_limits(&options).await,
        Command::Limits(LimitsCommand::Set(options)) => set_limits(*options).await,
        Command::Limits(LimitsCommand::Reset(ResetLimits { sensor, store })) => {
            let store = open(&store).await?;
            let reset = operator::reset_limits(&store, &sensor).await?;
            Ok(said(u64::from(reset), "has the defaults of its type again"))
        }
    }
}

impl Which {
    async fn open(self) -> Result<(Store, Key, String), Failure> {
        let store = open(&self.store).await?;
        let source_type = if self.system { "system" } else { "sensor" };
        let key = Key { source_type: source_type.to_owned(), source: self.source, condition: self.condition };
        Ok((store, key, self.who.name()))
    }
}

fn said(changed: u64, what: &str) -> u8 {
    match changed {
        0 => {
            println!("nothing to do: no such alarm, or it was so already");
            NOTHING
        }
        n => {
            println!("{n} {what}");
            exit::OK
        }
    }
}

async fn list(options: &List) -> Result<u8, Failure> {
    let store = open(&options.store).await?;
    let alarms = standing(&store, LISTED).await?;
    if alarms.is_empty() {
        println!("no alarm stands");
        return Ok(exit::OK);
    }
    let headings = ["state", "source", "condition", "level", "since", "what", "activation", "severity", "times"];
    let mut table = Table::new(&headings, 7);
    for alarm in &alarms {
        table.row([
            alarm.state.clone(),
            printable::line(&alarm.source, 60),
            alarm.condition.clone(),
            alarm.level.clone().unwrap_or_else(|| "-".to_owned()),
            alarm.raised_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            printable::line(&what(alarm), 90),
            alarm.activation.clone(),
            alarm.severity.to_string(),
            alarm.activations.to_string(),
        ]);
    }
    print!("{table}");
    Ok(exit::OK)
}

/// What is known beside the columns: the value, who shelved it and why, who saw it.
fn what(alarm: &Alarm) -> String {
    let mut parts = Vec::new();
    match (alarm.value, alarm.threshold) {
        (Some(value), Some(threshold)) => parts.push(format!("{value} passed {threshold}")),
        (Some(value), None) => parts.push(format!("back at {value}")),
        _ => {}
    }
    parts.extend(alarm.detail.clone());
    if alarm.chattering {
        parts.push("chattering".to_owned());
    }
    if let (Some(until), Some(by)) = (alarm.shelved_until, &alarm.shelved_by) {
        let reason = alarm.shelve_reason.as_deref().unwrap_or_default();
        parts.push(format!("shelved until {until:.0} by {by}: {reason}"));
    }
    if let (true, Some(by)) = (alarm.state == "active_acknowledged", &alarm.acknowledged_by) {
        parts.push(format!("seen by {by}"));
    }
    parts.join("; ")
}

async fn show_limits(options: &List) -> Result<u8, Failure> {
    let store = open(&options.store).await?;
    let headings =
        ["sensor", "deviation", "low-low", "low", "high", "high-high", "deadband", "on delay s", "off delay s"];
    let mut table = Table::new(&headings, 2);
    let mut own: Vec<(String, Limits)> = limits(&store).await?.into_iter().collect();
    own.sort_by(|(a, _), (b, _)| a.cmp(b));
    let bound = |limit: Option<f64>| limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
    for (sensor, own) in own {
        table.row([
            printable::line(&sensor, 60),
            own.deviation.to_string(),
            bound(own.low_low),
            bound(own.low),
            bound(own.high),
            bound(own.high_high),
            own.deadband.to_string(),
            own.on_delay_s.to_string(),
            own.off_delay_s.to_string(),
        ]);
    }
    print!("{table}");
    Ok(exit::OK)
}

async fn set_limits(options: SetLimits) -> Result<u8, Failure> {
    if options.sensor.is_empty() || options.sensor.len() > schema::sensor_reading::MAX_TEXT_BYTES {
        let most = schema::sensor_reading::MAX_TEXT_BYTES;
        return Err(Failure::Usage(format!("SENSOR: give 1 to {most} bytes")));
    }
    let store = open(&options.store).await?;
    let before = limits(&store).await?.remove(&options.sensor);
    let mut own = before.unwrap_or_else(|| alarming::stored(&Rules::for_type(options.sensor_type)));
    let bounds = [
        (&mut own.high_high, options.high_high),
        (&mut own.high, options.high),
        (&mut own.low, options.low),
        (&mut own.low_low, options.low_low),
    ];
    for (limit, wanted) in bounds {
        if let Some(Bound(wanted)) = wanted {
            *limit = wanted;
        }
    }
    let others = [
        (&mut own.deadband, options.deadband),
        (&mut own.on_delay_s, options.on_delay_s),
        (&mut own.off_delay_s, options.off_delay_s),
    ];
    for (value, wanted) in others {
        *value = wanted.unwrap_or(*value);
    }
    own.deviation = options.deviation.unwrap_or(own.deviation);
    alarming::rules(&own).map_err(|error| Failure::Usage(error.to_string()))?;
    operator::set_limits(&store, &options.sensor, &own, &options.who.name(), &options.reason).await?;
    println!("{}: in force within seconds", options.sensor);
    Ok(exit::OK)
}
