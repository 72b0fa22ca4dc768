"""Stands in for a training image's entry point, as `docker run <image> train` would start it.

    python container.py <root>

Runs the script that the hyperparameters name (`sagemaker_program`) with the others as `--key value`, in the
environment that SageMaker's training toolkit gives. <root> is /opt/ml, or a folder that takes its place.

It also watches over the script: SIGTERM is passed on, and when standard input ends (the engine is gone), the
script and all that it started are killed. Only the standard library, for it runs before any environment counts.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path


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
    values = {key: decoded(value) for key, value in given.items()}
    own = {key: value for key, value in values.items() if not key.startswith("sagemaker_")}
    arguments = []
    for key in sorted(own):
        arguments += [f"--{key}" if len(key) > 1 else f"-{key}", argument(own[key])]
    program = str(values["sagemaker_program"])
    starter = ["/bin/sh", "-c", f'"./{program}" "$@"', program] if program.endswith(".sh") else [sys.executable, program]
    return [*starter, *arguments], environment(root, own, arguments, program)


def environment(root, values, arguments, program):
    resources = json.loads((root / "input/config/resourceconfig.json").read_text())
    channels = json.loads((root / "input/config/inputdataconfig.json").read_text())
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
        "HOSTS": resources["hosts"],
        "NETWORK_INTERFACE_NAME": resources["network_interface_name"],
        "RESOURCE_CONFIG": resources,
        "INPUT_DATA_CONFIG": channels,
        "CHANNELS": sorted(channels),
        "HPS": values,
        "USER_ARGS": arguments,
        "NUM_CPUS": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "NUM_GPUS": gpus(),
        "LOG_LEVEL": 20,
        **{f"CHANNEL_{name.upper()}": f"{root}/input/data/{name}" for name in channels},
        **{f"HP_{key.upper()}": value for key, value in values.items()},
    }
    named = {f"SM_{key}": value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    training = {"channel_input_dirs": {name: f"{root}/input/data/{name}" for name in channels}, "hyperparameters": values,
                "model_dir": f"{root}/model", "num_gpus": given["NUM_GPUS"], "num_cpus": given["NUM_CPUS"]}
    path = os.pathsep.join(filter(None, [f"{root}/code", os.environ.get("PYTHONPATH")]))
    return {**os.environ, **named, "SM_TRAINING_ENV": json.dumps(training), "PYTHONPATH": path}


def gpus():
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return 0
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    except OSError:
        return 0
    return sum(line.startswith("GPU") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def watch_over(child):
    """Ties the script's life to the engine's: this process reads nothing from its input but its end."""

    def kill(*_):
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def wait_for_the_end():
        while os.read(0, 4096):
            pass
        kill()

    def stop(*_):
        # the script alone: it decides what its own children do, as PID 1 in a container would
        child.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=wait_for_the_end, daemon=True).start()
    code = child.wait()
    kill()  # what it left behind
    return 128 - code if code < 0 else code


def main(root):
    words, given = command(root)
    print("running " + " ".join(Path(word).name if word == sys.executable else word for word in words), flush=True)
    child = subprocess.Popen(words, cwd=root / "code", env=given, stdin=subprocess.DEVNULL, start_new_session=True)
    return watch_over(child)


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main(Path(sys.argv[1])))  # at once, without waiting for the thread that reads
