"""kcat in the client matrix: typed text in, everything out, told apart by lengths."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import program

# Stands after the headers, which is the one field that kcat prints without a length.
END = "<end of record>"
HEADER = re.compile(rb"(?:^|,)([a-z][a-z0-9]*)=")


def version():
    said = subprocess.run(["kcat", "-V"], capture_output=True, text=True, check=True).stdout
    return "%s (librdkafka %s)" % re.search(r"Version (\S+) .*librdkafka (\S+)", said).groups()


def _kcat(arguments, typed=b""):
    ran = subprocess.run(["kcat", *arguments], input=typed, capture_output=True, timeout=program.PATIENCE_S)
    if ran.returncode != 0:
        raise RuntimeError("kcat %s: exit %d: %s" % (arguments, ran.returncode, ran.stderr.decode(errors="replace")))
    return ran.stdout


def write(bootstrap, topic, seed, records, partitions, codec):
    for partition in range(partitions):
        lines = [b"%s\t%s\n" % program.text_record(seed, index) for index in range(partition, records, partitions)]
        arguments = ["-P", "-b", bootstrap, "-t", topic, "-p", str(partition), "-K", "\t", "-z", codec]
        _kcat([*arguments, "-H", "origin=matrix", "-X", "linger.ms=5"], b"".join(lines))
    return records


def read(bootstrap, wanted):
    # It spends most of its time waiting, at the start and at the end.
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda topic: _read(bootstrap, topic, wanted.fields[topic]), wanted.topics))


def _read(bootstrap, topic, fields):
    arguments = ["-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-X", "fetch.wait.max.ms=20"]
    found = _kcat([*arguments, "-f", "%p %o %T %K %S\n%k%s%h" + END])
    for partition, offset, timestamp, key, value, headers in _records(found):
        fields.add(partition, offset, key, value, headers, timestamp)
        # It prints a header's value up to the first NUL.
        if not all(content.isascii() for _, content in headers):
            fields.shown = "kevwt"


def _records(found):
    at = 0
    while at < len(found):
        line_end = found.index(b"\n", at)
        partition, offset, timestamp, key_length, value_length = (int(word) for word in found[at:line_end].split())
        key, at = _take(found, line_end + 1, key_length)
        value, at = _take(found, at, value_length)
        end = found.index(END.encode(), at)
        yield partition, offset, timestamp, key, value, _headers(found[at:end])
        at = end + len(END)


def _take(found, at, length):
    return (None, at) if length < 0 else (found[at : at + length], at + length)


def _headers(text):
    names = list(HEADER.finditer(text))
    ends = [name.start() for name in names[1:]] + [len(text)]
    return [(name[1], text[name.end() : end]) for name, end in zip(names, ends)]
