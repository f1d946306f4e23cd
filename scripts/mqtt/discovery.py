"""Judges Home Assistant discovery messages: by what its documentation says, and, where the package `homeassistant` is
installed, by the very schemas that Home Assistant reads them with.

usage: discovery.py FILE...   (each a payload of homeassistant/device/ID/config)
"""

import json
import re
import sys

# Device classes with their units, and keys that a platform takes, as documented at www.home-assistant.io:
# integrations mqtt, sensor, binary_sensor, number, select and button.
UNITS = {
    "temperature": {"°C", "°F", "K"},
    "power": {"mW", "W", "kW", "MW", "GW", "TW"},
    "frequency": {"Hz", "kHz", "MHz", "GHz"},
    "duration": {"d", "h", "min", "s", "ms", "µs"},
    "timestamp": {None},
}
COMMON = {
    "platform", "name", "unique_id", "device_class", "entity_category", "icon", "value_template", "state_topic",
    "command_topic",
}
KEYS = {
    "sensor": {"state_class", "unit_of_measurement", "suggested_display_precision"},
    "binary_sensor": {"payload_on", "payload_off"},
    "button": {"payload_press"},
    "number": {"min", "max", "step", "mode", "unit_of_measurement"},
    "select": {"options"},
}
NEEDS = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "button": {"command_topic"},
    "number": {"command_topic"},
    "select": {"command_topic", "options"},
}
CLASSES = {
    "binary_sensor": {"running", "connectivity", "problem"},
    "button": {"restart", "identify", "update"},
    "number": {"temperature", "power"},
    "select": set(),
}


def documented(key, entity):
    platform = entity["platform"]
    unknown = entity.keys() - COMMON - KEYS[platform]
    assert not unknown, f"{key}: {platform} takes no {unknown}"
    missing = NEEDS[platform] - entity.keys()
    assert not missing, f"{key}: {platform} needs {missing}"
    cls, unit = entity.get("device_class"), entity.get("unit_of_measurement")
    if platform == "sensor" and cls:
        assert unit in UNITS[cls], f"{key}: {cls} in {unit}"
    elif cls:
        assert cls in CLASSES[platform], f"{key}: {platform} of class {cls}"
        assert unit is None or unit in UNITS[cls], f"{key}: {cls} in {unit}"
    # Home Assistant takes no finer step.
    assert entity.get("step", 1) >= 0.001, key
    assert entity.get("state_class") in {None, "measurement", "total_increasing"}, key
    assert entity.get("entity_category") in {None, "config", "diagnostic"}, key
    # A sensor is never a setting.
    assert not (platform.endswith("sensor") and entity.get("entity_category") == "config"), key


def judge(device):
    assert set(device) >= {"device", "origin", "components", "availability_topic"}
    assert device["origin"]["name"] and device["device"]["identifiers"] and device["device"]["name"]
    ids = set()
    gone = 0
    for key, entity in device["components"].items():
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", key), key
        if set(entity) == {"platform"}:
            gone += 1
            continue
        assert entity["unique_id"] not in ids, key
        ids.add(entity["unique_id"])
        documented(key, entity)
    return len(ids), gone


def by_home_assistant(device):
    """Puts each entity together with what all have in common, as Home Assistant does, and reads it with its schema."""
    import importlib

    shared = ("availability_topic", "payload_available", "payload_not_available")
    count = 0
    for key, entity in device["components"].items():
        if set(entity) == {"platform"}:
            continue
        module = importlib.import_module(f"homeassistant.components.mqtt.{entity['platform']}")
        config = {name: value for name, value in entity.items() if name != "platform"}
        config |= {name: device[name] for name in shared}
        config |= {"device": device["device"], "origin": device["origin"]}
        try:
            module.DISCOVERY_SCHEMA(config)
        except Exception as error:
            raise AssertionError(f"{key}: Home Assistant says: {error}") from error
        count += 1
    return count


for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        device = json.load(file)
    entities, gone = judge(device)
    print(f"mqtt: discovery of {device['device']['name']}: {entities} entities as documented, {gone} said to be gone")
    try:
        from homeassistant.const import __version__ as version
    except ImportError:
        continue
    print(f"mqtt: Home Assistant {version} takes all {by_home_assistant(device)} of them")
