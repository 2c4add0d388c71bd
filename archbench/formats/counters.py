"""The counters of a server, as /metrics writes them."""
import re


def counters_of(text):
    """{name, without prefix and suffix: value}."""
    rows = re.findall(r"^archbench_(\w+?)(?:_total)? (\d+)$", text, re.MULTILINE)
    return {name: int(value) for name, value in rows}
