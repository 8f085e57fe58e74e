// MQTT.js as a WeChat mini program has it: the build for browsers, no WebSocket of its own, and the socket of the platform,
// for which a small stand-in is made of Node's.
// Arguments: address (wx:// or wxs://), protocol version, file of the authority.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const vm = require('node:vm')
const modules = path.join(process.env.TIDEWIRE_NODE_PATH, 'node_modules')
const WebSocket = require(path.join(modules, 'ws'))

const [url, version, ca] = process.argv.slice(2)

function fail (error) {
  console.error(String(error))
  process.exit(1)
}

// What the platform documents of its socket: callbacks for success, and ArrayBuffers.
const wx = {
  connectSocket ({ url, protocols }) {
    const socket = new WebSocket(url, protocols, { ca: fs.readFileSync(ca) })
    socket.binaryType = 'arraybuffer'
    return {
      onOpen: (told) => socket.on('open', () => told({})),
      onMessage: (told) => socket.on('message', (data) => told({ data })),
      onClose: (told) => socket.on('close', (code) => told({ code })),
      onError: (told) => socket.on('error', (error) => told({ errMsg: String(error) })),
      send ({ data, success, fail }) {
        socket.send(new Uint8Array(data), (error) => error ? fail(String(error)) : success({}))
      },
      close ({ success } = {}) {
        socket.close()
        if (success) success({})
      }
    }
  }
}

const globals = { wx, console, setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, queueMicrotask, URL, TextEncoder, TextDecoder, AbortController, AbortSignal, navigator: { userAgent: 'mini program' }, Event, EventTarget, ArrayBuffer, Uint8Array }
const context = vm.createContext(globals)
vm.runInContext('globalThis.self = globalThis', context)
vm.runInContext(fs.readFileSync(path.join(modules, 'mqtt', 'dist', 'mqtt.min.js'), 'utf8') + '\nglobalThis.mqtt = mqtt', context)

const wanted = [['0', 0], ['1', 1], ['2', 2], ['x'.repeat(100000), 1]]
const client = context.mqtt.connect(url, {
  protocolId: version === '3' ? 'MQIsdp' : 'MQTT',
  protocolVersion: Number(version),
  clientId: `mini-${version}`,
  reconnectPeriod: 0,
  forceNativeWebSocket: true
})
const publish = () => client.publish('mini', wanted[0][0], { qos: wanted[0][1] })
client.on('error', fail)
client.on('close', () => { if (wanted.length > 0) fail('closed too early') })
client.on('connect', () => {
  client.subscribe('mini', { qos: 2 }, (error) => error ? fail(error) : publish())
})
client.on('message', (topic, payload) => {
  if (payload.toString() !== wanted.shift()[0]) fail('another message was expected')
  if (wanted.length > 0) return publish()
  console.log('done')
  client.end(true)
  process.exit(0)
})
