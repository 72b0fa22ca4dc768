"""Stands in for a training image's entry point, as `docker run <image> train` would start it.

    python container.py <root>

Runs the script that the hyperparameters name (`sagemaker_program`) with the others as `--key value`, in the
environment that SageMaker's training toolkit gives; by torchrun where `sagemaker_torch_distributed_enabled` asks for
it. <root> is /opt/ml, or a folder that takes its place.

It also watches over the script: SIGTERM is passed on, and when standard input ends (the engine is gone), the
script and all that it started are killed. Only the standard library, for it runs before any environment counts.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


# What the engine tells this program alone.
ADDRESS, PORT, PROCESSES = ENGINES = ("PERENNIAL_MASTER_ADDRESS", "PERENNIAL_MASTER_PORT", "PERENNIAL_PROCESSES")


def decoded(value):
    """The toolkit's rule: a value is JSON if it can be, else it is what it says."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def argument(value):
    if isinstance(value, dict):
        return ",".join(f"{key}={value[key]}" for key in sorted(value))
    return "" if value is None else str(value)


def command(root):
    given = json.loads((root / "input/config/hyperparameters.json").read_text())
    resources = json.loads((root / "input/config/resourceconfig.json").read_text())
    values = {key: decoded(value) for key, value in given.items()}
    # what the toolkit keeps to itself
    own = {key: value for key, value in values.items() if not key.startswith(("sagemaker_", "_tuning_objective_"))}
    arguments = []
    for key in sorted(own):
        arguments += [f"--{key}" if len(key) > 1 else f"-{key}", argument(own[key])]
    program = str(values["sagemaker_program"])
    env = environment(root, resources, own, arguments, program)
    if str(values.get("sagemaker_torch_distributed_enabled", "")).lower() == "true":
        if not program.endswith(".py"):
            sys.exit(f"torch_distributed needs a Python script, got {program}")
        return [*torchrun(resources, env), program, *arguments], env
    starter = ["/bin/sh", "-c", f'"./{program}" "$@"', program] if program.endswith(".sh") else [sys.executable, program]
    return [*starter, *arguments], env


def torchrun(resources, env):
    """As the toolkit starts it, but for address and port: the hosts of all jobs are this one machine."""
    hosts = resources["hosts"]
    processes = int(env["SM_NUM_GPUS"]) or os.environ.get(PROCESSES, "1")
    interface = resources["network_interface_name"]
    env.update({"NCCL_SOCKET_IFNAME": interface, "GLOO_SOCKET_IFNAME": interface})
    return [
        *[sys.executable, "-m", "torch.distributed.run", "--nnodes", str(len(hosts)), "--nproc_per_node", str(processes)],
        *["--master_addr", os.environ.get(ADDRESS, "127.0.0.1")],
        *["--master_port", os.environ.get(PORT, "7777")],
        *["--node_rank", str(hosts.index(resources["current_host"]))],
    ]


def environment(root, resources, values, arguments, program):
    channels = json.loads((root / "input/config/inputdataconfig.json").read_text())
    groups = {group["instance_group_name"]: group for group in resources.get("instance_groups", [])}
    group = resources.get("current_group_name", "")
    cards = gpus(resources)
    given = {
        "MODEL_DIR": f"{root}/model",
        "INPUT_DIR": f"{root}/input",
        "INPUT_CONFIG_DIR": f"{root}/input/config",
        "OUTPUT_DIR": f"{root}/output",
        "OUTPUT_DATA_DIR": f"{root}/output/data",
        "MODULE_DIR": f"{root}/code",
        "MODULE_NAME": Path(program).stem,
        "USER_ENTRY_POINT": program,
        "CURRENT_HOST": resources["current_host"],
        "CURRENT_INSTANCE_TYPE": resources["current_instance_type"],
        "CURRENT_INSTANCE_GROUP": group,
        "CURRENT_INSTANCE_GROUP_HOSTS": groups.get(group, {}).get("hosts", []),
        "INSTANCE_GROUPS": list(groups),
        "INSTANCE_GROUPS_DICT": groups,
        "IS_HETERO": len({one["instance_type"] for one in groups.values()}) > 1,
        "HOSTS": resources["hosts"],
        "NETWORK_INTERFACE_NAME": resources["network_interface_name"],
        "RESOURCE_CONFIG": resources,
        "INPUT_DATA_CONFIG": channels,
        "CHANNELS": sorted(channels),
        "HPS": values,
        "USER_ARGS": arguments,
        "NUM_CPUS": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "NUM_GPUS": len(cards),
        "LOG_LEVEL": 20,
        **{f"CHANNEL_{name.upper()}": f"{root}/input/data/{name}" for name in channels},
        **{f"HP_{key.upper()}": value for key, value in values.items()},
    }
    named = {f"SM_{key}": value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    training = {"channel_input_dirs": {name: f"{root}/input/data/{name}" for name in channels}, "hyperparameters": values,
                "model_dir": f"{root}/model", "num_gpus": given["NUM_GPUS"], "num_cpus": given["NUM_CPUS"]}
    path = os.pathsep.join(filter(None, [f"{root}/code", os.environ.get("PYTHONPATH")]))
    own = {key: value for key, value in os.environ.items() if key not in ENGINES}
    shared = {"CUDA_VISIBLE_DEVICES": ",".join(cards)} if len(resources["hosts"]) > 1 else {}
    return {**own, **named, **shared, "SM_TRAINING_ENV": json.dumps(training), "PYTHONPATH": path}


def gpus(resources):
    """This machine's GPUs, or a host's share of them: too few for all hosts are none, so that ranks do not share one."""
    cards = visible_gpus()
    hosts = resources["hosts"]
    share = len(cards) // len(hosts)
    first = hosts.index(resources["current_host"]) * share
    return cards[first : first + share]


def visible_gpus():
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [card for card in visible.split(",") if card not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    except OSError:
        return []
    lines = listed.stdout.splitlines() if listed.returncode == 0 else []
    return [str(index) for index in range(sum(line.startswith("GPU") for line in lines))]


def adopt_orphans():
    """Makes processes whose parent ends children of this one (Linux), also those with a session of their own."""
    try:
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    except (AttributeError, OSError, TypeError):
        pass


def descendants():
    """All processes below this one."""
    children = {}
    for process, parent in processes():
        children.setdefault(parent, []).append(process)
    found, left = [], [os.getpid()]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


def processes():
    """Process and parent of all that run; the dead that nobody has waited for do not count."""
    if os.path.isdir("/proc/self"):
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                state, parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue  # it has just ended
            if state != "Z":
                yield int(name), int(parent)
        return
    with subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True) as ps:
        for line in ps.communicate()[0].splitlines():
            process, parent, state = line.split(None, 2)
            if not state.startswith("Z") and int(process) != ps.pid:
                yield int(process), int(parent)


def run(words, folder, env):
    """Runs the script, and ties its life to the engine's: this process reads nothing from its input but its end."""
    asked, started = [], []

    def stop(*_):
        # the script alone: it decides what its own children do, as PID 1 in a container would
        asked.append(True)
        for child in started:
            child.send_signal(signal.SIGTERM)

    def kill():
        try:
            os.killpg(child.pid, signal.SIGKILL)  # for systems that do not give orphans to this process
        except ProcessLookupError:
            pass
        for _ in range(100):  # while they die, they may start others
            left = descendants()
            for process in left:
                try:
                    os.kill(process, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
            if not left:
                return
            time.sleep(0.01)

    def wait_for_the_end():
        while os.read(0, 4096):
            pass
        kill()

    adopt_orphans()
    signal.signal(signal.SIGTERM, stop)
    child = subprocess.Popen(words, cwd=folder, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
    if asked:
        child.send_signal(signal.SIGTERM)
    started.append(child)
    threading.Thread(target=wait_for_the_end, daemon=True).start()
    code = child.wait()
    kill()  # what it left behind
    return 128 - code if code < 0 else code


def main(root):
    words, given = command(root)
    print("running " + " ".join(Path(word).name if word == sys.executable else word for word in words), flush=True)
    return run(words, root / "code", given)


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main(Path(sys.argv[1])))  # at once, without waiting for the thread that reads
