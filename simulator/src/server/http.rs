//! A connection over HTTP.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::channel::Channel;
use super::context::{Context, Stopped, TlsStream, certificates};
use super::faulty_stream::{FaultyStream, FaultySwitch};
use super::{mqtt, websocket};
use crate::front::http::{HttpAnswer, HttpRequest};
use crate::handle::Simulator;
use crate::lock::lock;
use crate::state::Delivery;

/// More than the service and the hub accept, so that they can refuse it themselves.
const MAX_BODY: usize = 512 * 1024;

/// The handle of a connection that becomes a WebSocket, once the client has asked for it.
type Upgrade = Arc<Mutex<Option<OnUpgrade>>>;

/// Serves a connection until the client closes it or the server stops.
pub(super) async fn serve(context: Context, stream: TlsStream, mut stopped: Stopped) {
    let certificates: Arc<[Vec<u8>]> = certificates(&stream).into();
    let (stream, faults) = FaultyStream::around(stream);
    let (simulator, upgrade) = (context.simulator.clone(), Upgrade::default());
    let service = service_fn(|request| {
        let upgrade = Arc::clone(&upgrade);
        answer(simulator.clone(), Arc::clone(&certificates), faults.clone(), upgrade, request)
    });
    // There is no time limit for the next head: a client may be told to wait a minute on the same connection.
    let connection = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection.with_upgrades());
    tokio::select! {
        _ = &mut connection => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
            return;
        }
    }
    let upgrade = lock(&upgrade).take();
    if let Some(upgrade) = upgrade
        && let Ok(stream) = upgrade.await
    {
        let channel = Channel::websocket(TokioIo::new(stream));
        mqtt::serve(context, channel, certificates.to_vec(), stopped).await;
    }
}

/// The fault with which a test ends the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
struct ClosedOnPurpose;

async fn answer(
    simulator: Simulator,
    certificates: Arc<[Vec<u8>]>,
    faults: FaultySwitch,
    upgrade: Upgrade,
    mut request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, ClosedOnPurpose> {
    if websocket::is_asked_for(request.headers()) {
        let answer = websocket::answer(request.method().as_str(), request.headers());
        if answer.status == 101 {
            *lock(&upgrade) = Some(hyper::upgrade::on(&mut request));
        }
        return Ok(response(answer));
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(response(HttpAnswer::empty(413)));
    };
    let body = body.to_bytes();
    let headers = head.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let request = HttpRequest {
        method: head.method.as_str(),
        target: head.uri.path_and_query().map_or("", |target| target.as_str()),
        headers: headers.collect(),
        body: &body,
        certificates: &certificates,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match simulator.deliver(&request, now) {
        Delivery::Whole { reply, after, close } => {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            let answer = simulator.http_answer(reply);
            let answer = if close { answer.with_header("Connection", "close".into()) } else { answer };
            Ok(response(answer))
        }
        Delivery::OutOfOrder(reply) => Ok(response(simulator.http_answer(reply))),
        Delivery::Cut { reply, bytes } => {
            // The connection also ends if the answer is shorter than the cut.
            faults.close_after(bytes);
            Ok(response(simulator.http_answer(reply).with_header("Connection", "close".into())))
        }
        Delivery::Garbage(bytes) => {
            faults.send_instead(bytes);
            Ok(response(HttpAnswer::empty(200)))
        }
        Delivery::Nothing => Err(ClosedOnPurpose),
    }
}

fn response(answer: HttpAnswer) -> hyper::Response<Full<Bytes>> {
    let response = hyper::Response::builder().status(answer.status);
    let response = answer.headers.into_iter().fold(response, |response, (name, value)| response.header(name, value));
    response.body(Full::new(Bytes::from(answer.body))).unwrap_or_else(|_| {
        // A script has set a status or a header that is not valid in HTTP.
        let mut response = hyper::Response::new(Full::default());
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
