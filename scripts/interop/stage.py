"""Agents and pools on loopback addresses, watched over the agent's own JSON-RPC."""

import ipaddress
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request


class Failed(Exception):
    """A proof that failed."""


def proof(truth, text, detail=""):
    """Prints a proven statement, or stops with it."""
    if not truth:
        raise Failed(f"{text}{': ' if detail else ''}{detail}")
    print(f"ok: {text}", flush=True)


def near(found, wanted, part=0.0, margin=0.0):
    """Whether a number is another one, give or take a part of it or a margin."""
    return found is not None and wanted is not None and abs(found - wanted) <= max(abs(wanted) * part, margin)


def until(what, seconds, condition):
    """Waits for a condition and returns what it gave."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except OSError:
            value = None
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"no {what} within {seconds} s")
        time.sleep(0.2)


def next_address(address, step=1):
    return str(ipaddress.ip_address(address) + step)


class Process:
    """A process that is ended by its id."""

    def __init__(self, arguments, log):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as text:
            return text.read()[-4000:]


class Agent:
    """An agent with simulated boards, both faces on, and its API at port 4029 of the same address."""

    def __init__(self, program, folder, address, boards, pools, cgminer="", axeos="", name="interop"):
        self.address, self.folder = address, folder
        os.makedirs(folder)
        config = [f'[agent]\nname = "{name}"\nstate_dir = "{folder}"\n[api]\nlisten = "{address}:4029"\nlocal = "admin"']
        config.append(f'[cgminer]\nlisten = "{address}:4028"\n{cgminer}')
        config.append(f'[axeos]\nlisten = "{address}:80"\n{axeos}')
        config += [f'[[pool]]\nurl = "{url}"\nuser = "{user}"' for url, user in pools]
        config += [f"[[board]]\n{board}" for board in boards]
        path = os.path.join(folder, "hashwright.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n\n".join(config) + "\n")
        self.process = Process([program, "run", "--config", path], os.path.join(folder, "log"))

    def rpc(self, method, **params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(
            f"http://{self.address}:4029/rpc", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            answer = json.load(reply)
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']}")
        return answer["result"]

    def http(self, method, path, body=None, headers=()):
        """Status, headers and body of a request to the AxeOS face."""
        request = urllib.request.Request(f"http://{self.address}{path}", body, dict(headers), method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def ask(self, data, pieces=1):
        """All bytes of the reply to one request of the cgminer face."""
        with socket.create_connection((self.address, 4028), timeout=10) as connection:
            step = max(1, -(-len(data) // pieces))
            for at in range(0, len(data), step):
                connection.sendall(data[at : at + step])
                if pieces > 1:
                    time.sleep(0.05)
            reply = b""
            while chunk := connection.recv(65536):
                reply += chunk
        return reply

    def json(self, command, parameter=None):
        """A reply of the cgminer face in JSON, held to its framing."""
        request = {"command": command}
        if parameter is not None:
            request["parameter"] = parameter
        reply = self.ask(json.dumps(request).encode())
        if not reply.endswith(b"\0") or reply.count(b"\0") != 1:
            raise Failed(f"{command}: the reply does not end with its only NUL: {reply[-80:]}")
        return json.loads(reply[:-1])
