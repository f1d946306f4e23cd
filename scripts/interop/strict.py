"""A client of the cgminer API that forgives nothing: framing, both languages, types, codes and rights."""

import json
import shutil
import socket
import subprocess

from stage import Failed, proof

# Fields with their types, of the public description of the API.
SUMMARY = {
    "Elapsed": int, "MHS av": float, "MHS 5s": float, "MHS 1m": float, "MHS 5m": float, "MHS 15m": float,
    "Found Blocks": int, "Getworks": int, "Accepted": int, "Rejected": int, "Hardware Errors": int, "Utility": float,
    "Discarded": int, "Stale": int, "Get Failures": int, "Local Work": int, "Remote Failures": int,
    "Network Blocks": int, "Total MH": float, "Work Utility": float, "Difficulty Accepted": float,
    "Difficulty Rejected": float, "Difficulty Stale": float, "Best Share": int, "Device Hardware%": float,
    "Device Rejected%": float, "Pool Rejected%": float, "Pool Stale%": float, "Last getwork": int,
}
DEVS = {
    "ASC": int, "Name": str, "ID": int, "Enabled": str, "Status": str, "Temperature": float, "MHS av": float,
    "MHS 5s": float, "MHS 1m": float, "MHS 5m": float, "MHS 15m": float, "Accepted": int, "Rejected": int,
    "Hardware Errors": int, "Utility": float, "Last Share Pool": int, "Last Share Time": int, "Total MH": float,
    "Diff1 Work": int, "Difficulty Accepted": float, "Difficulty Rejected": float, "Last Share Difficulty": float,
    "Last Valid Work": int, "Device Hardware%": float, "Device Rejected%": float, "Device Elapsed": int,
    "Nominal MHS": float,
}
POOLS = {
    "POOL": int, "URL": str, "Status": str, "Priority": int, "Quota": int, "Long Poll": str, "Getworks": int,
    "Accepted": int, "Rejected": int, "Works": int, "Discarded": int, "Stale": int, "Get Failures": int,
    "Remote Failures": int, "User": str, "Last Share Time": int, "Diff1 Shares": int, "Proxy Type": str, "Proxy": str,
    "Difficulty Accepted": float, "Difficulty Rejected": float, "Difficulty Stale": float,
    "Last Share Difficulty": float, "Work Difficulty": float, "Has Stratum": bool, "Stratum Active": bool,
    "Stratum URL": str, "Stratum Difficulty": float, "Has Vmask": bool, "Has GBT": bool, "Best Share": int,
    "Pool Rejected%": float, "Pool Stale%": float, "Bad Work": int, "Current Block Height": int,
    "Current Block Version": int,
}
READS = {
    "version": (22, "VERSION", {"CGMiner": str, "API": str}),
    "config": (33, "CONFIG", {
        "ASC Count": int, "PGA Count": int, "Pool Count": int, "Strategy": str, "Log Interval": int,
        "Device Code": str, "OS": str, "Hotplug": str,
    }),
    "summary": (11, "SUMMARY", SUMMARY),
    "devs": (9, "DEVS", DEVS),
    "edevs": (9, "DEVS", DEVS),
    "pools": (7, "POOLS", POOLS),
    "stats": (70, "STATS", {"STATS": int, "ID": str, "Elapsed": int, "Calls": int, "Wait": float, "Max": float, "Min": float}),
    "estats": (70, "STATS", {"STATS": int, "ID": str, "Elapsed": int}),
    "devdetails": (69, "DEVDETAILS", {
        "DEVDETAILS": int, "Name": str, "ID": int, "Driver": str, "Kernel": str, "Model": str, "Device Path": str,
    }),
    "coin": (78, "COIN", {
        "Hash Method": str, "Current Block Time": float, "Current Block Hash": str, "LP": bool, "Network Difficulty": float,
    }),
    "lcd": (125, "LCD", {
        "Elapsed": int, "GHS av": float, "GHS 5m": float, "GHS 5s": float, "Temperature": float,
        "Last Share Difficulty": float, "Last Share Time": int, "Best Share": int, "Last Valid Work": int,
        "Found Blocks": int, "Current Pool": str, "User": str,
    }),
    "notify": (60, "NOTIFY", {
        "NOTIFY": int, "Name": str, "ID": int, "Last Well": int, "Last Not Well": int, "Reason Not Well": str,
        "*Thread Fail Init": int, "*Dev Over Heat": int, "*Dev Throttle": int,
    }),
    "asccount": (104, "ASCS", {"Count": int}),
    "pgacount": (59, "PGAS", {"Count": int}),
    "fans": (202, "FANS", {"FAN": int, "ID": int, "RPM": int, "Speed": int}),
    "temps": (201, "TEMPS", {"TEMP": int, "ID": int, "Chip": float}),
    "tempctrl": (200, "TEMPCTRL", {"Mode": str, "Target": float, "Hot": float, "Dangerous": float}),
    "tunerstatus": (203, "TUNERSTATUS", {"TunerMode": str, "DynamicPowerScaling": str, "TunerChainStatus": list}),
}


def status(reply):
    (one,) = reply["STATUS"]
    return one["STATUS"], one["Code"]


def reads(agent):
    for command, (code, section, fields) in READS.items():
        reply = agent.json(command)
        if status(reply) != ("S", code) or reply["id"] != 1:
            raise Failed(f"{command}: {reply['STATUS']}")
        if not reply[section]:
            raise Failed(f"{command}: {section} is empty")
        for record in reply[section]:
            for name, kind in fields.items():
                if type(record.get(name)) is not kind:
                    raise Failed(f"{command}: {name} is {record.get(name)!r}, not {kind.__name__}")
    proof(True, f"all {len(READS)} read commands have their codes, fields and types, ended by one NUL and a close")


def forms(agent):
    text = agent.ask(b"version\n")
    proof(text.startswith(b"STATUS=S,When=") and b"|VERSION,CGMiner=hashwright" in text, "text form with a newline", text)
    proof(agent.ask(b"asc|0").count(b"|ASC=0,") == 1, "text form with a parameter")
    joined = agent.json("summary+pools+addpool+nonsense+summary")
    proof(
        list(joined) == ["summary", "pools", "addpool", "nonsense", "id"]
        and joined["summary"][0]["STATUS"][0]["Code"] == 11
        and joined["addpool"][0]["STATUS"][0]["STATUS"] == "E"
        and "Description" not in joined["nonsense"][0]["STATUS"][0],
        "joined JSON: a list of one reply for each command, once each, errors among them",
        joined,
    )
    text = agent.ask(b"devs+pools")
    proof(text.startswith(b"CMD=devs|STATUS=S") and b"|CMD=pools|STATUS=S" in text, "joined text", text[:200])
    for request, code in [(b"{", 23), (b'{"command":}', 23), (b"{}", 24), (b'{"command":7}', 14), (b"flyaway", 14)]:
        reply = agent.ask(request)
        found = f'"Code":{code}' if request.startswith(b"{") else f"Code={code}"
        proof(found.encode() in reply, f"{request.decode()} is told code {code}", reply)
    whole = b'{"command":"summary","parameter":""}'
    proof(b'"Code":11' in agent.ask(whole, pieces=4), "JSON that comes in pieces")
    for tool in ["nc", "netcat"]:
        if shutil.which(tool):
            command = f"echo -n '{{\"command\":\"version\"}}' | {tool} {agent.address} 4028"
            out = subprocess.run(["sh", "-c", command], capture_output=True, timeout=20, check=False).stdout
            proof(out.endswith(b"\0") and json.loads(out[:-1]), f"echo -n ... | {tool}")
            break


def garbage(agent):
    """None of this may cost more than its own connection."""
    for data in [b"\0" * 4095, bytes(range(256)) * 1024, b"{" * 100_000, b'{"command":"' + b"a+" * 2000 + b'"}', b"|" * 4095]:
        try:
            agent.ask(data)
        except OSError:
            pass
    proof(status(agent.json("version"))[0] == "S", "binary garbage and requests that are too long leave it answering")
    idle = []
    for _ in range(200):
        try:
            idle.append(socket.create_connection((agent.address, 4028), timeout=2))
        except OSError:
            break
    for connection in idle[:-1]:
        connection.close()
    proof(len(idle) > 30, "200 connections that say nothing are taken or cut off")
    idle[-1].close()


def rights(writer, reader):
    proof(status(writer.json("privileged")) == ("S", 46), "privileged: yes for an address with W:")
    proof(status(reader.json("privileged")) == ("E", 45), "privileged: no by default")
    check = reader.json("check", "switchpool")["CHECK"][0]
    proof(check == {"Exists": "Y", "Access": "N"}, "check tells who may do what")
    for command in ["switchpool", "addpool", "removepool", "pause", "resume", "restart", "quit", "ascset", "save"]:
        if status(reader.json(command, "0")) != ("E", 45):
            raise Failed(f"{command} was not denied to a reader")
    proof(True, "every command that changes something is denied by default, with code 45")
