"""What `container inspect` prints: a container in the shape of Docker's Engine API."""

from collections.abc import Mapping
from typing import Any, Final

from airdock.containers.known import EVERY_ADDRESS, Known
from airdock.containers.record import log_path
from airdock.containers.volumes import places_of

__all__ = ["inspect_container"]

_NEVER: Final = "0001-01-01T00:00:00Z"
_NANOSECONDS: Final = 1_000_000_000


def inspect_container(known: Known) -> dict[str, Any]:
    """One container. Fields that mean nothing here are left out."""
    state, record, life = known.state, known.record, known.life
    config = record.config if record else state.config
    command = list(state.command)
    return {
        "Id": known.id,
        "Created": state.created,
        "Path": command[0] if command else "",
        "Args": command[1:],
        "State": _state(known),
        "Image": record.image_id if record else state.image_digest,
        "ImageManifestDigest": state.image_digest,
        "Name": f"/{known.name}",
        "RestartCount": life.restarts if life else 0,
        "LogPath": str(log_path(known.folder)) if record and record.log.driver != "none" else "",
        "Platform": "linux",
        "Driver": "overlay",
        "GraphDriver": {"Name": "overlay", "Data": {"UpperDir": str(known.folder / "upper")}},
        "ResolvConfPath": str(known.folder / "resolv.conf"),
        "HostsPath": str(known.folder / "hosts"),
        "HostConfig": _host_config(known, config),
        "Mounts": list(places_of(config)),
        "Config": _config(known, config),
        "NetworkSettings": _network(known),
    }


def _state(known: Known) -> dict[str, Any]:
    status, life = known.status, known.life
    runs = status in ("running", "paused")
    made = {
        "Status": status,
        "Running": known.is_running,
        "Paused": status == "paused",
        "Restarting": status == "restarting",
        "OOMKilled": bool(life and life.oom),
        "Dead": status == "dead",
        "Pid": known.state.command_pid if runs else 0,
        "ExitCode": 0 if runs else known.exit_code,
        "Error": life.error if life else "",
        "StartedAt": known.started or _NEVER,
        "FinishedAt": (life.finished if life else known.state.ended) or _NEVER,
    }
    if life and life.health:
        made["Health"] = life.health.to_dict()
    return made


def _host_config(known: Known, config: Mapping[str, Any]) -> dict[str, Any]:
    record = known.record
    resources = config.get("linux", {}).get("resources", {})
    cpu, capabilities = resources.get("cpu", {}), config.get("process", {}).get("capabilities", {})
    quota, period = cpu.get("quota"), cpu.get("period") or 100_000
    return {
        "NetworkMode": record.network.get("mode", "host") if record else "",
        "PortBindings": _bindings(record.network.get("ports", ())) if record else {},
        "RestartPolicy": {
            "Name": record.restart.name if record else "no",
            "MaximumRetryCount": record.restart.retries if record else 0,
        },
        "AutoRemove": record.auto_remove if record else True,
        "LogConfig": _log_config(known),
        "Binds": [
            f"{place.get('Name') or place['Source']}:{place['Destination']}{'' if place['RW'] else ':ro'}"
            for place in places_of(config)
            if place["Type"] != "tmpfs"
        ],
        "Memory": resources.get("memory", {}).get("limit") or 0,
        "MemorySwap": resources.get("memory", {}).get("swap") or 0,
        "NanoCpus": int(quota * _NANOSECONDS / period) if quota else 0,
        "CpuShares": cpu.get("shares") or 0,
        "CpusetCpus": cpu.get("cpus") or "",
        "PidsLimit": resources.get("pids", {}).get("limit"),
        "ReadonlyRootfs": bool(config.get("root", {}).get("readonly")),
        "Dns": record.network.get("dns", []) if record else [],
        "DnsSearch": record.network.get("dns_search", []) if record else [],
        "DnsOptions": record.network.get("dns_options", []) if record else [],
        "ExtraHosts": record.network.get("extra_hosts", []) if record else [],
        "Capabilities": sorted(capabilities.get("bounding", ())),
        "Annotations": dict(config.get("annotations", {})),
    }


def _log_config(known: Known) -> dict[str, Any]:
    if known.record is None:
        return {"Type": "none", "Config": {}}
    log = known.record.log
    options = {"max-size": str(log.max_bytes), "max-file": str(log.max_files)} if log.max_bytes else {}
    return {"Type": log.driver, "Config": options}


def _config(known: Known, config: Mapping[str, Any]) -> dict[str, Any]:
    record, process = known.record, config.get("process", {})
    user = config.get("annotations", {}).get("airdock.user", "")
    made: dict[str, Any] = {
        "Hostname": config.get("hostname", ""),
        "User": user,
        "Tty": bool(process.get("terminal")),
        "OpenStdin": bool(record and record.open_stdin),
        "Env": list(process.get("env", ())),
        "Cmd": list(record.cmd) if record else list(known.state.command),
        "Image": known.state.image,
        "WorkingDir": process.get("cwd", ""),
        "Entrypoint": list(record.entrypoint) if record and record.entrypoint is not None else None,
        "Labels": dict(record.labels) if record else {},
    }
    if record is None:
        return made
    made["StopSignal"] = str(record.stop_signal)
    made["StopTimeout"] = int(record.stop_timeout_s)
    if record.exposed_ports:
        made["ExposedPorts"] = {port if "/" in port else f"{port}/tcp": {} for port in record.exposed_ports}
    if check := record.health:
        made["Healthcheck"] = {
            "Test": ["CMD", *check.argv],
            "Interval": int(check.interval_s * _NANOSECONDS),
            "Timeout": int(check.timeout_s * _NANOSECONDS),
            "StartPeriod": int(check.start_period_s * _NANOSECONDS),
            "StartInterval": int(check.start_interval_s * _NANOSECONDS),
            "Retries": check.retries,
        }
    return made


def _network(known: Known) -> dict[str, Any]:
    joined = (known.life.network if known.life and known.is_running else None) or {}
    addresses = joined.get("addresses", {})
    return {
        "Ports": _bindings(joined.get("published", ())),
        "IPAddress": next(iter(addresses.values()), ""),
        "Networks": {name: {"IPAddress": address} for name, address in addresses.items()},
        "SandboxKey": (joined.get("namespace") or {}).get("path", ""),
    }


def _bindings(ports: Any) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        key = f"{port['container_port']}/{port['protocol']}"
        found.setdefault(key, []).append(
            {"HostIp": port["host_ip"] or EVERY_ADDRESS, "HostPort": str(port["host_port"] or "")}
        )
    return found
