"""MQTT devices, described by profiles."""

from cem_drivers.mqtt.driver import MqttDriver

DRIVER = MqttDriver()

__all__ = ["DRIVER", "MqttDriver"]
