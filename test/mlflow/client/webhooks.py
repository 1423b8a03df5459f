"""Webhooks, as the newest client manages them. What they deliver is tested elsewhere."""

from mlflow.entities.webhook import WebhookStatus
from mlflow.tracking import MlflowClient
from scratch import refuses, unique


def flow_crud():
    client = MlflowClient()
    # An address, so that no name has to be resolved; nothing happens while it is active, so nothing is sent.
    made = client.create_webhook(unique("hook"), "https://8.8.8.8/hook", ["model_version.created", "registered_model.created"],
                                 description="tells", secret="s3cret")
    got = client.get_webhook(made.webhook_id)
    assert got.url == "https://8.8.8.8/hook" and got.status == WebhookStatus.ACTIVE and not getattr(got, "secret", None)
    assert sorted(str(e) for e in got.events) == sorted(str(e) for e in made.events) and len(got.events) == 2
    client.update_webhook(made.webhook_id, status="DISABLED", description="silent")
    assert client.get_webhook(made.webhook_id).status == WebhookStatus.DISABLED
    assert made.webhook_id in {w.webhook_id for w in client.list_webhooks()}
    with refuses("INVALID_PARAMETER_VALUE"):
        client.create_webhook("bad", "ftp://8.8.8.8", ["model_version.created"])
    client.delete_webhook(made.webhook_id)
    with refuses("RESOURCE_DOES_NOT_EXIST"):
        client.get_webhook(made.webhook_id)
