//! `monitor check` says what is missing before anybody looks at an empty page.

use uuid::Uuid;

use super::api::ready;
use super::*;

async fn check(settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let program = Program::named("monitor").expect("it is built").arg("check").env("DATABASE_URL", NOWHERE);
    let program = settings.iter().fold(program, |program, (key, value)| program.env(key, value));
    let process = program.spawn(&dir.path().join("log")).expect("it starts");
    (process.wait(DEADLINE).await.expect("it ends").code(), process.output())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_monitor_lacks_is_named_with_what_to_do() {
    let (monitor, store) = ready(&[]).await;
    let shared = shared().await;
    let url = {
        let client = store.pooled().await.expect("a connection");
        let row = client.query_one("SELECT current_database()::text, inet_server_port()", &[]).await.expect("its name");
        move |role: &str| format!("postgres://{role}@127.0.0.1:{}/{}", row.get::<_, i32>(1), row.get::<_, String>(0))
    };
    let owner = url("postgres");
    let brokers = ("KAFKA_BROKERS", shared.brokers.as_str());
    let port = monitor.address.port().to_string();
    let (code, said) =
        check(&[brokers, ("DATABASE_URL", &owner), ("RECORDER_DATABASE_URL", &owner), ("MONITORING_PORT", &port)])
            .await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is taken: by a monitor") && said.contains("another monitor numbers events"), "{said}");

    let role = format!("reader_{}", Uuid::new_v4().simple());
    let client = store.pooled().await.expect("a connection");
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await.expect("a role");
    let (code, said) = check(&[brokers, ("DATABASE_URL", &url(&role)), ("RECORDER_DATABASE_URL", &url(&role))]).await;
    assert_eq!(code, Some(64), "{said}");
    for lacking in ["SELECT on alarms", "SELECT on dead_letters", "--reader-role", "EXECUTE on tell_system_alarms"] {
        assert!(said.contains(lacking), "{lacking}: {said}");
    }

    let (code, said) = check(&[("KAFKA_BROKERS", "127.0.0.1:1"), ("MONITORING_HOST", "0.0.0.0")]).await;
    assert_eq!(code, Some(69), "{said}");
    for lacking in ["does KAFKA_BROKERS name them", "does DATABASE_URL name it", "MONITORING_TRUSTED_NETWORK"] {
        assert!(said.contains(lacking), "{lacking}: {said}");
    }
}
