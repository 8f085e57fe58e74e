// MQTT clients of MQTT.js that a test leads: one command a line as JSON on standard input, one event a line on standard output.
'use strict'

const crypto = require('node:crypto')
const path = require('node:path')
const readline = require('node:readline')
const mqtt = require(path.join(process.env.TIDEWIRE_NODE_PATH, 'node_modules', 'mqtt'))

const VERSIONS = {
  '3.1': { protocolId: 'MQIsdp', protocolVersion: 3 },
  '3.1.1': { protocolId: 'MQTT', protocolVersion: 4 },
  5: { protocolId: 'MQTT', protocolVersion: 5 }
}

// Names of properties in commands and events, and MQTT.js's.
const NAMES = {
  session_expiry_interval: 'sessionExpiryInterval',
  receive_maximum: 'receiveMaximum',
  topic_alias_maximum: 'topicAliasMaximum',
  topic_alias: 'topicAlias',
  assigned_client_identifier: 'assignedClientIdentifier',
  content_type: 'contentType',
  response_topic: 'responseTopic',
  correlation_data: 'correlationData',
  message_expiry_interval: 'messageExpiryInterval',
  payload_format_indicator: 'payloadFormatIndicator',
  subscription_identifier: 'subscriptionIdentifier',
  will_delay_interval: 'willDelayInterval',
  user_properties: 'userProperties'
}

// Larger payloads are told by length and digest.
const SHOWN_BYTES = 4096

function say (name, event, facts) {
  process.stdout.write(JSON.stringify({ as: name, event, ...facts }) + '\n')
}

function toTheirs (given) {
  if (!given) return undefined
  const properties = {}
  for (const [name, value] of Object.entries(given)) {
    if (name === 'user_properties') {
      properties.userProperties = grouped(value)
    } else if (name === 'correlation_data') {
      properties.correlationData = Buffer.from(value)
    } else if (name === 'payload_format_indicator') {
      properties.payloadFormatIndicator = value === 1
    } else {
      properties[NAMES[name]] = value
    }
  }
  return properties
}

// MQTT.js keeps the values of a name together; their order is kept, and that of the names.
function grouped (pairs) {
  const object = {}
  for (const [name, value] of pairs) {
    object[name] = name in object ? [].concat(object[name], value) : value
  }
  return object
}

function fromTheirs (properties) {
  const found = {}
  for (const [name, theirs] of Object.entries(NAMES)) {
    let value = properties?.[theirs]
    if (value === undefined) continue
    if (name === 'correlation_data') value = value.toString()
    if (name === 'payload_format_indicator') value = Number(value)
    if (name === 'subscription_identifier') value = [].concat(value)
    if (name === 'user_properties') {
      value = Object.entries(value).flatMap(([key, values]) => [].concat(values).map((one) => [key, one]))
    }
    found[name] = value
  }
  return found
}

class Client {
  constructor (name, command) {
    this.name = name
    this.isV5 = command.version === '5'
    this.mqtt = mqtt.connect({
      ...VERSIONS[command.version],
      host: '127.0.0.1',
      port: command.port,
      clientId: command.client_id,
      clean: command.clean ?? true,
      keepalive: command.keep_alive ?? 60,
      reconnectPeriod: 0,
      resubscribe: false,
      properties: this.isV5 ? toTheirs(command.properties) : undefined,
      will: this.will(command.will)
    })
    // MQTT.js does not hand on a reason that is no error.
    this.acknowledged = 0
    this.mqtt.on('packetreceive', (packet) => {
      if (packet.cmd === 'puback' || packet.cmd === 'pubrec') this.acknowledged = packet.reasonCode ?? 0
    })
    let reason = null
    this.mqtt.on('connect', (connack) => {
      const properties = fromTheirs(connack.properties)
      say(name, 'connected', { session_present: connack.sessionPresent, properties })
    })
    this.mqtt.on('error', (error) => say(name, 'refused', { reason: error.code, text: error.message }))
    this.mqtt.on('disconnect', (packet) => { reason = packet.reasonCode })
    this.mqtt.on('close', () => say(name, 'closed', { reason }))
    this.mqtt.on('message', (topic, payload, packet) => this.onMessage(topic, payload, packet))
  }

  will (will) {
    if (!will) return undefined
    const properties = this.isV5 ? toTheirs(will.properties) : undefined
    return { topic: will.topic, payload: Buffer.from(will.payload), qos: will.qos, retain: will.retain, properties }
  }

  onMessage (topic, payload, packet) {
    const content = payload.length <= SHOWN_BYTES
      ? { payload: payload.toString() }
      : { sha256: crypto.createHash('sha256').update(payload).digest('hex') }
    const { qos, retain } = packet
    const properties = fromTheirs(packet.properties)
    say(this.name, 'message', { topic, qos, retain, properties, bytes: payload.length, ...content })
  }

  publish (command) {
    const { topic, qos, retain = false, repeat = 1 } = command
    const payload = command.payload.repeat(repeat)
    const properties = this.isV5 ? toTheirs(command.properties) : undefined
    this.mqtt.publish(topic, payload, { qos, retain, properties }, (error) => {
      say(this.name, 'published', { reason: error?.code ?? (qos && this.acknowledged), text: error?.message })
    })
  }

  subscribe (command) {
    const filters = {}
    for (const { filter, qos, no_local: nl, retain_as_published: rap, retain_handling: rh } of command.filters) {
      filters[filter] = this.isV5 ? { qos, nl, rap, rh } : { qos }
    }
    const properties = this.isV5 ? toTheirs(command.properties) : undefined
    this.mqtt.subscribe(filters, { qos: 0, properties }, (error, _granted, packet) => {
      say(this.name, 'subscribed', { reasons: packet?.granted ?? [error.code], text: error?.message })
    })
  }

  unsubscribe (command) {
    this.mqtt.unsubscribe(command.filters, (_error, packet) => {
      const reasons = packet?.granted ?? []
      say(this.name, 'unsubscribed', { reasons })
    })
  }

  disconnect (command) {
    const properties = toTheirs(command.properties)
    const options = this.isV5 ? { reasonCode: command.reason ?? 0, properties } : {}
    this.mqtt.end(false, options)
  }
}

const clients = new Map()
const commands = readline.createInterface({ input: process.stdin })
commands.on('line', (line) => {
  const command = JSON.parse(line)
  if (command.do === 'connect') {
    clients.set(command.as, new Client(command.as, command))
  } else {
    clients.get(command.as)[command.do](command)
  }
})
commands.on('close', () => process.exit(0))
