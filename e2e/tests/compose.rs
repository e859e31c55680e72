//! `docker-compose.yml` says the same as the native stack: names, ports, settings. No engine is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml_ng::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    let mut value: Value = serde_yaml_ng::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    // What is merged in may merge something in itself: each pass resolves one level.
    for _ in 0..4 {
        value.apply_merge().unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    value
}

/// Services by name.
fn services() -> BTreeMap<String, Value> {
    let all = yaml("docker-compose.yml")["services"].clone();
    serde_yaml_ng::from_value(all).expect("services by name")
}

/// A list of texts; empty where there is none.
fn list(value: &Value) -> Vec<String> {
    let items = value.as_sequence().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

/// The environment of a service.
fn environment(service: &Value) -> BTreeMap<String, String> {
    let all = service["environment"].as_mapping().expect("an environment as NAME: value");
    let shown = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => serde_yaml_ng::to_string(other).expect("a value").trim().to_owned(),
    };
    all.iter().map(|(name, value)| (name.as_str().expect("a name").to_owned(), shown(value))).collect()
}

/// What bash prints after it has read the settings that both stacks share, and those of one of them.
fn from_the_scripts(kind: &str, print: &str) -> Vec<String> {
    let script =
        format!("kind={kind}; . deploy/both/where.sh; . deploy/both/settings.sh; . deploy/{kind}/settings.sh; {print}");
    let output = Command::new("bash").args(["-euc", &script]).current_dir(root()).output().expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// The `${NAME:-default}` of a text.
fn variables(text: &str) -> Vec<(&str, &str)> {
    let inner = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
    inner.map(|(inner, _)| inner.split_once(":-").unwrap_or_else(|| panic!("{inner} has no default"))).collect()
}

/// `name=value` lines of a properties file.
fn properties(path: &str) -> BTreeMap<String, String> {
    let text = text(path);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn containers_have_the_names_of_the_stack() {
    let names: BTreeSet<String> = from_the_scripts("docker", "printf '%s\\n' \"${names[@]}\"").into_iter().collect();
    let mut contained = BTreeSet::new();
    for (name, service) in services() {
        assert_eq!(service["container_name"].as_str(), Some(name.as_str()), "`docker kill {name}` has to work");
        contained.insert(name);
    }
    assert!(contained.remove("migrate"));
    assert_eq!(contained, names);
}

#[test]
fn nothing_is_published_but_on_the_loopback_address() {
    for (name, service) in services() {
        for port in list(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:${"), "{name} publishes {port}");
        }
        assert!(service.get("network_mode").is_none() && service.get("privileged").is_none(), "{name}");
    }
    let monitor = environment(&services()["monitoring"]);
    assert_eq!((&*monitor["MONITORING_HOST"], &*monitor["MONITORING_TRUSTED_NETWORK"]), ("0.0.0.0", "1"));
}

#[test]
fn what_was_killed_stays_dead() {
    for (name, service) in services() {
        assert!(service.get("restart").is_none() && service.get("deploy").is_none(), "{name} has a restart policy");
    }
}

#[test]
fn nobody_is_root_and_everybody_is_watched() {
    let image = text("deploy/docker/Dockerfile");
    let user = image.lines().rev().find_map(|line| line.strip_prefix("USER "));
    assert!(user.is_some_and(|user| user != "root" && user != "0"), "the image of the programs runs as {user:?}");
    for (name, service) in services() {
        let user = service["user"].as_str();
        let ours = service["image"].as_str() == Some("millrace");
        assert!(ours || user.is_some_and(|user| user != "root" && !user.starts_with("0")), "{name} runs as {user:?}");
        assert!(name == "migrate" || service["healthcheck"]["test"].is_sequence(), "{name} has no health check");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name} fills the disk with its log");
        assert!(
            service["image"].as_str().is_some_and(|image| !image.contains('@')),
            "{name} names its image by digest"
        );
    }
}

#[test]
fn settings_have_the_defaults_of_the_stack() {
    let lines = from_the_scripts("docker", "printf '%s=%s\\n' \"${settings[@]}\"");
    let defaults: BTreeMap<&str, &str> = lines.iter().filter_map(|line| line.split_once('=')).collect();
    let compose = text("docker-compose.yml");
    // Comments speak of ${…} in general.
    let compose: String = compose.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let used = variables(&compose);
    for (name, default) in &used {
        assert_eq!(defaults.get(name), Some(default), "{name}");
    }
    let used: BTreeSet<&str> = used.iter().map(|(name, _)| *name).collect();
    for name in defaults.keys().filter(|name| name.ends_with("_PORT")) {
        assert!(used.contains(name), "{name} moves nothing");
    }
}

#[test]
fn brokers_have_the_settings_of_the_native_stack() {
    let file = properties("deploy/kafka/broker.properties");
    // What a place decides: everything with an @NAME@, and the names of the listeners.
    let mut of_the_place: BTreeSet<String> =
        file.iter().filter(|(_, value)| value.contains('@')).map(|(name, _)| name.clone()).collect();
    of_the_place.insert("listener.security.protocol.map".into());
    let about_the_image =
        ["KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_LOG4J_OPTS"].map(str::to_owned).into();
    let services = services();
    let mut clusters = BTreeSet::new();
    for id in 1..=3 {
        let broker = &services[&format!("kafka{id}")];
        let mounted = "./deploy/kafka/broker.properties:/mnt/shared/config/server.properties:ro";
        assert!(list(&broker["volumes"]).iter().any(|volume| volume == mounted), "kafka{id}: {mounted}");
        let environment = environment(broker);
        let settings: BTreeSet<String> =
            environment.keys().filter(|name| name.starts_with("KAFKA_")).cloned().collect();
        let said: BTreeSet<String> = settings
            .difference(&about_the_image)
            .map(|name| name.trim_start_matches("KAFKA_").to_lowercase().replace('_', "."))
            .collect();
        assert_eq!(said, of_the_place, "kafka{id}: left what the file says, or left out what it cannot say");
        assert_eq!(environment["KAFKA_NODE_ID"], id.to_string());
        clusters.insert(environment["CLUSTER_ID"].clone());
    }
    assert_eq!(clusters.len(), 1, "one cluster has one id: {clusters:?}");
}

#[test]
fn brokers_are_the_version_and_the_jvm_of_the_native_stack() {
    let pom = text("deploy/kafka/pom.xml");
    let version = pom.split_once("<kafka.version>").and_then(|(_, rest)| rest.split_once('<')).expect("a version").0;
    let jvm = Command::new("bash")
        .args([
            "-euc",
            ". deploy/kafka/environment; printf '%s\\n' \"${broker_jvm[@]}\" \"MALLOC_ARENA_MAX=$MALLOC_ARENA_MAX\"",
        ])
        .current_dir(root())
        .env_remove("MALLOC_ARENA_MAX")
        .output()
        .expect("bash");
    let jvm = String::from_utf8(jvm.stdout).expect("UTF-8");
    let native: BTreeSet<&str> = jvm.lines().filter(|option| !option.starts_with("-Dlog4j2")).collect();
    for id in 1..=3 {
        let broker = &services()[&format!("kafka{id}")];
        assert_eq!(broker["image"].as_str(), Some(format!("apache/kafka:{version}").as_str()));
        let environment = environment(broker);
        let options = format!(
            "{} {} MALLOC_ARENA_MAX={}",
            environment["KAFKA_HEAP_OPTS"], environment["KAFKA_JVM_PERFORMANCE_OPTS"], environment["MALLOC_ARENA_MAX"]
        );
        assert_eq!(options.split_whitespace().collect::<BTreeSet<_>>(), native, "kafka{id}");
    }
}

#[test]
fn postgres_has_the_settings_of_the_native_stack() {
    let postgres = &services()["postgres"];
    let volumes = list(&postgres["volumes"]);
    assert!(volumes.iter().any(|volume| volume == "./deploy/postgres/millrace.conf:/etc/millrace/millrace.conf:ro"));
    let said: Vec<String> = list(&postgres["command"])
        .iter()
        .filter_map(|argument| argument.strip_prefix("-c")?.split_once('='))
        .map(|(name, _)| name.to_owned())
        .collect();
    // Where it is reached and where its log goes; all else is the file's to say.
    let places = ["config_file", "hba_file", "listen_addresses", "unix_socket_directories", "logging_collector"];
    assert_eq!(said, places);
}

#[test]
fn prometheus_asks_every_process() {
    let jobs = yaml("deploy/prometheus/prometheus.yml")["scrape_configs"].clone();
    let mut asked = BTreeSet::new();
    for job in jobs.as_sequence().expect("jobs") {
        for config in job["static_configs"].as_sequence().expect("targets") {
            asked.extend(list(&config["targets"]));
        }
    }
    let port = |name: &str| match name {
        "monitoring" => 5000,
        "tweet-api" => 8005,
        _ => 9100,
    };
    let programs = from_the_scripts("docker", "printf '%s\\n' \"${programs[@]}\"");
    assert_eq!(asked, programs.iter().map(|name| format!("{name}:{}", port(name))).collect());
}
