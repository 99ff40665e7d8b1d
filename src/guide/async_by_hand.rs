use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::{TransportError, TransportErrorKind};
use azure_iot_dps::key::Signer;
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::{Assignment, Clock, DeviceKey, Error, SystemClock};

/// Registers the device. Drop the future to cancel it.
pub async fn register(
    settings: &RegistrationSettings,
    key: &DeviceKey,
    http: &reqwest::Client,
) -> Result<Assignment, Error> {
    let mut clock = SystemClock::new();
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    loop {
        match registration.step(clock.now())? {
            Step::Sign(request) => {
                let signature = key.sign(request.message());
                registration.signed(signature);
            }
            Step::Send(request) => {
                let answer = send(http, &request).await;
                registration.receive(answer, clock.now());
            }
            Step::Wait(pause) => tokio::time::sleep(pause.duration()).await,
            Step::Event(event) => eprintln!("{event}"),
            Step::Done(assignment) => return Ok(assignment),
        }
    }
}

/// Carries one request within its time limit. The client must not follow redirects.
async fn send(
    http: &reqwest::Client,
    request: &Request<'_>,
) -> Result<Response<'static>, TransportError> {
    let head = request.http();
    let url = format!("https://{}{}", request.endpoint(), head.target());
    let method = reqwest::Method::from_bytes(head.method().as_bytes()).unwrap_or_default();
    let mut call = http.request(method, url).timeout(request.time_limit());
    for (name, value) in head.headers() {
        call = call.header(name, value);
    }
    let failed = |error: reqwest::Error| {
        let kind = match () {
            () if error.is_timeout() => TransportErrorKind::TimedOut,
            () if error.is_connect() => TransportErrorKind::CannotConnect,
            () => TransportErrorKind::AnswerBroken,
        };
        TransportError::new(kind).with_source(error.without_url())
    };
    let mut answer =
        call.body(request.body().unwrap_or_default().to_vec()).send().await.map_err(failed)?;
    let response = Response::head(answer.status().as_u16(), answer.headers());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > 128 * 1024 {
            return Err(TransportErrorKind::AnswerTooLarge.into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(response.with_body(body))
}
