//! What a client is saying: where it commits and where it copies. Pure; fed message by message.

use super::frame::Frame;
use std::collections::HashMap;

/// What a message means for the faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The transaction is to be committed by this message. `copied`: it has COPYed rows.
    Commit { copied: bool },
    /// Rows of a COPY: its bytes before and after this message.
    Copy { before: u64, after: u64 },
    /// Anything else.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Begin,
    Commit,
    Rollback,
    Other,
}

/// The state of one session, as far as it can be known from what the client sends.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    statements: HashMap<Vec<u8>, Verb>,
    portals: HashMap<Vec<u8>, Verb>,
    /// Of the COPY that is going on.
    copy_bytes: u64,
    /// In the transaction that is going on.
    copied: bool,
}

impl Dialogue {
    /// Takes one message of the client.
    pub(super) fn hear(&mut self, frame: &Frame) -> Event {
        match frame.kind() {
            Some(b'Q') => {
                let (text, _) = text(frame.payload());
                self.run(verb(text))
            }
            Some(b'P') => {
                let (name, rest) = text(frame.payload());
                let (query, _) = text(rest);
                self.statements.insert(name.to_vec(), verb(query));
                Event::Other
            }
            Some(b'B') => {
                let (portal, rest) = text(frame.payload());
                let (statement, _) = text(rest);
                let verb = self.statements.get(statement).copied().unwrap_or(Verb::Other);
                self.portals.insert(portal.to_vec(), verb);
                Event::Other
            }
            Some(b'E') => {
                let (portal, _) = text(frame.payload());
                let verb = self.portals.get(portal).copied().unwrap_or(Verb::Other);
                self.run(verb)
            }
            Some(b'd') => {
                let before = self.copy_bytes;
                self.copy_bytes += frame.payload().len() as u64;
                self.copied = true;
                Event::Copy { before, after: self.copy_bytes }
            }
            Some(b'c' | b'f') => {
                self.copy_bytes = 0;
                Event::Other
            }
            _ => Event::Other,
        }
    }

    fn run(&mut self, verb: Verb) -> Event {
        let copied = self.copied;
        if verb != Verb::Other {
            self.copied = false;
            self.copy_bytes = 0;
        }
        if verb == Verb::Commit { Event::Commit { copied } } else { Event::Other }
    }
}

/// A text that ends in a zero byte, and what follows.
fn text(payload: &[u8]) -> (&[u8], &[u8]) {
    let end = payload.iter().position(|&byte| byte == 0).unwrap_or(payload.len());
    (&payload[..end], payload.get(end + 1..).unwrap_or_default())
}

/// The transaction command in a query of one or more statements. Statements are told apart by
/// semicolons only, which is enough for the clients of this workspace.
fn verb(query: &[u8]) -> Verb {
    let query = String::from_utf8_lossy(query).to_ascii_uppercase();
    let mut verbs = query.split(';').map(|statement| {
        let mut words = statement.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("BEGIN" | "START"), ..) => Verb::Begin,
            // `END $$` is the end of a function's body.
            (Some("END"), None | Some("TRANSACTION" | "WORK"), None) => Verb::Commit,
            (Some("COMMIT"), ..) => Verb::Commit,
            // Back to a savepoint is not the end.
            (Some("ROLLBACK" | "ABORT"), None | Some("TRANSACTION" | "WORK"), None) => Verb::Rollback,
            _ => Verb::Other,
        }
    });
    verbs.rfind(|verb| *verb != Verb::Other).unwrap_or(Verb::Other)
}

#[cfg(test)]
mod tests {
    use super::super::frame::message;
    use super::*;

    #[test]
    fn commands_of_a_transaction_are_recognised() {
        assert_eq!(verb(b"COMMIT"), Verb::Commit);
        assert_eq!(verb(b" commit and chain ;"), Verb::Commit);
        assert_eq!(verb(b"INSERT INTO t VALUES (1); END;"), Verb::Commit);
        assert_eq!(verb(b"START TRANSACTION READ ONLY"), Verb::Begin);
        assert_eq!(verb(b"ROLLBACK"), Verb::Rollback);
        assert_eq!(verb(b"ROLLBACK TO SAVEPOINT a"), Verb::Other);
        assert_eq!(verb(b"DO $$ BEGIN PERFORM 1; END $$"), Verb::Other);
        assert_eq!(verb(b"SELECT 'COMMIT'"), Verb::Other);
    }

    #[test]
    fn a_commit_is_seen_in_the_simple_protocol() {
        let mut dialogue = Dialogue::default();
        assert_eq!(dialogue.hear(&message(b'Q', b"BEGIN\0")), Event::Other);
        assert_eq!(dialogue.hear(&message(b'Q', b"COMMIT\0")), Event::Commit { copied: false });
    }

    #[test]
    fn a_commit_is_seen_in_the_extended_protocol_when_it_is_executed() {
        let mut dialogue = Dialogue::default();
        assert_eq!(dialogue.hear(&message(b'P', b"s1\0COMMIT\0\0\0")), Event::Other);
        assert_eq!(dialogue.hear(&message(b'B', b"\0s1\0\0\0\0\0\0\0")), Event::Other);
        assert_eq!(dialogue.hear(&message(b'E', b"\0\0\0\0\0")), Event::Commit { copied: false });
    }

    #[test]
    fn a_transaction_that_copied_is_told_from_one_that_did_not() {
        let mut dialogue = Dialogue::default();
        dialogue.hear(&message(b'Q', b"BEGIN\0"));
        assert_eq!(dialogue.hear(&message(b'd', b"abc")), Event::Copy { before: 0, after: 3 });
        assert_eq!(dialogue.hear(&message(b'd', b"de")), Event::Copy { before: 3, after: 5 });
        dialogue.hear(&message(b'c', b""));
        assert_eq!(dialogue.hear(&message(b'Q', b"COMMIT\0")), Event::Commit { copied: true });
        dialogue.hear(&message(b'Q', b"BEGIN\0"));
        assert_eq!(dialogue.hear(&message(b'Q', b"COMMIT\0")), Event::Commit { copied: false });
    }
}
