//! The page in a real browser, over a real pipeline: through a kill, through the monitor's restart, and with
//! names that look like markup.

use std::time::Duration;

use e2e::browser::{Browser, Screen};
use e2e::plant::{Plant, Settings, Site};
use testkit::{Process, free_port, wait_until};

const MARKUP: &str = "<img src=x onerror=\"window.hurt=1\">";
/// RIGHT-TO-LEFT OVERRIDE: not written out, it would turn around what follows.
const OVERRIDE: &str = "\u{202e}1-remusnoc";
const WRITTEN_OUT: &str = "\\u{202e}1-remusnoc";

async fn pipeline() -> (Plant, Vec<Process>, u16, Process) {
    let site = Site::start().await.expect("brokers and Postgres");
    let plant = Plant::new(&site, Settings { session_ms: 6_000, ..Settings::default() }).await.expect("a plant");
    let consumers = [1, 2].map(|n| plant.consumer(&format!("sensor-consumer-{n}")).expect("a consumer")).into();
    let port = free_port();
    let monitor = plant.monitor(port).expect("a monitor");
    (plant, consumers, port, monitor)
}

/// Whose name stands at the partitions, one after the other.
const OWNERS: &str = "[...document.querySelectorAll('#partitions [data-cell=full]')].map((owner) => owner.textContent)";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_goes_through_a_kill_and_through_the_monitors_restart() {
    let (plant, consumers, port, monitor) = pipeline().await;
    let load = plant.load(500, u64::MAX, 0).expect("a load");
    let page = Browser::open(port, Screen::Wide).await;
    page.verdict(&["Healthy", "2 consumers read all 6 partitions"]).await;
    page.until(
        "rows are stored",
        "return document.querySelector('#figures div:nth-child(4) dd').textContent !== '0/s'",
    )
    .await;
    page.screenshot("healthy").await;

    consumers[0].kill();
    page.verdict(&["of 6 partitions are unread", "sensor-consumer-1 has been silent"]).await;
    page.screenshot("kill").await;
    page.until("the other one has all", &format!("return {OWNERS}.every((owner) => owner === 'sensor-consumer-2')"))
        .await;
    page.verdict(&["Silent consumers: sensor-consumer-1"]).await;
    let seen = "[...document.querySelectorAll('#events li')].filter((line) => /sensor-consumer-2/.test(line.textContent) \
                && /claimed/.test(line.textContent)).length > 0";
    page.until("it is told who claimed", &format!("return {seen}")).await;
    page.screenshot("taken-over").await;

    the_story_is_told(&page).await;
    the_past_is_one_instant(&page).await;

    monitor.kill();
    page.until("the lost stream is said", "return document.body.dataset.link === 'down'").await;
    page.verdict(&["As of "]).await;
    page.screenshot("stream-lost").await;
    // What happens meanwhile is not missed.
    let back = plant.consumer("sensor-consumer-1").expect("a consumer");
    let joined =
        "SELECT count(*) FROM rebalancing_events WHERE consumer_id = 'sensor-consumer-1' AND event_type = 'claimed'";
    let client = plant.connect().await.expect("the database");
    let before: i64 = client.query_one(joined, &[]).await.expect("a count").get(0);
    wait_until(Duration::from_secs(60), "it reads again", async || {
        client.query_one(joined, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) > before)
    })
    .await;
    let monitor = plant.monitor(port).expect("a monitor");
    page.verdict(&["Healthy", "2 consumers read all 6 partitions"]).await;
    page.until("the return is on the timeline", &format!("return {}.length > 0", happened("sensor-consumer-1 ?join")))
        .await;
    let first = "document.querySelector('#events li').textContent";
    page.until("the gap is filled", &format!("return /sensor-consumer-[12]claimed/.test({first})")).await;
    assert_eq!(page.strangers().await, Vec::<String>::new());

    // Without the database nobody knows who reads what, and nobody is accused.
    plant.site.postgres.kill();
    page.verdict(&["PostgreSQL has not answered"]).await;
    page.screenshot("postgres-away").await;
    assert_eq!(page.run(&format!("return {OWNERS}.filter((owner) => owner === 'nobody').length")).await, 0);
    plant.site.postgres.start_again().await.expect("it starts");
    let accused = "window.accused = false; new MutationObserver(() => { window.accused ||= \
                   /silent|unread/i.test(document.querySelector('h1').textContent) }) \
                   .observe(document.querySelector('h1'), { childList: true, characterData: true, subtree: true })";
    page.run(accused).await;
    page.verdict(&["Healthy", "2 consumers read all 6 partitions"]).await;
    assert_eq!(
        page.run("return window.accused").await,
        false,
        "who was not heard of for want of a database is not silent"
    );

    let report = load.finish(0).await.expect("everything acknowledged");
    e2e::oracle::judge(&plant, &report, Duration::from_secs(60)).await.expect("the oracle");
    drop((consumers, back, monitor));
}

/// The rows of what happened that have this cause.
fn happened(cause: &str) -> String {
    format!("[...document.querySelectorAll('#happened li button')].filter((line) => /{cause}/.test(line.textContent))")
}

const KEY: &str = "const key = (key, more) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, ...more }));";

/// The crash is in the list and on the timeline; its story has the sentence, the bars and the evidence, and a link that opens it.
async fn the_story_is_told(page: &Browser) {
    page.until("the crash is told", &format!("return {}.length > 0", happened("crash"))).await;
    // Close ones are one flag, which has the words of the worst.
    page.until("a flag stands over the lanes", "return document.querySelectorAll('#timeline button.flag').length > 0")
        .await;
    page.run(&format!("{}[0].click()", happened("crash"))).await;
    let story = "document.querySelector('#story').textContent";
    for part in
        ["sensor-consumer-1 died without leaving", "nothing lost", "last heartbeat of sensor-consumer-1", "absent"]
    {
        page.until(&format!("the story says: {part}"), &format!("return {story}.includes('{part}')")).await;
    }
    page.until("the address names it", "return location.pathname.startsWith('/r/consumers-')").await;
    page.screenshot("story").await;
    page.run(&format!("{KEY} key('Escape')")).await;
    page.until("it is closed", "return document.querySelector('#story').hidden && location.pathname === '/'").await;
}

/// Back before the kill everything speaks of then: the dead consumer still reads. `L` returns.
async fn the_past_is_one_instant(page: &Browser) {
    page.run(&format!("{KEY} key('ArrowLeft', {{ shiftKey: true }})")).await;
    page.until("the bar says that it is past", "return 'past' in document.body.dataset").await;
    page.until(
        "the verdict speaks of then",
        "return !/sensor-consumer-1/.test(document.querySelector('h1').textContent)",
    )
    .await;
    page.screenshot("past").await;
    page.run(&format!("{KEY} key('l')")).await;
    page.until("it is live again", "return !('past' in document.body.dataset)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_text_and_axe_finds_nothing_serious() {
    let (plant, consumers, port, monitor) = pipeline().await;
    let client = plant.connect().await.expect("the database");
    for name in [MARKUP, OVERRIDE] {
        for statement in [
            "INSERT INTO producer_health (producer_id, sensor_type, status, last_heartbeat, connection_status, run_id, \
                    started_at) VALUES ($1, $1, $1, now(), $1, gen_random_uuid(), now())",
            "INSERT INTO consumer_health (consumer_id, status, last_heartbeat, group_id, boot_id, started_at) \
             VALUES ($1, $1, now(), $1, gen_random_uuid(), now())",
            "INSERT INTO rebalancing_events (consumer_id, event_type, timestamp, group_id, topic, protocol, generation, \
                    member_id, boot_id, boot_sequence, monotonic_us, detail) \
             VALUES ($1, 'claimed', now(), $1, $1, $1, 0, $1, gen_random_uuid(), 0, 0, $1)",
            "INSERT INTO alarms (source_type, source, condition, active, severity, activation, raised_at, changed_at, \
                    detail, written_by) VALUES ('sensor', $1, $1, true, 900, $1, now(), now(), $1, $1)",
        ] {
            client.execute(statement, &[&name]).await.expect("a row");
        }
    }
    for screen in [Screen::Wide, Screen::Phone] {
        let page = Browser::open(port, screen).await;
        let shown = |place: &str, name: &str| {
            let name = serde_json::Value::from(name);
            format!("return [...document.querySelectorAll('{place}')].some((e) => e.textContent === {name})")
        };
        for name in [MARKUP, WRITTEN_OUT] {
            for place in [
                "#producers tbody th span",
                "#consumers tbody th span",
                "#events b",
                "#events small",
                "#alarms b",
                "#alarms small",
            ] {
                page.until(&format!("{place} shows {name}"), &shown(place, name)).await;
            }
        }
        assert_eq!(page.run("return document.querySelectorAll('img').length").await, 0);
        assert_eq!(page.run("return window.hurt ?? null").await, serde_json::Value::Null);
        assert_eq!(
            page.run("return document.documentElement.scrollWidth <= innerWidth").await,
            true,
            "it scrolls sideways"
        );
        for theme in ["light", "dark"] {
            assert_eq!(page.axe(theme).await, Vec::<String>::new(), "{theme}");
        }
        page.screenshot(if matches!(screen, Screen::Wide) { "hostile" } else { "phone" }).await;
    }
    drop((consumers, monitor));
}
