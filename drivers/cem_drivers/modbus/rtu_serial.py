"""RTU on a serial line."""

from cem_drivers.modbus.rtu import gap_s
from cem_drivers.modbus.rtu_stream import SLOWEST_ANSWER_S, RtuStream
from cem_drivers.serial_port import Line, Port


class RtuSerial(RtuStream):
    """After an error the line is drained and kept silent until no late answer can come; the port stays open."""

    connect_s = 2.0

    def __init__(self, line: Line, gap: float = 0.0, slowest_s: float = SLOWEST_ANSWER_S) -> None:
        super().__init__(gap, gap_s(line.baud, line.bits_per_character), slowest_s)
        self._line = line
        self._port: Port | None = None

    async def _connect(self) -> None:
        self._port = await Port.opened(self._line, self._came, self._gone)

    def _send(self, frame: bytes) -> None:
        assert self._port is not None
        self._port.write(frame)

    def _drop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.close()
