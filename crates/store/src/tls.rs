//! TLS to PostgreSQL, with libpq's own parameters (PostgreSQL manual, 32.19 "SSL Support").
//!
//! | `sslmode` | encrypted | certificate's authority | its name |
//! |---|---|---|---|
//! | `disable` | no | | |
//! | `allow` | if the server refuses plain connections | if there is a root certificate | no |
//! | `prefer` (the default) | if the server can; else, or when that fails, plain | if there is a root certificate | no |
//! | `require` | yes | if there is a root certificate | no |
//! | `verify-ca` | yes | yes | no |
//! | `verify-full` | yes | yes | yes |
//!
//! `sslrootcert` names a PEM file, or is `system` (then `sslmode` is `verify-full`, and nothing less is taken).
//! Unset it is `~/.postgresql/root.crt`, where that exists. `sslcert` and `sslkey` are the client's, unset
//! `~/.postgresql/postgresql.crt` and `.key`. Over Unix sockets there is no TLS. What differs from libpq: a file
//! that is named and is not there is refused, and with several hosts `allow` and `prefer` ask all of them in one
//! way before they ask in the other.

use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use postgres_openssl::{MakeTlsConnector, TlsStream};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Connection, Socket};

use crate::connection_string;
use crate::error::{Error, Result, chain};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    const ALL: [(&str, Self); 6] = [
        ("disable", Self::Disable),
        ("allow", Self::Allow),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];

    fn read(text: &str) -> Result<Self> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode);
        known.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
            refused(format!("sslmode: `{text}` is not one of {}", names.join(", ")))
        })
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| *name)
    }
}

/// A connection whose messages are still to be driven.
pub(crate) type Driven = (Client, Connection<Socket, TlsStream<Socket>>);

/// How connections are encrypted.
#[derive(Clone)]
pub(crate) struct Tls {
    mode: Mode,
    connector: MakeTlsConnector,
}

/// Reads a connection string: what tokio-postgres understands of it, and how it is encrypted.
///
/// # Errors
/// [`Error::Url`] names the parameter.
pub(crate) fn read(text: &str) -> Result<(Config, Tls)> {
    let (rest, parameters) = connection_string::split(text, ["sslmode", "sslrootcert", "sslcert", "sslkey"])?;
    let mut config: Config = rest.parse().map_err(|error| refused(chain(&error)))?;
    let [mode, root, certificate, key] = parameters;
    let system = root.as_deref() == Some("system");
    let mode = match (mode.as_deref(), system) {
        (Some(text), _) => Mode::read(text)?,
        (None, true) => Mode::VerifyFull,
        (None, false) => Mode::Prefer,
    };
    if system && mode < Mode::VerifyFull {
        return Err(refused(format!("sslmode={}: sslrootcert=system takes verify-full and nothing less", mode.name())));
    }
    if let [Host::Unix(_), ..] = config.get_hosts() {
        config.ssl_mode(SslMode::Disable);
        return Ok((config, Tls { mode: Mode::Disable, connector: connector(Mode::Disable, None, None)? }));
    }
    let root = match root {
        Some(_) if system => Some(Root::System),
        Some(file) => Some(Root::File(named("sslrootcert", file)?)),
        None => in_home("root.crt").map(Root::File),
    };
    if root.is_none() && mode >= Mode::VerifyCa {
        let name = mode.name();
        return Err(refused(format!("sslmode={name} needs sslrootcert: a PEM file, or system for the system's own")));
    }
    let client = match certificate {
        Some(file) => Some(named("sslcert", file)?),
        None => in_home("postgresql.crt"),
    };
    let client = match (client, key) {
        (None, _) => None,
        (Some(certificate), Some(file)) => Some((certificate, named("sslkey", file)?)),
        (Some(certificate), None) => {
            let key = in_home("postgresql.key").ok_or_else(|| refused("sslcert needs sslkey".into()))?;
            Some((certificate, key))
        }
    };
    let connector = if mode == Mode::Disable { connector(mode, None, None) } else { connector(mode, root, client) };
    Ok((config, Tls { mode, connector: connector? }))
}

/// Whose certificates are trusted.
enum Root {
    System,
    File(PathBuf),
}

fn connector(mode: Mode, root: Option<Root>, client: Option<(PathBuf, PathBuf)>) -> Result<MakeTlsConnector> {
    let broken = |error: ErrorStack| refused(format!("setting up TLS: {error}"));
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(broken)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(broken)?;
    match root {
        None => builder.set_verify(SslVerifyMode::NONE),
        Some(Root::System) => {}
        Some(Root::File(file)) => {
            // These authorities and no others.
            builder.set_cert_store(X509StoreBuilder::new().map_err(broken)?.build());
            builder.set_ca_file(&file).map_err(|error| unusable("sslrootcert", &file, &error))?;
        }
    }
    if let Some((certificate, key)) = client {
        let read = builder.set_certificate_chain_file(&certificate);
        read.map_err(|error| unusable("sslcert", &certificate, &error))?;
        let read = builder.set_private_key_file(&key, SslFiletype::PEM).and_then(|()| builder.check_private_key());
        read.map_err(|error| unusable("sslkey", &key, &error))?;
    }
    let mut connector = MakeTlsConnector::new(builder.build());
    connector.set_callback(move |connection, _| {
        connection.set_verify_hostname(mode == Mode::VerifyFull);
        Ok(())
    });
    Ok(connector)
}

fn named(parameter: &str, file: String) -> Result<PathBuf> {
    let path = PathBuf::from(file);
    match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(refused(format!("{parameter}: {}: {error}", path.display()))),
    }
}

fn in_home(name: &str) -> Option<PathBuf> {
    let path = std::env::home_dir()?.join(".postgresql").join(name);
    path.is_file().then_some(path)
}

fn unusable(parameter: &str, file: &Path, error: &ErrorStack) -> Error {
    let reason = error.errors().first().and_then(|error| error.reason()).unwrap_or("not PEM");
    refused(format!("{parameter}: {}: {reason}", file.display()))
}

fn refused(reason: String) -> Error {
    Error::Url { reason }
}

impl Tls {
    /// Connects as the mode says.
    pub(crate) async fn connect(&self, config: &Config) -> std::result::Result<Driven, tokio_postgres::Error> {
        let (first, second) = match self.mode {
            Mode::Disable => (SslMode::Disable, None),
            Mode::Allow => (SslMode::Disable, Some(SslMode::Require)),
            Mode::Prefer => (SslMode::Prefer, Some(SslMode::Disable)),
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => (SslMode::Require, None),
        };
        let mut config = config.clone();
        let answer = config.ssl_mode(first).connect(self.connector.clone()).await;
        match (answer, second) {
            (Err(error), Some(second)) if may_differ(&error) => {
                config.ssl_mode(second).connect(self.connector.clone()).await
            }
            (answer, _) => answer,
        }
    }

    /// The failure with the part of the connection string that it is about, where that can be told.
    pub(crate) fn explain(&self, error: tokio_postgres::Error) -> Error {
        let mode = self.mode.name();
        let about = match error.code().map(|code| code.code()) {
            Some("28P01") => "DATABASE_URL: user or password".into(),
            Some("28000") => format!("DATABASE_URL: user, database, or sslmode ({mode})"),
            Some("3D000") => "DATABASE_URL: database".into(),
            Some(_) => return Error::Connect(error.into()),
            None => match handshake(&error) {
                Some(text) if text.contains("mismatch") => {
                    format!("DATABASE_URL: sslmode={mode}: the certificate is not for the host's name")
                }
                Some(text) if text.contains("certificate verify failed") => {
                    "DATABASE_URL: sslrootcert: the certificate is not from an authority that is trusted".into()
                }
                Some(_) => format!("DATABASE_URL: sslmode={mode}: TLS"),
                None if error.to_string().contains("TLS handshake") => format!("DATABASE_URL: sslmode={mode}"),
                None => return Error::Connect(error.into()),
            },
        };
        Error::Connect(Explained { about, source: error }.into())
    }
}

/// A failure to connect, and which setting it is about.
#[derive(Debug, thiserror::Error)]
#[error("{about}")]
struct Explained {
    about: String,
    source: tokio_postgres::Error,
}

/// Whether the server may answer otherwise when asked with, or without, TLS: it refused the login, or TLS failed.
fn may_differ(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("28")) || handshake(error).is_some()
}

/// What OpenSSL says, if it was OpenSSL that failed.
fn handshake(error: &tokio_postgres::Error) -> Option<String> {
    use std::error::Error as _;
    let outer = error.source()?;
    let cause = outer.source().and_then(|cause| cause.downcast_ref::<openssl::ssl::Error>())?;
    // One that is about the network is no verdict.
    cause.io_error().is_none().then(|| outer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(text: &str) -> std::result::Result<Mode, String> {
        read(text).map(|(_, tls)| tls.mode).map_err(|error| error.to_string())
    }

    #[test]
    fn the_mode_is_prefer_unless_the_connection_string_says_otherwise() {
        assert_eq!(mode("postgres://a@b/c"), Ok(Mode::Prefer));
        assert_eq!(mode("postgres://a@b/c?sslmode=require&connect_timeout=3"), Ok(Mode::Require));
        assert_eq!(mode("host=b user=a sslmode=disable"), Ok(Mode::Disable));
        assert_eq!(mode("postgres://a@b/c?sslrootcert=system"), Ok(Mode::VerifyFull));
        assert_eq!(mode("postgres://a@%2Frun%2Fpostgresql/c?sslmode=require"), Ok(Mode::Disable), "a Unix socket");
    }

    #[test]
    fn what_does_not_fit_together_is_refused_by_name() {
        for (parameters, said) in [
            ("sslmode=on", "sslmode: `on` is not one of disable, allow, prefer, require, verify-ca, verify-full"),
            ("sslmode=require&sslrootcert=system", "sslmode=require: sslrootcert=system takes verify-full"),
            ("sslmode=verify-full&sslrootcert=/no/such", "sslrootcert: /no/such: No such file"),
            ("sslmode=require&sslcert=/no/such", "sslcert: /no/such: No such file"),
            ("sslmode=require&sslfoo=1", "unknown option `sslfoo`"),
        ] {
            let error = mode(&format!("postgres://a@b/c?{parameters}")).expect_err("it is refused");
            assert!(error.starts_with("DATABASE_URL: ") && error.contains(said), "{error}");
        }
    }
}
