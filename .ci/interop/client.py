"""Registers with the official Python client over MQTT, then sends ten messages to the hub, as its tutorial does.

Arguments: `mqtt` or `websocket`, registration ID, key, a payload as JSON or an empty string, and optionally files with a certificate
chain and its private key, which replace the key. Prints one line of JSON. Python's TLS reads the certificate authority from the
variable SSL_CERT_FILE. The client has no setting for its ports: MQTT uses 8883, and this script redirects port 443 to the port of the
variable HTTPS_PORT.
"""

import json
import os
import socket
import sys

from azure.iot.device import X509, IoTHubDeviceClient, ProvisioningDeviceClient

connect = socket.create_connection


def create_connection(address, *rest, **more):
    host, port = address
    return connect((host, int(os.environ["HTTPS_PORT"]) if port == 443 else port), *rest, **more)


socket.create_connection = create_connection

protocol, registration_id, key, payload, *files = sys.argv[1:]
names = {"provisioning_host": "localhost", "registration_id": registration_id, "id_scope": "0ne00002193"}
names["websockets"] = protocol == "websocket"
x509 = X509(*files) if files else None
if x509:
    client = ProvisioningDeviceClient.create_from_x509_certificate(**names, x509=x509)
else:
    client = ProvisioningDeviceClient.create_from_symmetric_key(**names, symmetric_key=key)
if payload:
    client.provisioning_payload = json.loads(payload)
try:
    result = client.register()
except Exception as error:  # The caller compares the text, not the client's error classes.
    print(json.dumps({"error": f"{error!r} {error.__cause__!r}"}))
    sys.exit()

state = result.registration_state
if result.status == "assigned":
    names = {"hostname": state.assigned_hub, "device_id": state.device_id, "websockets": protocol == "websocket"}
    if x509:
        hub = IoTHubDeviceClient.create_from_x509_certificate(**names, x509=x509)
    else:
        hub = IoTHubDeviceClient.create_from_symmetric_key(**names, symmetric_key=key)
    hub.connect()
    for number in range(10):
        hub.send_message(f"message {number}")
    hub.shutdown()
payload = state.response_payload if state else None
print(json.dumps({
    "status": result.status,
    "hub": state and state.assigned_hub,
    "device": state and state.device_id,
    "payload": payload and json.loads(payload) if isinstance(payload, str) else payload,
}))
