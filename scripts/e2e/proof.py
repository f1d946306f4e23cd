#!/usr/bin/env python3
"""Runs the cases one after the other and prints a table. Started by scripts/e2e-core, which builds what this needs."""

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

import pools
import several
import solo
import stage
from agent import Agent
from processes import Failed, Process, end_with_parent

# Cases enter the list when their file is read; this is the order of the table.
MODULES = [solo, pools, several]
TABLE = re.compile(r"(<!-- table: generated -->\n).*?(<!-- table: end -->)", re.DOTALL)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/e2e-core", description="Proves Hashwright with real servers.")
    parser.add_argument("--agent", required=True)
    parser.add_argument("--servers", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--docs")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("cases", nargs="*")
    return parser.parse_args()


def run(case, servers):
    start = time.monotonic()
    try:
        told, good = case["run"](servers), True
        figures, messages = told if isinstance(told, tuple) else (told, [])
    except Failed as failure:
        figures, messages, good = str(failure), [], False
    except Exception as error:  # a case that breaks is a case that fails; the others still count
        traceback.print_exc()
        figures, messages, good = f"{type(error).__name__}: {error}", [], False
    seconds = time.monotonic() - start
    print(f"{'ok    ' if good else 'FAILED'} {case['name']} ({seconds:.0f} s): {figures}", flush=True)
    for situation, text in messages:
        print(f"       {situation}: {text}", flush=True)
    return {**case, "figures": figures, "messages": messages, "good": good}


def markdown(results):
    def table(rows):
        return "\n".join(
            "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) + " |" for row in rows
        )

    head = [["case", "servers", "judged by", "figures", ""], ["---"] * 5]
    rows = [
        [each["title"], each["servers"], each["judges"], each["figures"], "ok" if each["good"] else "**FAILED**"]
        for each in results
    ]
    said = [[situation, text] for each in results for situation, text in each["messages"]]
    text = table(head + rows)
    # The same from run to run.
    said = [[situation, re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", words)] for situation, words in said]
    return text + "\n\n" + table([["what is wrong", "what the agent says"], ["---"] * 2] + said) if said else text


def update(path, table):
    with open(path) as file:
        text = file.read()
    new, count = TABLE.subn(lambda marks: f"{marks[1]}{table}\n{marks[2]}", text)
    if count != 1:
        sys.exit(f"{path} has no place for the table")
    with open(path, "w") as file:
        file.write(new)


def main():
    options = arguments()
    end_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    Agent.program = options.agent
    programs = {name: os.path.join(options.servers, name) for name in ("bitcoin-node", "pool_sv2", "translator_sv2")}
    all_cases = [case for module in MODULES for case in stage.CASES if case["run"].__module__ == module.__name__]
    known = [case["name"] for case in all_cases]
    unknown = [name for name in options.cases if name not in known]
    if unknown:
        sys.exit(f"no such case: {' '.join(unknown)}; there are {' '.join(known)}")
    chosen = [case for case in all_cases if not options.cases or case["name"] in options.cases]
    # Short, because the path of a Unix socket must be.
    folder = tempfile.mkdtemp(prefix="hw-e2e-", dir="/tmp")
    results, keep = [], options.keep
    try:
        servers = stage.Stage(programs, options.cache, folder)
        results = [run(case, servers) for case in chosen]
    finally:
        Process.kill_all()
        keep = keep or not results or not all(each["good"] for each in results)
        if keep:
            print(f"logs of all programs are kept in {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    table = markdown(results)
    print(f"\n{table}", flush=True)
    good = sum(each["good"] for each in results)
    print(f"\n{good} of {len(results)} ok")
    if options.docs:
        update(options.docs, table)
    sys.exit(0 if good == len(results) else 1)


if __name__ == "__main__":
    main()
