use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{Effective, Secret, parse_from};

#[derive(Debug, Parser)]
#[command(name = "press")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Run),
    Show {
        #[arg(long, default_value_t = 10)]
        limit: u16,
    },
}

#[derive(Debug, Args)]
struct Run {
    #[arg(long)]
    id: String,
    #[arg(long, env = "PRESS_TEST_PORT", default_value_t = 80)]
    port: u16,
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    #[arg(long)]
    loud: bool,
    #[arg(long = "name", value_delimiter = ',')]
    names: Vec<String>,
    #[arg(long, value_enum, default_value = "slow")]
    speed: Speed,
    #[arg(long, env = "PRESS_TEST_URL", hide_env_values = true)]
    url: Option<Secret>,
    #[arg(long, default_value_t = 10)]
    limit: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Speed {
    Slow,
    Fast,
}

struct Parsed {
    run: Run,
    effective: Effective,
}

/// `press` with a file of that text; the variables are those of the test.
fn press(text: &str, arguments: &[&str]) -> Result<Parsed, String> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("press.toml");
    std::fs::write(&path, text).expect("it is written");
    let arguments: Vec<OsString> = ["press"].iter().chain(arguments).map(OsString::from).collect();
    match parse_from::<Options>(arguments, Some(path.into_os_string())) {
        Ok((Options { command: Command::Run(run) }, effective)) => Ok(Parsed { run, effective }),
        Ok((Options { command: Command::Show { limit } }, _)) => Err(format!("show {limit}")),
        Err(error) => Err(error.to_string()),
    }
}

fn refused(text: &str) -> String {
    press(text, &["run", "--id", "a"]).map(|parsed| parsed.run).expect_err("it is refused")
}

#[test]
fn a_flag_comes_before_a_variable_before_the_file_before_the_default() {
    let text = "id = 'of-file'\nport = 81\nhost = '::1'\nloud = true\nname = ['a', 'b']\nspeed = 'fast'";
    let Parsed { run, effective } = press(text, &["run", "--host", "10.0.0.1"]).expect("it is good");
    assert_eq!((run.id.as_str(), run.port, run.loud, run.speed), ("of-file", 81, true, Speed::Fast));
    assert_eq!((run.host, run.names), ("10.0.0.1".parse().expect("an address"), vec!["a".to_owned(), "b".into()]));
    let said = effective.to_string();
    for (name, source) in [("id=of-file", "press.toml)"), ("host=10.0.0.1", "(flag)"), ("name=\"a,b\"", "press.toml)")]
    {
        assert!(said.contains(name) && said.contains(source), "{said}");
    }
    assert!(said.ends_with("2 by default"), "{said}");
    let plain = press("", &["run", "--id", "a"]).expect("it is good");
    assert_eq!((plain.run.port, plain.run.loud, plain.run.url.is_none()), (80, false, true));
}

#[test]
fn a_variable_comes_before_the_file() {
    // PATH is set wherever tests run.
    #[derive(Debug, Parser)]
    struct One {
        #[arg(long, env = "PATH")]
        path: PathBuf,
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("one.toml");
    std::fs::write(&file, "path = '/of/the/file'").expect("it is written");
    let arguments = vec!["one".into(), format!("--config={}", file.display()).into()];
    let (one, effective) = parse_from::<One>(arguments, None).expect("it is good");
    assert_eq!(Some(one.path.into_os_string()), std::env::var_os("PATH"));
    assert!(effective.to_string().contains("(PATH)"), "{effective}");
}

#[test]
fn a_table_is_for_one_command_and_the_top_level_for_all_that_know_the_key() {
    let text = "limit = 20\n[show]\nlimit = 30\n[run]\nid = 'a'";
    assert_eq!(press(text, &["run"]).expect("it is good").run.limit, 20);
    assert_eq!(press(text, &["show"]).map(|p| p.run).expect_err("the other command"), "show 30");
}

#[test]
fn an_unknown_key_is_refused_by_its_name() {
    assert!(refused("prot = 1").contains("press.toml: key `prot` is no setting of press"));
    assert!(refused("[run]\nlimits = 1").contains("key `run.limits` is no setting of run"));
    assert!(refused("[walk]\nlimit = 1").contains("key `walk` is no setting of press"));
    assert!(refused("[show]\nport = 1").contains("key `show.port` is no setting of show"));
    assert!(refused("config = 'another'").contains("key `config` is no setting"));
}

#[test]
fn a_value_of_another_type_or_out_of_bounds_is_refused_with_its_key() {
    for (text, said) in [
        ("port = '81'", "key `port`: takes a number, not a text"),
        ("port = 70000", "key `port`: 70000 is not in 0..=65535"),
        ("host = 1", "key `host`: takes a text in quotes, not a number"),
        ("host = 'nowhere'", "key `host`: invalid IP address syntax"),
        ("loud = 'yes'", "key `loud`: takes true or false, not a text"),
        ("name = 'a'", "key `name`: takes a list, not a text"),
        ("speed = 'light'", "key `speed`: invalid value 'light' for '--speed <SPEED>'"),
        ("port = 1\nport = 2", "line 2: duplicate key"),
        ("port 1", "line 1: "),
    ] {
        assert!(refused(text).contains(said), "{text}: {}", refused(text));
    }
}

#[test]
fn a_file_that_is_not_there_is_refused_by_name() {
    let arguments = ["press", "run", "--id", "a", "--config", "/no/such.toml"].map(OsString::from).into();
    let error = parse_from::<Options>(arguments, None).map(|_| ()).expect_err("it is not there").to_string();
    assert!(error.starts_with("error: /no/such.toml: No such file"), "{error}");
}

#[test]
fn secrets_are_read_and_not_shown() {
    let parsed = press("url = 'postgres://u:s3cret@h/d'", &["run", "--id", "a"]).expect("it is good");
    assert_eq!(parsed.run.url.as_ref().map(Secret::expose), Some("postgres://u:s3cret@h/d"));
    let said = format!("{} {:?}", parsed.effective, parsed.run);
    assert!(said.contains("postgres://u:(redacted)@h/d") && !said.contains("s3cret"), "{said}");
}
