// What a page does with MQTT.js: connects to the port that it came from, subscribes, publishes at every QoS and a large
// payload, gets all back, leaves. Its promise says 'done', or why not.
'use strict'

// Called by the test.
// eslint-disable-next-line no-unused-vars
function converse (version, url) {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  return new Promise((resolve) => {
    const large = 'x'.repeat(300000)
    const wanted = [['0', 0], ['1', 1], ['2', 2], [large, 1]]
    const client = mqtt.connect(url || `${scheme}://${location.host}/mqtt`, {
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
      clientId: `page-${version}`,
      reconnectPeriod: 0
    })
    const publish = () => client.publish('page', wanted[0][0], { qos: wanted[0][1] })
    client.on('error', (error) => resolve(String(error)))
    client.on('close', () => { if (wanted.length > 0) resolve('closed too early') })
    client.on('connect', () => {
      client.subscribe('page', { qos: 2 }, (error) => error ? resolve(String(error)) : publish())
    })
    client.on('message', (topic, payload) => {
      if (payload.toString() !== wanted.shift()[0]) resolve('another message was expected')
      if (wanted.length > 0) publish()
      else client.end(false, {}, () => resolve('done'))
    })
  })
}
