"""docker-compose.yml, the Dockerfile, the Caddyfile and make-env.sh, as far as they can be proved without an engine.

That the parts work together as configured there is proved by test_deployment.py, which runs them as processes.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pacs.settings import Settings, from_environment
from tests.support.server import ROOT
from tests.support.services import seaweedfs_config

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

COMPOSE, DOCKERFILE, CADDYFILE = (
    ROOT / "docker-compose.yml",
    ROOT / "deploy/Dockerfile",
    ROOT / "deploy/Caddyfile",
)
OURS = ("prepare", "dicom_node", "worker", "clock", "exchange", "viewer_api")
ONLY_ALIVE = ("prepare", "clock", "exchange")  # they answer nobody; they end, and are started again
VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What deploy/make-env.sh writes."""
    return read_env(make_env(tmp_path_factory.mktemp("env") / ".env"))


@pytest.fixture(scope="module")
def compose(environment: dict[str, str]) -> dict[str, Any]:
    """The file as Compose sees it."""
    loaded: dict[str, Any] = yaml.safe_load(interpolated(COMPOSE.read_text(), environment))
    return loaded


def make_env(target: Path) -> Path:
    subprocess.run([ROOT / "deploy/make-env.sh", target], check=True, capture_output=True, timeout=20)
    return target


def read_env(path: Path) -> dict[str, str]:
    lines = (line for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def interpolated(text: str, environment: dict[str, str]) -> str:
    """As Compose does it; fails for a required variable that has no value."""

    def value(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        if environment.get(name):
            return environment[name]
        assert kind == ":-", f"{name} has no value and no default"
        return str(default)

    return VARIABLE.sub(value, text)


def services(compose: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from compose["services"].items()


def test_every_setting_exists(compose: dict[str, Any]) -> None:
    known = set(Settings().environment())
    named = {
        name
        for _, s in services(compose)
        for name in s.get("environment", {})
        if name.startswith("TONGYING_")
    }
    assert named - known == set()
    written = {f"TONGYING_{n}" for n in re.findall(r"TONGYING_(\w+)=", DOCKERFILE.read_text())}
    assert written - known == set()


@pytest.mark.parametrize("part", OURS)
def test_the_settings_of_each_part_can_be_used(compose: dict[str, Any], part: str) -> None:
    settings = from_environment(compose["services"][part]["environment"])
    assert settings.database_url.startswith("postgresql+psycopg://tongying:")
    assert settings.broker_url.startswith("redis://:")
    assert settings.object_store.startswith("s3://")
    assert settings.s3_access_key
    assert settings.s3_secret_key


def test_addresses_name_services(compose: dict[str, Any]) -> None:
    settings = from_environment(compose["services"]["worker"]["environment"])
    urls = (settings.database_url, settings.broker_url, settings.s3_endpoint)
    hosts = {re.sub(r"^[^/]+//([^@]*@)?([^:/]+).*$", r"\2", url) for url in urls}
    assert hosts == {"postgres", "valkey", "seaweedfs"} <= set(compose["services"])
    upstream = re.search(r"SITE_UPSTREAM:([\w]+):(\d+)", CADDYFILE.read_text())
    assert upstream
    assert upstream[1] in compose["services"]
    assert int(upstream[2]) == Settings().http_port


def test_every_service_is_watched_bounded_and_started_again(compose: dict[str, Any]) -> None:
    for name, service in services(compose):
        watched = service.get("healthcheck", {}).get("test") or name in ONLY_ALIVE
        assert watched, f"{name} has no health check"
        assert service["mem_limit"], name
        assert service["restart"], name
        assert service["logging"]["options"]["max-size"], name


def test_parts_wait_for_what_they_need(compose: dict[str, Any]) -> None:
    for part in OURS[1:]:
        waits = {name: rule["condition"] for name, rule in compose["services"][part]["depends_on"].items()}
        assert waits.pop("prepare") == "service_completed_successfully"
        assert waits == dict.fromkeys(("postgres", "valkey", "seaweedfs"), "service_healthy")


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    for image in [service["image"] for _, service in services(compose)] + bases:
        tag = image.rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), image
        assert "latest" not in image


def test_no_password_is_written_down() -> None:
    """Each is required of the operator: no default, no example that somebody keeps."""
    text, example = COMPOSE.read_text(), read_env(ROOT / "deploy/.env.example")
    secrets = [name for name in example if re.search(r"PASSWORD|KEY|SECRET", name)]
    assert len(secrets) == 6
    for name in secrets:
        assert example[name] == ""
        uses = [kind for found, kind, _ in VARIABLE.findall(text) if found == name]
        assert uses, f"{name} is not used"
        assert set(uses) == {":?"}, f"{name} has a default"
    for line in (
        *text.splitlines(),
        *DOCKERFILE.read_text().splitlines(),
        *CADDYFILE.read_text().splitlines(),
    ):
        if re.search(r"(?i)(password|secret|requirepass|access_?key)\w*[\"']?\s*[:=]\s*\S", line):
            assert "${" in line, line


def test_only_the_proxy_and_dicom_are_published(compose: dict[str, Any]) -> None:
    published = {name for name, service in services(compose) if service.get("ports")}
    assert published == {"caddy", "dicom_node"}
    for name in ("postgres", "valkey", "seaweedfs"):
        assert compose["services"][name]["networks"] == ["inner"]
    assert compose["networks"]["inner"]["internal"] is True


@pytest.mark.parametrize("part", OURS)
def test_our_containers_can_do_little(compose: dict[str, Any], part: str) -> None:
    service = compose["services"][part]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert any("/data" in mount for mount in (*service.get("volumes", []), *service["tmpfs"]))


@pytest.mark.parametrize("part", OURS)
def test_commands_are_modules_of_ours(compose: dict[str, Any], part: str) -> None:
    service = compose["services"][part]
    for command in (service["command"], service.get("healthcheck", {}).get("test", [])[1:]):
        if command:
            assert command[:2] == ["python", "-m"]
            assert find_spec(command[2])


def test_volumes_and_configs_are_declared(compose: dict[str, Any]) -> None:
    for name, service in services(compose):
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in compose["volumes"], name
        assert {c["source"] for c in service.get("configs", [])} <= set(compose["configs"])
        assert set(service["networks"]) <= set(compose["networks"])


def test_the_object_store_has_the_identity_of_the_parts(
    compose: dict[str, Any], environment: dict[str, str]
) -> None:
    expected = seaweedfs_config(environment["S3_ACCESS_KEY"], environment["S3_SECRET_KEY"])
    assert json.loads(compose["configs"]["seaweedfs_s3"]["content"]) == json.loads(expected)


def test_what_the_image_copies_is_there_and_let_through() -> None:
    """A path that .dockerignore keeps back would fail only in the build."""
    let_through = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert list(ROOT.glob(source.rstrip("/"))), source
            assert any(source.rstrip("/") == rule or source.startswith(f"{rule}/") for rule in let_through), (
                source
            )


def test_the_image_runs_as_nobody_in_particular() -> None:
    text = DOCKERFILE.read_text()
    assert re.search(r"^USER tongying$", text, re.MULTILINE)
    assert "--require-hashes" in text
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)


def test_make_env_fills_every_required_setting_at_random(tmp_path: Path) -> None:
    required = {name for name, kind, _ in VARIABLE.findall(COMPOSE.read_text()) if kind == ":?"}
    first, second = (read_env(make_env(tmp_path / name)) for name in ("first", "second"))
    assert required <= set(first)
    values = [env[name] for env in (first, second) for name in required]
    assert len(set(values)) == len(values)
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values)
    assert (tmp_path / "first").stat().st_mode & 0o777 == 0o600
    kept = (tmp_path / "first").read_text()
    again = subprocess.run(
        [ROOT / "deploy/make-env.sh", tmp_path / "first"], capture_output=True, check=False
    )
    assert again.returncode == 1
    assert (tmp_path / "first").read_text() == kept
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first", "second"]


def test_a_missing_password_is_an_error(environment: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="S3_SECRET_KEY"):
        interpolated(COMPOSE.read_text(), {**environment, "S3_SECRET_KEY": ""})


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"SITE_ADDRESS": "pacs.example.org", "SITE_TLS": "operator@example.org"},
        {"SITE_ADDRESS": "pacs.example.org, 192.0.2.7", "SITE_DEFAULT": "192.0.2.7"},
    ],
)
def test_the_caddyfile_is_valid(tmp_path: Path, choices: dict[str, str]) -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("caddy is not installed: deploy/test-tools.sh")
    done = subprocess.run(
        [caddy, "validate", "--config", CADDYFILE, "--adapter", "caddyfile"],
        env={"HOME": str(tmp_path), **choices}, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if '"level":"warn"' in line]
    assert warnings == []


def test_compose_gives_caddy_only_what_the_caddyfile_reads(compose: dict[str, Any]) -> None:
    read = set(re.findall(r"\{\$(\w+)", CADDYFILE.read_text()))
    assert set(compose["services"]["caddy"]["environment"]) <= read
