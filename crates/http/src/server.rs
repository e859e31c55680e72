//! The accept loop: bounded connections, and a stop that drains them.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use lifecycle::Shutdown;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, info, warn};
use warp::{Filter, Reply};

use crate::{Limits, answer::Answerer, problem};

/// After an accept that failed for lack of something (file descriptors), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// What was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// Takes the address; port 0 takes any free one.
///
/// # Errors
/// When it is taken, not this machine's, or not allowed; the error names the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, source })
}

/// Serves `routes` until the stop is requested, then lets answers in flight finish for
/// [`Limits::drain`] and cuts the rest. Streams that should end in order watch the same token.
///
/// # Errors
/// None: what one connection does wrong is its own affair.
pub async fn serve<F>(listener: TcpListener, routes: F, limits: Limits, shutdown: Shutdown) -> Result<(), Infallible>
where
    F: Filter<Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    if let Ok(address) = listener.local_addr() {
        info!(%address, "serving http");
    }
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let answerer = Answerer::new(warp::service(routes.recover(problem::recover)), &limits);
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, answerer.clone(), &limits);
                    let watched = graceful.watch(connection);
                    connections.spawn(async move {
                        if let Err(error) = watched.await {
                            debug!(%error, "connection ended early");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::select! {
                        () = shutdown.requested() => break,
                        () = sleep(ACCEPT_PAUSE) => {}
                    }
                }
            },
        }
    }
    drop(listener);
    if timeout(limits.drain, graceful.shutdown()).await.is_err() {
        while connections.try_join_next().is_some() {}
        warn!(
            connections = connections.len(),
            after = ?limits.drain,
            "cut connections that did not end"
        );
        connections.shutdown().await;
    }
    Ok(())
}

fn connection<S>(
    stream: TcpStream,
    answerer: Answerer<S>,
    limits: &Limits,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send + use<S>
where
    S: crate::answer::Routes,
{
    // Answers are small and complete: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_stall));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .serve_connection(TokioIo::new(Box::pin(stream)), service_fn(move |request| answerer.clone().answer(request)))
}
