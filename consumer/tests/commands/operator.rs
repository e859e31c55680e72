//! Someone with a shell: a topic, a group and a database of their own, and the built `consumer`.

use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use schema::{SensorReading, SensorType};
use testkit::{Process, Program, Scratch, Shared, shared, wait_for, wait_until};
use uuid::Uuid;

/// Partitions of the topic.
pub const PARTITIONS: i32 = 3;
/// A busy machine takes its time; a healthy one a second or two.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub struct Operator {
    pub topic: String,
    pub group: String,
    shared: Shared,
    scratch: Scratch,
    admin: AdminClient<DefaultClientContext>,
    producer: FutureProducer,
    run_id: Uuid,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub text: String,
}

impl Operator {
    /// With a migrated database and an empty topic.
    pub async fn new() -> Self {
        let shared = shared().await;
        let name = Uuid::new_v4().simple().to_string();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &shared.brokers);
        let operator = Self {
            topic: format!("readings-{name}"),
            group: format!("group-{name}"),
            scratch: Scratch::new("commands").expect("a folder"),
            admin: config.create().expect("an admin client"),
            producer: config.set("acks", "all").create().expect("a producer"),
            run_id: Uuid::new_v4(),
            shared,
        };
        let group = operator.group.clone();
        let migrated = operator.run(&["migrate", "--wait", "30", "--group", &group]);
        assert_eq!(migrated.code, Some(0), "{}", migrated.text);
        operator.create_topic().await;
        operator
    }

    /// Runs a command to its end; stdout and stderr in one text.
    pub fn run(&self, arguments: &[&str]) -> Answer {
        let output = self.command(arguments).output().expect("the program starts");
        let text = [output.stdout, output.stderr].concat();
        Answer { code: output.status.code(), text: String::from_utf8(text).expect("text") }
    }

    /// The same with nobody at the other end of its stdout; the exit code.
    pub fn run_unread(&self, arguments: &[&str]) -> Option<i32> {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        self.command(arguments).stdout(writer).status().expect("the program starts").code()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consumer"));
        command.args(arguments).env("USER", "test");
        command.env("DATABASE_URL", &self.shared.database_url).env("KAFKA_BROKERS", &self.shared.brokers);
        command
    }

    /// `consumer offsets …` of this topic.
    pub fn offsets(&self, arguments: &[&str]) -> Answer {
        self.run(&[&["offsets"], arguments, &["--topic", &self.topic]].concat())
    }

    /// Waits until verify's JSON says so many rows and dead letters, and returns its exit code.
    pub async fn stored(&self, rows: u64, letters: u64) -> i32 {
        let expected = (rows, letters);
        wait_for(DEADLINE, &format!("{rows} rows and {letters} letters"), async || {
            let answer = self.run(&["verify", "--json"]);
            let report: serde_json::Value = serde_json::from_str(answer.text.lines().next()?).ok()?;
            let sum = |name: &str| {
                let partitions = report["partitions"].as_array().expect("a list");
                partitions.iter().map(|p| p[name].as_u64().expect("a count")).sum::<u64>()
            };
            let found = (sum("rows") + sum("replayed"), sum("dead_letters"));
            (found == expected).then_some(answer.code.expect("it ended by itself"))
        })
        .await
    }

    /// A consumer that goes on until the answer is dropped.
    pub fn consumer(&self, group: &str) -> Process {
        let id = format!("consumer-{}", Uuid::new_v4().simple());
        let dir = self.scratch.path().join(&id);
        Program::named("consumer")
            .expect("it is built")
            .args(["sensors", "--id", &id, "--http-addr", "127.0.0.1:0", "--topic", &self.topic])
            .args(["--group", group, "--data-dir"])
            .arg(&dir)
            .env("DATABASE_URL", &self.shared.database_url)
            .env("KAFKA_BROKERS", &self.shared.brokers)
            .spawn(&self.scratch.path().join("consumer.log"))
            .expect("it starts")
    }

    /// Sends readings with these sequence numbers, spread over the partitions.
    pub async fn send(&self, sequences: std::ops::Range<u64>) {
        for sequence in sequences {
            let partition = i32::try_from(sequence % 3).expect("small");
            let reading = SensorReading {
                version: 1,
                sensor_id: format!("sensor-{partition}").into(),
                sensor_type: SensorType::Pressure,
                unit: "bar".into(),
                value: 1.5,
                event_time: jiff::Timestamp::UNIX_EPOCH,
                producer_id: "pressure-sensor".into(),
                run_id: self.run_id,
                sequence,
            };
            self.send_bytes(partition, &reading.encode()).await;
        }
    }

    pub async fn send_bytes(&self, partition: i32, bytes: &[u8]) {
        let record = FutureRecord::<(), [u8]>::to(&self.topic).partition(partition).payload(bytes);
        self.producer.send(record, DEADLINE).await.expect("it is acknowledged");
    }

    pub async fn create_topic(&self) {
        let topic = NewTopic::new(&self.topic, PARTITIONS, TopicReplication::Fixed(3));
        let made = self.admin.create_topics(&[topic], &AdminOptions::new()).await.expect("the brokers answer");
        made.into_iter().for_each(|made| drop(made.expect("it is new")));
    }

    /// Deletes the topic and creates it again, as soon as the brokers have forgotten it.
    pub async fn recreate_topic(&self) {
        let deleted = self.admin.delete_topics(&[&self.topic], &AdminOptions::new()).await.expect("they answer");
        deleted.into_iter().for_each(|deleted| drop(deleted.expect("it is there")));
        wait_until(DEADLINE, "the topic can be made again", async || {
            let topic = NewTopic::new(&self.topic, PARTITIONS, TopicReplication::Fixed(3));
            let made = self.admin.create_topics(&[topic], &AdminOptions::new()).await;
            made.is_ok_and(|made| made.iter().all(Result::is_ok))
        })
        .await;
    }
}
