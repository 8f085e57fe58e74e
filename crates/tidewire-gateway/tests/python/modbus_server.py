"""A Modbus server for tests: TCP on a free port, or a serial line. Holding registers 0 to 99 hold their address; an
address beyond answers with an exception, as do all of the table of input registers from 50 on."""
import asyncio
import sys

from pymodbus import FramerType
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusSerialServer, ModbusTcpServer


async def main():
    holding = list(range(100))
    holding[10:12] = [0x41AC, 0xCCCD]  # 21.6 as a float
    holding[12:14] = [0x0002, 0x0001]  # 65538, words swapped
    holding[20] = 217
    block = ModbusSequentialDataBlock
    # A block's first address is that of the protocol plus one.
    device = ModbusDeviceContext(
        hr=block(1, holding), ir=block(1, list(range(50))), co=block(1, [False] * 20), di=block(1, [True, False] * 10))
    context = ModbusServerContext(devices=device, single=True)
    if sys.argv[1] == "tcp":
        server = ModbusTcpServer(context, address=("127.0.0.1", int(sys.argv[2])))
    else:
        server = ModbusSerialServer(context, framer=FramerType.RTU, port=sys.argv[2], baudrate=19200)
    await server.serve_forever(background=True)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
