# SPDX-License-Identifier: Apache-2.0
"""GET /metrics, read by a real Prometheus and a real VictoriaMetrics.

A scene that stands still but for one server, and a fleet of others: what they have stored
is what /v1/detail says. Every query of the dashboards and every rule is put to them.
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
from fleet import Gateway, Node
from harness import *
from metrics_of_detail import series_of_detail
from nats import Broker

DIST = pathlib.Path(__file__).resolve().parents[2] / "dist"
RULES = DIST / "prometheus/vramscope.rules.yml"
DASHBOARD = DIST / "grafana/vramscope.json"
FLEET_DASHBOARD = DIST / "grafana/vramscope-fleet.json"
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


TIMES = re.compile(r"vramscope_(engine_scrape|model_figures_age|gpu_figures_age|"
                   r"prefix_cache_hit_ratio)")
OWN = re.compile(r"vramscope_(build_info|up|last_sample|tick_lateness|resident|cpu_|"
                 r"subscribers|frames_|worker_|limited_)")
MOVES = re.compile(r"vramscope_(node_(age|clock|messages)|fleet_(messages|bytes))")


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


def check_promtool(daemon):
    promtool = needs("promtool")
    done = subprocess.run([promtool, "check", "metrics"], input=page(daemon)[1].encode(),
                          capture_output=True, check=False)
    assert done.returncode == 0 and not done.stdout + done.stderr, done


def test_promtool(daemon):
    check_promtool(daemon)


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


def expressions_of_dashboard(path):
    """(where, expression) with its variables put in."""
    board = json.loads(path.read_text())
    values = {"$__rate_interval": "4s", "$instance": ".*", "$model": ".*", "$uuid": ".*",
              "$node": ".*"}
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
    """The scene has something of all that the dashboards ask for."""
    empty = {(store, title, text) for store in stores for path in (DASHBOARD, FLEET_DASHBOARD)
             for title, text in expressions_of_dashboard(path)}

    def all_filled():
        # Who is refused is on the dashboard, too; it is a rate that must be seen rising.
        daemon.get("/vram", headers={"Host": "evil.example"})
        for ask in list(empty):
            if ask[0].query(ask[2]):
                empty.discard(ask)
        return not empty
    try:
        eventually("every query of the dashboards has figures", all_filled, 12, 0.5)
    except AssertionError:
        raise AssertionError([(store.name, title, text) for store, title, text in empty])
    rules = expressions_of_rules(stores[0])
    for store in stores:
        for alert, text in rules:
            store.query(text)
            for name in set(re.findall(r"vramscope_\w+", text)):
                assert store.query(name), (store.name, alert, name)


def same_of_gateway(store, gateway):
    """What differs between what was scraped of it and what its document says."""
    wanted = series_of_detail(gateway.detail())
    found = {key: value for key, value in store.series("vramscope-gateway").items()
             if not any(some.match(key[0]) for some in (OWN, TIMES, MOVES))}
    return differences(wanted, found)


def check_gateway(store, gateway):
    """Each value, and that nodes and sums are told apart from hosts' and counted once."""
    last = {}

    def same():
        last["differences"] = same_of_gateway(store, gateway)
        return not last["differences"]
    try:
        eventually(f"{store.name} has what the gateway says", same)
    except AssertionError:
        raise AssertionError(f"{store.name}: {last['differences'][:5]}")
    found = store.series("vramscope-gateway")
    assert {key[0] for key in found} == {key[0] for key in series_of(page(gateway)[1])}
    ages = {dict(labels)["node"]: v for (name, labels), v in found.items()
            if name == "vramscope_node_age_seconds"}
    assert set(ages) == {"gpu1", "gpu2", "closed"} and max(ages.values()) < 10, ages
    up = {dict(labels)["node"]: v for (name, labels), v in found.items()
          if name == "vramscope_node_up"}
    assert up == {"gpu1": 1, "gpu2": 1, "closed": 1, "gpu3": 0}, up


def check_sums(store, daemon, gateway):
    """The hosts' dashboard has no GPU of a gateway in its sums, and that of a fleet no host's."""
    for path, whose in ((DASHBOARD, daemon), (FLEET_DASHBOARD, gateway)):
        titled = dict(expressions_of_dashboard(path))
        found = [float(r["value"][1]) for r in store.query(titled["GPU memory"])]
        assert found == [detail(whose)["vram"]["total_bytes"]["value"]], (path.name, found)


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
    assert health == ["up"] * 4, health


def check_alerts(store):
    """One daemon is out, and a node: that is what is told, of those alone."""
    def told():
        return {(a["labels"]["alertname"], a["labels"]["job"])
                for a in store.ask("alerts")["alerts"]}
    eventually("the outages are told", lambda: told() == {
        ("VramscopeNoData", "out"), ("VramscopeNodeLost", "vramscope-gateway")})
    assert {r["metric"]["job"]: r["value"][1] for r in store.query("vramscope_up")} == \
        {"vramscope": "1", "out": "0", "token": "1", "vramscope-gateway": "1"}


def has_counted(said):
    """Prefix caches of a node that have been asked for longer than a minute."""
    for model in said.get("model", ()):
        for window in ("five_minutes", "lifetime"):
            model[f"prefix_{window}_hits"], model[f"prefix_{window}_queries"] = 400.0, 1000.0


@contextlib.contextmanager
def fleet():
    """A gateway and the broker it hears: two nodes with figures, of which nothing changes,
    and one without."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        for name, options in (("gpu1", {}), ("gpu2", {"models": 2}),
                              ("gpu3", {"outage": ("no-driver", "there is no driver")})):
            stack.enter_context(Node(broker, name, change=has_counted, **options))
        gateway = stack.enter_context(Gateway(broker))
        gateway.wait_live("gpu1", "gpu2")
        yield broker, gateway


def test_stores(daemon):
    needs("prometheus")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        token = os.path.join(folder, "token")
        with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("a-token-of-32-bytes-0123456789ab\n")
        out = stack.enter_context(Daemon("--gpu", "nvml", "--nvml-library", "/nonexistent.so",
                                         "--no-discover"))
        broker, gateway = stack.enter_context(fleet())
        closed = stack.enter_context(Daemon("--gpu", "none", "--no-discover", "--nats",
                                            broker.url, "--node", "closed",
                                            "--token-file", token))
        assert closed.get("/metrics")[0] == 401
        jobs = [("vramscope", daemon.port, ""), ("vramscope-gateway", gateway.port, ""),
                ("out", out.port, ""),
                ("token", closed.port, f"    authorization: {{credentials_file: {token}}}\n")]
        stores = [stack.enter_context(prometheus(jobs))]
        if shutil.which("victoria-metrics"):
            stores.append(stack.enter_context(victoria_metrics(jobs)))
        for store in stores:
            for job, _, _ in jobs:
                eventually(f"{store.name} has scraped {job}", lambda: store.is_up(job), 20)
        gateway.wait_live("closed")
        for store in stores:
            check_values(store, daemon)
            check_gateway(store, gateway)
            check_sums(store, daemon, gateway)
        check_queries(stores, daemon)
        check_prometheus(stores[0], daemon)
        check_promtool(gateway)
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
