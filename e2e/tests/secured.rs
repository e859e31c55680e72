//! A cluster as real ones are: brokers that want TLS and a login, a Postgres that wants TLS and a password, users
//! that may do what they are for and nothing else.

#[path = "secured/site.rs"]
mod site;

use site::{Site, Who};
use testkit::{free_port, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::site::DEADLINE;

const ROWS: i64 = 500;

#[tokio::test(flavor = "multi_thread")]
async fn every_program_works_over_tls_with_a_login_and_says_which_setting_is_wrong() {
    let site = Site::start().await.expect("brokers and Postgres");
    readings_come_through(&site).await;
    brokers_that_refuse_are_told_by_setting(&site).await;
    a_database_that_refuses_is_told_by_setting(&site).await;
}

/// migrate -> producer -> consumer -> verify -> monitor, each as a user of its own.
async fn readings_come_through(site: &Site) {
    // Its settings are a file's.
    let settings = site.file(Who::OPERATOR);
    let (code, said) = site.run(site.unsecured("consumer").args(["migrate", "--config", &settings])).await;
    assert_eq!(code, 0, "{said}");

    let series: String =
        (0..ROWS).map(|row| format!("2013-12-02 {:02}:{:02}:00,{row}\n", row / 60, row % 60)).collect();
    // PLAIN; may write to the topic and make none.
    let (code, said) = site.replay(&format!("timestamp,value\n{series}"), Who::PRESS, &[]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("{ROWS} rows: {ROWS} sent, {ROWS} acknowledged")), "{said}");

    let consumer = site.program("consumer", Who::STORE).args(["sensors", "--id", "sensor-consumer-1"]);
    let consumer = consumer.arg("--data-dir").arg(site.dir()).args(["--http-addr", "127.0.0.1:0"]);
    let consumer = consumer.spawn(&site.log()).expect("it starts");
    let stored = async || site.count("sensor_readings").await == ROWS;
    wait_until(DEADLINE, "every reading is stored", stored).await;

    let port = free_port();
    let monitor = site.program("monitor", Who::WATCHER).args(["--port", &port.to_string()]);
    let monitor = monitor.env("RECORDER_DATABASE_URL", site.database_url("verify-full"));
    let monitor = monitor.spawn(&site.log()).expect("it starts");
    let up = async || {
        let said = get(port, "/api/system-status").await;
        said.contains(r#""kafka":{"up":true"#) && said.contains(r#""database":{"up":true"#)
    };
    wait_until(DEADLINE, "the monitor sees brokers and database", up).await;

    consumer.term().expect("it runs");
    let status = consumer.wait(DEADLINE).await.expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", consumer.last_output());
    let said = consumer.output();
    assert!(said.contains("kafka-sasl-password=(redacted) (KAFKA_SASL_PASSWORD)"), "{said}");
    assert!(!said.contains(site::PASSWORD) && !said.contains("factory_user:secret"), "{said}");
    let (code, said) = site.consumer(&["verify"], Who::OPERATOR).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("PROVEN: {ROWS} rows")), "{said}");
    drop(monitor);
}

/// Settings that differ, and what is said of them.
type Wrong<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

async fn brokers_that_refuse_are_told_by_setting(site: &Site) {
    let other_ca = site.other_ca();
    let by_address = site.brokers("127.0.0.1");
    let wrong: [Wrong<'_>; 4] = [
        (&[("KAFKA_SASL_PASSWORD", "guessed")], &["KAFKA_SASL_PASSWORD", "user press"]),
        (&[("KAFKA_SSL_CA_FILE", &other_ca)], &["KAFKA_SSL_CA_FILE", "authority"]),
        (&[("KAFKA_BROKERS", &by_address)], &["KAFKA_BROKERS", "not for this name"]),
        (&[("KAFKA_SASL_USERNAME", "nobody")], &["KAFKA_SASL_USERNAME", "user nobody"]),
    ];
    for (settings, named) in wrong {
        let (code, said) = site.replay("timestamp,value\n2013-12-02 00:00:00,1\n", Who::PRESS, settings).await;
        assert_eq!(code, 69, "{settings:?}: {said}");
        assert!(named.iter().all(|name| said.contains(name)), "{settings:?}: {said}");
        let (code, said) = site.consumer_with(&["check"], Who::PRESS, settings).await;
        assert!(code == 64 && named.iter().all(|name| said.contains(name)), "{settings:?}: {code}: {said}");
        let member = ["sensors", "--id", "x", "--http-addr", "127.0.0.1:0", "--data-dir", "never-made"];
        let (code, said) = site.consumer_with(&member, Who::PRESS, settings).await;
        assert!(code == 69 && named.iter().all(|name| said.contains(name)), "{settings:?}: {code}: {said}");
    }

    let port = free_port().to_string();
    let monitor = site.program("monitor", Who::WATCHER).env("KAFKA_SSL_CA_FILE", &other_ca).args(["--port", &port]);
    let _monitor = monitor.spawn(&site.log()).expect("it starts");
    let port = port.parse().expect("a port");
    let told = async || get(port, "/api/system-status").await.contains("KAFKA_SSL_CA_FILE");
    wait_until(DEADLINE, "the monitor says why it does not see the brokers", told).await;

    let no_right = site.consumer_with(&["offsets", "show"], Who::STRANGER, &[]).await;
    assert!(no_right.1.contains("TopicAuthorizationFailed"), "{}", no_right.1);
    let plaintext: &[(&str, &str)] = &[("KAFKA_SECURITY_PROTOCOL", "plaintext")];
    let (code, said) = site.consumer_with(&["migrate"], Who::OPERATOR, plaintext).await;
    assert!(
        code == 64 && said.contains("KAFKA_SSL_CA_FILE is set, but KAFKA_SECURITY_PROTOCOL is plaintext"),
        "{said}"
    );
    // A listener that speaks something else hangs up, as one does that goes away.
    let hint = "does KAFKA_SECURITY_PROTOCOL name what its listener speaks?";
    let plain_to_tls = site.unsecured("consumer").env("KAFKA_BROKERS", site.brokers("localhost")).arg("migrate");
    let tls_to_plain =
        site.program("consumer", Who::OPERATOR).env("KAFKA_BROKERS", site.plain_brokers()).arg("migrate");
    for program in [plain_to_tls, tls_to_plain] {
        let (code, said) = site.run(program).await;
        assert!(code == 69 && said.contains(hint), "{code}: {said}");
    }
}

async fn a_database_that_refuses_is_told_by_setting(site: &Site) {
    let url = |user: &str, host: &str, parameters: &str| site.url(user, host, parameters);
    let ca = format!("sslrootcert={}", site.ca());
    let other = format!("sslrootcert={}", site.other_ca());
    let wrong = [
        (url("factory_user:guessed", "localhost", &format!("sslmode=verify-full&{ca}")), "user or password"),
        (
            url("factory_user:secret", "localhost", &format!("sslmode=verify-full&{other}")),
            "sslrootcert: the certificate",
        ),
        (url("factory_user:secret", "127.0.0.1", &format!("sslmode=verify-full&{ca}")), "not for the host's name"),
        (url("factory_user:secret", "localhost", "sslmode=disable"), "sslmode (disable)"),
    ];
    for (url, named) in wrong {
        let (code, said) =
            site.consumer_with(&["dead-letters", "list"], Who::OPERATOR, &[("DATABASE_URL", &url)]).await;
        assert!(code == 69 && said.contains("DATABASE_URL") && said.contains(named), "{url}: {code}: {said}");
    }
    let right = [
        url("factory_user:secret", "127.0.0.1", &format!("sslmode=verify-ca&{ca}")),
        url("factory_user:secret", "127.0.0.1", "sslmode=require"),
        url("factory_user:secret", "localhost", ""),
        url("factory_user:secret", "localhost", "sslmode=allow"),
        // The certificate is another's, so the connection is a plain one: which the superuser may have.
        url("postgres", "localhost", &format!("sslmode=prefer&{other}")),
    ];
    for url in right {
        let (code, said) =
            site.consumer_with(&["dead-letters", "list"], Who::OPERATOR, &[("DATABASE_URL", &url)]).await;
        assert_eq!(code, 0, "{url}: {said}");
    }
}

/// The whole answer; empty while nobody answers.
async fn get(port: u16, path: &str) -> String {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    ask.await.unwrap_or_default()
}
