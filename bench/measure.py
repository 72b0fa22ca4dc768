"""Runs a program and prints, as JSON, its wall and CPU seconds and its peak memory in MB (Linux)."""

import json
import os
import sys
import time

start = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - start
if status != 0:
    sys.exit(f"{sys.argv[1:]} ended with status {status}")
cpu = usage.ru_utime + usage.ru_stime
print(json.dumps({"wall": wall, "cpu": cpu, "memory": usage.ru_maxrss / 1024}))
