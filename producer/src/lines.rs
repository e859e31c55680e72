//! Lines of a stream, read on a thread of its own and only as far ahead as a bounded queue holds: when nobody takes
//! lines, the stream is not read, and its writer waits.

use std::io::{self, BufRead, BufReader, Read};

use schema::record::MAX_EVENT_BYTES;
use tokio::sync::mpsc;

/// Lines that are read ahead; with the longest ones, 4 MiB.
const AHEAD: usize = 64;
/// What is asked of the stream at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: u64,
    /// Without its end; of one longer than [`MAX_EVENT_BYTES`] only the start.
    pub bytes: Vec<u8>,
    /// How long it is, in bytes.
    pub length: u64,
}

/// Starts reading; the queue ends with the stream, or after its first error. The thread may stay in a read that
/// does not return: it ends with the process.
///
/// # Errors
/// When there can be no more threads.
pub fn read(stream: impl Read + Send + 'static) -> io::Result<mpsc::Receiver<io::Result<Line>>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::Builder::new().name("lines".into()).spawn(move || {
        let mut stream = BufReader::with_capacity(BUFFER, stream);
        for number in 1.. {
            let line = next(&mut stream, number).transpose();
            let Some(line) = line else { return };
            let last = line.is_err();
            if sender.blocking_send(line).is_err() || last {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// The next line; nothing at the end of the stream. A last one needs no line feed.
fn next(stream: &mut impl BufRead, number: u64) -> io::Result<Option<Line>> {
    let mut line = Line { number, bytes: Vec::new(), length: 0 };
    let mut begun = false;
    loop {
        let buffer = match stream.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            return Ok(begun.then_some(line));
        }
        begun = true;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let piece = &buffer[..end.unwrap_or(buffer.len())];
        let room = MAX_EVENT_BYTES - line.bytes.len();
        line.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        line.length += piece.len() as u64;
        let taken = piece.len() + usize::from(end.is_some());
        stream.consume(taken);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], buffer: usize) -> Vec<(u64, String, u64)> {
        let mut stream = BufReader::with_capacity(buffer, text);
        let lines = (1..).map_while(|number| next(&mut stream, number).expect("memory is readable"));
        lines.map(|line| (line.number, String::from_utf8_lossy(&line.bytes).into_owned(), line.length)).collect()
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        for buffer in 1..8 {
            let expected = [(1, "ab".to_owned(), 2), (2, String::new(), 0), (3, "c\r".into(), 2), (4, "d".into(), 1)];
            assert_eq!(all(b"ab\n\nc\r\nd", buffer), expected);
        }
        assert!(all(b"", 8).is_empty());
        assert_eq!(all(b"\n", 8).len(), 1);
    }

    #[test]
    fn of_a_line_without_end_only_the_start_is_kept() {
        let long = vec![b'x'; 3 * MAX_EVENT_BYTES];
        let lines = all(&[&long[..], b"\nshort\n"].concat(), 4096);
        assert_eq!((lines[0].1.len(), lines[0].2), (MAX_EVENT_BYTES, 3 * MAX_EVENT_BYTES as u64));
        assert_eq!(lines[1], (2, "short".into(), 5));
    }
}
