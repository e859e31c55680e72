//! Parameters of a query: what there is not is refused by name, and so is what is out of its bounds.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::Timestamp;

/// The parameters as they were given.
pub type Query = HashMap<String, String>;

/// Refuses parameters that there are not.
pub fn only(query: &Query, names: &[&str]) -> Result<(), String> {
    match query.keys().find(|key| !names.contains(&key.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let verb = if names.len() == 1 { "is" } else { "are" };
            Err(format!("{unknown}: no such parameter; there {verb} {}", names.join(" and ")))
        }
    }
}

/// A parameter within its bounds; the default where it is not given.
pub fn whole_number<N: Copy + Display + FromStr + PartialOrd>(
    query: &Query,
    name: &str,
    default: N,
    bounds: RangeInclusive<N>,
) -> Result<N, String> {
    let Some(given) = query.get(name) else { return Ok(default) };
    let number = given.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| format!("{name}: a whole number from {} to {}", bounds.start(), bounds.end()))
}

/// An instant; `None` where it is not given.
pub fn instant(query: &Query, name: &str) -> Result<Option<Timestamp>, String> {
    let Some(given) = query.get(name) else { return Ok(None) };
    // A `+` in a query is a space.
    let parsed = given.replace(' ', "+").parse();
    parsed.map(Some).map_err(|_| format!("{name}: an instant as in RFC 3339, such as 2026-11-21T14:03:00Z"))
}

/// From one instant to a later one, both given.
pub fn span(query: &Query, most: jiff::SignedDuration) -> Result<(Timestamp, Timestamp), String> {
    let from = instant(query, "from")?.ok_or("from: must be given, an instant as in RFC 3339")?;
    let to = instant(query, "to")?.ok_or("to: must be given, an instant as in RFC 3339")?;
    if to <= from {
        return Err("to: must be later than from".to_owned());
    }
    if to.duration_since(from) > most {
        return Err(format!("to: {} days after from at the most", most.as_hours() / 24));
    }
    Ok((from, to))
}
