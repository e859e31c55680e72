//! One argument of a command as a setting: what a file may say of it.

use std::any::TypeId;
use std::error::Error as _;
use std::time::Duration;

use clap::{Arg, ArgAction, Command};
use toml::Value;

/// What TOML is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    Number,
    Text,
    List(char),
}

impl Kind {
    fn of(arg: &Arg) -> Self {
        if let (Some(delimiter), ArgAction::Append) = (arg.get_value_delimiter(), arg.get_action()) {
            return Self::List(delimiter);
        }
        let value = arg.get_value_parser().type_id();
        let numbers = [
            TypeId::of::<u8>(),
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<i32>(),
            TypeId::of::<i64>(),
            TypeId::of::<f64>(),
            TypeId::of::<Duration>(),
        ];
        if value == TypeId::of::<bool>() {
            Self::Boolean
        } else if numbers.into_iter().any(|number| value == number) {
            Self::Number
        } else {
            Self::Text
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::Number => "a number",
            Self::Text => "a text in quotes",
            Self::List(_) => "a list",
        }
    }
}

/// Whether a file may set it: it has a name, and it is no question about the program.
pub(crate) fn is_setting(arg: &Arg) -> bool {
    use ArgAction::{Help, HelpLong, HelpShort, Version};
    arg.get_long().is_some_and(|long| long != super::FLAG)
        && !matches!(arg.get_action(), Help | HelpLong | HelpShort | Version)
}

/// Whether its value is kept from being printed.
pub(crate) fn is_secret(arg: &Arg) -> bool {
    arg.is_hide_env_values_set()
}

/// The text that the command line would have for the value.
///
/// # Errors
/// What is wrong with it, without the name of key and file; never with the value of a secret.
pub(crate) fn text(arg: &Arg, value: &Value) -> Result<String, String> {
    let kind = Kind::of(arg);
    let text = match (kind, value) {
        (Kind::Boolean, Value::Boolean(on)) => on.to_string(),
        (Kind::Number, Value::Integer(number)) => number.to_string(),
        (Kind::Number, Value::Float(number)) => number.to_string(),
        (Kind::Text, Value::String(text)) => text.clone(),
        (Kind::List(delimiter), Value::Array(list)) => {
            let texts: Option<Vec<String>> = list.iter().map(listed).collect();
            let texts = texts.ok_or_else(|| format!("takes {}", kind.name()))?;
            texts.join(&delimiter.to_string())
        }
        (kind, value) => return Err(format!("takes {}, not {}", kind.name(), found(value))),
    };
    if arg.get_action().takes_values() {
        check(arg, &text)?;
    }
    Ok(text)
}

/// What the value parser then takes, or does not.
fn listed(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Asks the argument's own value parser.
fn check(arg: &Arg, text: &str) -> Result<(), String> {
    let long = arg.get_long().expect("only arguments with a name are settings");
    let alone = arg.clone().required(false).env(None::<&str>);
    let flag = format!("--{long}={text}");
    let Err(error) = Command::new("file").no_binary_name(true).arg(alone).try_get_matches_from([flag]) else {
        return Ok(());
    };
    Err(match error.source() {
        Some(cause) => cause.to_string(),
        None if is_secret(arg) => "cannot be this".into(),
        None => {
            let rendered = error.to_string();
            let lines = rendered.trim_start_matches("error: ").lines().take_while(|line| !line.is_empty());
            lines.map(str::trim).collect::<Vec<_>>().join(" ")
        }
    })
}
