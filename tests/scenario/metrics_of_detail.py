# SPDX-License-Identifier: Apache-2.0
"""What /metrics must tell, worked out from a document of /v1/detail: of a host, and of a
gateway. Times and what rises by itself are left out."""


def put(series, family, value, /, **labels):
    if value is not None:
        kept = frozenset((k, str(v)) for k, v in labels.items() if v not in (None, ""))
        series[f"vramscope_{family}", kept] = float(value)


def of_host(series, document):
    vram, models = document["vram"], document["models"]
    for name in ("total", "allocated"):
        put(series, f"vram_{name}_bytes", vram[f"{name}_bytes"]["value"])
    for name in ("models", "other", "orphan", "unattributed"):
        put(series, f"vram_{name}_bytes", vram[f"{name}_bytes"])
    unknown = document["kv_cache"]["unknown_models"]
    if not models or unknown < len(models):
        put(series, "kv_cache_used_bytes", document["kv_cache"]["used_bytes"])
    put(series, "kv_cache_unknown_models", unknown)


def of_device(series, device):
    labels = {"uuid": device["uuid"], "gpu": device["index"]}
    put(series, "gpu_info", 1, **labels, name=device["name"], backend=device["backend"],
        parent_uuid=device["parent_uuid"], gpu_instance=device["instance"])
    for name in ("total", "used", "reserved", "models", "other", "orphan", "unattributed"):
        put(series, f"gpu_memory_{name}_bytes", device[f"{name}_bytes"], **labels)
    put(series, "gpu_kv_cache_capacity_bytes", device["kv_pool_bytes"]["value"], **labels)
    put(series, "gpu_kv_cache_used_bytes", device["kv_used_bytes"]["value"], **labels)


def of_model(series, model, duplicate):
    kv, prefix = model["kv_cache"], model["prefix_cache"]
    labels = {"model": model["model"], "model_id": model["model_id"], "port": model["port"],
              "duplicate": duplicate}
    put(series, "model_allocated_bytes", model["vram"]["allocated_bytes"]["value"], **labels)
    for name in ("capacity", "used", "retained"):
        put(series, f"model_kv_cache_{name}_bytes", kv[f"{name}_bytes"]["value"], **labels)
    put(series, "model_kv_cache_usage_ratio", kv["usage_ratio"], **labels)
    for window, name in (("1m", "minute"), ("5m", "five_minutes"), ("lifetime", "lifetime")):
        if prefix[name]["queries"]:
            put(series, "model_prefix_cache_hit_ratio",
                round(prefix[name]["hits"] / prefix[name]["queries"], 6), **labels, window=window)
    for name in ("running", "waiting"):
        put(series, f"model_requests_{name}", model["requests"][name], **labels)
    put(series, "model_stale", model["stale"], **labels)
    for state in ("loading", "starting", "ready", "sleeping", "metrics-disabled", "unreachable"):
        put(series, "model_state", model["state"] == state, **labels, state=state)
    put(series, "engine_up", model["state"] in ("ready", "sleeping"), **labels)
    for name in ("nodes", "nodes_ready"):
        put(series, f"model_{name}", model.get(name), **labels)
    if "nodes" in model:
        return  # a sum of counters would fall as a node goes
    for name, count in (("prefix_cache_hits", prefix["lifetime"]["hits"]),
                        ("prefix_cache_queries", prefix["lifetime"]["queries"]),
                        ("preemptions", model["requests"]["preemptions"])):
        put(series, f"model_{name}_total", count, **labels)


def of_node(series, node):
    name, vram, kv = node["node"], node["vram"], node["kv_cache"]
    hit_percent = node["prefix_cache"]["hit_percent"]
    put(series, "node_up", node["counted"], node=name)
    if node["machine"]:
        put(series, "node_info", 1, node=name, version=node["version"], machine=node["machine"])
    for why in ("malformed", "dropped"):
        put(series, f"node_{why}_total", node[why], node=name)
    if not node["counted"]:
        return
    for family, value in (
            ("gpus", node["gpus"]), ("models", node["models"]),
            ("vram_total_bytes", vram["total_bytes"]),
            ("vram_allocated_bytes", vram["allocated_bytes"]),
            ("kv_cache_used_bytes", kv["used_bytes"]),
            ("kv_cache_capacity_bytes", kv["capacity_bytes"]),
            ("requests_running", node["requests"]["running"]),
            ("requests_waiting", node["requests"]["waiting"]),
            ("prefix_cache_hit_ratio", hit_percent and hit_percent / 100)):
        put(series, f"node_{family}", value, node=name)


def of_fleet(series, document):
    fleet, nats = document["fleet"], document["fleet"]["nats"]
    for state in ("lost", "unreadable", "outage", "stale", "live"):
        put(series, "fleet_nodes", fleet[state], state=state)
    for what in ("nodes", "models"):
        put(series, f"fleet_{what}_left_out", document[f"{what}_left_out"])
    put(series, "fleet_connected", nats["connected"])
    for what in ("reconnects", "malformed", "dropped", "refused", "missed"):
        put(series, f"fleet_{what}_total", nats[what])


def series_of_detail(document, but=()):
    """What the page must say, by the detail document."""
    series, seen = {}, []
    if not but:
        of_host(series, document)
    for device in document["devices"]:
        of_device(series, device)
    for model in document["models"]:
        seen.append((model["model"], model["port"]))
        if model["model"] not in but:
            nth = seen.count(seen[-1])
            of_model(series, model, nth if nth > 1 else None)
    if "fleet" in document:
        of_fleet(series, document)
        for node in document["nodes"]:
            of_node(series, node)
    return series
