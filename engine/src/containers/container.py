"""Stands in for a training image's entry point, as `docker run <image> train` would start it.

    python container.py <root>

Runs the script that the hyperparameters name (`sagemaker_program`) with the others as `--key value`, in the
environment that SageMaker's training toolkit gives; by torchrun where `sagemaker_torch_distributed_enabled` asks for
it. <root> is /opt/ml, or a folder that takes its place.

It also watches over the script: see guard.py. Only the standard library, for it runs before any environment counts.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from guard import leave, run


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
    if program.endswith(".sh"):
        (root / "code" / program).chmod(0o755)  # as the toolkit does: archives may say otherwise
        return ["/bin/sh", "-c", '"./$0" "$@"', program, *arguments], env
    return [sys.executable, program, *arguments], env


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


def main(root):
    words, given = command(root)
    print("running " + " ".join(Path(word).name if word == sys.executable else word for word in words), flush=True)
    return run(words, root / "code", given)


if __name__ == "__main__":
    leave(main(Path(sys.argv[1])))
