//! How the inspector's sockets are let in: TCP, then TLS, then SASL, as the settings say.
//!
//! A refusal names the setting that it is about: it will be the same the next time.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use openssl::ssl::{SslConnector, SslRef};
use openssl::x509::X509VerifyResult;
use rsasl::prelude::{Mechname, SASLClient, SASLConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::wire::{Connection, closed};
use crate::security::Security;

/// What a handshake may take on top of a question's bound: a cold JVM needs some 100 ms for its first.
const HANDSHAKE: Duration = Duration::from_millis(500);
/// Kafka's `UNSUPPORTED_SASL_MECHANISM` and `ILLEGAL_SASL_STATE`.
const UNSUPPORTED_MECHANISM: i16 = 33;
const ILLEGAL_STATE: i16 = 34;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Shut {
    /// The network, or a broker that is away.
    Io(io::Error),
    /// The broker does not want us, or we not the broker: names the setting.
    Refused(String),
}

impl From<io::Error> for Shut {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Both directions of a connection, encrypted or not.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Duplex for T {}

/// See the module.
pub(super) struct Entrance {
    tls: Option<SslConnector>,
    login: Option<Login>,
}

struct Login {
    mechanism: &'static str,
    username: String,
    sasl: Arc<SASLConfig>,
}

impl Entrance {
    /// Reads the files of certificates; connects to nothing.
    pub(super) fn new(security: &Security) -> Result<Self, String> {
        security.validate()?;
        let login = match security.login()? {
            None => None,
            Some(login) => {
                let (username, password) = (login.username.to_owned(), login.password.to_owned());
                let sasl = SASLConfig::with_credentials(None, username.clone(), password)
                    .map_err(|error| format!("KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: {error}"))?;
                Some(Login { mechanism: login.mechanism.name(), username, sasl })
            }
        };
        Ok(Self { tls: security.connector()?, login })
    }

    /// What being let in may take longer than plain TCP.
    pub(super) fn allowance(&self) -> Duration {
        if self.tls.is_some() || self.login.is_some() { HANDSHAKE } else { Duration::ZERO }
    }

    /// A connection that questions can be asked over.
    pub(super) async fn open(&self, address: &str, client_id: &str) -> Result<Connection, Shut> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Duplex> = match &self.tls {
            None => Box::new(tcp),
            Some(connector) => Box::new(encrypt(connector, address, tcp).await?),
        };
        let mut connection = Connection::over(stream, client_id);
        if let Some(login) = &self.login {
            login.authenticate(&mut connection).await?;
        }
        Ok(connection)
    }
}

async fn encrypt(connector: &SslConnector, address: &str, tcp: TcpStream) -> Result<SslStream<TcpStream>, Shut> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let refused = |error: &dyn fmt::Display| Shut::Refused(format!("setting up TLS: {error}"));
    let ssl = connector.configure().and_then(|tls| tls.into_ssl(host)).map_err(|error| refused(&error))?;
    let mut stream = SslStream::new(ssl, tcp).map_err(|error| refused(&error))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => match error.into_io_error() {
            Ok(io) => Err(Shut::Io(io)),
            // A plain listener does that, and so does a broker that goes away.
            Err(error) if error.to_string().to_lowercase().contains("unexpected eof") => Err(closed().into()),
            Err(error) => Err(Shut::Refused(why_not(stream.ssl(), &error))),
        },
    }
}

/// What a failed handshake is about.
fn why_not(ssl: &SslRef, error: &openssl::ssl::Error) -> String {
    let verdict = ssl.verify_result();
    if verdict == X509VerifyResult::OK {
        return match error.to_string() {
            text if text.contains("wrong version number") || text.contains("packet length too long") => {
                "KAFKA_SECURITY_PROTOCOL: the listener does not speak TLS".into()
            }
            text => format!("TLS: {text}"),
        };
    }
    let text = verdict.error_string();
    if text.contains("mismatch") {
        return format!("the certificate is not for this name ({text}): KAFKA_BROKERS, or what the broker advertises");
    }
    format!("KAFKA_SSL_CA_FILE: the certificate is not from an authority that is trusted ({text})")
}

impl Login {
    /// KIP-43 and KIP-152: which mechanism, then its messages.
    async fn authenticate(&self, connection: &mut Connection) -> Result<(), Shut> {
        let mechanism = StrBytes::from_static_str(self.mechanism);
        let handshake = connection.call(1, &SaslHandshakeRequest::default().with_mechanism(mechanism)).await?;
        match handshake.error_code {
            0 => {}
            UNSUPPORTED_MECHANISM => {
                let known: Vec<&str> = handshake.mechanisms.iter().map(|name| &**name).collect();
                let (mechanism, known) = (self.mechanism, known.join(", "));
                return Err(Shut::Refused(format!("KAFKA_SASL_MECHANISM: {mechanism} is not one of {known}")));
            }
            ILLEGAL_STATE => {
                return Err(Shut::Refused("KAFKA_SECURITY_PROTOCOL: the listener does not ask for SASL".into()));
            }
            code => return Err(Shut::Refused(format!("SASL handshake: Kafka error code {code}"))),
        }
        let offered = Mechname::parse(self.mechanism.as_bytes()).expect("our own names are valid");
        let session = SASLClient::new(Arc::clone(&self.sasl)).start_suggested(&[offered]);
        let mut session = session.map_err(|error| Shut::Refused(format!("SASL: {error}")))?;
        let mut answer = None;
        loop {
            let mut message = Vec::new();
            let state = session.step(answer.as_deref(), &mut message).map_err(|error| self.refused(&error))?;
            if state.has_sent_message() {
                let ask = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
                let said = connection.call(2, &ask).await?;
                if said.error_code != 0 {
                    let reason = said.error_message.as_deref().unwrap_or("no reason given");
                    return Err(self.refused(&reason));
                }
                if let Ok(lifetime @ 1..) = u64::try_from(said.session_lifetime_ms) {
                    // KIP-368: opened again before the broker ends it.
                    connection.expires_at = Some(Instant::now() + Duration::from_millis(lifetime / 10 * 8));
                }
                answer = Some(said.auth_bytes);
            }
            if state.is_finished() {
                return Ok(());
            }
        }
    }

    fn refused(&self, reason: &dyn fmt::Display) -> Shut {
        let Self { mechanism, username, .. } = self;
        Shut::Refused(format!("KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: user {username}, {mechanism}: {reason}"))
    }
}
