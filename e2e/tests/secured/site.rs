//! Brokers and a Postgres with certificates of an authority made for this test, and who uses them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;
use testkit::{Authority, Kafka, KafkaOptions, Postgres, PostgresOptions, Program, SaslSsl, Scratch};

pub const DEADLINE: Duration = Duration::from_secs(60);
pub const PASSWORD: &str = "open5esame";

/// A user of the brokers.
#[derive(Clone, Copy)]
pub struct Who {
    name: &'static str,
    mechanism: &'static str,
    rights: &'static [&'static str],
}

impl Who {
    pub const OPERATOR: Self = Self {
        name: "operator",
        mechanism: "SCRAM-SHA-512",
        rights: &["--operation", "All", "--topic", "*", "--group", "*", "--cluster"],
    };
    pub const PRESS: Self =
        Self { name: "press", mechanism: "PLAIN", rights: &["--operation", "Write", "--topic", "sensor-readings"] };
    pub const STORE: Self = Self {
        name: "store",
        mechanism: "SCRAM-SHA-256",
        rights: &["--operation", "Read", "--topic", "sensor-readings", "--group", "sensor-consumers"],
    };
    pub const WATCHER: Self = Self {
        name: "watcher",
        mechanism: "scram-sha-512",
        rights: &["--operation", "Describe", "--topic", "sensor-readings"],
    };
    /// Known, and allowed nothing.
    pub const STRANGER: Self = Self { name: "stranger", mechanism: "SCRAM-SHA-256", rights: &[] };
}

pub struct Site {
    kafka: Kafka,
    postgres: Postgres,
    database: String,
    scratch: Scratch,
    logs: AtomicU32,
}

impl Site {
    pub async fn start() -> Result<Self> {
        let scratch = Scratch::new("secured")?;
        let authority = Authority::new("Millrace test authority")?;
        authority.write(&scratch.path().join("ca.pem"))?;
        Authority::new("Somebody else")?.write(&scratch.path().join("other-ca.pem"))?;
        let users = [Who::OPERATOR, Who::PRESS, Who::STORE, Who::WATCHER, Who::STRANGER];
        let listener = SaslSsl {
            certificate: authority.issue(&["localhost"])?,
            users: users.map(|user| (user.name.to_owned(), PASSWORD.to_owned())).into(),
        };
        let kafka = KafkaOptions { sasl_ssl: Some(listener), ..KafkaOptions::default() };
        let certificate = Some(authority.issue(&["localhost"])?);
        let postgres = PostgresOptions { certificate, ..PostgresOptions::default() };
        let (kafka, postgres) = tokio::try_join!(Kafka::start(kafka), Postgres::start(postgres))?;
        let [operator, press, store, watcher, _] = users.map(|user| kafka.allow(user.name, user.rights));
        tokio::try_join!(operator, press, store, watcher)?;
        let database = postgres.create_database().await?;
        let admin = postgres.connect("postgres").await?;
        let owner = format!(
            "CREATE ROLE factory_user LOGIN PASSWORD 'secret'; ALTER DATABASE {database} OWNER TO factory_user"
        );
        admin.batch_execute(&owner).await?;
        Ok(Self { kafka, postgres, database, scratch, logs: AtomicU32::new(0) })
    }

    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// A file for what one process prints.
    pub fn log(&self) -> PathBuf {
        self.dir().join(format!("{}.log", self.logs.fetch_add(1, Ordering::Relaxed)))
    }

    pub fn ca(&self) -> String {
        self.dir().join("ca.pem").display().to_string()
    }

    pub fn other_ca(&self) -> String {
        self.dir().join("other-ca.pem").display().to_string()
    }

    /// The listeners that want TLS and a login, under a name or address of this machine.
    pub fn brokers(&self, host: &str) -> String {
        self.kafka.sasl_ssl_bootstrap(host)
    }

    pub fn plain_brokers(&self) -> String {
        self.kafka.bootstrap()
    }

    /// `user` may have a password behind a colon.
    pub fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        format!("postgres://{user}@{host}:{}/{}?{parameters}", self.postgres.address().port(), self.database)
    }

    pub fn database_url(&self, mode: &str) -> String {
        self.url("factory_user:secret", "localhost", &format!("sslmode={mode}&sslrootcert={}", self.ca()))
    }

    /// How many rows a table has; 0 while it is not there.
    pub async fn count(&self, table: &str) -> i64 {
        let Ok(client) = self.postgres.connect(&self.database).await else { return 0 };
        let row = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await;
        row.map_or(0, |row| row.get(0))
    }

    /// A program that knows the database and nothing of the brokers.
    pub fn unsecured(&self, program: &str) -> Program {
        Program::named(program).expect("it is built").env("DATABASE_URL", self.database_url("verify-full"))
    }

    /// A file with the settings of [`Self::program`]; its path.
    pub fn file(&self, who: Who) -> String {
        let text = format!(
            "kafka-brokers = '{}'\nkafka-security-protocol = 'sasl_ssl'\nkafka-ssl-ca-file = '{}'\n\
             kafka-sasl-mechanism = '{}'\nkafka-sasl-username = '{}'\nkafka-sasl-password = '{PASSWORD}'\n\
             [sensors]\nid = 'not-for-this-command'\n",
            self.brokers("localhost"),
            self.ca(),
            who.mechanism,
            who.name
        );
        let path = self.dir().join(format!("{}.toml", who.name));
        std::fs::write(&path, text).expect("it is written");
        path.display().to_string()
    }

    /// A program with all that it needs.
    pub fn program(&self, program: &str, who: Who) -> Program {
        self.unsecured(program)
            .env("KAFKA_BROKERS", self.brokers("localhost"))
            .env("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
            .env("KAFKA_SSL_CA_FILE", self.ca())
            .env("KAFKA_SASL_MECHANISM", who.mechanism)
            .env("KAFKA_SASL_USERNAME", who.name)
            .env("KAFKA_SASL_PASSWORD", PASSWORD)
    }

    /// Exit code and output of a program that ends by itself.
    pub async fn run(&self, program: Program) -> (i32, String) {
        let process = program.spawn(&self.log()).expect("it starts");
        let status = process.wait(DEADLINE).await.expect("it ends");
        (status.code().unwrap_or(-1), process.output())
    }

    pub async fn consumer(&self, arguments: &[&str], who: Who) -> (i32, String) {
        self.consumer_with(arguments, who, &[]).await
    }

    pub async fn consumer_with(&self, arguments: &[&str], who: Who, settings: &[(&str, &str)]) -> (i32, String) {
        self.run(with(self.program("consumer", who).args(arguments), settings)).await
    }

    /// `producer replay` of a file with `text` in it.
    pub async fn replay(&self, text: &str, who: Who, settings: &[(&str, &str)]) -> (i32, String) {
        let file = self.dir().join("series.csv");
        std::fs::write(&file, text).expect("it is written");
        let program = self.program("producer", who).arg("replay").arg(file).args(["--sensor", "machine-1"]);
        self.run(with(program, settings)).await
    }
}

fn with(program: Program, settings: &[(&str, &str)]) -> Program {
    settings.iter().fold(program, |program, (name, value)| program.env(name, value))
}

/// With what everybody printed, when the test fails.
impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in 0..self.logs.load(Ordering::Relaxed) {
                let path = self.dir().join(format!("{log}.log"));
                eprintln!("--- {log}\n{}", std::fs::read_to_string(path).unwrap_or_default());
            }
        }
    }
}
