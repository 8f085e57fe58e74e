// One client of MQTT.js: connects, subscribes, publishes at every QoS and a large payload, gets all back, leaves.
// Arguments: address, protocol version (3, 4 or 5), file of the authority or nothing.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const mqtt = require(path.join(process.env.TIDEWIRE_NODE_PATH, 'node_modules', 'mqtt'))

const [url, version, ca] = process.argv.slice(2)
const large = 'x'.repeat(300000)
// Messages of different QoS may overtake each other: one at a time.
const wanted = [['0', 0], ['1', 1], ['2', 2], [large, 1]]
const client = mqtt.connect(url, {
  protocolId: version === '3' ? 'MQIsdp' : 'MQTT',
  protocolVersion: Number(version),
  clientId: 'ways',
  reconnectPeriod: 0,
  ca: ca ? fs.readFileSync(ca) : undefined
})

function fail (error) {
  console.error(String(error))
  process.exit(1)
}

function publish () {
  const [payload, qos] = wanted[0]
  client.publish('t', payload, { qos })
}

client.on('error', fail)
client.on('close', () => { if (wanted.length > 0) fail('closed too early') })
client.on('connect', () => {
  client.subscribe('t', { qos: 2 }, (error) => {
    if (error) fail(error)
    publish()
  })
})
client.on('message', (topic, payload) => {
  if (payload.toString() !== wanted.shift()[0]) fail('another message was expected')
  if (wanted.length > 0) publish()
  else client.end(false, {}, () => console.log('done'))
})
