//! A client with a page of flash, and the hub.

use alloc::borrow::Cow;
use core::hint::black_box;
use core::time::Duration;

use azure_iot_dps::error::{StoreError, TransportError, TransportErrorKind};
use azure_iot_dps::hub::{Advice, AssignmentStore, HubFailure, Reconnection};
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::{Clock, DeviceKey, HubCredentials, IdScope, ProvisioningClient, RegistrationId};

use super::{good, measure};

/// A clock that advances only in `sleep`.
struct Ticks(Duration);

impl Clock for Ticks {
    fn now(&mut self) -> Now {
        Now { unix: None, uptime: self.0 }
    }

    fn sleep(&mut self, pause: Duration) {
        self.0 += pause;
    }
}

/// A page of flash.
struct Page([u8; 1024]);

impl AssignmentStore for Page {
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
        Ok(self.0.as_slice().into())
    }

    fn save(&mut self, record: &[u8]) -> Result<(), StoreError> {
        self.0.fill(0xFF);
        let room = self.0.get_mut(..record.len()).ok_or_else(|| StoreError::new("the record does not fit"))?;
        room.copy_from_slice(record);
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.0.fill(0xFF);
        Ok(())
    }
}

pub fn run(scope: &IdScope, id: &RegistrationId, key: &DeviceKey) {
    let mut answers = super::answers();
    let over_http = move |_: &Request<'_>| {
        let (status, body) = answers.next().ok_or(TransportErrorKind::CannotConnect)?;
        Ok(Response::new(status, body).with_header("Retry-After", "3"))
    };
    with("", scope, id, key, 3, over_http);
    #[cfg(feature = "exchange")]
    with(" over MQTT", scope, id, key, 1, over_mqtt);
}

/// Registers, boots again, logs in to the hub, and asks for advice when the hub refuses it.
fn with(
    how: &str,
    scope: &IdScope,
    id: &RegistrationId,
    key: &DeviceKey,
    requests: u32,
    send: impl FnMut(&Request<'_>) -> Result<Response<'static>, TransportError> + Send + 'static,
) {
    let mut store = Page([0xFF; 1024]);
    let client = ProvisioningClient::builder(scope.clone(), id.clone(), key.clone());
    let mut client = client.build_with(FnTransport::new(send), Ticks(Duration::ZERO));
    let name = if how.is_empty() { "register with a client" } else { "register with a client over MQTT" };
    let first = measure(name, || good(client.load_or_register(&mut store)));
    let second = measure("boot again", || good(client.load_or_register(&mut store)));
    assert!(first.requests() == requests && second.requests() == 0);
    let mut credentials = good(HubCredentials::new(&second, key));
    let time = UnixTime::from_secs(1_790_000_000);
    measure("log in to the hub", || {
        let login = good(credentials.mqtt(time));
        black_box(login.password().map_or(0, str::len));
        assert!(login.client_id() == id.as_str());
    });
    let now = Now { unix: None, uptime: Duration::ZERO };
    let mut reconnection = Reconnection::new(id.clone()).fleet_spread(Duration::ZERO);
    reconnection.connected(now);
    let advice = measure("lose the hub", || [(); 2].map(|()| reconnection.failed(HubFailure::connack(5), now)));
    assert!(matches!(advice, [Advice::LookUp, Advice::Register]));
}

/// Answers over MQTT like the service: accepts the connection and the subscription, and answers the
/// first request.
#[cfg(feature = "exchange")]
fn over_mqtt(request: &Request<'_>) -> Result<Response<'static>, TransportError> {
    use azure_iot_dps::transport::mqtt::Exchange;

    let mut exchange = Exchange::new(request)?;
    // CONNACK, SUBACK, PUBACK, and the answer as a message at QoS 1.
    let topic = b"$dps/registrations/res/200/?$rid=1";
    let length = 2 + topic.len() + 2 + super::ASSIGNED.len();
    let [low, high] = [length as u8 | 0x80, (length >> 7) as u8];
    for said in [
        b"\x20\x02\x00\x00\x90\x03\x00\x01\x01\x40\x02\x00\x02",
        &[0x32, low, high, 0, topic.len() as u8][..],
        topic,
        b"\x00\x07",
        super::ASSIGNED,
    ] {
        // A stream may accept only a part.
        while !exchange.output().is_empty() {
            exchange.written(exchange.output().len().min(64), Duration::ZERO);
        }
        exchange.read(said)?;
    }
    exchange.disconnect();
    exchange.take_answer().ok_or(TransportErrorKind::AnswerBroken.into())
}
