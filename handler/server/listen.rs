//! The HTTP server on loopback: accepts connections, limits the time for a header,
//! and lets running requests end when it stops.

use std::{convert::Infallible, future::Future, pin::pin, time::Duration};

use axum::{body::Body, http::Request, serve::Listener};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{net::TcpListener, time::timeout};

use super::{App, connection::TimedWrites};

/// Time for the header of a request. Longer than the minute after which the
/// Functions host gives up idle connections, so that none is closed under it.
pub const HEADER_TIME: Duration = Duration::from_secs(90);

/// Time in which a client that keeps us waiting has to take a fair part of its answer.
const WRITE_TIME: Duration = Duration::from_secs(30);

/// Time that running requests get to end.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `stop` ends, then lets running requests end for a while.
pub async fn serve(
    mut listener: TcpListener,
    app: App,
    header_time: Duration,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(header_time);
    let running = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            // Waits and continues where the process runs out of descriptors.
            (stream, _) = Listener::accept(&mut listener) => {
                let app = app.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let app = app.clone();
                    async move { Ok::<_, Infallible>(app.answer(request.map(Body::new)).await) }
                });
                let connection = http.serve_connection(TokioIo::new(TimedWrites::new(stream, WRITE_TIME)), service);
                tokio::spawn(running.watch(connection));
            }
            () = &mut stop => break,
        }
    }
    let _ = timeout(GRACE, running.shutdown()).await;
}
