//! The system's Chromium, without a window, through its WebDriver. Panics where a browser does not do its part: it
//! is for tests, and for taking pictures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use testkit::{Process, Program, Scratch, free_port, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

/// What the page is looked at with.
#[derive(Clone, Copy)]
pub enum Screen {
    /// 1600 x 1000.
    Wide,
    /// 375 x 812, by touch.
    Phone,
}

/// One browser. Ends when it is dropped.
pub struct Browser {
    client: Client,
    address: String,
    _driver: Process,
    _scratch: Scratch,
}

impl Browser {
    /// Opens the page of the monitor on `port`.
    pub async fn open(port: u16, screen: Screen) -> Self {
        let scratch = Scratch::new("browser").expect("a folder");
        let driver_port = free_port();
        let driver = Program::installed("chromedriver")
            .arg(format!("--port={driver_port}"))
            .spawn(&scratch.path().join("log"))
            .expect("chromedriver is installed: deploy/prerequisites --tests");
        let profile = format!("--user-data-dir={}", scratch.path().join("profile").display());
        // The sandbox does not work as root; the pipe ends the browser with its driver.
        let args = ["--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--window-size=1600,1000", &profile];
        let mut chrome = json!({ "args": args });
        if matches!(screen, Screen::Phone) {
            chrome["mobileEmulation"] = json!({ "deviceMetrics": { "width": 375, "height": 812, "pixelRatio": 1.0 } });
        }
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".into(), chrome);
        let driver_address = format!("http://127.0.0.1:{driver_port}");
        let client = wait_for(DEADLINE, "a browser", async || {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.clone()).connect(&driver_address).await.ok()
        })
        .await;
        let address = format!("http://127.0.0.1:{port}/");
        client.goto(&address).await.expect("the page opens");
        Self { client, address, _driver: driver, _scratch: scratch }
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until a script returns `true`.
    pub async fn until(&self, what: &str, script: &str) {
        wait_until(DEADLINE, what, async || self.client.execute(script, vec![]).await.is_ok_and(|is| is == true)).await;
    }

    /// Waits until the verdict contains all of `texts`.
    pub async fn verdict(&self, texts: &[&str]) {
        let wanted = json!(texts);
        let script = format!(
            "const said = document.querySelector('h1').textContent; return {wanted}.every((t) => said.includes(t))"
        );
        self.until(&format!("the verdict says {texts:?}"), &script).await;
    }

    /// Serious and critical findings of axe, in the given theme.
    pub async fn axe(&self, theme: &str) -> Vec<String> {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../monitor/page/node_modules/axe-core/axe.min.js");
        let source = std::fs::read_to_string(source).expect("axe is there: make page");
        self.run(&format!("document.documentElement.dataset.theme = '{theme}'; {source}; return null")).await;
        let findings = self
            .client
            .execute_async(
                "const done = arguments[0]; axe.run().then((r) => done(r.violations), (e) => done([String(e)]))",
                vec![],
            )
            .await
            .expect("axe runs");
        let serious = |v: &&Value| !["minor", "moderate"].contains(&v["impact"].as_str().unwrap_or_default());
        findings
            .as_array()
            .expect("a list")
            .iter()
            .filter(serious)
            .map(|v| format!("{}: {}", v["id"], v["nodes"]))
            .collect()
    }

    /// Requests to anybody but the monitor.
    pub async fn strangers(&self) -> Vec<String> {
        let names = self.run("return performance.getEntriesByType('resource').map((entry) => entry.name)").await;
        let names = names.as_array().expect("a list").iter().filter_map(|name| name.as_str().map(str::to_owned));
        names.filter(|name| !name.starts_with(&self.address)).collect()
    }

    /// Into the folder that `SCREENSHOTS` names, where it names one.
    pub async fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS").map(PathBuf::from) else { return };
        self.save(&folder.join(format!("{name}.png"))).await;
    }

    /// A picture of what is seen now.
    pub async fn save(&self, file: &Path) {
        let png = self.client.screenshot().await.expect("a picture");
        std::fs::write(file, png).expect("the folder can be written to");
    }
}
