//! `monitor check`: what a monitor needs, asked of brokers and database, a line each. Changes nothing.

use std::io::ErrorKind;
use std::net::TcpListener;

use kafka::Inspector;
use kafka::inspector::Error as Asking;
use lifecycle::Checklist;
use store::event_stream::Recorder;
use store::{Store, grants, schema_version, server};

use crate::options::Options;
use crate::{address, recorder_store};

/// Asks everything, whatever fails on the way; the exit code.
pub async fn run(options: &Options) -> u8 {
    let mut lines = Checklist::default();
    serving(options, &mut lines);
    brokers(options, &mut lines).await;
    database(options, &mut lines).await;
    numbering(options, &mut lines).await;
    lines.conclude("a monitor")
}

fn serving(options: &Options, lines: &mut Checklist) {
    let guarded = options.trusted_network || options.token.is_some();
    match address::allowed(options.host, options.port, guarded) {
        Err(error) => lines.misconfigured("address", format!("{error:#}")),
        Ok(address) => match TcpListener::bind(address) {
            Ok(_) => lines.ok("address", format!("{address} is free")),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                lines.warning("address", format!("{address} is taken: by a monitor that runs already?"));
            }
            Err(error) => lines.misconfigured("address", format!("{address}: {error}")),
        },
    }
}

async fn brokers(options: &Options, lines: &mut Checklist) {
    let inspector = match Inspector::new(&options.kafka, "monitor-check") {
        Ok(inspector) => inspector,
        Err(error) => return lines.misconfigured("brokers", error),
    };
    let workloads = options.workloads();
    let topics = [&*workloads[0].topic, &*workloads[1].topic];
    let found = match inspector.survey(&topics).await {
        Ok(survey) => {
            let up = survey.brokers.iter().filter(|broker| broker.address.is_some()).count();
            let text = format!("{up} of {} answer", survey.brokers.len());
            if up == survey.brokers.len() {
                lines.ok("brokers", text)
            } else {
                lines.warning("brokers", text)
            }
            for (topic, why) in &survey.missing {
                lines.warning(&of(topic), format!("{why}: not watched until `consumer migrate` has made it"));
            }
            survey.topics
        }
        Err(error @ Asking::NoSuchTopic { .. }) => {
            return lines.misconfigured(&of(&topics.join(", ")), format!("{error}: run `consumer migrate`"));
        }
        Err(error) => {
            let text = format!("{error}; are they running, and does KAFKA_BROKERS name them?");
            return lines.failed("brokers", text);
        }
    };
    for (topic, surveyed) in found {
        let partitions = surveyed.partitions.len();
        match inspector.retention(&topic).await {
            Ok(Some(time)) => {
                let hours = time.as_secs() / 3600;
                lines.ok(&of(&topic), format!("{partitions} partitions, keeps records for {hours} h"));
            }
            Ok(None) => lines.ok(&of(&topic), format!("{partitions} partitions, keeps records without end")),
            Err(error) => {
                lines.ok(&of(&topic), format!("{partitions} partitions"));
                lines.warning(&of(&topic), format!("{error}: no alarm before records are deleted unread"));
            }
        }
    }
}

fn of(topic: &str) -> String {
    format!("topic {topic}")
}

async fn database(options: &Options, lines: &mut Checklist) {
    let store = match Store::read_only(&options.store, "monitor-check") {
        Ok(store) => store,
        Err(error) => return lines.misconfigured("database", error.chain()),
    };
    match server::describe(&store).await {
        Ok(server) => {
            lines.ok("database", format!("PostgreSQL {}, {} as {}", server.version, server.database, server.role));
        }
        Err(error) => {
            let text = format!("{}; is it running, and does DATABASE_URL name it?", error.chain());
            return lines.failed("database", text);
        }
    }
    match schema_version::check(&store).await {
        Ok(version) => lines.ok("schema", format!("version {version}")),
        Err(error @ store::Error::Schema(_)) => return lines.misconfigured("schema", error.chain()),
        // A role without rights can't even ask: what it lacks is the better answer.
        Err(error) => match grants::missing_reads(&store).await {
            Ok(missing) if !missing.is_empty() => {}
            _ => return lines.failed("schema", error.chain()),
        },
    }
    privileges("reading", grants::missing_reads(&store).await, "--reader-role", lines);
}

async fn numbering(options: &Options, lines: &mut Checklist) {
    let store = match recorder_store(options) {
        Ok(Some(store)) => store,
        Ok(None) => return lines.ok("recorder", "not this monitor: RECORDER_DATABASE_URL is not set"),
        Err(error) => return lines.misconfigured("recorder", format!("{error:#}")),
    };
    privileges("recorder", grants::missing_to_record(&store).await, "--recorder-role", lines);
    match Recorder::begin(&store).await {
        Ok(Some(_)) => lines.ok("recorder", "nobody numbers events now"),
        Ok(None) => lines.ok("recorder", "another monitor numbers events now"),
        Err(error) => lines.failed("recorder", error.chain()),
    }
}

fn privileges(what: &str, missing: store::Result<Vec<String>>, flag: &str, lines: &mut Checklist) {
    match missing {
        Ok(missing) if missing.is_empty() => lines.ok(what, "the role may do what it is for"),
        Ok(missing) => {
            let text = format!("the role lacks {}: `consumer migrate {flag}` gives it", missing.join(", "));
            lines.misconfigured(what, text);
        }
        Err(error) => lines.failed(what, error.chain()),
    }
}
