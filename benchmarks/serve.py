"""`face-verifier serve` under a thousand requests of which every twentieth is bad: all answered, how fast, and its memory.

    python -m benchmarks.serve                                          rendered photographs of 250 px
    python -m benchmarks.serve --photos "$FACES_DIR/lfw/images"         the first of a folder's instead
    python -m benchmarks.serve --quick                                  20 requests, one command

The server is the command in a process of its own, with the verifier that the package brings; one client asks alone, then two at a
time. `cpu_s` is what the server computes for one of the former, of both cores together, which a busy machine changes least.
`command_s` is what a comparison takes as a command, which loads the model each time. Memory is the server's resident set,
MB, every tenth of the requests.
"""

import argparse
import http.client
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import psutil

from benchmarks.common import report, seconds, spread
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo

EVERY, CLIENTS, SIZE_PX = 20, 2, 250
COMMAND = [sys.executable, "-m", "pipeline_lib.cli"]
BOUNDARY = "photograph"
Answer = tuple[int, float]


def photographs(folder: Path | None, num: int) -> list[bytes]:
    """Rendered ones, or those of a folder."""
    if folder is not None:
        return [path.read_bytes() for path in islice(sorted(folder.rglob("*.jpg")), num)]
    rng = np.random.default_rng(0)
    return [encode_png(render_photo([sample_identity(rng)], rng, SIZE_PX)[0]) for _ in range(num)]


def form(**parts: bytes) -> bytes:
    """The body of a form with files."""
    lines = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="p"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in parts.items()
    ]
    return b"".join([*lines, f"--{BOUNDARY}--\r\n".encode()])


def bodies(pictures: Sequence[bytes], num: int) -> Iterator[bytes]:
    """Pairs and, every twentieth, one of five sorts of bad requests."""
    for i in range(num):
        a, b = pictures[i % len(pictures)], pictures[(7 * i + 1) % len(pictures)]
        bad = (
            form(image_a=a),
            form(image_a=a, image_b=b"no picture"),
            form(image_a=a, image_b=b[: len(b) // 2]),
            form(image_a=a, image_b=b, fmr=b"often"),
            b"no form",
        )
        yield bad[i // EVERY % len(bad)] if i % EVERY == EVERY - 1 else form(image_a=a, image_b=b)


def ask(address: str, body: bytes) -> Answer:
    """The status of an answer, and how long it took; 0 where there was none."""
    begun = time.perf_counter()
    connection = http.client.HTTPConnection(address, timeout=300)
    try:
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Accept": "text/html"}
        connection.request("POST", "/verify", body, kind)
        with connection.getresponse() as answer:
            answer.read()
            return answer.status, time.perf_counter() - begun
    except OSError:
        return 0, time.perf_counter() - begun


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The command in an empty folder; its address and its process."""
    command = [*COMMAND, "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://([\d.:]+)/", process.stdout.readline())
            assert found is not None, "the server did not start"
            yield found[1], psutil.Process(process.pid)
        finally:
            process.terminate()


def measure(pictures: Sequence[bytes], num: int, num_alone: int, num_commands: int, folder: Path) -> dict[str, object]:
    """One row."""
    files = [folder / "a", folder / "b"]
    for path, data in zip(files, pictures, strict=False):
        path.write_bytes(data)
    one = [*COMMAND, "verify", *map(str, files), "--no-check", "--html", str(folder / "page.html")]
    command_s = spread(
        [seconds(lambda: subprocess.run(one, cwd=folder, check=True, capture_output=True)) for _ in range(num_commands)]
    )
    memory, answers = [], list[Answer]()
    with server(folder) as (address, process), ThreadPoolExecutor(CLIENTS) as pool:
        before = sum(process.cpu_times()[:2])
        alone = spread([ask(address, form(image_a=pictures[0], image_b=pictures[1]))[1] for _ in range(num_alone)])
        cpu_s = (sum(process.cpu_times()[:2]) - before) / num_alone
        all_bodies = bodies(pictures, num)
        while part := list(islice(all_bodies, max(1, num // 10))):
            answers += pool.map(lambda body: ask(address, body), part)
            memory.append(round(process.memory_info().rss / 1e6))
    good = [taken for status, taken in answers if status == 200]
    return {
        "requests": num,
        "answered": sum(status > 0 for status, _ in answers),
        "statuses": {str(status): count for status, count in sorted(Counter(status for status, _ in answers).items())},
        "alone_s": alone,
        "cpu_s": round(cpu_s, 3),
        "two_at_a_time_s": spread(good),
        "command_s": command_s,
        "command / alone": round(command_s["median"] / alone["median"], 1),
        "memory_mb": memory,
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of photographs")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    num, num_alone, num_commands = (20, 3, 1) if args.quick else (args.requests, 20, 3)
    with tempfile.TemporaryDirectory() as scratch:
        row = measure(photographs(args.photos, 40), num, num_alone, num_commands, Path(scratch))
    report("serve", {"requests": num}, [row])


if __name__ == "__main__":
    main()
