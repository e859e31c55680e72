//! A second listener of each broker: TLS, users that log in, and what they may do.
//!
//! The first listener stays as it is, plain and for everybody, and its users (`ANONYMOUS`) may do everything: the
//! brokers talk to each other over it, and so do tests that look behind the scenes.

use super::{Kafka, deploy};
use crate::certificates::Certificate;
use crate::process::{Process, mortal};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::Path;
use std::time::Duration;

const MECHANISMS: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// What the listener shows and who is known to it.
#[derive(Debug, Clone)]
pub struct SaslSsl {
    /// The brokers' certificate; they advertise themselves as `localhost`.
    pub certificate: Certificate,
    /// Names and passwords (letters and digits), the same for PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
    pub users: Vec<(String, String)>,
}

impl SaslSsl {
    /// What a broker's settings get; its key is written to `file`.
    pub(super) fn properties(&self, port: u16, controller: u16, listening: u16, file: &Path) -> Result<String> {
        fs::write(file, self.certificate.key_store()).context("writing a key store")?;
        let users: Vec<String> = self.users.iter().map(|(name, word)| format!("user_{name}=\"{word}\"")).collect();
        let (users, file) = (users.join(" "), file.display());
        let security = "org.apache.kafka.common.security";
        Ok(format!(
            "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{listening}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://localhost:{listening}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL\n\
             ssl.keystore.type=PEM\n\
             ssl.keystore.location={file}\n\
             sasl.enabled.mechanisms=PLAIN,{}\n\
             listener.name.sasl_ssl.plain.sasl.jaas.config={security}.plain.PlainLoginModule required {users};\n\
             listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={security}.scram.ScramLoginModule required;\n\
             listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS\n",
            MECHANISMS.join(",")
        ))
    }

    /// What `kafka-storage format` is told, so that the users are there from the start (KIP-900).
    pub(super) fn scram_users(&self) -> Vec<String> {
        let each = |(name, word): &(String, String)| {
            MECHANISMS.map(|mechanism| format!("{mechanism}=[name={name},password={word},iterations=4096]"))
        };
        self.users.iter().flat_map(each).flat_map(|user| ["--add-scram".into(), user]).collect()
    }
}

impl Kafka {
    /// `host:port` of the listeners for users, under a name or address of this machine; the certificate is for
    /// those that it was issued for.
    ///
    /// # Panics
    /// When the cluster was started without [`SaslSsl`].
    #[must_use]
    pub fn sasl_ssl_bootstrap(&self, host: &str) -> String {
        let ports = self.brokers.iter().map(|broker| broker.sasl_ssl_port().expect("it was asked for"));
        ports.map(|port| format!("{host}:{port}")).collect::<Vec<_>>().join(",")
    }

    /// Gives a user rights, in the words of `kafka-acls`, such as `--operation Write --topic readings`.
    ///
    /// # Errors
    /// When the tool fails; the message has what it said.
    pub async fn allow(&self, user: &str, rights: &[&str]) -> Result<()> {
        let mut command = mortal(&deploy("tool"), None);
        command.args(["kafka-acls", "--bootstrap-server", &self.bootstrap()]);
        command.args(["--add", "--allow-principal", &format!("User:{user}")]).args(rights);
        let log = self.scratch.path().join(format!("acls-{user}.log"));
        let tool = Process::spawn("kafka-acls", command, Some(&log))?;
        let status = tool.wait(Duration::from_secs(60)).await?;
        ensure!(status.success(), "kafka-acls: {status}\n{}", tool.last_output());
        Ok(())
    }
}
