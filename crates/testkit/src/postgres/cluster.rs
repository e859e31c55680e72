//! The files of a cluster and the programs of the newest PostgreSQL that the system has.

use crate::certificates::Certificate;
use crate::process::{Process, mortal};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// PostgreSQL refuses to run as root.
const USER: &str = "postgres";

/// Where a cluster is and with which programs it is run.
#[derive(Debug)]
pub(super) struct Cluster {
    programs: PathBuf,
    /// Holds the data folder and the log of what the programs print; owned by the one who runs it.
    dir: PathBuf,
    data_dir: PathBuf,
    port: u16,
}

impl Cluster {
    pub(super) fn new(scratch: &Path, port: u16) -> Result<Self> {
        let programs = newest_programs()?;
        let dir = scratch.join("cluster");
        fs::create_dir(&dir).context("making the cluster's folder")?;
        let cluster = Self { programs, data_dir: dir.join("data"), dir, port };
        cluster.own(&cluster.dir)?;
        Ok(cluster)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// initdb, then our settings.
    pub(super) async fn init(&self, settings: &[(String, String)], tls: Option<&Certificate>) -> Result<()> {
        let mut initdb = self.program("initdb");
        initdb.arg("-D").arg(&self.data_dir);
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]);
        let initdb = Process::spawn("initdb", initdb, Some(&self.output()))?;
        let status = initdb.wait(Duration::from_secs(60)).await?;
        ensure!(status.success(), "initdb: {status}\n{}", initdb.last_output());

        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/postgres/millrace.conf");
        let mut conf = fs::read_to_string(file).context("reading deploy/postgres/millrace.conf")?;
        // To the standard error, which `output` keeps: one file to read when a start fails.
        conf.push_str(&format!("\nlogging_collector = off\nport = {}\n", self.port));
        if let Some(certificate) = tls {
            conf.push_str(&self.speak_tls(certificate)?);
        }
        for (key, value) in settings {
            conf.push_str(&format!("{key} = '{}'\n", value.replace('\'', "''")));
        }
        let path = self.data_dir.join("postgresql.conf");
        fs::write(path, conf).context("writing postgresql.conf")
    }

    /// Puts the certificate and the rules of who may come how beside the data; the settings for it.
    fn speak_tls(&self, certificate: &Certificate) -> Result<String> {
        certificate.write(&self.data_dir.join("server.pem"), &self.data_dir.join("server.key"))?;
        let rules = "local all all trust\n\
                     host all postgres 127.0.0.1/32 trust\n\
                     hostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(self.data_dir.join("pg_hba.conf"), rules).context("writing pg_hba.conf")?;
        self.own(&self.data_dir)?;
        Ok("ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n".into())
    }

    /// Starts the server and returns at once.
    pub(super) fn serve(&self) -> Result<Process> {
        let mut server = self.program("postgres");
        server.arg("-D").arg(&self.data_dir);
        Process::spawn("postgres", server, Some(&self.output()))
    }

    /// Gives a path to the user that runs the cluster.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        if user().is_none() {
            return Ok(());
        }
        run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(path))
    }

    fn output(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = mortal(&self.programs.join(name), user());
        command.current_dir(&self.dir);
        command
    }
}

/// Runs a system's command to its end.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {}", output.status, errors.trim());
    Ok(())
}

fn user() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some(USER)
}

/// `/usr/lib/postgresql/VERSION/bin` of the highest version with a server in it.
fn newest_programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let servers = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let programs = entry.path().join("bin");
        programs.join("postgres").is_file().then_some((version, programs))
    });
    servers.max().map(|(_, programs)| programs).context("PostgreSQL is not installed: run deploy/prerequisites")
}
