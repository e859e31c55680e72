//! Alarms of the system itself: told by the recorder, written with the owner's rights.

use serde::Serialize;
use tokio_postgres::types::Json;

use crate::error::{Error, Result};
use crate::event_stream::Recorder;

/// Something that is wrong with the system just now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Wrong {
    /// Whose: a producer, a consumer, a partition, a broker.
    pub source: String,
    /// What, such as `producer_silent`. Each (source, condition) once.
    pub condition: &'static str,
    /// 1 to 1000.
    pub severity: i16,
    /// One sentence.
    pub detail: String,
}

/// Raises what is new in `wrong`, and ends what is not named any more; how many alarms changed. Only the session
/// that numbers events may, so that two monitors never contradict each other.
///
/// # Errors
/// Any: the recorder's session is not to be used again.
pub async fn tell_system(recorder: &Recorder, wrong: &[Wrong], observer: &str) -> Result<i32> {
    const DOING: &str = "telling the alarms of the system";
    let row = recorder.client().query_one("SELECT tell_system_alarms($1, $2)", &[&Json(wrong), &observer]).await;
    Ok(row.map_err(Error::doing(DOING))?.get(0))
}
