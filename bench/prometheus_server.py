# SPDX-License-Identifier: Apache-2.0
"""An API server's metrics as vLLM serves them: prometheus_client behind two routes.

A page that was captured becomes a registry of live counters, gauges and histograms again.
/metrics gives all of it, whatever name[] says; /metrics/ gives the samples named, or with
`whole` an empty page, as servers of several API processes do. /count tells how many pages
were asked for. Run by scrape_cost.py, with a Python that has prometheus_client.
Usage: prometheus_server.py PAGE filtered|whole
"""
import http.server
import pathlib
import sys

import prometheus_client as client
from prometheus_client.parser import text_string_to_metric_families


def labels_of(family):
    return sorted({name for sample in family.samples for name in sample.labels} - {"le"})


def histogram(family, registry):
    bounds = sorted({float(s.labels["le"]) for s in family.samples if "le" in s.labels})
    metric = client.Histogram(family.name, family.documentation, labels_of(family),
                              registry=registry, buckets=bounds)
    before = {}
    for sample in family.samples:
        labels = {n: v for n, v in sample.labels.items() if n != "le"}
        child = metric.labels(**labels) if labels else metric
        if sample.name.endswith("_sum"):
            child._sum.set(sample.value)
        elif sample.name.endswith("_bucket"):  # in rising order, each with those below
            key = tuple(sorted(labels.items()))
            child._buckets[bounds.index(float(sample.labels["le"]))].set(
                sample.value - before.get(key, 0))
            before[key] = sample.value


def summary(family, registry):
    metric = client.Summary(family.name, family.documentation, labels_of(family),
                            registry=registry)
    for sample in family.samples:
        child = metric.labels(**sample.labels) if sample.labels else metric
        (child._sum if sample.name.endswith("_sum") else child._count).set(sample.value)


def plain(kind):
    def make(family, registry):
        metric = kind(family.name, family.documentation, labels_of(family), registry=registry)
        for sample in family.samples:
            child = metric.labels(**sample.labels) if sample.labels else metric
            child.inc(sample.value)
    return make


KINDS = {"counter": plain(client.Counter), "gauge": plain(client.Gauge),
         "histogram": histogram, "summary": summary}


def registry_of(page):
    """The page's families. Those of times of creation are made by the others by themselves."""
    registry = client.CollectorRegistry()
    for family in text_string_to_metric_families(page):
        if not family.name.endswith("_created"):
            KINDS[family.type](family, registry)
    return registry


def serve(page, filters):
    registry = registry_of(page)
    application = client.make_wsgi_app(registry)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        asked = 0

        def do_GET(self):
            path, _, query = self.path.partition("?")
            names = query if path == "/metrics/" else ""
            if path == "/count":
                body = f"{Handler.asked}\n".encode()
            elif names and not filters:
                body = b""
            else:
                body = b"".join(application({"PATH_INFO": "/", "QUERY_STRING": names},
                                            lambda status, headers: None))
            Handler.asked += path.startswith("/metrics")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(pathlib.Path(sys.argv[1]).read_text(), sys.argv[2] == "filtered")
