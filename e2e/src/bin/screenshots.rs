//! Breaks a running stack as a user would, looks at the page each time, and lets `make verify` have the last word:
//! `make screenshots`. Works on either kind of stack, because it only types what people type.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use clap::Parser;
use e2e::browser::{Browser, Screen};

/// Kills one process of each kind and keeps a picture of what the page said
#[derive(Parser)]
struct Options {
    /// Port of the running monitor
    #[arg(long)]
    port: u16,
    /// Where the pictures go
    #[arg(long, default_value = "docs/screenshots")]
    folder: PathBuf,
}

/// Who is killed, what the page's verdict must contain then, and the picture's name.
const KILLS: [(&str, &[&str], &str); 4] = [
    ("sensor-consumer-1", &["partitions are unread", "sensor-consumer-1 has been silent"], "consumer-killed"),
    ("temperature-sensor", &["Silent producers: temperature-sensor"], "producer-killed"),
    ("kafka2", &["Broker 2 of 3 down"], "broker-killed"),
    ("postgres", &["PostgreSQL has not answered"], "postgres-killed"),
];

#[tokio::main]
async fn main() -> Result<()> {
    let Options { port, folder } = Options::parse();
    std::fs::create_dir_all(&folder)?;
    let page = Browser::open(port, Screen::Wide).await;
    page.verdict(&["Healthy"]).await;
    shoot(&page, &folder, "healthy").await;
    for (name, says, picture) in KILLS {
        make(&["kill", &format!("NAME={name}")])?;
        page.verdict(says).await;
        if name == "temperature-sensor" {
            let alarm = format!("return document.querySelector('#alarms').textContent.includes('{name}')");
            page.until("its alarm stands", &alarm).await;
        }
        shoot(&page, &folder, picture).await;
        make(&["start", &format!("NAME={name}")])?;
        page.verdict(&["Healthy"]).await;
    }
    page.run("document.documentElement.dataset.theme = 'dark'; return null").await;
    shoot(&page, &folder, "dark").await;
    let phone = Browser::open(port, Screen::Phone).await;
    phone.verdict(&["Healthy"]).await;
    shoot(&phone, &folder, "phone").await;
    make(&["verify"])
}

/// The charts are drawn a frame after the words.
async fn shoot(page: &Browser, folder: &Path, name: &str) {
    page.until("it is drawn", "return new Promise((done) => setTimeout(() => done(true), 300))").await;
    let file = folder.join(format!("{name}.png"));
    page.save(&file).await;
    println!("{}", file.display());
}

/// A target of the Makefile, with its words on our own output.
fn make(arguments: &[&str]) -> Result<()> {
    let status = Command::new("make").args(arguments).status()?;
    ensure!(status.success(), "make {} ended with {status}", arguments.join(" "));
    Ok(())
}
