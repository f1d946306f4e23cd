"""Bitcoin's formats as far as the cases need them: addresses, transactions by hand, JSON-RPC. Written from the BIPs and
shared with nothing of the agent, so that a mistake there is not repeated here."""

import base64
import hashlib
import json
import struct
import urllib.error
import urllib.request

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

# Anyone can spend from it, by showing the script: transactions without keys.
OP_TRUE = b"\x51"
P2WSH_OP_TRUE = b"\x00\x20" + hashlib.sha256(OP_TRUE).digest()


class RpcError(Exception):
    """What a JSON-RPC server answered instead of a result."""

    def __init__(self, code, message):
        super().__init__(f"{message} ({code})")
        self.code = code


def json_rpc(url, method, params, auth=None, timeout=60):
    request = urllib.request.Request(
        url,
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode(),
        {"Content-Type": "application/json"},
    )
    if auth:
        request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            answer = json.load(reply)
    except urllib.error.HTTPError as error:
        body = error.read()
        try:
            answer = json.loads(body)
        except ValueError:
            raise RpcError(error.code, f"HTTP status {error.code}") from None
    if answer.get("error"):
        raise RpcError(answer["error"]["code"], answer["error"]["message"])
    return answer["result"]


def http_json(url, timeout=10):
    with urllib.request.urlopen(url, timeout=timeout) as reply:
        return json.load(reply)


def double_sha256(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def base58check(payload):
    data = payload + double_sha256(payload)[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def segwit_address(hrp, version, program):
    """BIP 173 for version 0, BIP 350 for the others."""

    def polymod(values):
        check = 1
        for value in values:
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ value
            for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                if top >> bit & 1:
                    check ^= generator
        return check

    bits = "".join(f"{byte:08b}" for byte in program)
    bits += "0" * (-len(bits) % 5)
    data = [version] + [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]
    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    sum_ = polymod(expanded + data + [0] * 6) ^ (1 if version == 0 else 0x2BC830A3)
    data += [sum_ >> 5 * (5 - at) & 31 for at in range(6)]
    return hrp + "1" + "".join(BECH32[value] for value in data)


def addresses(network, seed):
    """One address of each type, on "regtest", "signet" or "main". Nobody has their keys."""
    digest = hashlib.sha256(seed.encode()).digest()
    hrp = {"regtest": "bcrt", "signet": "tb", "main": "bc"}[network]
    pubkey_hash, script_hash = (b"\x00", b"\x05") if network == "main" else (b"\x6f", b"\xc4")
    # A taproot output is taken to hold an x coordinate of the curve: the generator's will do.
    generator = bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    return {
        "P2PKH": base58check(pubkey_hash + digest[:20]),
        "P2SH": base58check(script_hash + digest[:20]),
        "P2WPKH": segwit_address(hrp, 0, digest[:20]),
        "P2WSH": segwit_address(hrp, 0, digest),
        "P2TR": segwit_address(hrp, 1, generator),
    }


def _var_bytes(data):
    assert len(data) < 0xFD
    return bytes([len(data)]) + data


def spend_op_true(txid, vout, outputs):
    """A transaction that spends a P2WSH output of OP_TRUE: its hex form and its id."""
    body = b"\x01" + bytes.fromhex(txid)[::-1] + struct.pack("<I", vout) + b"\0" + struct.pack("<I", 0xFFFFFFFD)
    body += bytes([len(outputs)])
    for value, script in outputs:
        body += struct.pack("<q", value) + _var_bytes(script)
    version, lock_time = struct.pack("<i", 2), struct.pack("<I", 0)
    whole = version + b"\0\1" + body + b"\x01" + _var_bytes(OP_TRUE) + lock_time
    return whole.hex(), double_sha256(version + body + lock_time)[::-1].hex()
