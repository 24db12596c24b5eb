"""docs/team.md: what it writes for other people's programs has the form that those take."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from octod.core.settings import Settings

TEXT = (Path(__file__).parents[2] / "docs" / "team.md").read_text(encoding="utf-8")
# spec of LoraAdapter, production-stack.vllm.ai/v1alpha1: operator/config/crd of vllm-project/production-stack
SPEC = {"baseModel", "adapterSource", "loraAdapterDeploymentConfig", "vllmApiKey"}
SOURCE = {"type", "adapterName", "adapterPath", "credentialsSecretRef", "maxAdapters", "pattern", "repository"}
# fields of ray.serve.llm.LLMConfig and LoraConfig: Ray Serve LLM, configuration reference
CONFIG = {"model_loading_config", "lora_config", "engine_kwargs", "accelerator_type", "placement_group_config", "deployment_config"}
LORA = {"dynamic_lora_loading_path", "max_num_adapters_per_replica", "download_timeout_s", "max_download_tries"}


def block(language: str) -> str:
    """The first block of code in a language."""
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_settings_are_octods_own() -> None:
    """Every key of config.toml is a setting."""
    assert set(tomllib.loads(block("toml"))) <= {f.name for f in fields(Settings)}


def test_the_adapter_resource_has_the_form_of_its_definition() -> None:
    """Known keys only, those that are required, a local source with a path, names as octod gives them."""
    yaml = pytest.importorskip("yaml", reason="comes with the [train] extra")
    found = yaml.safe_load(block("yaml"))
    assert ("production-stack.vllm.ai/v1alpha1", "LoraAdapter") == (found["apiVersion"], found["kind"])
    spec = found["spec"]
    source = spec["adapterSource"]
    assert set(spec) <= SPEC and set(source) <= SOURCE
    assert "local" == source["type"] and source["adapterPath"].endswith("/" + source["adapterName"])
    assert re.fullmatch(r"[a-z0-9-]+-[0-9.]+-[0-9a-f]{12}", source["adapterName"])
    assert spec["loraAdapterDeploymentConfig"]["algorithm"] in ("default", "ordered", "equalized")


def test_rays_configuration_names_known_fields() -> None:
    """Those of LLMConfig and of LoraConfig."""
    tree = ast.parse(block("python"), mode="eval")
    call = tree.body
    assert isinstance(call, ast.Call) and "LLMConfig" == ast.unparse(call.func)
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert set(given) <= CONFIG
    assert set(given["lora_config"]) <= LORA
