"""What webhooks are sent, received by a server of our own and checked with MLflow's code."""

import hmac
import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from mlflow.entities.webhook import WebhookEvent
from mlflow.tracking import MlflowClient
from mlflow.webhooks.constants import WEBHOOK_DELIVERY_ID_HEADER, WEBHOOK_SIGNATURE_HEADER, WEBHOOK_TIMESTAMP_HEADER
from mlflow.webhooks.delivery import _generate_hmac_signature
from mlflow.webhooks.types import get_example_payload_for_event
from scratch import unique

SECRET = "s3cret"
NAMES = ["registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted",
         "model_version_alias.created", "model_version_alias.deleted"]


class Receiver:
    """Answers with each status in turn, the last one for good, and keeps what it is sent."""

    def __init__(self, *statuses):
        self.got = queue.Queue()
        left = list(statuses)
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.put((dict(self.headers.items()), body))
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.end_headers()
                self.wfile.write(b"seen")

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        """Waits for a message, checks its signature, and gives its headers and what it says."""
        headers, body = self.got.get(timeout=30)
        headers = {name.lower(): value for name, value in headers.items()}
        delivery, at, signature = (headers[name.lower()] for name in [WEBHOOK_DELIVERY_ID_HEADER, WEBHOOK_TIMESTAMP_HEADER, WEBHOOK_SIGNATURE_HEADER])
        assert abs(time.time() - int(at)) < 60
        assert hmac.compare_digest(signature, _generate_hmac_signature(SECRET, delivery, at, body.decode()))
        return headers, json.loads(body)


def flow_registry():
    client, receiver, name = MlflowClient(), Receiver(200), unique("told")
    hook = client.create_webhook(unique("hook"), receiver.url, NAMES, secret=SECRET)
    client.create_registered_model(name, tags={"a": "b"}, description="d")
    client.create_model_version(name, "s3://bucket/model", tags={"c": "d"})
    client.set_model_version_tag(name, "1", "k", "ü")
    client.delete_model_version_tag(name, "1", "k")
    client.set_registered_model_alias(name, "champ", "1")
    client.delete_registered_model_alias(name, "champ")
    want = [
        {"name": name, "tags": {"a": "b"}, "description": "d"},
        {"name": name, "version": "1", "source": "s3://bucket/model", "run_id": None, "tags": {"c": "d"}, "description": None},
        {"name": name, "version": "1", "key": "k", "value": "ü"},
        {"name": name, "version": "1", "key": "k"},
        {"name": name, "alias": "champ", "version": "1"},
        {"name": name, "alias": "champ"},
    ]
    for event, data in zip(NAMES, want):
        _, said = receiver.next()
        assert f"{said['entity']}.{said['action']}" == event and said["data"] == data, said
        assert said["timestamp"].endswith("+00:00")
    client.delete_webhook(hook.webhook_id)
    client.create_registered_model(unique("told"))
    assert receiver.got.empty()


def flow_examples():
    client, receiver = MlflowClient(), Receiver(200)
    every = [*NAMES, "prompt.created", "prompt_version.created", "prompt_tag.set", "prompt_tag.deleted", "prompt_version_tag.set",
             "prompt_version_tag.deleted", "prompt_alias.created", "prompt_alias.deleted", "budget_policy.exceeded"]
    hook = client.create_webhook(unique("hook"), receiver.url, every, secret=SECRET)
    for name in every:
        event = WebhookEvent.from_str(name)
        result = client.test_webhook(hook.webhook_id, event)
        assert result.success and result.response_status == 200 and result.response_body == "seen", result
        _, said = receiver.next()
        assert f"{said['entity']}.{said['action']}" == name and said["data"] == get_example_payload_for_event(event), said
    client.delete_webhook(hook.webhook_id)


def flow_tried_again():
    client, receiver, name = MlflowClient(), Receiver(503, 200), unique("told")
    hook = client.create_webhook(unique("hook"), receiver.url, ["registered_model.created"], secret=SECRET)
    client.create_registered_model(name)
    client.create_registered_model(name + "-2")
    first, again, second = receiver.next(), receiver.next(), receiver.next()
    assert first[0]["x-mlflow-delivery-id"] == again[0]["x-mlflow-delivery-id"] and first[1] == again[1]
    assert [said["data"]["name"] for _, said in (first, second)] == [name, name + "-2"]
    client.delete_webhook(hook.webhook_id)
