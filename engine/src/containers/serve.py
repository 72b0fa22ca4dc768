"""Stands in for an image's model server, as `docker run <image> serve` would start it.

    python serve.py <root>

Loads the model in <root>/model by the functions of the module that SAGEMAKER_PROGRAM names (inference.py) in
SAGEMAKER_SUBMIT_DIRECTORY (<root>/model/code): model_fn, then transform_fn, or input_fn, predict_fn, output_fn.
Answers GET /ping and POST /invocations on 127.0.0.1, on a port that it prints once it listens, to whoever sends the
secret that PERENNIAL_SECRET names: another process of this machine, or a web page, could find the port as well.

Ends when guard.py, which starts it, is told that the engine is gone, or has no more use for it.
"""

import hmac
import importlib
import json
import os
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# What the containers' toolkit makes of a request that accepts anything.
DEFAULT_ACCEPT = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or "application/json"


class Model:
    def __init__(self, root):
        code = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY") or f"{root}/model/code"
        if code.startswith("/opt/ml/") and not Path("/opt/ml").is_dir():
            code = f"{root}/{code[len('/opt/ml/'):]}"
        program = os.environ.get("SAGEMAKER_PROGRAM") or "inference.py"
        if not Path(code, program).resolve().is_relative_to(Path(root).resolve()):
            raise ValueError(f"SAGEMAKER_PROGRAM and SAGEMAKER_SUBMIT_DIRECTORY must lie below {root}, got {code}/{program}")
        if not Path(code, program).is_file():
            raise FileNotFoundError(f"no {program} in {code}, got {sorted(p.name for p in Path(root, 'model').rglob('*'))}")
        sys.path.insert(0, code)
        self.module = importlib.import_module(Path(program).stem)
        self.model = self.call("model_fn", f"{root}/model")

    def call(self, name, *arguments):
        function = getattr(self.module, name, None)
        if function is None:
            raise NotImplementedError(f"the model's code must define {name}")
        return function(*arguments)

    def answer(self, body, content_type, accept):
        if content_type.split("/")[0] == "text" or "json" in content_type:
            body = body.decode()
        if hasattr(self.module, "transform_fn"):
            result = self.module.transform_fn(self.model, body, content_type, accept)
        else:
            data = self.call("input_fn", body, content_type)
            result = self.call("output_fn", self.call("predict_fn", data, self.model), accept)
        result, kind = result if isinstance(result, tuple) else (result, accept)
        return (result.encode() if isinstance(result, str) else bytes(result)), kind


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = None
    secret = ""

    def is_stranger(self):
        if hmac.compare_digest(self.headers.get("authorization", "").encode(), f"Bearer {self.secret}".encode()):
            return False
        self.close_connection = True
        self.reply(403, b"", "text/plain")
        return True

    def do_GET(self):
        if not self.is_stranger():
            self.reply(200 if self.path == "/ping" else 404, b"", "text/plain")

    def do_POST(self):
        if self.is_stranger():
            return
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        content_type = self.headers.get("content-type") or "application/octet-stream"
        accept = self.headers.get("accept") or "*/*"
        try:
            answer, kind = self.model.answer(body, content_type, DEFAULT_ACCEPT if accept == "*/*" else accept)
        except Exception as error:  # whatever the model's code throws is the caller's answer
            status = getattr(error, "status_code", 500)
            if status >= 500:
                traceback.print_exc()
            return self.reply(status, str(error).encode(), "text/plain")
        self.reply(200, answer, kind)

    def reply(self, status, body, kind):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Handler.secret = os.environ.pop("PERENNIAL_SECRET")
    Handler.model = Model(sys.argv[1])
    Handler.disable_nagle_algorithm = True
    server = Server(("127.0.0.1", 0), Handler)
    print(json.dumps({"port": server.server_port}), flush=True)
    server.serve_forever()
