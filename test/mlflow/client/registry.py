"""The model registry, verb by verb, as the newest client speaks it."""

import mlflow
from mlflow.tracking import MlflowClient
from scratch import experiment, refuses, unique


def version(client, name, **more):
    """Registers an empty model of a new run."""
    run = client.create_run(experiment())
    client.log_dict(run.info.run_id, {}, "model/x.json")
    return client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, **more), run


def flow_models():
    client = MlflowClient()
    word = unique("m")
    for i in range(4):
        client.create_registered_model(f"{word}.{i}", tags={"i": str(i), "team": "a" if i < 2 else "b"}, description=f"no. {i}")

    def names(filter_string, **more):
        return [m.name[-1] for m in client.search_registered_models(filter_string, **more)]

    mine = f"name LIKE '{word}.%'"
    assert names(mine) == ["0", "1", "2", "3"]
    assert names(mine, order_by=["name DESC"]) == ["3", "2", "1", "0"]
    assert names(f"{mine} AND tags.team = 'b'") == ["2", "3"]
    assert names(f"name ILIKE '{word.upper()}.%' AND tags.i != '0'") == ["1", "2", "3"]
    assert names(f"name = '{word}.2'") == ["2"]
    first = client.search_registered_models(mine, max_results=3)
    second = client.search_registered_models(mine, max_results=3, page_token=first.token)
    assert [m.name[-1] for m in first + second] == ["0", "1", "2", "3"] and not second.token
    client.update_registered_model(f"{word}.3", "now with text")
    assert names(mine, order_by=["last_updated_timestamp DESC"])[0] == "3"
    client.rename_registered_model(f"{word}.3", f"{word}.9")
    renamed = client.get_registered_model(f"{word}.9")
    assert renamed.name == f"{word}.9" and renamed.description == "now with text" and renamed.tags["team"] == "b"
    with refuses("RESOURCE_DOES_NOT_EXIST", "not found"):
        client.get_registered_model(f"{word}.3")
    with refuses("RESOURCE_ALREADY_EXISTS", "already exists"):
        client.rename_registered_model(f"{word}.9", f"{word}.0")
    for bad in ["", "a/b", "a:b", "."]:
        with refuses("INVALID_PARAMETER_VALUE"):
            client.create_registered_model(bad)
    with refuses("INVALID_PARAMETER_VALUE"):
        client.search_registered_models("nonsense = 'x'")


def flow_versions():
    client = MlflowClient()
    name = unique("v")
    client.create_registered_model(name)
    runs = []
    for i in range(3):
        v, run = version(client, name, tags={"i": str(i)}, description=f"d{i}")
        runs.append(run.info.run_id)
        assert str(v.version) == str(i + 1) and v.status == "READY" and v.current_stage == "None" and v.description == f"d{i}"
    client.update_model_version(name, "1", "new text")
    client.set_model_version_tag(name, "1", "k", "v")
    client.set_model_version_tag(name, "1", "k", "w")
    client.delete_model_version_tag(name, "1", "i")
    got = client.get_model_version(name, "1")
    assert got.description == "new text" and got.tags == {"k": "w"} and got.run_id == runs[0]
    assert client.get_model_version_download_uri(name, "1").startswith("mlflow-artifacts:/")

    def numbers(filter_string, **more):
        return [str(v.version) for v in client.search_model_versions(filter_string, **more)]

    mine = f"name = '{name}'"
    assert sorted(numbers(mine)) == ["1", "2", "3"]
    assert numbers(mine, order_by=["version_number ASC"]) == ["1", "2", "3"]
    assert numbers(mine, order_by=["version_number DESC"], max_results=2) == ["3", "2"]
    assert numbers(f"{mine} AND run_id = '{runs[1]}'") == ["2"]
    assert sorted(numbers(f"run_id IN ('{runs[0]}','{runs[2]}')")) == ["1", "3"]
    assert numbers(f"{mine} AND tags.k = 'w'") == ["1"]
    assert numbers(f"{mine} AND version_number > 2") == ["3"]
    client.delete_model_version(name, "3")
    with refuses("RESOURCE_DOES_NOT_EXIST"):
        client.get_model_version(name, "3")
    v, _ = version(client, name)
    assert str(v.version) == "3" or str(v.version) == "4"
    for bad in ["0", "99", "x"]:
        try:
            client.get_model_version(name, bad)
        except mlflow.MlflowException as e:
            assert e.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
        else:
            raise AssertionError(f"version {bad} was found")
    with refuses("RESOURCE_DOES_NOT_EXIST"):
        client.create_model_version(unique("no"), v.source, v.run_id)
    with refuses("INVALID_PARAMETER_VALUE", "source"):
        client.create_model_version(name, "mlflow-artifacts:/0/x", None)


def flow_aliases():
    client = MlflowClient()
    name = unique("alias")
    client.create_registered_model(name)
    for _ in range(2):
        version(client, name)
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_alias(name, "challenger", "2")
    assert str(client.get_model_version_by_alias(name, "champion").version) == "1"
    client.set_registered_model_alias(name, "champion", "2")
    assert sorted(client.get_model_version(name, "2").aliases) == ["challenger", "champion"]
    assert {k: str(v) for k, v in client.get_registered_model(name).aliases.items()} == {"champion": "2", "challenger": "2"}
    assert str(client.get_model_version_by_alias(name, "latest").version) == "2"
    client.delete_registered_model_alias(name, "challenger")
    with refuses("INVALID_PARAMETER_VALUE", "not found"):
        client.get_model_version_by_alias(name, "challenger")
    client.delete_registered_model_alias(name, "challenger")  # again is fine
    for bad in ["latest", "v1", "V2", "a b", ""]:
        with refuses("INVALID_PARAMETER_VALUE"):
            client.set_registered_model_alias(name, bad, "1")
    with refuses("RESOURCE_DOES_NOT_EXIST"):
        client.set_registered_model_alias(name, "fine", "77")
    client.rename_registered_model(name, name + "x")
    assert str(client.get_model_version_by_alias(name + "x", "champion").version) == "2"
    client.delete_model_version(name + "x", "2")
    with refuses("INVALID_PARAMETER_VALUE", "not found"):
        client.get_model_version_by_alias(name + "x", "champion")


def flow_stages():
    client = MlflowClient()
    name = unique("stage")
    client.create_registered_model(name)
    for _ in range(3):
        version(client, name)
    client.transition_model_version_stage(name, "1", "production")
    assert client.get_model_version(name, "1").current_stage == "Production"
    client.transition_model_version_stage(name, "2", "Production", archive_existing_versions=True)
    assert client.get_model_version(name, "1").current_stage == "Archived"
    latest = {v.current_stage: str(v.version) for v in client.get_latest_versions(name)}
    assert latest == {"Archived": "1", "Production": "2", "None": "3"}
    assert [str(v.version) for v in client.get_latest_versions(name, ["Production"])] == ["2"]
    with refuses("INVALID_PARAMETER_VALUE"):
        client.transition_model_version_stage(name, "3", "Nonsense")


def flow_copies():
    client = MlflowClient()
    source, target = unique("from"), unique("to")
    client.create_registered_model(source)
    v, _ = version(client, source, tags={"t": "v"})
    copy = client.copy_model_version(f"models:/{source}/{v.version}", target)
    assert copy.name == target and copy.source == f"models:/{source}/{v.version}"
    assert client.get_model_version_download_uri(target, copy.version) == client.get_model_version_download_uri(source, v.version)
    client.delete_registered_model(source)
    assert str(client.get_model_version(target, copy.version).version) == "1"


def flow_prompts():
    """Prompts live on the registry: registered models and versions with tags of MLflow's own."""
    name = unique("prompt")
    mlflow.genai.register_prompt(name, "Hello {{name}}", commit_message="first")
    mlflow.genai.set_prompt_alias(name, "production", 1)
    assert mlflow.genai.load_prompt(f"prompts:/{name}@production").format(name="you") == "Hello you"
    assert all(m.name != name for m in MlflowClient().search_registered_models())
