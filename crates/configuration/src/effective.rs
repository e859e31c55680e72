//! What a process runs with: each setting that is not as built in, and where it came from.

use std::fmt;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::file::File;
use crate::setting::{is_secret, is_setting};

/// The settings in effect, for the log: `kafka-brokers=a:9092 (KAFKA_BROKERS), id=press (flag), …`. Secrets are
/// left out, also passwords in connection strings.
#[derive(Clone, Debug)]
pub struct Effective {
    settings: Vec<Setting>,
    /// How many are as built in.
    defaults: usize,
}

#[derive(Clone, Debug)]
struct Setting {
    name: String,
    value: String,
    source: String,
}

impl Effective {
    pub(crate) fn of(command: &Command, matches: &ArgMatches, file: Option<&File>) -> Self {
        let mut effective = Self { settings: Vec::new(), defaults: 0 };
        let (mut command, mut matches, mut path) = (command, matches, Vec::new());
        loop {
            for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
                effective.add(arg, matches, file, &path);
            }
            let Some((name, below)) = matches.subcommand() else { return effective };
            let Some(subcommand) = command.find_subcommand(name) else { return effective };
            path.push(subcommand.get_name());
            (command, matches) = (subcommand, below);
        }
    }

    fn add(&mut self, arg: &Arg, matches: &ArgMatches, file: Option<&File>, path: &[&str]) {
        let long = arg.get_long().unwrap_or_default();
        let source = match matches.value_source(arg.get_id().as_str()) {
            Some(ValueSource::CommandLine) => "flag".to_owned(),
            Some(ValueSource::EnvVariable) => {
                arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
            _ => match file.filter(|file| file.says(path, long)) {
                Some(file) => file.path.display().to_string(),
                None => {
                    self.defaults += 1;
                    return;
                }
            },
        };
        let raw = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
        let value = raw.map(|value| value.to_string_lossy().into_owned()).collect::<Vec<_>>().join(",");
        let value = if is_secret(arg) { redacted(&value) } else { value };
        self.settings.push(Setting { name: long.to_owned(), value, source });
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Setting { name, value, source } in &self.settings {
            let value =
                if value.is_empty() || value.contains([' ', ',']) { format!("{value:?}") } else { value.clone() };
            write!(f, "{name}={value} ({source}), ")?;
        }
        write!(f, "{} by default", self.defaults)
    }
}

/// A secret; of a URL what is none.
fn redacted(text: &str) -> String {
    const HIDDEN: &str = "(redacted)";
    let Some((scheme, rest)) = text.split_once("://") else { return HIDDEN.into() };
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    // The last one: a password that was not encoded may have more.
    let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
    let user = user.map(|user| match user.split_once(':') {
        Some((name, _)) => format!("{name}:{HIDDEN}@"),
        None => format!("{user}@"),
    });
    let query = query.map(|query| {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if name.contains("password") => format!("{name}={HIDDEN}"),
            _ => pair.to_owned(),
        });
        format!("?{}", pairs.collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{}{place}{}", user.unwrap_or_default(), query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn of_a_secret_nothing_is_shown_and_of_a_url_what_is_none() {
        for (text, shown) in [
            ("s3cret", "(redacted)"),
            ("host=a password=s3cret", "(redacted)"),
            ("postgres://u@h:1/d", "postgres://u@h:1/d"),
            ("postgres://u:s3:c@ret@h/d", "postgres://u:(redacted)@h/d"),
            (
                "postgres://h/d?sslmode=require&sslpassword=s3cret",
                "postgres://h/d?sslmode=require&sslpassword=(redacted)",
            ),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }
}
