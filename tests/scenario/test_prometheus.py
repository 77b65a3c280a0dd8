# SPDX-License-Identifier: Apache-2.0
"""GET /metrics, read by a real Prometheus and a real VictoriaMetrics.

A scene that stands still but for one server: what they have stored is what /v1/detail
says. Every query of the dashboard and every rule is put to them.
"""
import json
import pathlib
import re
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from exposition import series_of
from harness import *

DIST = pathlib.Path(__file__).resolve().parents[2] / "dist"
RULES = DIST / "prometheus/vramscope.rules.yml"
DASHBOARD = DIST / "grafana/vramscope.json"
GIB = 1 << 30
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
HOSTILE = 'scene/"} 1 \\ \u4e2d'


def needs(program):
    if not shutil.which(program):
        raise Skip(f"{program} is not installed")
    return program


def page(daemon, accept="*/*"):
    status, headers, body = daemon.get("/metrics", headers={"Accept": accept})
    assert status == 200 and headers["Vary"] == "Accept", (status, headers)
    return headers["Content-Type"], body.decode()


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
    put(series, "model_prefix_cache_hits_total", prefix["lifetime"]["hits"], **labels)
    put(series, "model_prefix_cache_queries_total", prefix["lifetime"]["queries"], **labels)
    for name in ("running", "waiting"):
        put(series, f"model_requests_{name}", model["requests"][name], **labels)
    put(series, "model_preemptions_total", model["requests"]["preemptions"], **labels)
    put(series, "model_stale", model["stale"], **labels)
    for state in ("loading", "starting", "ready", "sleeping", "metrics-disabled", "unreachable"):
        put(series, "model_state", model["state"] == state, **labels, state=state)
    put(series, "engine_up", model["state"] in ("ready", "sleeping"), **labels)


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
    return series


TIMES = re.compile(r"vramscope_(engine_scrape|model_figures_age|gpu_figures_age|"
                   r"prefix_cache_hit_ratio)")
OWN = re.compile(r"vramscope_(build_info|up|last_sample|tick_lateness|resident|cpu_|"
                 r"subscribers|frames_|worker_|limited_)")


def detail(daemon):
    return json.loads(daemon.get("/v1/detail")[2])


def differences(wanted, found):
    return [(key, wanted.get(key), found.get(key)) for key in {*wanted, *found}
            if wanted.get(key) != found.get(key)]


@contextlib.contextmanager
def scene():
    """Servers of which one has traffic, two have one name and port, and one is hostile."""
    port, twins = free_port(), free_port()
    still = page_answer(vllm_page(HOSTILE.replace("\\", "\\\\").replace('"', '\\"'), usage=0.25,
                                  queries=1000, hits=400,
                                  extra='vllm:num_preemptions_total{engine="0"} 3.0\n'))
    with contextlib.ExitStack() as stack:
        driver = stack.enter_context(FakeDriver())
        hostile = stack.enter_context(Engine(still))
        for name, at, *options in (("scene/busy", port, "--load", "steady", "--vram", 5 * GIB,
                                    "--kv-pool-bytes", 3 * GIB),
                                   ("scene/twin", twins, "--load", "idle", "--vram", 7 * GIB),
                                   ("scene/twin", twins, "--load", "idle", "--vram", 9 * GIB,
                                    "--gpu-index", 1, "--host", "127.0.0.2")):
            stack.enter_context(serve(name, at, driver, *options))
        driver.hold(os.getppid(), 0, 2 * GIB)
        daemon = stack.enter_context(Daemon(
            "--gpu", "sim", "--sim-dir", driver.path, "--engine", hostile.url,
            "--fanout-threads", 2))
        eventually("all four are ready", lambda: [m["state"] for m in detail(daemon)["models"]]
                   == ["ready"] * 4, 20)
        yield daemon


def test_says_what_detail_says(daemon):
    def same():
        document = detail(daemon)
        formats = {accept: series_of(page(daemon, accept)[1].replace("# EOF\n", ""))
                   for accept in ("*/*", OPENMETRICS)}
        if detail(daemon)["seq"] != document["seq"]:
            return None  # a tick came between
        return document, formats
    document, formats = eventually("all of one snapshot", same)
    wanted = series_of_detail(document)
    for accept, found in formats.items():
        own = {key for key in found if OWN.match(key[0])}
        times = {key for key in found if TIMES.match(key[0])}
        assert not differences(wanted, {k: v for k, v in found.items()
                                        if k not in own | times}), accept
        assert found["vramscope_last_sample_timestamp_seconds", frozenset()] == \
            document["unix_ms"] / 1000
        assert found["vramscope_up", frozenset()] == 1
        scrapes = {labels: v for (name, labels), v in found.items()
                   if name == "vramscope_engine_scrapes_total" and ("result", "ok") in labels}
        assert len(scrapes) == 4 and min(scrapes.values()) > 0, scrapes
        cost = [v for (name, _), v in found.items()
                if name in ("vramscope_engine_scrape_seconds_total",
                            "vramscope_engine_scrape_duration_seconds")]
        assert len(cost) == 8 and min(cost) > 0, cost
    assert any(("duplicate", "2") in labels for _, labels in wanted), "the twins"


def test_formats(daemon):
    kind, text = page(daemon)
    assert kind == "text/plain; version=0.0.4; charset=utf-8" and "# EOF" not in text
    kind, text = page(daemon, OPENMETRICS)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith("\n# EOF\n") and "# UNIT vramscope_vram_total_bytes bytes\n" in text
    status, headers, body = daemon.get("/metrics", method="HEAD")
    assert status == 200 and int(headers["Content-Length"]) > 1000 and body == b""
    assert daemon.get("/metrics", method="POST")[0] == 405


def test_promtool(daemon):
    promtool = needs("promtool")
    done = subprocess.run([promtool, "check", "metrics"], input=page(daemon)[1].encode(),
                          capture_output=True, check=False)
    assert done.returncode == 0 and not done.stdout + done.stderr, done


# The two that store.

class Store:
    """A program with Prometheus's HTTP interface, scraping each second."""

    def __init__(self, name, arguments, jobs, rules=None):
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        self.port, self.name = free_port(), name
        self.log = folder / "log"
        config = "global: {scrape_interval: 1s}\nscrape_configs:\n"
        if rules:  # what the other one does not know
            config = (f"rule_files: [{rules}]\nglobal: {{scrape_interval: 1s, "
                      "evaluation_interval: 1s}\nscrape_configs:\n")
        for job, target, options in jobs:
            config += (f"  - job_name: {job}\n    static_configs: "
                       f'[{{targets: ["127.0.0.1:{target}"]}}]\n{options}')
        (folder / "config.yml").write_text(config)
        with open(self.log, "w") as log:
            self.process = Spawned(
                [word.format(folder=folder, port=self.port) for word in arguments],
                stdout=log, stderr=log, cwd=folder)

    def ask(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?" + urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                raise  # it is still starting
            raise AssertionError(f"{self.name}: {parameters}: {error.read().decode()}")

    def query(self, expression):
        return self.ask("query", query=expression)["result"]

    def series(self, job):
        """What was scraped of a job, as series_of() has it."""
        found = {}
        for result in self.query(f'{{__name__=~"vramscope_.*",job="{job}"}}'):
            labels = dict(result["metric"])
            name = labels.pop("__name__")
            del labels["job"], labels["instance"]
            found[name, frozenset(labels.items())] = float(result["value"][1])
        return found

    def is_up(self, job):
        with contextlib.suppress(OSError):
            return [r["value"][1] for r in self.query(f'up{{job="{job}"}}')] == ["1"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.end()
        self.folder.cleanup()


def prometheus(jobs):
    return Store("prometheus", [
        needs("prometheus"), "--config.file=config.yml", "--storage.tsdb.path={folder}/data",
        "--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"], jobs, RULES)


def victoria_metrics(jobs):
    return Store("victoria-metrics", [
        needs("victoria-metrics"), "-promscrape.config=config.yml",
        "-storageDataPath={folder}/data", "-httpListenAddr=127.0.0.1:{port}",
        "-search.latencyOffset=1ms", "-search.disableCache", "-memory.allowedBytes=64MB"], jobs)


def check_values(store, daemon):
    """Of what stands still, each value; of the rest, that there are just those series."""
    def same():
        document = detail(daemon)
        wanted = series_of_detail(document, but=("scene/busy",))
        found = store.series("vramscope")
        still = {k: v for k, v in found.items() if not OWN.match(k[0]) and not TIMES.match(k[0])
                 and not k[0].startswith(("vramscope_vram", "vramscope_kv_cache"))
                 and not k[0].startswith("vramscope_gpu_kv")
                 and ("model", "scene/busy") not in k[1]}
        wanted = {k: v for k, v in wanted.items() if not k[0].startswith("vramscope_gpu_kv")}
        last["differences"] = differences(wanted, still)
        return not last["differences"] and len(still) > 50
    last = {}
    try:
        eventually(f"{store.name} has what /v1/detail says", same)
    except AssertionError:
        raise AssertionError(f"{store.name}: {last['differences'][:5]}")
    assert {key[0] for key in store.series("vramscope")} == \
        {key[0] for key in series_of(page(daemon)[1])}


def expressions_of_dashboard():
    """(where, expression) with its variables put in."""
    board = json.loads(DASHBOARD.read_text())
    values = {"$__rate_interval": "4s", "$instance": ".*", "$model": ".*", "$uuid": ".*"}
    named = {v["name"] for v in board["templating"]["list"]}
    assert named >= {"datasource", "instance", "model"}, named
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)), "ids of panels"
    for panel in board["panels"]:
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"
        for target in panel.get("targets", ()):
            yield panel["title"], substituted(target["expr"], values)
    for variable in board["templating"]["list"]:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("definition", ""))
        assert match or variable["type"] == "datasource", variable
        if match:
            yield (variable["name"],
                   f"count by ({match[2]}) ({substituted(match[1], values)})")


def substituted(expression, values):
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def expressions_of_rules(prometheus):
    """(alert, expression) of each, as Prometheus has read them."""
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) >= 8 and {rule["type"] for rule in rules} == {"alerting"}, rules
    return [(rule["name"], rule["query"]) for rule in rules]


def is_zero(result):
    return all(float(r["value"][1]) == 0 for r in result)


def check_queries(stores, daemon):
    """The scene has something of all that the dashboard asks for."""
    empty = {(store, title, text) for store in stores for title, text in expressions_of_dashboard()}

    def all_filled():
        # Who is refused is on the dashboard, too; it is a rate that must be seen rising.
        daemon.get("/vram", headers={"Host": "evil.example"})
        for ask in list(empty):
            if ask[0].query(ask[2]):
                empty.discard(ask)
        return not empty
    try:
        eventually("every query of the dashboard has figures", all_filled, 12, 0.5)
    except AssertionError:
        raise AssertionError([(store.name, title, text) for store, title, text in empty])
    rules = expressions_of_rules(stores[0])
    for store in stores:
        for alert, text in rules:
            store.query(text)
            for name in set(re.findall(r"vramscope_\w+", text)):
                assert store.query(name), (store.name, alert, name)


def check_prometheus(store, daemon):
    """OpenMetrics was agreed on, nothing was complained about or left out."""
    about = {m["metric"]: m for m in store.ask("targets/metadata", match_target='{job="vramscope"}')}
    assert about["vramscope_vram_total_bytes"]["unit"] == "bytes", "OpenMetrics says units"
    assert about["vramscope_build"]["type"] == "info", about["vramscope_build"]
    lines = sum(not line.startswith("#") for line in page(daemon)[1].splitlines())
    for name in ("scrape_samples_scraped", "scrape_samples_post_metric_relabeling"):
        result = store.query(f'{name}{{job="vramscope"}}')
        assert [float(r["value"][1]) for r in result] == [lines], (name, result, lines)
    log = store.log.read_text()
    assert "level=warn" not in log and "level=error" not in log, log
    health = [t["health"] for t in store.ask("targets")["activeTargets"]]
    assert health == ["up"] * 3, health


def check_alerts(store):
    """One daemon is out, and that is what is told, of that one alone."""
    def told():
        return {(a["labels"]["alertname"], a["labels"]["job"])
                for a in store.ask("alerts")["alerts"]}
    eventually("the outage is told", lambda: told() == {("VramscopeNoData", "out")})
    assert {r["metric"]["job"]: r["value"][1] for r in store.query("vramscope_up")} == \
        {"vramscope": "1", "out": "0", "token": "1"}


def test_stores(daemon):
    needs("prometheus")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        token = os.path.join(folder, "token")
        with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("a-token-of-32-bytes-0123456789ab\n")
        out = stack.enter_context(Daemon("--gpu", "nvml", "--nvml-library", "/nonexistent.so",
                                         "--no-discover"))
        closed = stack.enter_context(Daemon("--gpu", "none", "--no-discover",
                                            "--token-file", token))
        assert closed.get("/metrics")[0] == 401
        jobs = [("vramscope", daemon.port, ""), ("out", out.port, ""),
                ("token", closed.port, f"    authorization: {{credentials_file: {token}}}\n")]
        stores = [stack.enter_context(prometheus(jobs))]
        if shutil.which("victoria-metrics"):
            stores.append(stack.enter_context(victoria_metrics(jobs)))
        for store in stores:
            for job, _, _ in jobs:
                eventually(f"{store.name} has scraped {job}", lambda: store.is_up(job), 20)
        for store in stores:
            check_values(store, daemon)
        check_queries(stores, daemon)
        check_prometheus(stores[0], daemon)
        check_alerts(stores[0])


def test_outage():
    with Daemon("--gpu", "nvml", "--nvml-library", "/nonexistent.so", "--no-discover") as daemon:
        for accept in ("*/*", OPENMETRICS):
            found = series_of(page(daemon, accept)[1].replace("# EOF\n", ""))
            assert found["vramscope_up", frozenset()] == 0
            assert found["vramscope_resident_memory_bytes", frozenset()] > 1 << 20
            assert all(OWN.match(name) for name, _ in found), found
            assert not any(name == "vramscope_last_sample_timestamp_seconds"
                           for name, _ in found)
        before = found["vramscope_cpu_seconds_total", frozenset()]
        eventually("its own figures go on", lambda: series_of(page(daemon)[1])[
            "vramscope_cpu_seconds_total", frozenset()] > before)
        assert daemon.get("/v1/detail")[0] == 503


def test_rules():
    promtool = needs("promtool")
    for arguments in (("check", "rules", RULES), ("check", "config", RULES.parent / "prometheus.yml"),
                      ("test", "rules", RULES.parent / "vramscope.rules.test.yml")):
        done = subprocess.run([promtool, *map(str, arguments)], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def in_the_scene(*tests):
    """Each as a test of its own, of one scene."""
    def made(test, daemon):
        def call():
            test(daemon)
        call.__name__ = test.__name__
        return call
    with scene() as daemon:
        results = [attempt(made(test, daemon)) for test in tests]
    assert "FAIL" not in results, results


def test_scene():
    in_the_scene(test_says_what_detail_says, test_formats, test_promtool, test_stores)


if __name__ == "__main__":
    alone()
    run(test_rules, test_outage, test_scene)
