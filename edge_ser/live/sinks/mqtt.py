"""MQTT, with Home Assistant's discovery: one device whose sensors say what is heard.

Topics under BASE (``edge_ser/NAME``): ``state`` the current state as JSON, on change and as a heartbeat;
``event`` every change, microphone event and overrun as its JSON record; ``availability`` online or offline
(the last will). While the broker is away the newest ``QUEUE`` events wait; the state is told afresh on
return. Discovery follows https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edge_ser.errors import ConfigError
from edge_ser.live.events import (
    MICROPHONE_STATES,
    NO_SPEECH,
    UNCERTAIN,
    Change,
    Event,
    MicrophoneState,
    Overrun,
    Status,
)

log = logging.getLogger(__name__)

QUEUE = 200
DISCOVERY_STATUS = "homeassistant/status"


@dataclass(frozen=True)
class Broker:
    """Where the broker is and how it wants to be spoken to."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: bool = False


class MqttSink:
    """Publishes from paho's own thread; ``handle`` only queues. ``name`` is the device's name and its
    topic.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        name: str,
        labels: Sequence[str],
        model: str,
        version: str,
        heartbeat_s: float,
        discovery_prefix: str = "homeassistant",
    ) -> None:
        try:
            paho = import_paho(broker.tls)
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise ConfigError(
                f"--mqtt needs paho-mqtt 2 ({error}); run: pip install 'paho-mqtt>=2'"
            ) from error
        self.dropped = 0
        self._paho = paho
        self._where = f"{broker.host}:{broker.port}"
        self._id = re.sub(r"[^a-z0-9_-]+", "_", name.lower()).strip("_")
        if not self._id:
            raise ConfigError(f"--mqtt-name {name!r}: use letters and digits")
        self.base = f"edge_ser/{self._id}"
        self._discovery = discovery(
            self._id, name, self.base, labels, model, version, heartbeat_s, discovery_prefix
        )
        self._state: dict[str, Any] = {}  # replaced, never changed: paho's thread reads it
        self._waiting: deque[tuple[str, str]] = deque(maxlen=QUEUE)
        self._sending = threading.Lock()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"edge_ser_{self._id}")
        self._client.username_pw_set(broker.username, broker.password)
        if broker.tls:
            self._client.tls_set()
        self._client.will_set(f"{self.base}/availability", "offline", qos=1, retain=True)
        self._client.max_queued_messages_set(2 * QUEUE)  # of those handed over: a dead line
        self._client.reconnect_delay_set(1, 30)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.connect_async(broker.host, broker.port, keepalive=30)
        self._client.loop_start()

    def handle(self, event: Event) -> None:
        if isinstance(event, Status):
            self._state = {key: value for key, value in event.record().items() if key not in ("v", "type")}
            self._tell_state()
        elif isinstance(event, (Change, MicrophoneState, Overrun)):
            if isinstance(event, Change):
                record = event.record()
                news = {key: record[key] for key in ("label", "probability", "scores", "time_s")}
                self._state = self._state | news
            elif isinstance(event, MicrophoneState):
                self._state = self._state | {"microphone": event.state}
            self._queue(f"{self.base}/event", event.record())
            self._tell_state()

    def close(self) -> None:
        ending = threading.Thread(target=self._say_goodbye, name="mqtt-goodbye", daemon=True)
        ending.start()
        ending.join(1.0)  # a broker that does not answer must not hold us up; the last will speaks for us

    def _say_goodbye(self) -> None:
        if self._client.is_connected():
            farewell = self._client.publish(f"{self.base}/availability", "offline", qos=1, retain=True)
            farewell.wait_for_publish(0.5)
        self._client.disconnect()
        self._client.loop_stop()

    def _tell_state(self) -> None:
        if "counters" in self._state and self._client.is_connected():  # the first heartbeat makes it whole
            self._client.publish(f"{self.base}/state", json.dumps(self._state))

    def _queue(self, topic: str, record: dict[str, Any]) -> None:
        self.dropped += len(self._waiting) == QUEUE
        self._waiting.append((topic, json.dumps(record)))
        if self._client.is_connected():
            self._send_waiting()

    def _send_waiting(self) -> None:
        with self._sending:
            while self._waiting:
                topic, payload = self._waiting[0]
                sent = self._client.publish(topic, payload, qos=1)
                if sent.rc == self._paho.MQTT_ERR_QUEUE_SIZE:
                    return
                self._waiting.popleft()

    def _on_connect(self, client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning(
                "MQTT broker %s refuses us: %s; look at --mqtt-user and its password", self._where, reason
            )
            return
        log.info("MQTT broker %s: connected", self._where)
        client.subscribe(DISCOVERY_STATUS)
        self._introduce()

    def _introduce(self) -> None:
        for topic, config in self._discovery:
            self._client.publish(topic, json.dumps(config), qos=1, retain=True)
        self._client.publish(f"{self.base}/availability", "online", qos=1, retain=True)
        self._send_waiting()
        self._tell_state()

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        if message.payload == b"online":  # Home Assistant has started anew
            self._introduce()

    def _on_connect_fail(self, _client: Any, _userdata: Any) -> None:
        log.warning("MQTT broker %s does not answer; trying again", self._where)

    def _on_disconnect(
        self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("MQTT broker %s: connection lost (%s); trying again", self._where, reason)


def import_paho(tls: bool) -> Any:
    """The module paho.mqtt.client, without what only TLS and proxies need.

    It imports OpenSSL and urllib's client, 5 MiB together, whether or not they are needed; so it finds others
    in their places while it is imported.
    """
    hidden: dict[str, Any] = {}
    if not any(map(importlib.util.find_spec, ("socks", "dns"))):  # which want the real ones, where installed
        no_ssl = ModuleType("ssl")
        vars(no_ssl).update(SSLWantReadError=_NeverRaisedError, SSLWantWriteError=_NeverRaisedError)
        stand_ins = {"ssl": no_ssl, "_hashlib": None, "urllib.request": ModuleType("urllib.request")}
        hidden = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        paho: Any = importlib.import_module("paho.mqtt.client")
    finally:
        for name in hidden:
            del sys.modules[name]
    if tls:
        import ssl

        paho.ssl = ssl
    return paho


class _NeverRaisedError(Exception):
    """In place of the errors that a socket with TLS raises."""


def discovery(
    node: str,
    name: str,
    base: str,
    labels: Sequence[str],
    model: str,
    version: str,
    heartbeat_s: float,
    prefix: str,
) -> list[tuple[str, dict[str, Any]]]:
    """The retained messages that tell Home Assistant what there is: (topic, configuration)."""
    device = {
        "identifiers": [f"edge_ser_{node}"],
        "name": name,
        "manufacturer": "edge_ser",
        "model": model,
        "sw_version": version,
    }
    common = {
        "state_topic": f"{base}/state",
        "availability_topic": f"{base}/availability",
        "expire_after": max(60, round(3 * heartbeat_s)),
        "device": device,
    }

    def entity(kind: str, key: str, title: str, template: str, **more: Any) -> tuple[str, dict[str, Any]]:
        unique = f"edge_ser_{node}_{key}"
        config = {
            **common,
            "name": title,
            "unique_id": unique,
            "object_id": unique,
            "value_template": template,
        }
        return f"{prefix}/{kind}/edge_ser_{node}/{key}/config", {**config, **more}

    diagnostic = {"entity_category": "diagnostic"}
    return [
        entity(
            "sensor", "emotion", "Emotion", "{{ value_json.label }}",
            device_class="enum", options=[*labels, UNCERTAIN, NO_SPEECH], icon="mdi:emoticon-outline",
            json_attributes_topic=f"{base}/state",
            json_attributes_template="{{ value_json.scores | tojson }}",
        ),
        entity(
            "sensor", "probability", "Probability", "{{ (value_json.probability * 100) | round(0) }}",
            unit_of_measurement="%", state_class="measurement", icon="mdi:percent-outline",
        ),
        entity(
            "binary_sensor", "speech", "Speech",
            f"{{{{ 'OFF' if value_json.label == '{NO_SPEECH}' else 'ON' }}}}",
            device_class="sound",
        ),
        entity(
            "sensor", "microphone", "Microphone", "{{ value_json.microphone }}",
            device_class="enum", options=list(MICROPHONE_STATES), icon="mdi:microphone", **diagnostic,
        ),
        entity(
            "sensor", "level", "Level", "{{ value_json.level_db }}",
            unit_of_measurement="dBFS", state_class="measurement", icon="mdi:volume-high", **diagnostic,
        ),
        entity(
            "sensor", "overruns", "Overruns", "{{ value_json.counters.overruns }}",
            state_class="total_increasing", icon="mdi:alert-outline", **diagnostic,
        ),
        entity(
            "sensor", "windows", "Windows", "{{ value_json.counters.windows }}",
            state_class="total_increasing", icon="mdi:counter", **diagnostic,
        ),
    ]  # fmt: skip
