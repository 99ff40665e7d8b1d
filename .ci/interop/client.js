// Registers with the official Node client over MQTT, WebSocket or HTTP, then sends one message to the hub, as its tutorial does.
//
// Arguments: `mqtt`, `websocket` or `http`, registration ID, key, a payload as JSON or an empty string, and optionally files with a
// certificate chain and its private key, which replace the key. Prints one line of JSON. The certificate authority comes from the
// variable NODE_EXTRA_CA_CERTS. The client has no setting for its ports: MQTT uses 8883, and this script redirects port 443 of
// localhost to the port of the variable HTTPS_PORT.
'use strict';

const https = require('https');
for (const name of ['request', 'get']) {
    const original = https[name];
    https[name] = (options, ...rest) => {
        if (options.hostname === 'localhost' || options.host === 'localhost') {
            options = { ...options, port: process.env.HTTPS_PORT };
        }
        return original(options, ...rest);
    };
}

const [protocol, registrationId, key, payload, chainFile, keyFile] = process.argv.slice(2);
const Provisioning = {
    mqtt: require('azure-iot-provisioning-device-mqtt').Mqtt,
    websocket: require('azure-iot-provisioning-device-mqtt').MqttWs,
    http: require('azure-iot-provisioning-device-http').Http,
}[protocol];
const Hub = {
    mqtt: require('azure-iot-device-mqtt').Mqtt,
    websocket: require('azure-iot-device-mqtt').MqttWs,
    http: require('azure-iot-device-http').Http,
}[protocol];
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { X509Security } = require('azure-iot-security-x509');
const { Client, Message } = require('azure-iot-device');

const read = (file) => require('fs').readFileSync(file).toString();
const certificate = chainFile && { cert: read(chainFile), key: read(keyFile) };

async function main() {
    const security = certificate
        ? new X509Security(registrationId, certificate)
        : new SymmetricKeySecurityClient(registrationId, key);
    const client = ProvisioningDeviceClient.create('localhost', '0ne00002193', new Provisioning(), security);
    if (payload) {
        client.setProvisioningPayload(JSON.parse(payload));
    }
    const result = await client.register();
    const proof = certificate ? 'x509=true' : `SharedAccessKey=${key}`;
    const hub = Client.fromConnectionString(`HostName=${result.assignedHub};DeviceId=${result.deviceId};${proof}`, Hub);
    if (certificate) {
        // Over HTTP this takes effect, but never reports it. The samples do not wait for it either.
        hub.setOptions(certificate, () => {});
    }
    await hub.open();
    await hub.sendEvent(new Message('message 0'));
    await hub.close();
    return { status: result.status, hub: result.assignedHub, device: result.deviceId, payload: result.payload };
}

main()
    .catch((error) => ({ error: `${error} ${error.responseBody || ''} ${JSON.stringify(error.result || '')}` }))
    .then((outcome) => {
        console.log(JSON.stringify(outcome));
        process.exit();
    });
