//! What is printed for somebody who may stop reading.

use std::panic;

use crate::exit;

/// Lets a command end quietly when what reads its output has seen enough (`| head`): the standard library panics
/// when it cannot print. For commands; a program that serves has a log, and goes on.
pub fn end_when_nobody_reads() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(exit::OK.into());
        }
        before(panic);
    }));
}
