"""The tutorial's last steps with the official Python client, over MQTT: register, then ten messages to the hub.

Arguments: registration ID, key, and a payload as JSON or nothing. Prints one line of JSON. The certificate authority comes from the
variable SSL_CERT_FILE, which Python's TLS reads; the client has no setting for the port, which is 8883.
"""

import json
import sys

from azure.iot.device import IoTHubDeviceClient, ProvisioningDeviceClient

registration_id, key, payload = sys.argv[1:4]
client = ProvisioningDeviceClient.create_from_symmetric_key(
    provisioning_host="localhost", registration_id=registration_id, id_scope="0ne00002193", symmetric_key=key
)
if payload:
    client.provisioning_payload = json.loads(payload)
try:
    result = client.register()
except Exception as error:  # Its classes are the client's own business: the words are what is compared.
    print(json.dumps({"error": f"{error!r} {error.__cause__!r}"}))
    sys.exit()

state = result.registration_state
if result.status == "assigned":
    hub = IoTHubDeviceClient.create_from_symmetric_key(
        symmetric_key=key, hostname=state.assigned_hub, device_id=state.device_id
    )
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
