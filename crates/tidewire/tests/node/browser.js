// A headless Chromium: opens pages that are served by the broker, and has each converse in MQTT 3.1, 3.1.1 and 5.
// Arguments: place of Chromium, the server's certificate, address of a listener that does not want this page, addresses of pages.
'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { chromium } = require(path.join(process.env.TIDEWIRE_NODE_PATH, 'node_modules', 'playwright-core'))

const [executablePath, certificate, unwelcoming, ...pages] = process.argv.slice(2)

// The browser believes this one key, as if its authority were installed.
function fingerprint () {
  const key = new crypto.X509Certificate(fs.readFileSync(certificate)).publicKey
  return crypto.createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest('base64')
}

async function main () {
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', `--ignore-certificate-errors-spki-list=${fingerprint()}`]
  })
  try {
    for (const address of pages) {
      const page = await browser.newPage()
      await page.goto(address)
      const title = await page.title()
      if (title !== 'MQTT and its page on one port') throw new Error(`${address} has the title ${title}`)
      for (const version of [3, 4, 5]) {
        const result = await page.evaluate(([version]) => converse(version), [version])
        if (result !== 'done') throw new Error(`${address} ${version}: ${result}`)
      }
      if (address.startsWith('http:')) {
        const refused = await page.evaluate(([url]) => converse(4, url), [unwelcoming])
        if (refused === 'done') throw new Error('a page of another origin was let in')
      }
      console.log(`${new URL(address).protocol} done`)
    }
  } finally {
    await browser.close()
  }
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
