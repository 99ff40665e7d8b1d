//! What is checked: the arguments and the variables of the other examples.

use azure_iot_dps::{Endpoint, Proxy, Roots};

use crate::Arguments;
use crate::limits::Limits;
use crate::support::device::Device;
use crate::support::given::Given;
use crate::support::{Result, sentence};

/// The protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Https,
    Mqtt,
}

/// A port of the service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    pub(crate) protocol: Protocol,
}

/// The device, if there is one.
pub(crate) enum Credential {
    Device(Box<Device>),
    /// It is not set, or only in part.
    NotSet {
        missing: String,
    },
    /// A part of it is wrong.
    Wrong {
        problem: String,
    },
    /// The variable for its proxy is wrong, which the check of the proxy reports.
    WithoutProxy,
}

impl Credential {
    /// Reads a device of which nothing is missing.
    fn of(given: &Given) -> Self {
        // The device reads the variable for the proxy too, so its error would repeat the proxy's.
        if given.identity().is_ok() && Proxy::from_environment().is_err() {
            return Self::WithoutProxy;
        }
        match Device::of(given) {
            Ok(device) => Self::Device(device.into()),
            Err(error) => Self::Wrong { problem: sentence(&*error) },
        }
    }
}

/// The service, and the device that asks it.
pub(crate) struct Setup {
    pub(crate) host: String,
    /// The port for HTTPS comes first.
    pub(crate) ports: Vec<Port>,
    pub(crate) roots: Roots,
    pub(crate) limits: Limits,
    /// Whether the variables for proxies count.
    pub(crate) takes_proxy: bool,
    pub(crate) credential: Credential,
}

impl Setup {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self> {
        let given = Given::of(&arguments.device)?;
        if given.is_nothing() {
            return Self::simulated(arguments);
        }
        let credential = match given.missing()[..] {
            [] => Credential::of(&given),
            ref missing => Credential::NotSet { missing: missing.join(", ") },
        };
        let endpoint = given.endpoint()?;
        let https = Port { number: endpoint.port().unwrap_or(443), protocol: Protocol::Https };
        let mqtt = Port { number: arguments.mqtt_port.unwrap_or(8883), protocol: Protocol::Mqtt };
        Ok(Self {
            host: endpoint.host().to_string(),
            ports: if arguments.https_only { vec![https] } else { vec![https, mqtt] },
            roots: given.roots()?,
            limits: arguments.limits(),
            takes_proxy: true,
            credential,
        })
    }

    /// A simulated service inside the process.
    fn simulated(arguments: &Arguments) -> Result<Self> {
        let device = Device::simulated()?;
        let port = |endpoint: &Endpoint, protocol| endpoint.port().map(|number| Port { number, protocol });
        let https = port(&device.endpoint, Protocol::Https);
        let mqtt = device.hub_mqtt_gateway().and_then(|endpoint| port(endpoint, Protocol::Mqtt));
        let mqtt = mqtt.filter(|_| !arguments.https_only);
        Ok(Self {
            host: device.endpoint.host().to_string(),
            ports: [https, mqtt].into_iter().flatten().collect(),
            roots: device.roots.clone(),
            limits: arguments.limits(),
            takes_proxy: false,
            credential: Credential::Device(device.into()),
        })
    }
}
