//! One proxied connection.
//!
//! ```text
//!   handshake ──> talk both ways ──┬── an end closes, or sever_all: both are closed
//!                                  └── a fault is due: settle it, message in hand
//! ```

use super::Shared;
use super::dialogue::Dialogue;
use super::fault::{Answer, Fault, Hit};
use super::frame::{Frame, Frames};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::select;
use tokio::time::sleep;

/// Requests before a session: for TLS and for GSSAPI encryption.
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

/// A fault that is due, and the message that it is due at, which was not passed on.
struct Due {
    fault: Fault,
    hit: Hit,
    frame: Frame,
}

/// Serves one client until either side closes. An error is a closed connection, too: the two ends
/// see it as such, and nobody else cares.
pub(super) async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let mut severed = shared.severed.subscribe();
    let (host, port) = &shared.upstream;
    let Ok(mut server) = TcpStream::connect((host.as_str(), *port)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut answers = Frames::default();
    let due = select! {
        _ = severed.changed() => None,
        due = talk(&mut client, &mut server, &mut answers, &shared) => due.unwrap_or_default(),
    };
    if let Some(due) = due {
        // An error is the server gone: the fault has said so.
        let _ = settle(due, client, server, answers).await;
    }
}

/// Passes messages on until an end closes or a fault is due.
async fn talk(
    client: &mut TcpStream,
    server: &mut TcpStream,
    answers: &mut Frames,
    shared: &Shared,
) -> io::Result<Option<Due>> {
    let mut requests = Frames::default();
    loop {
        let Some(start) = requests.next_untyped(client).await? else { return Ok(None) };
        let code = start.payload().first_chunk().map(|code| u32::from_be_bytes(*code));
        if !code.is_some_and(|code| ENCRYPTION_REQUESTS.contains(&code)) {
            server.write_all(start.bytes()).await?;
            break;
        }
        client.write_all(b"N").await?;
    }
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    select! {
        due = pass_requests(&mut requests, &mut from_client, &mut to_server, shared) => due,
        end = pass_answers(answers, &mut from_server, &mut to_client) => end.map(|()| None),
    }
}

async fn pass_requests(
    requests: &mut Frames,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
) -> io::Result<Option<Due>> {
    let mut dialogue = Dialogue::default();
    while let Some(frame) = requests.next(from).await? {
        let event = dialogue.hear(&frame);
        if matches!(event, super::dialogue::Event::Commit { .. }) {
            shared.commits.fetch_add(1, Ordering::SeqCst);
        }
        if let Some((fault, hit)) = shared.faults.take(event) {
            return Ok(Some(Due { fault, hit, frame }));
        }
        to.write_all(frame.bytes()).await?;
    }
    Ok(None)
}

async fn pass_answers(
    answers: &mut Frames,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    while let Some(run) = answers.next_run(from).await? {
        to.write_all(&run).await?;
    }
    Ok(())
}

/// Does what the fault says. Both connections are closed at its end.
async fn settle(due: Due, client: TcpStream, mut server: TcpStream, mut answers: Frames) -> io::Result<()> {
    let Due { fault, hit, frame } = due;
    // Before the client can see anything of it.
    hit.set_hit();
    match fault {
        Fault::CutBeforeCommit => {
            drop((client, server));
            hit.set_settled(Answer::None);
        }
        Fault::CutInCopy { .. } => {
            let half = &frame.bytes()[..frame.bytes().len() / 2];
            let sent = server.write_all(half).await;
            drop((client, server));
            hit.set_settled(Answer::None);
            sent?;
        }
        Fault::CutAfterCommit => {
            let answer = commit(&frame, &mut server, &mut answers).await;
            drop(client);
            hit.set_settled(answer.unwrap_or(Answer::None));
        }
        Fault::HoldCommit(hold) => {
            drop(client);
            sleep(hold).await;
            let answer = commit(&frame, &mut server, &mut answers).await;
            hit.set_settled(answer.unwrap_or(Answer::None));
        }
    }
    Ok(())
}

/// Delivers the COMMIT and waits for what the server says to it.
async fn commit(frame: &Frame, server: &mut TcpStream, answers: &mut Frames) -> io::Result<Answer> {
    server.write_all(frame.bytes()).await?;
    if frame.kind() == Some(b'E') {
        // The client's own Sync is still with the client.
        server.write_all(b"S\0\0\0\x04").await?;
    }
    while let Some(answer) = answers.next(server).await? {
        let payload = answer.payload();
        match answer.kind() {
            Some(b'C') if payload.starts_with(b"COMMIT") => return Ok(Answer::Committed),
            Some(b'C') if payload.starts_with(b"ROLLBACK") => return Ok(Answer::RolledBack),
            Some(b'E') => return Ok(Answer::Refused(error_message(payload))),
            _ => {}
        }
    }
    Ok(Answer::None)
}

/// The field `M` of an ErrorResponse.
fn error_message(payload: &[u8]) -> String {
    let mut fields = payload.split(|&byte| byte == 0);
    let message = fields.find_map(|field| field.strip_prefix(b"M"));
    String::from_utf8_lossy(message.unwrap_or_default()).into_owned()
}
