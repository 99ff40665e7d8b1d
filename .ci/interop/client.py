"""The tutorial's last steps with the official Python client, over MQTT: register, then ten messages to the hub.

Arguments: registration ID, key, a payload as JSON or nothing, and in the place of the key, files with a certificate chain and its private
key. Prints one line of JSON. The certificate authority comes from the variable SSL_CERT_FILE, which Python's TLS reads; the client has no setting for the port, which is 8883.
"""

import json
import sys

from azure.iot.device import X509, IoTHubDeviceClient, ProvisioningDeviceClient

registration_id, key, payload, *files = sys.argv[1:]
names = {"provisioning_host": "localhost", "registration_id": registration_id, "id_scope": "0ne00002193"}
x509 = X509(*files) if files else None
if x509:
    client = ProvisioningDeviceClient.create_from_x509_certificate(**names, x509=x509)
else:
    client = ProvisioningDeviceClient.create_from_symmetric_key(**names, symmetric_key=key)
if payload:
    client.provisioning_payload = json.loads(payload)
try:
    result = client.register()
except Exception as error:  # Its classes are the client's own business: the words are what is compared.
    print(json.dumps({"error": f"{error!r} {error.__cause__!r}"}))
    sys.exit()

state = result.registration_state
if result.status == "assigned":
    names = {"hostname": state.assigned_hub, "device_id": state.device_id}
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
