//! The command line and the environment of `monitor`.

use std::net::{IpAddr, Ipv4Addr};

use clap::{Parser, builder::FalseyValueParser};

/// Watches the pipeline: health and metrics over HTTP
#[derive(Debug, Parser)]
#[command(version)]
#[group(skip)]
pub struct Options {
    /// Address to serve on
    #[arg(long, env = "MONITORING_HOST", default_value = "127.0.0.1", value_parser = host)]
    pub host: IpAddr,
    /// Port to serve on; 0 takes a free one, which the log names
    #[arg(long, env = "MONITORING_PORT", default_value_t = 5000)]
    pub port: u16,
    /// Allow an address that other machines can reach: nobody has to log in
    #[arg(long, env = "MONITORING_TRUSTED_NETWORK", value_parser = FalseyValueParser::new())]
    pub trusted_network: bool,
    /// The database that is watched
    #[command(flatten)]
    pub store: store::Options,
    /// Log lines
    #[command(flatten)]
    pub telemetry: telemetry::Options,
}

fn host(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| "not an IP address (or localhost)".to_owned())
}
