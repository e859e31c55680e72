//! TLS and SASL: one set of settings for librdkafka's clients and for the inspector's own sockets.
//!
//! ```text
//! Security ─validate─┬─ apply_to ──> ClientConfig (librdkafka's names)
//!                    └─ connector ─> OpenSSL ──> inspector
//! ```
//!
//! Hostnames are verified always: a broker's certificate must be for the name that it is reached
//! under, the one that it advertises included (RFC 9110, 4.3.4).

use std::path::PathBuf;

use clap::ValueEnum;
use configuration::Secret;
use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use rdkafka::ClientConfig;

/// How the connection is protected, and by whom it is used (Kafka's `security.protocol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Neither encrypted nor authenticated
    #[default]
    Plaintext,
    /// TLS; with a client certificate also authenticated
    Ssl,
    /// Authenticated by SASL, not encrypted: PLAIN shows the password to the network
    #[value(name = "sasl_plaintext", alias = "sasl-plaintext")]
    SaslPlaintext,
    /// TLS, authenticated by SASL
    #[value(name = "sasl_ssl", alias = "sasl-ssl")]
    SaslSsl,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether it is TLS.
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether a user logs in.
    pub(crate) fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How a user proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mechanism {
    /// Name and password as they are (RFC 4616): only over TLS
    #[value(name = "PLAIN")]
    Plain,
    /// RFC 7677
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// RFC 5802 with SHA-512
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    /// As IANA has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// How to be let in by the brokers. The default is plain TCP.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Security {
    /// What the brokers' listener speaks
    #[arg(
        id = "kafka_security_protocol",
        long = "kafka-security-protocol",
        env = "KAFKA_SECURITY_PROTOCOL",
        value_enum,
        default_value_t,
        ignore_case = true
    )]
    pub protocol: Protocol,
    /// PEM file with the authorities that brokers' certificates must come from; without it the
    /// system's are trusted
    #[arg(id = "kafka_ssl_ca_file", long = "kafka-ssl-ca-file", env = "KAFKA_SSL_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// PEM file with the client's certificate and its chain, for brokers that ask for one
    #[arg(
        id = "kafka_ssl_certificate_file",
        long = "kafka-ssl-certificate-file",
        env = "KAFKA_SSL_CERTIFICATE_FILE",
        value_name = "FILE"
    )]
    pub certificate_file: Option<PathBuf>,
    /// PEM file with the client certificate's private key
    #[arg(id = "kafka_ssl_key_file", long = "kafka-ssl-key-file", env = "KAFKA_SSL_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// How the user proves who it is
    #[arg(
        id = "kafka_sasl_mechanism",
        long = "kafka-sasl-mechanism",
        env = "KAFKA_SASL_MECHANISM",
        value_enum,
        ignore_case = true
    )]
    pub mechanism: Option<Mechanism>,
    /// Name of the user
    #[arg(id = "kafka_sasl_username", long = "kafka-sasl-username", env = "KAFKA_SASL_USERNAME", value_name = "NAME")]
    pub username: Option<String>,
    /// Password of the user; a flag is visible to everybody on the machine, the variable is not
    #[arg(
        id = "kafka_sasl_password",
        long = "kafka-sasl-password",
        env = "KAFKA_SASL_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub password: Option<Secret>,
}

/// Mechanism, name and password.
pub(crate) struct Login<'a> {
    pub(crate) mechanism: Mechanism,
    pub(crate) username: &'a str,
    pub(crate) password: &'a str,
}

impl Security {
    /// Whether the settings fit together and their files can be used. Connects to nothing.
    ///
    /// # Errors
    /// Names the setting.
    pub fn validate(&self) -> Result<(), String> {
        self.refuse_what_has_no_effect()?;
        self.login()?;
        self.connector().map(drop)
    }

    /// librdkafka's settings for it (its CONFIGURATION.md).
    pub(crate) fn apply_to(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol.name());
        if self.protocol.is_tls() {
            config.set("ssl.endpoint.identification.algorithm", "https");
            let files = [
                ("ssl.ca.location", &self.ca_file),
                ("ssl.certificate.location", &self.certificate_file),
                ("ssl.key.location", &self.key_file),
            ];
            for (name, file) in files {
                if let Some(file) = file {
                    config.set(name, file.to_string_lossy());
                }
            }
        }
        if let Ok(Some(login)) = self.login() {
            config
                .set("sasl.mechanism", login.mechanism.name())
                .set("sasl.username", login.username)
                .set("sasl.password", login.password);
        }
    }

    fn refuse_what_has_no_effect(&self) -> Result<(), String> {
        let tls = [
            ("KAFKA_SSL_CA_FILE", self.ca_file.is_some()),
            ("KAFKA_SSL_CERTIFICATE_FILE", self.certificate_file.is_some()),
            ("KAFKA_SSL_KEY_FILE", self.key_file.is_some()),
        ];
        let sasl = [
            ("KAFKA_SASL_MECHANISM", self.mechanism.is_some()),
            ("KAFKA_SASL_USERNAME", self.username.is_some()),
            ("KAFKA_SASL_PASSWORD", self.password.is_some()),
        ];
        let protocol = self.protocol.name();
        let without_effect = |settings: &[(&str, bool)], takes: &str| {
            let set = settings.iter().find(|(_, set)| *set);
            set.map_or(Ok(()), |(name, _)| {
                Err(format!("{name} is set, but KAFKA_SECURITY_PROTOCOL is {protocol}: it takes {takes}"))
            })
        };
        if !self.protocol.is_tls() {
            without_effect(&tls, "ssl or sasl_ssl")?;
        }
        if !self.protocol.is_sasl() {
            without_effect(&sasl, "sasl_plaintext or sasl_ssl")?;
        }
        Ok(())
    }

    /// Who logs in, where the protocol has a login.
    pub(crate) fn login(&self) -> Result<Option<Login<'_>>, String> {
        if !self.protocol.is_sasl() {
            return Ok(None);
        }
        let missing = |name: &str| format!("KAFKA_SECURITY_PROTOCOL is {} and needs {name}", self.protocol.name());
        let username = self.username.as_deref().filter(|name| !name.is_empty());
        let password = self.password.as_ref().map(Secret::expose).filter(|password| !password.is_empty());
        Ok(Some(Login {
            mechanism: self
                .mechanism
                .ok_or_else(|| missing("KAFKA_SASL_MECHANISM (PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512)"))?,
            username: username.ok_or_else(|| missing("KAFKA_SASL_USERNAME"))?,
            password: password.ok_or_else(|| missing("KAFKA_SASL_PASSWORD"))?,
        }))
    }

    /// What opens TLS connections, where the protocol has them.
    pub(crate) fn connector(&self) -> Result<Option<SslConnector>, String> {
        if !self.protocol.is_tls() {
            return Ok(None);
        }
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(openssl_failed)?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(openssl_failed)?;
        if let Some(file) = &self.ca_file {
            // These authorities and no others, as librdkafka has it.
            let nobody = X509StoreBuilder::new().map_err(openssl_failed)?.build();
            builder.set_cert_store(nobody);
            builder.set_ca_file(file).map_err(|error| unusable("KAFKA_SSL_CA_FILE", file, &error))?;
        }
        match (&self.certificate_file, &self.key_file) {
            (None, None) => {}
            (Some(certificate), Some(key)) => {
                builder
                    .set_certificate_chain_file(certificate)
                    .map_err(|error| unusable("KAFKA_SSL_CERTIFICATE_FILE", certificate, &error))?;
                builder
                    .set_private_key_file(key, SslFiletype::PEM)
                    .and_then(|()| builder.check_private_key())
                    .map_err(|error| unusable("KAFKA_SSL_KEY_FILE", key, &error))?;
            }
            (Some(_), None) => return Err("KAFKA_SSL_CERTIFICATE_FILE needs KAFKA_SSL_KEY_FILE".into()),
            (None, Some(_)) => return Err("KAFKA_SSL_KEY_FILE needs KAFKA_SSL_CERTIFICATE_FILE".into()),
        }
        Ok(Some(builder.build()))
    }
}

fn openssl_failed(error: ErrorStack) -> String {
    format!("setting up TLS: {error}")
}

fn unusable(setting: &str, file: &std::path::Path, error: &ErrorStack) -> String {
    // A file that is not there is a stack of three errors to OpenSSL, and one to the reader.
    let reason = match std::fs::File::open(file) {
        Err(error) => error.to_string(),
        Ok(_) => error.errors().first().and_then(|error| error.reason()).unwrap_or("not PEM").to_owned(),
    };
    format!("{setting}: {}: {reason}", file.display())
}

#[cfg(test)]
mod tests;
