use std::path::PathBuf;

use configuration::Secret;
use rdkafka::ClientConfig;

use super::{Mechanism, Protocol, Security};

fn user(protocol: Protocol) -> Security {
    Security {
        protocol,
        mechanism: Some(Mechanism::ScramSha512),
        username: Some("press".into()),
        password: Some(Secret::new("s3cret")),
        ..Security::default()
    }
}

fn refused(security: &Security) -> String {
    security.validate().expect_err("it does not fit together")
}

#[test]
fn a_setting_without_effect_is_refused_by_name() {
    let ca = Security { ca_file: Some("ca.pem".into()), ..Security::default() };
    assert_eq!(
        refused(&ca),
        "KAFKA_SSL_CA_FILE is set, but KAFKA_SECURITY_PROTOCOL is plaintext: it takes ssl or sasl_ssl"
    );
    let ssl_with_user = user(Protocol::Ssl);
    assert_eq!(
        refused(&ssl_with_user),
        "KAFKA_SASL_MECHANISM is set, but KAFKA_SECURITY_PROTOCOL is ssl: it takes sasl_plaintext or sasl_ssl"
    );
}

#[test]
fn a_login_needs_mechanism_name_and_password() {
    for (name, without) in [
        ("KAFKA_SASL_MECHANISM", Security { mechanism: None, ..user(Protocol::SaslSsl) }),
        ("KAFKA_SASL_USERNAME", Security { username: Some(String::new()), ..user(Protocol::SaslSsl) }),
        ("KAFKA_SASL_PASSWORD", Security { password: None, ..user(Protocol::SaslPlaintext) }),
    ] {
        let said = refused(&without);
        assert!(said.starts_with("KAFKA_SECURITY_PROTOCOL is sasl_") && said.contains(name), "{said}");
    }
    assert_eq!(user(Protocol::SaslPlaintext).validate(), Ok(()));
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_setting() {
    let ssl = Security { protocol: Protocol::Ssl, ..Security::default() };
    let absent = Security { ca_file: Some("/no/such/ca.pem".into()), ..ssl.clone() };
    assert_eq!(refused(&absent), "KAFKA_SSL_CA_FILE: /no/such/ca.pem: No such file or directory (os error 2)");
    let this_file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let no_pem = Security { ca_file: Some(this_file.clone()), ..ssl.clone() };
    assert!(refused(&no_pem).starts_with("KAFKA_SSL_CA_FILE: "), "{}", refused(&no_pem));
    let no_key = Security { certificate_file: Some(this_file), ..ssl };
    assert_eq!(refused(&no_key), "KAFKA_SSL_CERTIFICATE_FILE needs KAFKA_SSL_KEY_FILE");
}

#[test]
fn every_client_gets_the_same_settings_and_nothing_prints_the_password() {
    let mut config = ClientConfig::new();
    user(Protocol::SaslSsl).apply_to(&mut config);
    for (name, value) in [
        ("security.protocol", "sasl_ssl"),
        ("ssl.endpoint.identification.algorithm", "https"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "press"),
        ("sasl.password", "s3cret"),
    ] {
        assert_eq!(config.get(name), Some(value), "{name}");
    }
    assert!(!format!("{:?}", user(Protocol::SaslSsl)).contains("s3cret"));
}
