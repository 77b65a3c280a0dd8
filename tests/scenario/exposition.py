# SPDX-License-Identifier: Apache-2.0
"""A page of GET /metrics as a dictionary."""
import re

SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def unescaped(text):
    return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), text)


def series_of(text):
    """{(name, labels): value} of a page; no series twice, and every line is understood."""
    series = {}
    for line in text.splitlines():
        if line.startswith("# "):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        labels = frozenset((k, unescaped(v)) for k, v in LABEL.findall(match[2] or "") if v)
        assert (match[1], labels) not in series, line
        series[match[1], labels] = float(match[3])
    return series
